// What differs between two texts, line by line: for a conflict between two authors, and between versions.

/** Cells that the comparison may take; beyond, a changed stretch is shown as a whole, which is still right. */
const MOST_CELLS = 4_000_000;
/** Unchanged lines shown around a change. */
const AROUND = 3;

export interface Line {
  kind: "same" | "old" | "new";
  text: string;
}

const lineOf = (kind: Line["kind"]) => (text: string): Line => ({ kind, text });

/** All lines of both. */
export function compare(before: string, after: string): Line[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  const room = Math.min(a.length, b.length) - head;
  while (tail < room && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  return [
    ...a.slice(0, head).map(lineOf("same")),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map(lineOf("same")),
  ];
}

/** The longest common subsequence, by the textbook's table. */
function middle(a: string[], b: string[]): Line[] {
  if (a.length * b.length > MOST_CELLS) return [...a.map(lineOf("old")), ...b.map(lineOf("new"))];
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  const cell = (i: number, j: number): number => table[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const isSame = a[i] === b[j];
      table[i * width + j] = isSame ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && left === right) {
      lines.push({ kind: "same", text: left });
      i += 1;
      j += 1;
    } else if (left !== undefined && (right === undefined || cell(i + 1, j) >= cell(i, j + 1))) {
      lines.push({ kind: "old", text: left });
      i += 1;
    } else {
      lines.push({ kind: "new", text: right ?? "" });
      j += 1;
    }
  }
  return lines;
}

/** The changes with a little around them; null stands for lines that are left out. Empty where nothing differs. */
export function changes(before: string, after: string): (Line | null)[] {
  const lines = compare(before, after);
  const isNear = lines.map(() => false);
  lines.forEach(({ kind }, index) => {
    if (kind === "same") return;
    const last = Math.min(lines.length - 1, index + AROUND);
    for (let near = Math.max(0, index - AROUND); near <= last; near += 1) isNear[near] = true;
  });
  const shown: (Line | null)[] = [];
  lines.forEach((line, index) => {
    if (isNear[index]) shown.push(line);
    else if (index > 0 && isNear[index - 1]) shown.push(null);
  });
  return shown;
}
