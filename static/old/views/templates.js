// Templates: what may be said first, or after a long silence. WhatsApp's are made at Meta and fetched; others are made here.

import * as api from "../api.js";
import { liveChannel } from "../channel.js";
import { h, keyed, replace } from "../dom.js";
import { gathered, watch } from "../live.js";
import { placeholderFields, placeholderLabel, templatePreview } from "../template-preview.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, emptyState, field, form, pageHeader, pagedList, status, table, tellDialog, toast } from "../ui.js";
import { editTemplate } from "./template-editor.js";

export function templatesView(_params, page) {
  const { signal } = page;
  const header = h("div", {}, pageHeader("Templates"));
  const name = h("input", { type: "search", autocomplete: "off", placeholder: "Any", testid: "templates-name" });
  const state = h("select", { testid: "templates-status" }, h("option", { value: "" }, "Any status"),
    ["approved", "pending", "rejected", "paused", "disabled", "other"].map((word) => h("option", { value: word }, word)));
  let areByHand = true;
  const list = table({
    caption: "Templates",
    columns: [{ label: "Template", kind: "main" }, { label: "Language" }, { label: "Status" }, { label: "Text", kind: "wide" }, { label: "To fill in" }, { label: "Changed" }, { label: "", kind: "row-actions" }],
  });
  const templates = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/templates", { name: name.value.trim(), status: state.value, ...query }), { signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("span", { class: "stack" }, h("span", { class: "strong" }, item.name), item.category && h("span", { class: "muted small-text" }, item.category.toLowerCase())),
        h("code", {}, item.language), item.unfillable.length > 0
          ? h("span", { class: "stack" }, status(item.status, { testid: "template-status" }), h("span", { class: "muted small-text", testid: "template-unfillable" }, `Cannot be sent from here: it has ${item.unfillable.join(", ")}.`))
          : status(item.status, { testid: "template-status" }),
        h("span", { class: "clamp" }, item.body),
        item.placeholders.length > 0 ? item.placeholders.map(placeholderLabel).join(", ") : "–",
        timeOf(item.updated_at),
        h("div", { class: "actions" },
          button("Preview", () => preview(item), { kind: "small", testid: "template-preview" }),
          item.is_editable && button("Edit", () => edit(item), { kind: "small", testid: "template-edit" }),
          item.is_editable && button("Delete", () => remove(item), { kind: "small danger-text", testid: "template-delete" })),
      ], { testid: "template-row" }));
    },
    empty: () => (name.value.trim() || state.value
      ? emptyState("No template like this", "Choose another name or status.")
      : areByHand
        ? emptyState("No template yet", "Flows speak first with a template where a channel asks for it. Make the same one here to try such a flow.", button("New template", () => edit(null), { kind: "primary" }))
        : emptyState("No template yet", "Make one in the WhatsApp Manager at Meta, and fetch it once it is approved.", button("Fetch now", sync, { kind: "primary" }))),
  });

  async function drawHeader() {
    const channel = await liveChannel({ signal });
    areByHand = channel?.templates?.are_by_hand ?? true;
    replace(header, pageHeader("Templates", {
      actions: areByHand
        ? [button("New template", () => edit(null), { kind: "primary", testid: "template-create" })]
        : [h("span", { class: "muted small-text" }, "fetched ", timeOf(channel.templates.synced_at, { none: "never" })), button("Fetch now", sync, { kind: "primary", testid: "template-sync" })],
      intro: areByHand
        ? "What may be said first, or after a long silence. This channel approves none, so they are made here."
        : "What may be said first, or after 24 hours of silence. They are made and approved at Meta, and fetched every hour.",
    }), channel?.templates?.refused && h("div", { class: "notice", role: "note" }, h("p", {}, `The last fetch was refused: ${channel.templates.refused.text}`)));
  }

  async function sync() {
    try {
      const done = await api.post("/templates/sync", {}, { signal });
      toast(`${done.total} ${done.total === 1 ? "template" : "templates"}: ${done.added} new, ${done.changed} changed, ${done.removed} gone.`);
    } finally {
      await drawHeader();
      await templates.reload();
    }
  }

  const preview = (item) => tellDialog(`${item.name} (${item.language})`, previewOf(item));

  async function edit(item) {
    const saved = await editTemplate(item);
    if (!saved) return;
    toast(item ? `Saved ${saved.name}.` : `Made ${saved.name}.`);
    await templates.reload();
  }

  async function remove(item) {
    const done = await confirmDialog(`Delete “${item.name}” (${item.language})?`, "Messages that name it are refused from now on. This cannot be undone.", {
      confirm: "Delete", testid: "template-delete-confirm", action: () => api.del(`/templates/${item.id}`),
    });
    if (!done) return;
    toast(`Deleted ${item.name}.`);
    await templates.reload();
  }

  const filters = form([field("Name", name), field("Status", state)], { submit: "Find", testid: "templates-find", kind: "", action: () => templates.restart() });
  filters.element.classList.add("inline");
  state.addEventListener("change", () => templates.restart());
  name.addEventListener("search", () => name.value === "" && templates.restart());
  const later = gathered(() => {
    if (signal.aborted) return;
    templates.reload();
    drawHeader().catch(console.warn);
  });
  watch({}, { templates: later, reload: later }, signal);
  drawHeader().catch((error) => api.isAbort(error) || console.warn(error)).finally(() => templates.reload());
  return { title: "Templates", element: h("div", {}, header, filters.element, list.element, templates.foot) };
}

/** A template with fields to try values in. */
function previewOf(template) {
  const values = {};
  return h("div", { class: "template-try", testid: "template-dialog" },
    template.placeholders.length > 0 ? placeholderFields(template, values) : [h("div", {}, templatePreview(template)), h("p", { class: "muted" }, "It has nothing to fill in.")]);
}
