// Makes and changes a template by hand, with a preview beside it.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { templatePreview } from "../template-preview.js";
import { button, dialog, field, form } from "../ui.js";

const HEADERS = [["", "None"], ["text", "Text"], ["image", "Image"], ["video", "Video"], ["document", "Document"], ["location", "Location"]];
const BUTTONS = [["quick_reply", "Answers"], ["url", "Opens a page"], ["phone_number", "Dials"], ["copy_code", "Copies a code"]];
const STATUSES = ["approved", "pending", "rejected", "paused", "disabled"];
const MOST_BUTTONS = 10;

const options = (pairs) => pairs.map(([value, label]) => h("option", { value }, label));

/** Asks for a template, or for changes of one. Gives the saved template, or undefined. */
export function editTemplate(template) {
  return dialog(template ? `Edit ${template.name}` : "New template", (close) => {
    const input = (value, properties) => h("input", { type: "text", autocomplete: "off", value: value ?? "", ...properties });
    const name = input(template?.name, { testid: "template-name", spellcheck: "false" });
    const language = input(template?.language ?? "en", { testid: "template-language", spellcheck: "false" });
    const state = h("select", { testid: "template-state", value: template?.status ?? "approved" }, STATUSES.map((word) => h("option", { value: word }, word)));
    const before = template?.header;
    const headerKind = h("select", { testid: "template-header", value: before ? before.media ?? before.kind : "" }, options(HEADERS));
    const headerText = input(before?.text, { maxlength: "60", testid: "template-header-text" });
    const headerField = field("Text of the header", headerText);
    const body = h("textarea", { rows: "5", maxlength: "1024", value: template?.body ?? "", testid: "template-body" });
    const footer = input(template?.footer, { maxlength: "60", testid: "template-footer" });
    const buttons = h("div", { class: "stack-fields" });
    const preview = h("div", {});

    function buttonRow(known) {
      const text = input(known?.text, { maxlength: "25", "aria-label": "Text of the button", placeholder: "Text", testid: "template-button-text" });
      const kind = h("select", { "aria-label": "What the button does", value: known?.kind ?? "quick_reply", testid: "template-button-kind" }, options(BUTTONS));
      const url = input(known?.url, { "aria-label": "Where the button leads", placeholder: "https://shop.example/{{1}}", testid: "template-button-url" });
      const row = h("div", { class: "button-row" }, text, kind, url, button("Remove", () => {
        row.remove();
        draw();
      }, { kind: "small quiet" }));
      row.read = () => ({ kind: kind.value, text: text.value.trim(), ...(kind.value === "url" ? { url: url.value.trim() } : {}) });
      row.follow = () => { url.hidden = kind.value !== "url"; };
      return row;
    }

    for (const known of template?.buttons ?? []) buttons.append(buttonRow(known));
    const add = button("Add a button", () => {
      buttons.append(buttonRow());
      draw();
      buttons.lastElementChild.querySelector("input").focus();
    }, { kind: "small", testid: "template-button-add" });

    function read() {
      const kind = headerKind.value;
      const header = kind === "" ? null : kind === "text" ? { kind, text: headerText.value.trim() } : kind === "location" ? { kind } : { kind: "media", media: kind };
      return {
        name: name.value.trim(), language: language.value.trim(), status: state.value, header, body: body.value,
        footer: footer.value.trim() || null, buttons: [...buttons.children].map((row) => row.read()),
      };
    }

    function draw() {
      headerField.hidden = headerKind.value !== "text";
      for (const row of buttons.children) row.follow();
      add.hidden = buttons.childElementCount >= MOST_BUTTONS;
      replace(preview, templatePreview(read()));
    }

    const parts = form([
      h("div", { class: "inline-fields" }, field("Name", name, { hint: "a-z, 0-9 and _" }), field("Language", language, { hint: "Such as en or pt_BR" }), field("Status", state)),
      field("Header", headerKind), headerField,
      field("Text", body, { hint: "What differs from message to message is written {{1}}, {{2}} or {{name}}." }),
      field("Footer", footer),
      h("fieldset", {}, h("legend", {}, "Buttons"), buttons, add),
    ], {
      submit: template ? "Save" : "Make the template", testid: "template-submit", errorTestid: "template-error",
      cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      async action() {
        const fields = read();
        close(await (template ? api.patch(`/templates/${template.id}`, fields) : api.post("/templates", fields)));
      },
    });
    parts.element.addEventListener("input", draw);
    draw();
    return h("div", { class: "template-editor" }, parts.element, h("section", { "aria-label": "Preview" }, h("h3", {}, "Preview"), preview));
  }, { wide: true, testid: "template-editor" });
}
