// One session: where it stands, what it waits for, the conversation, and the trace that says why.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { gathered, watch } from "../live.js";
import { readOnlyPhone } from "../phone.js";
import { sessionFacts } from "../session-facts.js";
import { timeOf } from "../time.js";
import { conversationOf, createTrace } from "../trace.js";
import { button, confirmDialog, failure, field, liveMark, pageHeader, personOf, toast } from "../ui.js";
import { giveBack } from "./sessions.js";

export function sessionView([id], page) {
  const { signal } = page;
  const path = `/sessions/${encodeURIComponent(id)}`;
  const header = h("div", {}, pageHeader("Session"));
  const factsPlace = h("div", { "aria-live": "polite" });
  const live = liveMark();
  const phone = readOnlyPhone("Conversation", "");
  let flowId = null;
  let shown = null;
  const trace = createTrace({ link: (node) => flowId && `#/flows/${flowId}/document?node=${encodeURIComponent(node)}` });
  const body = h("div", { class: "two-columns" },
    h("div", {}, h("section", { "aria-label": "State" }, h("h2", {}, "State"), factsPlace), h("section", { "aria-label": "Trace" }, h("h2", {}, "Trace"), trace.element)),
    h("section", { "aria-label": "Messages" }, h("h2", {}, "Messages"), phone.element));
  const element = h("div", {}, header, body);

  async function load() {
    try {
      const [session, turns] = await Promise.all([api.get(path, { signal }), allTurns()]);
      draw(session, turns);
    } catch (error) {
      if (api.isAbort(error)) return;
      const gone = error.status === 404;
      replace(element, pageHeader("Session", { above: back() }), failure(gone ? new Error("There is no such session. It may have been erased with its contact.") : error, gone ? null : load));
    }
  }

  // A session has at most 500 turns.
  async function allTurns() {
    const turns = [];
    let cursor = null;
    do {
      const answer = await api.get(api.withQuery(`${path}/turns`, { limit: 200, cursor }), { signal });
      turns.push(...answer.data);
      cursor = answer.next_cursor;
    } while (cursor);
    return turns;
  }

  function draw(session, turns) {
    const isRunning = session.status === "running";
    flowId = session.flow_id;
    const who = session.contact?.name || session.contact?.phone || "a contact";
    page.setTitle(`Session of ${who}`);
    phone.setTitle(who);
    replace(header, pageHeader(`Session of ${who}`, {
      above: back(),
      actions: [
        live.element,
        isRunning && session.waiting_for === "handoff" && button("Give back to the flow", () => resume(session), { kind: "primary", testid: "session-resume" }),
        isRunning && session.wake_at && button("Fire the timer now", () => fireTimeout(session), { testid: "session-fire-timeout" }),
        isRunning && button("Cancel", () => cancel(session), { testid: "session-cancel" }),
      ],
      intro: h("span", { class: "facts-line" },
        h("a", { href: `#/flows/${session.flow_id}` }, session.flow_name ?? "Deleted flow"),
        h("span", {}, `version ${session.version}`),
        session.contact_id && h("a", { href: `#/contacts/${session.contact_id}` }, session.contact?.phone ?? "Contact"),
        h("span", {}, "started ", timeOf(session.started_at)),
        session.ended_at && h("span", {}, "ended ", timeOf(session.ended_at))),
    }));
    // What is unfolded there stays so until something is new.
    if (shown !== JSON.stringify(session)) replace(factsPlace, sessionFacts(session));
    shown = JSON.stringify(session);
    const said = conversationOf(turns);
    if (!isRunning) said.push({ id: "end", note: `The conversation is ${session.status}${session.reason ?? session.outcome ? `: ${session.reason ?? session.outcome}` : ""}.` });
    phone.show(said);
    trace.show(turns);
  }

  async function resume(session) {
    if (!(await giveBack(session))) return;
    toast("The flow goes on.");
    await load();
  }

  async function fireTimeout(session) {
    const at = session.current_node_id ? ` at ${session.current_node_id}` : "";
    const done = await confirmDialog("Fire the timer now?", `${personOf(session.contact)}: the flow goes on${at} as if the time had passed. This cannot be undone.`, {
      confirm: "Fire the timer", testid: "session-fire-confirm", action: () => api.post(`${path}/fire-timeout`, {}),
    });
    if (!done) return;
    toast("The timer was fired.");
    await load();
  }

  async function cancel(session) {
    const reason = h("input", { type: "text", maxlength: "255" });
    const done = await confirmDialog("Cancel this session?", `The conversation of ${personOf(session.contact)} with ${session.flow_name ?? "a deleted flow"} ends now, and its queued messages are dropped. This cannot be undone.`, {
      confirm: "Cancel the session", testid: "session-cancel-confirm", more: field("Reason", reason, { hint: "For the trace; may stay empty." }),
      action: () => api.post(`${path}/cancel`, { reason: reason.value.trim() || undefined }),
    });
    if (done) await load();
  }

  const later = gathered(() => signal.aborted || load(), 200);
  watch({ session_id: id }, { session: later, message: later, reload: later, state: live.set }, signal);
  load();
  return { title: "Session", element };
}

const back = () => h("p", { class: "back" }, h("a", { href: "#/sessions" }, "Sessions"));
