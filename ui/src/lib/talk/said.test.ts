import { expect, test } from "vitest";

import { carried, lineOf, progressOf, saidOf, type Said } from "./said.ts";

const message = (more: Partial<Said>): Said => ({ id: "1", direction: "in", type: "text", ...more });

test("a place has a link to a map, and one without numbers has none", () => {
  const media = { latitude: 59.9139, longitude: 10.7522, name: "Home", address: "Oslo" };
  expect(carried(message({ type: "location", media }))).toEqual({
    title: "Location",
    lines: ["Home", "Oslo"],
    link: {
      href: "https://www.openstreetmap.org/?mlat=59.9139&mlon=10.7522#map=16/59.9139/10.7522",
      text: "59.9139, 10.7522",
    },
  });
  expect(carried(message({ type: "location", media: { latitude: "x" } }))?.link).toBeUndefined();
});

test("cards say what is known of each person", () => {
  const contacts = [{ name: { formatted_name: "Grace Hopper" }, phones: [{ phone: "+1 415 555 0199" }] }, {}];
  expect(carried(message({ type: "contacts", media: { contacts } }))).toEqual({
    title: "2 contact cards",
    lines: ["Grace Hopper · +1 415 555 0199", "Nothing that can be shown"],
  });
  const odd = carried(message({ type: "contacts", media: { contacts: "odd" } }));
  expect(odd?.lines).toEqual(["Nothing that can be shown"]);
});

test.each(["javascript:alert(1)", "data:text/html,x", " https://x", "file:///etc/passwd"])("%s is no link", (url) => {
  const found = carried(message({ type: "image", media: { url } }));
  expect([found?.link, found?.address]).toEqual([undefined, url]);
});

test("a voice message has its length", () => {
  const found = carried(message({ type: "audio", media: { voice: true, duration: 65 } }));
  expect([found?.title, found?.lines]).toEqual(["Voice message", ["1 min 5 s"]]);
  expect(carried(message({ type: "audio", media: { voice: "<b>", duration: "<b>" } }))?.lines).toEqual([]);
});

test("a line says what a message is about", () => {
  expect(lineOf(message({ type: "reaction", text: "👍" }))).toBe("Reacted with 👍");
  expect(lineOf(message({ type: "image", media: { caption: "This is broken" } }))).toBe("This is broken");
  expect(lineOf(message({ type: "sticker" }))).toBe("Sticker");
  expect(lineOf(message({ direction: "out", type: "text", template: { name: "cart" } }))).toBe("Template cart");
});

test("what went out as a template says the template's text", () => {
  const sent = { as: "template", text: "Hi Ada", name: "cart", language: "en" };
  expect(saidOf(message({ direction: "out", text: "Hello", sent }))).toBe("Hi Ada");
});

test("what was only recorded has no progress, and what failed says why", () => {
  expect(progressOf(message({ status: "simulated" }))).toBeNull();
  const failed = progressOf(message({ status: "failed", reason: "x", error: "No such number" }));
  expect(failed).toMatchObject({ isBad: true, ticks: "", why: "The channel says: No such number" });
});
