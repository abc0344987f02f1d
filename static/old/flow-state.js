// What all tabs of a flow share: the flow as the server has it, and the text in the editor. The text outlives a change
// of tabs, and it is kept in the browser's tab until it is saved.

import * as api from "./api.js";
import { askToLeave, settleConflict } from "./conflict.js";
import { entry, format, scan } from "./jsonmap.js";
import { toast } from "./ui.js";

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
export async function loadFlow(id, page) {
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
