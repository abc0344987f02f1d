import { expect, test } from "vitest";

import { groupsOf, nameOf, parsed, type Setting } from "./groups.ts";

const setting = (key: string, more: Partial<Setting> = {}): Setting => ({
  key, value: "", default: "", source: "default", is_editable: false, is_secret: false, about: "", ...more,
});

test("what can be set here comes first, and a key that is new to the page is not lost", () => {
  const settings = [setting("log.level"), setting("limits.flows", { is_editable: true }), setting("novel.thing_of_it")];
  const groups = groupsOf(settings, "");
  expect(groups.map(({ title }) => title)).toEqual(["Limits", "Log", "Others"]);
  expect(nameOf(settings[2] ?? settings[0] ?? setting(""))).toBe("Thing of it");
});

test("settings are found by their words", () => {
  const settings = [setting("log.level", { about: "What is logged" }), setting("limits.flows")];
  expect(groupsOf(settings, "LOGGED what").flatMap(({ fixed }) => fixed.map(({ key }) => key))).toEqual(["log.level"]);
});

test("what is typed becomes the kind of value that the setting has", () => {
  expect(parsed(" 7 ", setting("a.b", { default: 5 as never }))).toBe(7);
  expect(parsed("a, b", setting("a.b", { default: [] as never }))).toEqual(["a", "b"]);
  expect(parsed("", setting("a.b"))).toBeNull();
  expect(() => parsed("x", setting("limits.flows", { default: 5 as never }))).toThrow("Flows must be a number.");
});
