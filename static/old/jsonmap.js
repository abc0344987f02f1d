// Reads JSON and keeps where everything is: for errors with a line and a column in every browser, for jumping from a
// problem to its place in the text, and for formatting without touching any value (JSON.parse would round large
// numbers and reorder keys that look like numbers).

/** How deep a document may be nested; more would only hide a mistake. */
const DEEPEST = 200;

/** A text without escapes. */
const PLAIN_STRING = /"[^"\\\u0000-\u001f]*"/y;

class Mistake extends Error {
  constructor(offset, message) {
    super(message);
    this.offset = offset;
  }
}

/**
 * Reads a text. Gives `{ tree, error, doubles }`; a tree node is `{ kind, start, end, items?, entries?, value? }`, an
 * entry `{ key, keyStart, keyEnd, node }`. `error` is `{ offset, line, column, text }` or null; `doubles` lists keys
 * that occur twice in one object, of which the first would silently be lost.
 */
export function scan(text) {
  const scanner = new Scanner(text);
  try {
    const tree = scanner.document();
    return { tree, error: null, doubles: scanner.doubles };
  } catch (mistake) {
    if (!(mistake instanceof Mistake)) throw mistake;
    return { tree: null, error: { ...place(text, mistake.offset), offset: mistake.offset, text: mistake.message }, doubles: [] };
  }
}

/** Line and column of an offset, both from 1. */
export function place(text, offset) {
  return places(text)(offset);
}

/** The same for many offsets of one text. */
export function places(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - starts[low] + 1 };
  };
}

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.doubles = [];
  }

  document() {
    this.space();
    if (this.at >= this.text.length) throw new Mistake(0, "The document is empty.");
    const node = this.value(0);
    this.space();
    if (this.at < this.text.length) throw new Mistake(this.at, "The document ends before this; remove what follows, or check for a bracket too many.");
    return node;
  }

  space() {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.at += 1;
    }
  }

  value(depth) {
    if (depth > DEEPEST) throw new Mistake(this.at, `This is nested deeper than ${DEEPEST} levels.`);
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    if (first === "-" || (first >= "0" && first <= "9")) return this.number();
    return this.word();
  }

  object(depth) {
    const start = this.at;
    const entries = [];
    const seen = new Set();
    this.at += 1;
    this.space();
    if (this.text[this.at] === "}") return this.close("object", start, { entries });
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') throw new Mistake(this.at, this.expected("a key in double quotes", "}", entries.length > 0));
      const key = this.string();
      if (seen.has(key.value)) this.doubles.push({ key: key.value, start: key.start, end: key.end });
      seen.add(key.value);
      this.space();
      if (this.text[this.at] !== ":") throw new Mistake(this.at, `A colon is missing after the key "${key.value}".`);
      this.at += 1;
      this.space();
      const node = this.value(depth + 1);
      entries.push({ key: key.value, keyStart: key.start, keyEnd: key.end, node });
      this.space();
      if (this.text[this.at] === "}") return this.close("object", start, { entries });
      this.comma("}", start, "object");
    }
  }

  array(depth) {
    const start = this.at;
    const items = [];
    this.at += 1;
    this.space();
    if (this.text[this.at] === "]") return this.close("array", start, { items });
    for (;;) {
      this.space();
      if (this.text[this.at] === "]") throw new Mistake(this.at, this.expected("a value", "]", true));
      items.push(this.value(depth + 1));
      this.space();
      if (this.text[this.at] === "]") return this.close("array", start, { items });
      this.comma("]", start, "list");
    }
  }

  close(kind, start, more) {
    this.at += 1;
    return { kind, start, end: this.at, ...more };
  }

  comma(bracket, start, what) {
    if (this.text[this.at] === ",") {
      this.at += 1;
      return;
    }
    if (this.at >= this.text.length) {
      throw new Mistake(this.at, `The text ends inside the ${what} that begins in line ${place(this.text, start).line}: a ${bracket} is missing.`);
    }
    // The mistake is behind the value before, which is often on an earlier line.
    let end = this.at;
    while (end > 0 && " \n\r\t".includes(this.text[end - 1])) end -= 1;
    throw new Mistake(end, `A comma or ${bracket} is missing here.`);
  }

  expected(what, bracket, afterComma) {
    if (this.at >= this.text.length) return `The text ends where ${what} should come.`;
    if (afterComma && this.text[this.at] === bracket) return `There is a comma too many before this ${bracket}.`;
    return `Here should be ${what}.`;
  }

  string() {
    const start = this.at;
    // Most texts hold nothing odd, and a large document is read again with every key that is typed.
    PLAIN_STRING.lastIndex = start;
    if (PLAIN_STRING.test(this.text)) {
      this.at = PLAIN_STRING.lastIndex;
      return { kind: "string", start, end: this.at, value: this.text.slice(start + 1, this.at - 1) };
    }
    this.at += 1;
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code === 34) {
        this.at += 1;
        return { kind: "string", start, end: this.at, value: JSON.parse(this.text.slice(start, this.at)) };
      }
      if (code < 32) {
        const text = code === 10 || code === 13 ? "This text has no closing quote on its line. Write a line break as \\n." : "Write a tab inside a text as \\t.";
        throw new Mistake(code === 9 ? this.at : start, text);
      }
      if (code === 92) this.escape();
      else this.at += 1;
    }
    throw new Mistake(start, "This text has no closing quote.");
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(this.text.slice(this.at + 2, this.at + 6))) throw new Mistake(this.at, "After \\u come four hexadecimal digits.");
      this.at += 6;
    } else if (next !== undefined && '"\\/bfnrt'.includes(next)) {
      this.at += 2;
    } else {
      throw new Mistake(this.at, "JSON does not know this escape. Write a backslash itself as \\\\.");
    }
  }

  number() {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    const end = match ? pattern.lastIndex : this.at;
    if (!match || /[\w.]/.test(this.text[end] ?? "")) throw new Mistake(this.at, "This is not a number as JSON writes it, such as 0.5 or 1200.");
    const start = this.at;
    this.at = end;
    return { kind: "number", start, end, value: Number(match[0]) };
  }

  word() {
    for (const [word, value] of [["true", true], ["false", false], ["null", null]]) {
      if (this.text.startsWith(word, this.at) && !/\w/.test(this.text[this.at + word.length] ?? "")) {
        this.at += word.length;
        return { kind: "word", start: this.at - word.length, end: this.at, value };
      }
    }
    if (this.at >= this.text.length) throw new Mistake(this.at, "The text ends where a value should come.");
    const first = this.text[this.at];
    if (first === "'") throw new Mistake(this.at, "JSON wants double quotes.");
    if (first === "/") throw new Mistake(this.at, "JSON has no comments.");
    if (/[A-Za-z_]/.test(first)) throw new Mistake(this.at, "A text needs double quotes around it.");
    throw new Mistake(this.at, "Here should be a value.");
  }
}

/** An object's entry by its key; the last one, as every reader of JSON takes it. */
export function entry(node, key) {
  return node?.kind === "object" ? node.entries.findLast((candidate) => candidate.key === key) : undefined;
}

/** The plain value of a node. */
export function valueOf(node) {
  if (!node) return undefined;
  if (node.kind === "object") {
    // Without a prototype, so that a key `__proto__` is a key.
    const object = Object.create(null);
    for (const { key, node: child } of node.entries) object[key] = valueOf(child);
    return object;
  }
  if (node.kind === "array") return node.items.map(valueOf);
  return node.value;
}

/** The place of a problem, `{ start, end }`: its field, else the nearest thing around it that is there. */
export function locate(tree, { node, field }) {
  if (!tree) return { start: 0, end: 0 };
  let root = tree;
  let range = entry(tree, "name") ? keyRange(entry(tree, "name")) : { start: tree.start, end: tree.start + 1 };
  if (node) {
    const found = entry(tree, "nodes")?.node.items?.find((item) => entry(item, "id")?.node.value === node);
    if (!found) return range;
    root = found;
    range = keyRange(entry(found, "id"));
  }
  return field ? follow(root, field) ?? range : range;
}

function follow(root, field) {
  let node = root;
  let range = null;
  let rest = field;
  while (rest !== "") {
    const index = /^\[(\d+)\]\.?/.exec(rest);
    if (index) {
      const item = node.items?.[Number(index[1])];
      if (!item) return range;
      node = item;
      range = short(item);
      rest = rest.slice(index[0].length);
      continue;
    }
    // Keys may hold dots themselves (`header.1`), so the longest that fits is taken.
    const fits = (node.entries ?? []).filter(({ key }) => rest === key || rest.startsWith(`${key}.`) || rest.startsWith(`${key}[`));
    if (fits.length === 0) return range;
    const best = fits.reduce((longest, candidate) => (candidate.key.length >= longest.key.length ? candidate : longest));
    node = best.node;
    range = keyRange(best);
    rest = rest.slice(best.key.length).replace(/^\./, "");
  }
  return range;
}

/** The whole entry where it is short, else its key: selecting half the document shows nothing. */
function keyRange({ keyStart, keyEnd, node }) {
  return { start: keyStart, end: node.kind === "object" || node.kind === "array" ? keyEnd : node.end };
}

function short(node) {
  return { start: node.start, end: node.kind === "object" || node.kind === "array" ? node.start + 1 : node.end };
}

/** Columns that an object or list may take on one line. */
const WIDTH = 100;

/**
 * The text of a tree, laid out: two spaces a level, and small things on one line, except the nodes of a flow, which
 * are easier to find on lines of their own. Values are taken letter by letter from the text that was read.
 */
export function format(text, tree) {
  return `${lay(text, tree, "", 0, false)}\n`;
}

function lay(text, node, indent, used, isFlowNode, depth = 0, isNodeList = false) {
  const children = childrenOf(text, node);
  if (!children) return text.slice(node.start, node.end);
  const [open, close] = node.kind === "object" ? ["{", "}"] : ["[", "]"];
  if (children.length === 0) return open + close;
  if (depth >= 2 && !isFlowNode) {
    const line = inline(text, node, WIDTH - indent.length - used);
    if (line !== null) return line;
  }
  const deeper = `${indent}  `;
  const lines = children.map(({ label, child, key }) =>
    deeper + label + lay(text, child, deeper, label.length, isNodeList, depth + 1, depth === 0 && key === "nodes"));
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

/** The node on one line, or null if it does not fit. */
function inline(text, node, room) {
  const children = childrenOf(text, node);
  if (!children) return text.slice(node.start, node.end);
  if (children.length === 0) return node.kind === "object" ? "{}" : "[]";
  const parts = [];
  let length = 4;
  for (const { label, child } of children) {
    const part = inline(text, child, room);
    if (part === null) return null;
    length += label.length + part.length + 2;
    if (length > room) return null;
    parts.push(label + part);
  }
  return node.kind === "object" ? `{ ${parts.join(", ")} }` : `[${parts.join(", ")}]`;
}

function childrenOf(text, node) {
  if (node.kind === "object") {
    return node.entries.map(({ key, keyStart, keyEnd, node: child }) => ({ key, label: `${text.slice(keyStart, keyEnd)}: `, child }));
  }
  if (node.kind === "array") return node.items.map((child) => ({ label: "", child }));
  return null;
}
