import { expect, test } from "vitest";

import { readMetadata } from "./metadata.ts";

test("a key that is gone is sent as null", () => {
  expect(readMetadata('{"b": 2}', { a: 1, b: 1 })).toEqual({ a: null, b: 2 });
  expect(readMetadata("", { a: 1 })).toEqual({ a: null });
});

test("what is no object is refused with its place", () => {
  expect(() => readMetadata("[]", {})).toThrow("must be a JSON object");
  expect(() => readMetadata('{"a": }', {})).toThrow("Metadata, line 1, column 7");
});
