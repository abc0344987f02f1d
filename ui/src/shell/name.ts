// The name of who was here last on this browser. It may forbid storing; then the name is typed again.
const KEY = "qyvo.name";

export function remember(name: string): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // See above.
  }
}

export function recall(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
