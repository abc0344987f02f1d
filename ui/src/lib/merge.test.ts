import { expect, test } from "vitest";

import { freshIn, mergeHeld, mergeNew } from "./merge.ts";

const row = (id: string, status = "running") => ({ id, status });
const key = ({ id }: { id: string }) => id;
const ids = (rows: { id: string }[]) => rows.map(key).join("");

test("a held list changes rows where they stand and moves none", () => {
  const held = mergeHeld([row("a"), row("b"), row("c")], [row("x"), row("c", "completed"), row("a")], key);
  expect(held).toEqual([row("a"), row("b"), row("c", "completed")]);
});

test("rows that are not shown yet are counted", () => {
  expect(freshIn([row("a")], [row("x"), row("y"), row("a")], key)).toBe(2);
});

test("a page takes the place of what it covers, and what lies beyond stays", () => {
  const shown = ["a", "b", "c", "d", "e"].map((id) => row(id));
  const merged = mergeNew(shown, ["x", "a", "b"].map((id) => row(id)), key);
  expect([ids(merged.items), merged.hasTail]).toEqual(["xabcde", true]);
});

test("a row that is gone goes, and one that has moved up stands once", () => {
  const shown = ["a", "b", "c", "d"].map((id) => row(id));
  expect(ids(mergeNew(shown, ["d", "a", "c"].map((id) => row(id)), key).items)).toBe("dac");
});

test("with more news than a page, only the page is shown", () => {
  const merged = mergeNew([row("a")], ["x", "y"].map((id) => row(id)), key);
  expect([ids(merged.items), merged.hasTail]).toEqual(["xy", false]);
  expect(mergeNew([row("a")], [], key)).toEqual({ items: [], hasTail: false });
});
