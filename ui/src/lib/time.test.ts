import { expect, test } from "vitest";

import { ago, duration, inFull, staysFor } from "./time.ts";

const NOW = Date.UTC(2026, 11, 1, 12);

test.each([
  [0, "now"],
  [-4, "now"],
  [-5, "5 seconds ago"],
  [-59, "59 seconds ago"],
  [-119, "1 minute ago"],
  [-119 * 60, "1 hour ago"],
  [7_200, "in 2 hours"],
  [-40 * 86_400, "1 month ago"],
])("%i seconds away is %s", (away, expected) => {
  expect(ago(NOW + away * 1000, NOW)).toBe(expected);
});

test.each([
  [0, "0 s"],
  [61, "1 min 1 s"],
  [4_800, "1 h 20 min"],
  [90_061, "1 d 1 h"],
])("%i seconds last %s", (length, expected) => {
  expect(duration(length)).toBe(expected);
});

test("what is near is looked at more often", () => {
  expect(staysFor(NOW, NOW + 10_000)).toBeLessThan(staysFor(NOW, NOW + 7_200_000));
});

test("a moment in full has its seconds", () => {
  expect(inFull("2026-12-01T12:34:56+00:00")).toMatch(/34.56/);
});
