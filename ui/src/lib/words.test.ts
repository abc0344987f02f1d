import { expect, test } from "vitest";

import { bare, counted, fileName, personOf, proseParts, titled } from "./words.ts";

test("counts have their word", () => {
  expect([counted(1, "session", "sessions"), counted(0, "session", "sessions")]).toEqual(["1 session", "0 sessions"]);
});

test("people are named by what is known of them", () => {
  expect(personOf({ name: "Ada", phone: "+1" })).toBe("Ada, +1");
  expect(personOf({ phone: "+1" })).toBe("+1");
  expect(personOf(null)).toBe("this contact");
});

test("typed numbers are compared without their signs", () => {
  expect(bare("+1 (415) 555-0100")).toBe("+14155550100");
});

test("names become file names", () => {
  expect([fileName("Abandoned Cart, v2"), fileName("王伟")]).toEqual(["abandoned-cart-v2", "flow"]);
});

test("names between backticks are told apart", () => {
  expect(proseParts("Set `a.b` first")).toEqual([
    { text: "Set ", isCode: false }, { text: "a.b", isCode: true }, { text: " first", isCode: false },
  ]);
});

test("codes become words", () => {
  expect(titled("backing_off")).toBe("Backing off");
});
