// Where a session stands, as pairs of a word and a value.

import { h } from "./dom.js";
import { inWords } from "./reasons.js";
import { duration, inFull, timeInFull } from "./time.js";
import { facts, jsonBlock, prose, status } from "./ui.js";

/** What a session waits for, in words. */
export const waitsFor = (kind) => (kind === "handoff" ? "a person" : kind === "http" ? "an HTTP call" : kind ?? "–");

/** Where a session stands. `now` is a simulation's own clock; without it, times are the reader's. */
export function sessionFacts(session, now) {
  const when = (iso) => {
    if (!iso) return null;
    if (!now) return timeInFull(iso);
    const seconds = (new Date(iso) - new Date(now)) / 1000;
    return `in ${duration(Math.max(0, seconds))} (${inFull(iso)})`;
  };
  return facts([
    ["Status", status(session.status, { testid: "session-status" })],
    session.outcome && ["Outcome", session.outcome],
    (session.reason || session.reason_text) && ["Reason", h("span", { class: "stack", testid: "session-reason" },
      session.reason && h("code", {}, session.reason), h("span", {}, prose(session.reason_text ?? inWords(session.reason) ?? "")))],
    session.undelivered && ["Not delivered", h("span", { class: "stack" }, h("code", {}, session.undelivered), inWords(session.undelivered))],
    session.current_node_id && ["Node", h("code", {}, session.current_node_id)],
    session.status === "running" && ["Waits for", waitsFor(session.waiting_for)],
    session.held_by && ["Stands still", h("span", { class: "stack", testid: "session-held" }, h("span", {}, `until ${inFull(session.held_until)}`), inWords(session.held_by))],
    session.wake_at && session.status === "running" && ["Timer fires", when(session.wake_at)],
    session.expires_at && session.status === "running" && ["Expires", when(session.expires_at)],
    ["Context", Object.keys(session.context ?? {}).length > 0
      ? h("details", {}, h("summary", {}, "Show"), jsonBlock(session.context, "Context"))
      : h("span", { class: "muted" }, "empty")],
  ]);
}
