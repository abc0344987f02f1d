import { expect, test } from "vitest";

import { conversationOf, stimulusText } from "./trace.ts";

test.each([
  [{ type: "start" }, "Started"],
  [{ type: "reply", kind: "tap", text: "Tea" }, "Tapped “Tea”"],
  [{ type: "reply", kind: "image", text: "Look" }, "Sent an image: “Look”"],
  [{ type: "reply", kind: "text", text: "Hi" }, "Replied “Hi”"],
  [{ type: "cancel", reason: "paid" }, "Cancelled: paid"],
  [{ type: "delivery_failed", code: "131026" }, "A message could not be delivered: 131026"],
  [{ type: "something_new" }, "something new"],
])("%o is said as %s", (event, expected) => {
  expect(stimulusText(event)).toBe(expected);
});

test("a trace tells the conversation in order", () => {
  const turns = [
    { at: "1", stimulus: { type: "start" }, messages: [{ id: "m", type: "text", text: "Tea?" }] },
    { at: "2", stimulus: { type: "reply", kind: "text", text: "Yes" }, messages: [] },
    { at: "3", stimulus: { type: "timeout" } },
  ];
  expect(conversationOf(turns).map(({ direction, text, at }) => [direction, text, at])).toEqual([
    ["out", "Tea?", "1"],
    ["in", "Yes", "2"],
  ]);
});
