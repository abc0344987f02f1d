// The list of flows, and the two ways to a new one: an empty document, or one from a file.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { gathered, watch } from "../live.js";
import { scan } from "../jsonmap.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, dialog, emptyState, field, form, liveMark, number, pageHeader, pagedList, status, table, toast } from "../ui.js";

export function flowsView(_params, page) {
  const live = liveMark();
  const list = table({
    caption: "Flows",
    columns: [
      { label: "Name", kind: "main" }, { label: "Status" }, { label: "Running", kind: "number" },
      { label: "Started", kind: "number" }, { label: "Completed", kind: "number" }, { label: "Undelivered", kind: "number" },
      { label: "Expired", kind: "number" }, { label: "Failed", kind: "number" }, { label: "Last change" },
    ],
  });
  const flows = pagedList({
    list,
    load: () => api.get("/flows", { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (flow) => flow.id, (flow) => row(flow, list.row));
    },
    empty: () => emptyState("No flow yet", "A flow is a conversation: what is said, what may be answered, and what follows. Begin with a new one, or import a document, such as one of the samples that come with the source code.",
      newButton("empty"), importButton("empty")),
  });
  const reload = gathered(() => page.signal.aborted || flows.reload(), 800);
  watch({}, { session: reload, flow: reload, reload, state: live.set }, page.signal);
  flows.reload();
  return {
    title: "Flows",
    element: h("div", {},
      pageHeader("Flows", { actions: [live.element, importButton(), newButton()] }),
      list.element, flows.foot),
  };
}

const newButton = (place) => button("New flow", askName, { kind: "primary", testid: place ? undefined : "flow-new" });
const importButton = (place) => button("Import", askDocument, { testid: place ? undefined : "flow-import" });

function row(flow, make) {
  const counts = flow.sessions ?? {};
  return make([
    h("span", { class: "stack" }, h("a", { href: `#/flows/${flow.id}`, class: "strong" }, flow.name),
      flow.kind === "sequence" && h("span", { class: "muted small-text" }, "sequence")),
    h("span", { class: "stack" },
      status(flow.status),
      h("span", { class: "muted small-text" }, flow.published_version ? `version ${flow.published_version}` : flow.latest_version ? `was version ${flow.latest_version}` : "never published",
        flow.has_changes && flow.status === "published" && " · unpublished changes")),
    ...["running", "started", "completed", "undelivered", "expired", "failed"].map((name) => number(counts[name])),
    h("span", { class: "stack" }, timeOf(flow.updated_at), flow.updated_by && h("span", { class: "muted small-text" }, `by ${flow.updated_by}`)),
  ], { testid: "flow-row" });
}

const goTo = (flow) => { location.hash = `#/flows/${flow.id}`; };

function askName() {
  return dialog("New flow", (close) => {
    const name = h("input", { type: "text", maxlength: "255", testid: "flow-name" });
    const kind = h("select", {}, h("option", { value: "flow" }, "Flow: a conversation of minutes"),
      h("option", { value: "sequence" }, "Sequence: messages over days"));
    return form([field("Name", name), field("Kind", kind)], {
      submit: "Create", testid: "flow-new-submit", cancel: cancel(close),
      async action() {
        if (name.value.trim() === "") throw new Error("Give the flow a name.");
        const flow = await api.post("/flows", { name: name.value.trim(), kind: kind.value });
        close();
        goTo(flow);
      },
    }).element;
  });
}

const cancel = (close) => h("button", { type: "button", onclick: () => close() }, "Cancel");

/** The flow whose draft a document would replace, if there is one. */
async function replaced(text) {
  const { id } = JSON.parse(text) ?? {};
  if (typeof id !== "string") return null;
  // Of the list, because asking for a flow that is not there would be an error in the console.
  const { data } = await api.get("/flows");
  return data.find((flow) => flow.id === id) ?? null;
}

function askDocument() {
  return dialog("Import a flow", (close) => {
    const file = h("input", { type: "file", accept: ".json,application/json", testid: "flow-import-file" });
    const text = h("textarea", { class: "code short", rows: "10", spellcheck: "false", testid: "flow-import-text" });
    file.addEventListener("change", async () => {
      if (file.files[0]) text.value = await file.files[0].text();
    });
    const parts = form([
      field("File", file),
      field("or paste the document", text, { hint: "A document with the id of a flow that is here replaces that flow's draft; what is published stays." }),
    ], {
      submit: "Import", testid: "flow-import-submit", errorTestid: "flow-import-error", cancel: cancel(close),
      async action() {
        // A file may be chosen and sent before it has been read.
        if (text.value.trim() === "" && file.files[0]) text.value = await file.files[0].text();
        if (text.value.trim() === "") throw new Error("Choose a file or paste a document.");
        const { error } = scan(text.value);
        if (error) throw new Error(`Line ${error.line}, column ${error.column}: ${error.text}`);
        const existing = await replaced(text.value);
        if (existing && !(await confirmDialog(`Replace the draft of “${existing.name}”?`,
          `The document has the id of this flow. Its draft, last saved by ${existing.updated_by || "somebody"}, is lost${existing.has_changes ? ", with changes that were never published" : ""}. What is published stays.`, {
            confirm: "Replace the draft", testid: "import-replace-confirm", action: async () => true,
          }))) return;
        let answer;
        try {
          const headers = existing ? { "If-Match": `"${existing.revision}"` } : {};
          answer = await api.send("POST", "/flows/import", { raw: text.value, headers });
        } catch (failure) {
          const [first] = failure.body?.problems ?? [];
          if (!first) throw failure;
          throw new Error(`${failure.message} The first: ${first.node ? `node ${first.node}: ` : ""}${first.text}`);
        }
        const flow = JSON.parse(answer.text);
        close();
        toast(answer.status === 201 ? `Imported “${flow.name}”.` : `Replaced the draft of “${flow.name}”.`);
        goTo(flow);
      },
    });
    return parts.element;
  }, { wide: true });
}
