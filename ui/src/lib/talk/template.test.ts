import { expect, test } from "vitest";

import { markedParts, placeholderLabel } from "./template.ts";

test("placeholders are marked, and filled in where there is something for them", () => {
  expect(markedParts("Hi {{1}}, {{ name }}!", { name: "Ada" })).toEqual([
    { text: "Hi ", isPlaceholder: false },
    { text: "{{1}}", isPlaceholder: true },
    { text: ", ", isPlaceholder: false },
    { text: "Ada", isPlaceholder: true },
    { text: "!", isPlaceholder: false },
  ]);
  expect(markedParts("https://x/{{1}}", { "button.0": "y" }, "button.0").map(({ text }) => text).join("")).toBe(
    "https://x/y",
  );
  expect(markedParts(null, {})).toEqual([]);
});

test("placeholders are called what they are", () => {
  const labels = [{ key: "1" }, { key: "header.1" }, { key: "button.0" }, { key: "header.1", is_media: true }];
  expect(labels.map(placeholderLabel)).toEqual(["{{1}}", "Header", "Button 1", "Link to the header's medium"]);
});
