// The heading of a flow, and what can be done to a flow as a whole: publish, unpublish, stop, export, duplicate, delete.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { format, scan } from "../jsonmap.js";
import { timeOf } from "../time.js";
import { button, checkbox, confirmDialog, counted, dialog, download, field, fileName, form, pageHeader, status, toast } from "../ui.js";
import { problemList } from "./flow-document.js";

export const backToFlows = () => h("p", { class: "back" }, h("a", { href: "#/flows" }, "Flows"));

/** The heading; drawn anew whenever the flow changes. */
export function flowHeader(flow) {
  const { summary } = flow;
  const isPublished = summary.status === "published";
  return pageHeader(summary.name, {
    above: backToFlows(),
    actions: [
      button("Publish", () => publish(flow), { kind: !isPublished || summary.has_changes || flow.isDirty ? "primary" : "", testid: "flow-publish" }),
      isPublished && button("Unpublish", () => unpublish(flow), { testid: "flow-unpublish" }),
      (isPublished || summary.sessions?.running > 0) && button("Stop", () => stop(flow), { testid: "flow-stop" }),
      moreMenu(flow),
    ],
    intro: h("span", { class: "facts-line" },
      status(summary.status),
      h("span", {}, summary.published_version ? `Version ${summary.published_version}, published ` : neverOrNotNow(summary),
        summary.published_version && timeOf(summary.published_at)),
      summary.has_changes && isPublished && h("span", {}, "Unpublished changes"),
      flow.isDirty && h("span", { class: "unsaved" }, "Not saved"),
      h("span", {}, "Saved ", timeOf(summary.updated_at), summary.updated_by && ` by ${summary.updated_by}`)),
  });
}

/** What is said of a flow that is not published. */
const neverOrNotNow = (summary) => (summary.latest_version ? `Not published; version ${summary.latest_version} was the last` : "Never published");

function moreMenu(flow) {
  const menu = h("details", { class: "menu" }, h("summary", { class: "button" }, "More"),
    h("div", { class: "menu-items" },
      button("Export", () => exportFlow(flow), { testid: "flow-export" }),
      button("Duplicate", () => duplicate(flow), { testid: "flow-duplicate" }),
      button("Delete", () => remove(flow), { kind: "danger-text", testid: "flow-delete" })));
  const close = (event) => {
    if (!menu.isConnected) document.removeEventListener("click", close);
    if (!menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("click", close);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.querySelector(".menu-items").addEventListener("click", () => { menu.open = false; });
  return menu;
}

/** Problems that publishing by force overrules. */
const OVERRULED = ["no_entry_node", "test_case_failed"];
/** Warnings that have to be accepted. */
const TO_ACCEPT = ["unreachable_node"];

async function publish(flow) {
  if (flow.isDirty) {
    if (!(await flow.save())) return;
  }
  const problems = h("div", {});
  const note = h("input", { type: "text", maxlength: "1000", testid: "publish-note" });
  const force = checkbox("Publish all the same", { testid: "publish-force" });
  const accept = checkbox("The nodes that no way leads to are meant to stay", { testid: "publish-accept" });
  const done = await dialog(`Publish “${flow.summary.name}”`, (close) => {
    const parts = form([
      h("p", {}, flow.summary.published_version
        ? "This makes the next version. Sessions that are running stay on theirs."
        : "This makes version 1. From then on it can be triggered."),
      problems,
      field("Note", note, { hint: "What changed, for the list of versions." }),
      force.element,
      accept.element,
    ], {
      submit: "Publish", testid: "publish-confirm", errorTestid: "publish-error",
      cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      async action() {
        const body = {
          note: note.value.trim() || undefined, force: force.input.checked || undefined, accept: accept.input.checked ? TO_ACCEPT : undefined,
        };
        try {
          close(await api.post(`${flow.path}/publish`, body, { headers: { "If-Match": `"${flow.summary.revision}"` } }));
        } catch (error) {
          if (error.status === 412) throw new Error(`${error.body.updated_by ?? "Somebody"} saved the flow meanwhile. Close this, look at the change, and publish again.`);
          if (error.body.problems) show(error.body.problems);
          throw error;
        }
      },
    });
    function show(found) {
      const errors = found.filter((problem) => problem.severity === "error");
      const canForce = errors.length > 0 && errors.every((problem) => OVERRULED.includes(problem.id));
      force.element.hidden = !canForce;
      if (!canForce) force.input.checked = false;
      const mustAccept = found.some((problem) => TO_ACCEPT.includes(problem.id));
      accept.element.hidden = !mustAccept;
      // What is live already needs no leave.
      const isOpen = () => mustAccept && !accept.input.checked && flow.summary.has_changes;
      const update = () => { parts.confirm.disabled = (errors.length > 0 && !force.input.checked) || isOpen(); };
      force.input.onchange = update;
      accept.input.onchange = update;
      update();
      replace(problems, found.length > 0 && [
        h("h3", {}, errors.length > 0 ? "To mend first" : "Worth a look"),
        problemList(found),
      ]);
    }
    show(flow.summary.problems ?? []);
    return parts.element;
  });
  if (done) {
    toast(done.unchanged ? `Nothing has changed: version ${done.version} is live already, and there is no new one.` : `Published version ${done.version}.`);
    await flow.reload();
  }
}

async function unpublish(flow) {
  const { running_sessions: running } = await api.get(`${flow.path}/stop`);
  await confirmDialog(`Unpublish “${flow.summary.name}”?`, `It can no longer be triggered. ${running > 0 ? `${counted(running, "session that is running goes", "sessions that are running go")} on to ${running === 1 ? "its" : "their"} end.` : "No session of it is running."}`, {
    confirm: "Unpublish", testid: "unpublish-confirm",
    action: async () => flow.takeSummary(await api.post(`${flow.path}/unpublish`)) ?? true,
  });
}

/** Sessions that are ended without the flow's name being typed. */
const FEW_SESSIONS = 100;

async function stop(flow) {
  const { running_sessions: running, queued_messages: queued } = await api.get(`${flow.path}/stop`);
  const ends = running === 0
    ? "No session of it is running."
    : `${counted(running, "running session is", "running sessions are")} cancelled, and ${queued === 0 ? "no message of theirs is queued" : `${counted(queued, "queued message of theirs is", "queued messages of theirs are")} dropped`}.`;
  const done = await confirmDialog(`Stop “${flow.summary.name}”?`, `It is unpublished. ${ends} This cannot be undone.`, {
    confirm: "Stop", testid: "stop-confirm", typed: running > FEW_SESSIONS ? flow.summary.name : null,
    action: () => api.post(`${flow.path}/stop`),
  });
  if (!done) return;
  toast(`Stopped: ${counted(done.cancelled, "session was", "sessions were")} cancelled, ${counted(done.dropped_messages, "message", "messages")} dropped.`);
  await flow.reload();
}

async function exportFlow(flow) {
  const { text } = await api.send("GET", `${flow.path}/export`);
  download(`${fileName(flow.summary.name)}.json`, format(text, scan(text).tree));
}

async function duplicate(flow) {
  const copy = await api.post(`${flow.path}/duplicate`, {});
  toast(`This is the copy, “${copy.name}”.`);
  location.hash = `#/flows/${copy.id}`;
}

async function remove(flow) {
  const done = await confirmDialog(`Delete “${flow.summary.name}”?`,
    "The flow, its versions and its test cases are deleted. This cannot be undone. A published flow, or one with running sessions, has to be stopped first.", {
      confirm: "Delete", testid: "delete-confirm", action: () => api.del(flow.path),
    });
  if (!done) return;
  flow.discard();
  toast("Deleted.");
  location.hash = "#/flows";
}
