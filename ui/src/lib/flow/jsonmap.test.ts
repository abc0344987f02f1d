import { expect, test } from "vitest";

import { format } from "./format.ts";
import { entry, places, scan, valueOf, type JsonNode } from "./jsonmap.ts";
import { locate } from "./locate.ts";

function read(text: string): JsonNode {
  const { tree } = scan(text);
  if (!tree) throw new Error("not read");
  return tree;
}

test("values are what JSON.parse says", () => {
  const text = '{"a": [1, -0.5e3, true, null, "\\u00e9\\n"], "b": {}, "c": []}';
  expect(JSON.stringify(valueOf(read(text)))).toBe(JSON.stringify(JSON.parse(text)));
});

test("a key __proto__ is a key", () => {
  expect(Object.keys(valueOf(read('{"__proto__": 1}')) as object)).toEqual(["__proto__"]);
});

test.each([
  ["", "The document is empty."],
  ['{"a" 1}', 'A colon is missing after the key "a".'],
  ['{"a": 1,}', "There is a comma too many before this }."],
  ["[1, ]", "There is a comma too many before this ]."],
  ['{"a": "x', "This text has no closing quote."],
  ['{"a": "x\n"}', "This text has no closing quote on its line. Write a line break as \\n."],
  ['{"a": \'x\'}', "JSON wants double quotes."],
  ['{"a": \u201cx\u201d}', 'These are curly quotes. JSON wants straight ones: ".'],
  ['{\u201ca\u201d: 1}', 'These are curly quotes. JSON wants straight ones: ".'],
  ['{"a": "say "hi" now"}', 'A comma or } is missing here. Inside a text, write a quote as \\".'],
  ['{"a": 01}', "This is not a number as JSON writes it, such as 0.5 or 1200."],
  ["{} {}", "The document ends before this; remove what follows, or check for a bracket too many."],
  ['{"a": [1', "The text ends inside the list that begins in line 1: a ] is missing."],
  ["[".repeat(300), "This is nested deeper than 200 levels."],
])("the mistake in %s is said", (text, expected) => {
  expect(scan(text).error?.text).toBe(expected);
});

test("a mistake has its line and column", () => {
  expect(scan('{\n  "a": 1\n  "b": 2\n}').error).toMatchObject({ line: 2, column: 9 });
  expect(places("a\nbc")(3)).toEqual({ line: 2, column: 2 });
});

test("keys that occur twice are listed, and the last one counts", () => {
  const text = '{"a": 1, "a": 2}';
  expect(scan(text).doubles).toEqual([{ key: "a", start: 9, end: 12 }]);
  expect(valueOf(entry(read(text), "a")?.node)).toBe(2);
});

test("formatting touches no value", () => {
  const text = '{"name":"x","n":12345678901234567890.10,"nodes":[{"id":"a","exits":{"1":"b","next":"c"}}]}';
  const laid = format(text, read(text));
  expect(laid).toBe(`{
  "name": "x",
  "n": 12345678901234567890.10,
  "nodes": [
    {
      "id": "a",
      "exits": { "1": "b", "next": "c" }
    }
  ]
}
`);
  expect(format(laid, read(laid))).toBe(laid);
});

test("a problem is found at its field, else at its node, else at the name", () => {
  const text =
    '{"name": "F", "nodes": [{"id": "a", "template": {"variables": {"header.1": "x"}}, "options": [{"id": 1}]}]}';
  const tree = read(text);
  const at = (problem: { node?: string; field?: string }) => {
    const { start, end } = locate(tree, problem);
    return text.slice(start, end);
  };
  expect(at({ node: "a", field: "template.variables.header.1" })).toBe('"header.1": "x"');
  expect(at({ node: "a", field: "options[0].id" })).toBe('"id": 1');
  expect(at({ node: "a", field: "options[7]" })).toBe('"options"');
  expect(at({ node: "a", field: "missing" })).toBe('"id": "a"');
  expect(at({ node: "nowhere" })).toBe('"name": "F"');
  expect(locate(null, {})).toEqual({ start: 0, end: 0 });
});
