// Reads JSON and keeps where everything is: for errors with a line and a column in every browser, for jumping from a
// problem to its place in the text, and for formatting without touching any value (JSON.parse would round large
// numbers and reorder keys that look like numbers).

/** How deep a document may be nested; more would only hide a mistake. */
const DEEPEST = 200;

/** A text without escapes. */
const PLAIN_STRING = /"[^"\\\u0000-\u001f]*"/y;
/** The signs that word processors put in the place of a quote. */
const CURLY = /[\u201c\u201d\u201e\u201f\u00ab\u00bb]/;

export interface Range {
  start: number;
  end: number;
}
export interface Entry {
  key: string;
  keyStart: number;
  keyEnd: number;
  node: JsonNode;
}
export type JsonNode = Range &
  (
    | { kind: "object"; entries: Entry[] }
    | { kind: "array"; items: JsonNode[] }
    | { kind: "string"; value: string }
    | { kind: "number"; value: number }
    | { kind: "word"; value: boolean | null }
  );
export interface Place {
  line: number;
  column: number;
}
export interface JsonError extends Place {
  offset: number;
  text: string;
}
export interface Scanned {
  tree: JsonNode | null;
  error: JsonError | null;
  /** Keys that occur twice in one object, of which the first would silently be lost. */
  doubles: (Range & { key: string })[];
}

class Mistake extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

/** Reads a text. */
export function scan(text: string): Scanned {
  const scanner = new Scanner(text);
  try {
    const tree = scanner.document();
    return { tree, error: null, doubles: scanner.doubles };
  } catch (mistake) {
    if (!(mistake instanceof Mistake)) throw mistake;
    const { offset, message } = mistake;
    return { tree: null, error: { ...places(text)(offset), offset, text: message }, doubles: [] };
  }
}

/** Line and column, both from 1, of many offsets of one text. */
export function places(text: string): (offset: number) => Place {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

class Scanner {
  readonly text: string;
  at = 0;
  readonly doubles: Scanned["doubles"] = [];

  constructor(text: string) {
    this.text = text;
  }

  document(): JsonNode {
    this.space();
    if (this.at >= this.text.length) throw new Mistake(0, "The document is empty.");
    const node = this.value(0);
    this.space();
    if (this.at < this.text.length) {
      throw new Mistake(
        this.at,
        "The document ends before this; remove what follows, or check for a bracket too many.",
      );
    }
    return node;
  }

  private space(): void {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.at += 1;
    }
  }

  private value(depth: number): JsonNode {
    if (depth > DEEPEST) throw new Mistake(this.at, `This is nested deeper than ${DEEPEST} levels.`);
    const first = this.text[this.at] ?? "";
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    if (first === "-" || (first >= "0" && first <= "9")) return this.number();
    return this.word();
  }

  private object(depth: number): JsonNode {
    const start = this.at;
    const entries: Entry[] = [];
    const seen = new Set<string>();
    this.at += 1;
    this.space();
    if (this.text[this.at] === "}") return { kind: "object", ...this.close(start), entries };
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') {
        throw new Mistake(this.at, this.expected("a key in double quotes", "}", entries.length > 0));
      }
      const key = this.string();
      if (seen.has(key.value)) this.doubles.push({ key: key.value, start: key.start, end: key.end });
      seen.add(key.value);
      this.space();
      if (this.text[this.at] !== ":") {
        throw new Mistake(this.at, `A colon is missing after the key "${key.value}".`);
      }
      this.at += 1;
      this.space();
      const node = this.value(depth + 1);
      entries.push({ key: key.value, keyStart: key.start, keyEnd: key.end, node });
      this.space();
      if (this.text[this.at] === "}") return { kind: "object", ...this.close(start), entries };
      this.comma("}", start, "object");
    }
  }

  private array(depth: number): JsonNode {
    const start = this.at;
    const items: JsonNode[] = [];
    this.at += 1;
    this.space();
    if (this.text[this.at] === "]") return { kind: "array", ...this.close(start), items };
    for (;;) {
      this.space();
      if (this.text[this.at] === "]") throw new Mistake(this.at, this.expected("a value", "]", true));
      items.push(this.value(depth + 1));
      this.space();
      if (this.text[this.at] === "]") return { kind: "array", ...this.close(start), items };
      this.comma("]", start, "list");
    }
  }

  private close(start: number): Range {
    this.at += 1;
    return { start, end: this.at };
  }

  private comma(bracket: string, start: number, what: string): void {
    if (this.text[this.at] === ",") {
      this.at += 1;
      return;
    }
    if (this.at >= this.text.length) {
      const { line } = places(this.text)(start);
      throw new Mistake(
        this.at,
        `The text ends inside the ${what} that begins in line ${line}: a ${bracket} is missing.`,
      );
    }
    // The mistake is behind the value before, which is often on an earlier line.
    let end = this.at;
    while (end > 0 && " \n\r\t".includes(this.text[end - 1] ?? "x")) end -= 1;
    const quotes = this.text[end - 1] === '"' ? " Inside a text, write a quote as \\\"." : "";
    throw new Mistake(end, `A comma or ${bracket} is missing here.${quotes}`);
  }

  private expected(what: string, bracket: string, isAfterComma: boolean): string {
    const first = this.text[this.at];
    if (first === undefined) return `The text ends where ${what} should come.`;
    if (isAfterComma && first === bracket) return `There is a comma too many before this ${bracket}.`;
    if (CURLY.test(first)) return 'These are curly quotes. JSON wants straight ones: ".';
    return `Here should be ${what}.`;
  }

  private string(): JsonNode & { kind: "string" } {
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
        const value = JSON.parse(this.text.slice(start, this.at)) as string;
        return { kind: "string", start, end: this.at, value };
      }
      if (code < 32) {
        const text = code === 10 || code === 13
          ? "This text has no closing quote on its line. Write a line break as \\n."
          : "Write a tab inside a text as \\t.";
        throw new Mistake(code === 9 ? this.at : start, text);
      }
      if (code === 92) this.escape();
      else this.at += 1;
    }
    throw new Mistake(start, "This text has no closing quote.");
  }

  private escape(): void {
    const next = this.text[this.at + 1];
    if (next === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(this.text.slice(this.at + 2, this.at + 6))) {
        throw new Mistake(this.at, "After \\u come four hexadecimal digits.");
      }
      this.at += 6;
    } else if (next !== undefined && '"\\/bfnrt'.includes(next)) {
      this.at += 2;
    } else {
      throw new Mistake(this.at, "JSON does not know this escape. Write a backslash itself as \\\\.");
    }
  }

  private number(): JsonNode {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    const end = match ? pattern.lastIndex : this.at;
    if (!match || /[\w.]/.test(this.text[end] ?? "")) {
      throw new Mistake(this.at, "This is not a number as JSON writes it, such as 0.5 or 1200.");
    }
    const start = this.at;
    this.at = end;
    return { kind: "number", start, end, value: Number(match[0]) };
  }

  private word(): JsonNode {
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.text.startsWith(word, this.at) && !/\w/.test(this.text[this.at + word.length] ?? "")) {
        this.at += word.length;
        return { kind: "word", start: this.at - word.length, end: this.at, value };
      }
    }
    const first = this.text[this.at];
    if (first === undefined) throw new Mistake(this.at, "The text ends where a value should come.");
    if (first === "'") throw new Mistake(this.at, "JSON wants double quotes.");
    if (CURLY.test(first)) throw new Mistake(this.at, 'These are curly quotes. JSON wants straight ones: ".');
    if (first === "/") throw new Mistake(this.at, "JSON has no comments.");
    if (/[A-Za-z_]/.test(first)) throw new Mistake(this.at, "A text needs double quotes around it.");
    throw new Mistake(this.at, "Here should be a value.");
  }
}

/** An object's entry by its key; the last one, as every reader of JSON takes it. */
export function entry(node: JsonNode | null | undefined, key: string): Entry | undefined {
  return node?.kind === "object" ? node.entries.findLast((candidate) => candidate.key === key) : undefined;
}

/** The text of a string node, if it is one. */
export function textOf(node: JsonNode | null | undefined): string | undefined {
  return node?.kind === "string" ? node.value : undefined;
}

/** The plain value of a node. */
export function valueOf(node: JsonNode | null | undefined): unknown {
  if (!node) return undefined;
  if (node.kind === "object") {
    // Without a prototype, so that a key `__proto__` is a key.
    const object = Object.create(null) as Record<string, unknown>;
    for (const { key, node: child } of node.entries) object[key] = valueOf(child);
    return object;
  }
  if (node.kind === "array") return node.items.map(valueOf);
  return node.value;
}
