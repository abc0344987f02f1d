// What differs between two texts, line by line: for a conflict between two authors, and between versions.

import { h } from "./dom.js";

/** Cells that the comparison may take; beyond, a changed stretch is shown as a whole, which is still right. */
const MOST_CELLS = 4_000_000;
/** Unchanged lines shown around a change. */
const AROUND = 3;

/** Lines as `{ kind: "same" | "old" | "new", text }`. */
function compare(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  return [
    ...a.slice(0, head).map((text) => ({ kind: "same", text })),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map((text) => ({ kind: "same", text })),
  ];
}

/** The longest common subsequence, by the textbook's table. */
function middle(a, b) {
  const old = (text) => ({ kind: "old", text });
  const fresh = (text) => ({ kind: "new", text });
  if (a.length * b.length > MOST_CELLS) return [...a.map(old), ...b.map(fresh)];
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[i] === b[j]
        ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
      lines.push(old(a[i]));
      i += 1;
    } else {
      lines.push(fresh(b[j]));
      j += 1;
    }
  }
  return lines;
}

const SIGNS = { same: " ", old: "−", new: "+" };
const WORDS = { old: "removed: ", new: "added: " };

/** Shows the changes with a little around them. */
export function diffView(before, after, label) {
  const lines = compare(before, after);
  const isNear = lines.map(() => false);
  lines.forEach(({ kind }, index) => {
    if (kind === "same") return;
    for (let near = Math.max(0, index - AROUND); near <= Math.min(lines.length - 1, index + AROUND); near += 1) isNear[near] = true;
  });
  const shown = [];
  lines.forEach((line, index) => {
    if (isNear[index]) {
      shown.push(h("span", { class: `diff-${line.kind}` },
        h("span", { "aria-hidden": "true" }, `${SIGNS[line.kind]} `),
        WORDS[line.kind] && h("span", { class: "visually-hidden" }, WORDS[line.kind]), `${line.text}\n`));
    } else if (index > 0 && isNear[index - 1]) {
      shown.push(h("span", { class: "diff-gap" }, "⋯\n"));
    }
  });
  if (shown.length === 0) return h("p", { class: "muted" }, "There is no difference.");
  return h("pre", { class: "diff", tabindex: "0", role: "region", "aria-label": label }, shown);
}
