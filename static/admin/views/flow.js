// One flow: its heading with what can be done to it, and its tabs. What all tabs share lives here: the flow as the
// server has it, and the text in the editor, which outlives a change of tabs.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { entry, format, scan } from "../jsonmap.js";
import { timeOf } from "../time.js";
import {
  button, checkbox, confirmDialog, copyButton, dialog, download, failure, field, fileName, form, pageHeader, status, toast,
} from "../ui.js";
import { diffView } from "../diff.js";
import { documentTab, problemList } from "./flow-document.js";
import { tryTab } from "./flow-try.js";
import { sessionsTab } from "./sessions.js";
import { versionsTab } from "./flow-versions.js";
import { testsTab } from "./flow-tests.js";
import { triggerTab } from "./flow-trigger.js";
import { statsTab } from "./flow-stats.js";

const TABS = {
  document: ["Document", documentTab], try: ["Try", tryTab], sessions: ["Sessions", sessionsTab],
  versions: ["Versions", versionsTab], tests: ["Tests", testsTab], trigger: ["Trigger", triggerTab], stats: ["Stats", statsTab],
};

export function flowView([id, tab], page) {
  const element = h("div", {}, h("p", { class: "muted", "aria-busy": "true" }, "Loading the flow …"));
  const view = { title: "Flow", element, update: (address) => { wanted = address; } };
  let wanted = page.address;
  load();
  async function load() {
    try {
      const flow = await loadFlow(id, page);
      draw(flow);
    } catch (error) {
      if (api.isAbort(error)) return;
      const text = error.status === 404 ? new Error("There is no such flow. It may have been deleted.") : error;
      replace(element, pageHeader("Flow", { above: back() }), failure(text, error.status === 404 ? null : load));
    }
  }

  function draw(flow) {
    page.setTitle(flow.summary.name);
    const header = h("div", {});
    const panel = h("div", { class: "panel" });
    const links = Object.entries(TABS).map(([name, [label]]) =>
      h("a", { href: `#/flows/${id}/${name}`, testid: `tab-${name}`, "data-tab": name }, label));
    const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the flow" }, links);
    replace(element, header, tabs, panel);
    let tabController = null;

    function drawHeader() {
      page.setTitle(flow.summary.name);
      replace(header, flowHeader(flow));
    }
    function drawTab(address) {
      const name = TABS[address.params[1]] ? address.params[1] : "document";
      for (const link of links) {
        if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      // On a phone the tabs are wider than the screen.
      tabs.scrollLeft = links.find((link) => link.dataset.tab === name).offsetLeft - tabs.clientWidth / 2;
      tabController?.abort();
      tabController = new AbortController();
      replace(panel, TABS[name][1](flow, { signal: AbortSignal.any([tabController.signal, page.signal]), query: address.query, session: page.session }));
    }
    flow.onchange(drawHeader);
    drawHeader();
    drawTab(wanted);
    view.update = drawTab;
    page.signal.addEventListener("abort", () => tabController?.abort());
  }
  return view;
}

const back = () => h("p", { class: "back" }, h("a", { href: "#/flows" }, "Flows"));

/** Where the text of a flow is kept until it is saved: it survives a reload, a log-out and a crash of the page. */
const keptKey = (id) => `qyvo.text.${id}`;

function kept(id) {
  try {
    return JSON.parse(sessionStorage.getItem(keptKey(id)));
  } catch {
    return null;
  }
}

/** Loads a flow and gives the object that its tabs share. */
async function loadFlow(id, page) {
  const listeners = new Set();
  const path = `/flows/${encodeURIComponent(id)}`;
  const flow = {
    id, path, summary: null, savedText: "", text: "", baseRevision: 0, restoredAt: null,
    /** What the tab Try goes on with when one comes back to it from the document. */
    trial: {},
    onchange(listener, signal) {
      listeners.add(listener);
      signal?.addEventListener("abort", () => listeners.delete(listener));
    },
    changed() {
      page.guard = flow.isDirty ? () => askToLeave(flow) : null;
      for (const listener of listeners) listener();
    },
    get isDirty() { return flow.text !== flow.savedText; },

    /** Takes a flow as the server answered it, as text, so that no value of its document is rounded. */
    take(answerText, { keepText = false } = {}) {
      const before = flow.summary?.revision;
      flow.summary = JSON.parse(answerText);
      // A document that is the same keeps the form that its author gave it.
      if (before !== flow.summary.revision) {
        flow.savedText = format(answerText, entry(scan(answerText).tree, "document").node);
        flow.baseRevision = flow.summary.revision;
        if (!keepText) flow.text = flow.savedText;
      }
      flow.keep();
      flow.changed();
    },
    /** Takes a summary that came without a document. */
    takeSummary(summary) {
      flow.summary = { ...flow.summary, ...summary };
      flow.changed();
    },
    async reload({ keepText = flow.isDirty } = {}) {
      const { text } = await api.send("GET", path, { signal: page.signal });
      const base = flow.baseRevision;
      flow.take(text, { keepText });
      // The text at hand is still based on what it was based on: saving it must meet the conflict.
      if (keepText) flow.baseRevision = base;
    },
    setText(text) {
      const wasDirty = flow.isDirty;
      flow.text = text;
      flow.keepSoon();
      if (flow.isDirty !== wasDirty) flow.changed();
    },
    keep() {
      try {
        if (flow.isDirty) sessionStorage.setItem(keptKey(id), JSON.stringify({ text: flow.text, revision: flow.baseRevision, at: new Date().toISOString() }));
        else sessionStorage.removeItem(keptKey(id));
      } catch {
        // The store is full or forbidden: then only the open page has the text, and it warns before it is closed.
      }
    },
    keepSoon() {
      clearTimeout(flow.keepTimer);
      flow.keepTimer = setTimeout(flow.keep, 300);
    },
    discard() {
      flow.text = flow.savedText;
      flow.restoredAt = null;
      flow.keep();
      flow.changed();
    },

    /** Saves the text. Gives true when it is saved; a conflict is settled in a dialog first. */
    async save() {
      const { error } = scan(flow.text);
      if (error) throw new Error(`Not saved: line ${error.line}, column ${error.column}: ${error.text}`);
      const text = flow.text;
      try {
        const answer = await api.send("PUT", path, { raw: `{"document": ${text}}`, headers: { "If-Match": `"${flow.baseRevision}"` } });
        flow.restoredAt = null;
        // What was typed while the request ran stays, and stays unsaved.
        const typedOn = flow.text !== text;
        flow.take(answer.text, { keepText: true });
        flow.savedText = text;
        if (!typedOn) flow.text = text;
        flow.keep();
        flow.changed();
        toast("Saved.");
        return true;
      } catch (failure) {
        if (failure.status === 412) return settleConflict(flow, failure.body);
        throw failure;
      }
    },
  };
  page.signal.addEventListener("abort", () => {
    clearTimeout(flow.keepTimer);
    flow.keep();
  });
  const { text } = await api.send("GET", path, { signal: page.signal });
  const before = kept(id);
  flow.take(text, { keepText: before !== null && typeof before.text === "string" });
  if (before && typeof before.text === "string") {
    flow.text = before.text;
    if (flow.isDirty) {
      flow.baseRevision = before.revision;
      flow.restoredAt = before.at;
    }
    flow.keep();
    flow.changed();
  }
  return flow;
}

function askToLeave(flow) {
  return dialog("Leave without saving?", (close) => [
    h("p", {}, `“${flow.summary.name}” has changes that are not saved. They are kept in this browser tab, and are here again when you come back.`),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", onclick: () => close(false) }, "Stay"),
      h("button", { type: "button", testid: "leave-confirm", onclick: () => close(true) }, "Leave")),
  ]).then((answer) => answer === true);
}

/** Somebody else saved meanwhile: nothing is lost, and the author decides. Gives whether the text is saved. */
async function settleConflict(flow, theirs) {
  const choice = await dialog("Somebody else saved this flow", (close) => [
    h("p", {}, h("strong", {}, theirs.updated_by ?? "Somebody"), " saved revision ", theirs.revision, " ", timeOf(theirs.updated_at),
      `; your text is based on revision ${flow.baseRevision}. Nothing of yours is lost: it is still in the editor.`),
    h("div", { class: "actions column" },
      h("button", { type: "button", class: "primary", testid: "conflict-see", onclick: () => close("see") }, "See what they changed"),
      h("button", { type: "button", testid: "conflict-keep", onclick: () => close("keep") }, "Keep editing mine"),
      h("button", { type: "button", class: "danger", testid: "conflict-overwrite", onclick: () => close("overwrite") }, "Overwrite theirs with mine")),
  ], { testid: "conflict-dialog" });
  if (choice === "see") return seeTheirs(flow);
  if (choice !== "overwrite") return false;
  // Only what the author was told of is overwritten: a third save in between is a conflict again.
  flow.baseRevision = theirs.revision;
  return flow.save();
}

async function seeTheirs(flow) {
  const { text: answer } = await api.send("GET", flow.path);
  const theirs = JSON.parse(answer);
  const text = format(answer, entry(scan(answer).tree, "document").node);
  const choice = await dialog(`Revision ${theirs.revision} by ${theirs.updated_by ?? "somebody"}`, (close) => [
    h("p", {}, "Lines with − are theirs, lines with + are yours."),
    diffView(text, flow.text, "From their text to yours"),
    h("details", {}, h("summary", {}, "Their whole text"), h("div", { class: "snippet" }, copyButton(text), h("pre", { tabindex: "0", role: "region", "aria-label": "Their text" }, text))),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", testid: "conflict-keep", onclick: () => close("keep") }, "Keep editing mine"),
      h("button", { type: "button", testid: "conflict-take", onclick: () => close("take") }, "Take theirs, drop mine"),
      h("button", { type: "button", class: "danger", testid: "conflict-overwrite", onclick: () => close("overwrite") }, "Overwrite theirs with mine")),
  ], { wide: true, testid: "conflict-dialog" });
  if (choice === "take") {
    flow.discard();
    flow.take(answer);
  } else if (choice === "overwrite") {
    flow.baseRevision = theirs.revision;
    return flow.save();
  }
  return false;
}

function flowHeader(flow) {
  const { summary } = flow;
  const isPublished = summary.status === "published";
  return pageHeader(summary.name, {
    above: back(),
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

async function publish(flow) {
  if (flow.isDirty) {
    if (!(await flow.save())) return;
  }
  const problems = h("div", {});
  const note = h("input", { type: "text", maxlength: "1000", testid: "publish-note" });
  const force = checkbox("Publish all the same", { testid: "publish-force" });
  const done = await dialog(`Publish “${flow.summary.name}”`, (close) => {
    const parts = form([
      h("p", {}, flow.summary.published_version
        ? "This makes the next version. Sessions that are running stay on theirs."
        : "This makes version 1. From then on it can be triggered."),
      problems,
      field("Note", note, { hint: "What changed, for the list of versions." }),
      force.element,
    ], {
      submit: "Publish", testid: "publish-confirm", errorTestid: "publish-error",
      cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      async action() {
        const body = { note: note.value.trim() || undefined, force: force.input.checked || undefined };
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
      const update = () => { parts.confirm.disabled = errors.length > 0 && !force.input.checked; };
      force.input.onchange = update;
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
    toast(`Published version ${done.version}.`);
    await flow.reload();
  }
}

async function unpublish(flow) {
  await confirmDialog(`Unpublish “${flow.summary.name}”?`, "It can no longer be triggered. Sessions that are running go on to their end.", {
    confirm: "Unpublish", testid: "unpublish-confirm", kind: "primary",
    action: async () => flow.takeSummary(await api.post(`${flow.path}/unpublish`)) ?? true,
  });
}

async function stop(flow) {
  const done = await confirmDialog(`Stop “${flow.summary.name}”?`,
    "It is unpublished, all its running sessions are cancelled, and their messages that are still queued are dropped. This cannot be undone.", {
      confirm: "Stop", testid: "stop-confirm", action: () => api.post(`${flow.path}/stop`),
    });
  if (!done) return;
  toast(`Stopped: ${counted(done.cancelled, "session was", "sessions were")} cancelled, ${counted(done.dropped_messages, "message", "messages")} dropped.`);
  await flow.reload();
}

const counted = (count, one, many) => `${count ?? 0} ${count === 1 ? one : many}`;

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
