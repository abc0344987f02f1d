// Sessions, newest first, as they move: all of them, or those of one flow or contact.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { gathered, watch } from "../live.js";
import { inWords } from "../reasons.js";
import { waitsFor } from "../session-facts.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, emptyState, field, liveMark, pageHeader, pagedList, personOf, status, table, toast, toastError } from "../ui.js";

/** Gives a conversation back to its flow, if that is meant: the list moves, and another row may be under the pointer. */
export function giveBack(session) {
  return confirmDialog("Give back to the flow?", `The flow ${session.flow_name ?? ""} goes on with ${personOf(session.contact)}, and answers them by itself again.`, {
    confirm: "Give back", testid: "session-resume-confirm", kind: "primary", action: () => api.post(`/sessions/${session.id}/resume`, {}),
  });
}

/** Stands among the statuses: what waits for a person runs, too. */
const HANDOFF = "handoff";
const STATUSES = ["running", "completed", "expired", "failed", "cancelled"];

export function sessionsView(_params, page) {
  const chosen = page.address.query;
  const flow = h("select", { testid: "sessions-flow" }, h("option", { value: "" }, "All flows"));
  const state = statusSelect(chosen.get("status") ?? "");
  const live = liveMark();
  const list = sessionList(page.signal, () => ({ flow_id: flow.value, ...wanted(state.value) }), { live });
  api.get("/flows", { signal: page.signal }).then(({ data }) => {
    flow.append(...data.map((item) => h("option", { value: item.id }, item.name)));
    if (chosen.get("flow_id")) {
      flow.value = chosen.get("flow_id");
      list.restart();
    }
  }).catch(toastError);
  for (const select of [flow, state]) select.addEventListener("change", () => list.restart());
  return {
    title: "Sessions",
    element: h("div", {},
      pageHeader("Sessions", { actions: [live.element], intro: "Conversations, newest first. Open one to see why it went the way it did." }),
      h("div", { class: "inline-fields" }, field("Flow", flow), field("Status", state)),
      list.element),
  };
}

function statusSelect(value) {
  return h("select", { testid: "sessions-status", value }, h("option", { value: "" }, "Any status"), h("option", { value: HANDOFF }, "waiting for a person"), STATUSES.map((name) => h("option", { value: name }, name)));
}

const wanted = (state) => (state === HANDOFF ? { waiting_for: HANDOFF } : { status: state });

/** The tab of a flow. */
export function sessionsTab(flow, { signal }) {
  const state = statusSelect("");
  const live = liveMark();
  const list = sessionList(signal, () => ({ flow_id: flow.id, ...wanted(state.value) }), { live, hideFlow: true, watchFor: { flow_id: flow.id } });
  state.addEventListener("change", () => list.restart());
  return h("div", {}, h("div", { class: "inline-fields" }, field("Status", state), live.element), list.element);
}

/** A list of sessions. `filter` gives the query's filters; `live` shows whether updates come in; without it there are none. */
export function sessionList(signal, filter, { live, hideFlow = false, hideContact = false, watchFor = {} } = {}) {
  const columns = [
    { label: "Contact", kind: "main" }, { label: "Flow" }, { label: "Status" }, { label: "Waits for" }, { label: "Timer fires" }, { label: "Expires" }, { label: "Last step" },
  ].filter(({ label }) => label !== "Flow" || !(hideFlow || hideContact));
  if (hideContact) columns[0] = { label: "Session", kind: "main" };
  const list = table({ caption: "Sessions", columns });

  const version = (session) => h("span", { class: "muted small-text" }, `version ${session.version}`);

  function row(session) {
    const isRunning = session.status === "running";
    const title = hideContact ? session.flow_name ?? "Deleted flow" : session.contact?.name || session.contact?.phone || "Contact";
    const cells = [
      h("span", { class: "stack" }, h("a", { href: `#/sessions/${session.id}`, class: "strong" }, title),
        hideContact ? version(session) : session.contact?.name && h("span", { class: "muted small-text" }, session.contact.phone)),
      h("span", { class: "stack" }, h("a", { href: `#/flows/${session.flow_id}` }, session.flow_name ?? "Deleted flow"), version(session)),
      h("span", { class: "stack" }, status(session.status, { testid: "session-status" }), (session.outcome || session.reason || session.undelivered) && h("span", { class: "muted small-text", title: inWords(session.reason ?? session.undelivered) }, session.undelivered ? `not delivered: ${session.undelivered}` : session.reason ?? session.outcome)),
      isRunning ? h("span", { class: "stack" }, h("span", { class: session.waiting_for === HANDOFF ? "needs-person" : null }, waitsFor(session.waiting_for)), session.current_node_id && h("code", { class: "small-text" }, session.current_node_id)) : "–",
      isRunning ? timeOf(session.wake_at) : "–",
      isRunning ? timeOf(session.expires_at) : "–",
      h("span", { class: "stack" }, timeOf(session.ended_at ?? session.last_interaction_at),
        session.waiting_for === HANDOFF && button("Give back", () => resume(session), { kind: "small", testid: "session-resume" })),
    ];
    if (hideFlow || hideContact) cells.splice(1, 1);
    return list.row(cells, { testid: "session-row" });
  }

  async function resume(session) {
    if (!(await giveBack(session))) return;
    toast("The flow goes on.");
    await sessions.reload();
  }

  const sessions = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/sessions", { ...filter(), ...query }), { signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, row);
    },
    empty: () => (Object.values(filter()).some(Boolean) && !hideFlow && !hideContact
      ? emptyState("No session like this", "Choose another flow or status.")
      : emptyState("No session yet", "A session begins when a published flow is triggered. Its tab Trigger has code for that, and its tab Try a phone.")),
  });
  if (live) {
    const later = gathered(() => signal.aborted || sessions.reload(), 700);
    watch(watchFor, { session: later, reload: later, state: live.set }, signal);
  }
  sessions.reload();
  return { element: h("div", {}, list.element, sessions.foot), restart: sessions.restart, reload: sessions.reload };
}
