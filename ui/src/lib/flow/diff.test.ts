import { expect, test } from "vitest";

import { changes, compare } from "./diff.ts";

const written = (before: string, after: string) =>
  compare(before, after).map(({ kind, text }) => `${{ same: " ", old: "-", new: "+" }[kind]}${text}`);

test("lines that were taken out and put in are told apart", () => {
  expect(written("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
  expect(written("a\nb", "b\na")).toEqual(["-a", " b", "+a"]);
  expect(written("", "a")).toEqual(["-", "+a"]);
});

test("either text is what its lines say", () => {
  const [before, after] = ["a\nb\nb\nc\nd", "b\nc\nc\nb\nd\ne"];
  const lines = compare(before, after);
  const of = (other: string) => lines.filter(({ kind }) => kind !== other).map(({ text }) => text).join("\n");
  expect([of("new"), of("old")]).toEqual([before, after]);
});

test("what is far from a change is left out", () => {
  const lines = Array.from({ length: 30 }, (_, n) => `line ${n}`);
  const after = lines.with(10, "changed").with(25, "changed too");
  const shown = changes(lines.join("\n"), after.join("\n"));
  expect(shown.filter((line) => line === null)).toHaveLength(2);
  expect(shown.filter((line) => line?.kind === "same")).toHaveLength(3 + 3 + 3 + 3);
  expect(changes("a", "a")).toEqual([]);
});

test("texts that are too large to compare are shown as they are", () => {
  const [before, after] = [..."xy"].map((sign) => Array.from({ length: 2_100 }, (_, n) => sign + n).join("\n"));
  expect(compare(before ?? "", after ?? "")).toHaveLength(4_200);
});
