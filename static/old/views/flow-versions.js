// The tab Versions: what was published when, by whom and why, and the way back.

import * as api from "../api.js";
import { diffView } from "../diff.js";
import { h, keyed } from "../dom.js";
import { entry, format, scan } from "../jsonmap.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, copyButton, emptyState, pagedList, status, table, tellDialog, toast } from "../ui.js";

export function versionsTab(flow, { signal }) {
  const list = table({
    caption: "Versions",
    columns: [{ label: "Version", kind: "main" }, { label: "Published" }, { label: "By" }, { label: "Note", kind: "wide" }, { label: "", kind: "row-actions" }],
  });
  const versions = pagedList({
    list,
    load: (query) => api.get(api.withQuery(`${flow.path}/versions`, query), { signal }),
    show(items) {
      keyed(list.body, items, (item) => item.version, (item) => list.row([
        h("span", { class: "stack" }, h("span", { class: "strong" }, `Version ${item.version}`), item.is_current && status("published")),
        timeOf(item.published_at), item.actor, item.note || h("span", { class: "muted" }, "no note"),
        h("div", { class: "actions" },
          button("View", () => view(flow, item.version), { kind: "small", testid: "version-view" }),
          button("Restore", () => restore(flow, item.version), { kind: "small", testid: "version-restore" })),
      ], { testid: "version-row" }));
    },
    empty: () => emptyState("No version yet", "Each time the flow is published, a version is kept here for good. Publish it with the button above."),
  });
  versions.reload();
  flow.onchange(() => versions.reload(), signal);
  return h("div", {}, list.element, versions.foot);
}

async function textOf(flow, version) {
  const { text } = await api.send("GET", `${flow.path}/versions/${version}`);
  return format(text, entry(scan(text).tree, "document").node);
}

async function view(flow, version) {
  const text = await textOf(flow, version);
  await tellDialog(`Version ${version}`, [
    h("h3", {}, "From this version to the draft"), diffView(text, flow.text, "Differences"),
    h("details", {}, h("summary", {}, "The whole document"),
      h("div", { class: "snippet" }, h("div", { class: "snippet-head" }, copyButton(text)),
        h("pre", { tabindex: "0", role: "region", "aria-label": `Version ${version}` }, text))),
  ]);
}

/** What is lost when the draft is replaced: drafts have no history. */
function lost(flow) {
  if (flow.isDirty) return " Your text that is not saved is lost.";
  return flow.summary.has_changes ? " The draft has changes that were never published: they are lost. Export it first if you may want them." : "";
}

async function restore(flow, version) {
  const done = await confirmDialog(`Restore version ${version}?`,
    `Its document replaces the draft.${lost(flow)} Nothing is published by this.`, {
      confirm: "Restore", testid: "version-restore-confirm", kind: flow.summary.has_changes ? "danger" : "primary",
      action: () => api.send("POST", `${flow.path}/versions/${version}/restore`, { headers: { "If-Match": `"${flow.summary.revision}"` } }),
    });
  if (!done) return;
  flow.discard();
  flow.take(done.text);
  toast(`Version ${version} is the draft now.`);
  location.hash = `#/flows/${flow.id}/document`;
}
