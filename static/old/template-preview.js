// A template as a person would see it, with its placeholders marked or filled in; and the fields to fill them.

import { h, replace } from "./dom.js";
import { field } from "./ui.js";

const HEADERS = { image: "Image", video: "Video", document: "Document" };
const BUTTONS = { quick_reply: "", url: "opens a page", phone_number: "dials", copy_code: "copies a code", flow: "opens a form", catalog: "opens the catalog", other: "" };

/** A placeholder's name as a person reads it. */
export function placeholderLabel({ key, is_media: isMedia }) {
  if (isMedia) return "Link to the header's medium";
  if (key.startsWith("header.")) return "Header";
  if (key.startsWith("button.")) return `Button ${Number(key.slice(7)) + 1}`;
  return `{{${key}}}`;
}

/** A text whose placeholders are marked, or filled in where `values` has something for them. */
function marked(text, values, prefix = "") {
  return String(text ?? "").split(/(\{\{.*?\}\})/s).map((part) => {
    if (!part.startsWith("{{")) return part;
    const value = values[prefix || part.slice(2, -2).trim()];
    return h("mark", { class: "placeholder" }, value || part);
  });
}

/** The template as a bubble. `values` are by key, as a node's `template.variables` has them. */
export function templatePreview(template, values = {}) {
  const header = template.header;
  return h("div", { class: "template-preview", role: "group", "aria-label": `Preview of ${template.name}` },
    h("div", { class: "bubble out" },
      header?.kind === "text" && h("p", { class: "strong" }, marked(header.text, values, "header.1")),
      header?.kind === "media" && h("div", { class: "media" }, h("span", { class: "media-kind" }, HEADERS[header.media] ?? header.media), h("span", { class: "media-url" }, values["header.1"] || "given as a link with each message")),
      header?.kind === "location" && h("div", { class: "media" }, h("span", { class: "media-kind" }, "Location")),
      h("p", { class: "bubble-text" }, marked(template.body, values)),
      template.footer && h("p", { class: "muted small-text" }, template.footer),
      template.buttons?.length > 0 && h("div", { class: "options" }, template.buttons.map((button, index) =>
        h("span", { class: "option" }, button.text, BUTTONS[button.kind] && h("span", { class: "option-kind" }, BUTTONS[button.kind]),
          button.url && h("span", { class: "media-url" }, marked(button.url, values, `button.${index}`)))))));
}

/** Fields for all placeholders of a template, with a preview that follows them. `values` is changed in place. */
export function placeholderFields(template, values, onchange) {
  const preview = h("div", {}, templatePreview(template, values));
  const fields = template.placeholders.map((placeholder) => {
    const input = h("input", { type: "text", autocomplete: "off", value: values[placeholder.key] ?? "", placeholder: placeholder.is_media ? "https://…" : "", testid: "template-value", "data-key": placeholder.key });
    input.addEventListener("input", () => {
      values[placeholder.key] = input.value;
      replace(preview, templatePreview(template, values));
      onchange?.();
    });
    return field(placeholderLabel(placeholder), input);
  });
  return [preview, fields];
}
