/** Puts text on the clipboard; over plain HTTP browsers offer only the old way. */
export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Not allowed here: the old way, inside an open dialog if there is one, because the rest of the page is inert then.
  }
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const area = document.createElement("textarea");
  area.className = "visually-hidden";
  area.setAttribute("aria-hidden", "true");
  area.tabIndex = -1;
  area.value = text;
  const before = document.activeElement;
  place.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  if (!isCopied) throw new Error("The browser does not allow copying here. Select the text and copy it by hand.");
}

/** Gives a text to the browser as a file. */
export function download(name: string, text: string, type = "application/json"): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // At once would be too early for some browsers.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
