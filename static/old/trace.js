// The trace: turn by turn, what happened, which way it went, and why. The same for simulations and real sessions.

import { h, keyed } from "./dom.js";
import { inFull, secondOf, timeOf } from "./time.js";
import { prose } from "./ui.js";

/** Makes a trace. `link(node)` gives the address of a node, if there is one to go to. */
export function createTrace({ link } = {}) {
  const list = h("ol", { class: "trace" });
  const empty = h("p", { class: "muted" }, "Nothing has happened yet.");
  return {
    element: h("div", { "aria-live": "off" }, list, empty),
    /** Shows turns, oldest first. `exact` shows moments as they are: a simulation's clock is not the reader's. */
    show(turns, { exact = false } = {}) {
      empty.hidden = turns.length > 0;
      const numbered = turns.map((turn, place) => ({ ...turn, place }));
      keyed(list, numbered, (turn) => turn.place, (turn) => turnView(turn, link, exact));
    },
  };
}

function turnView(turn, link, exact) {
  const path = turn.path ?? [];
  const changes = turn.changes ?? [];
  const warnings = turn.warnings ?? [];
  return h("li", { class: "turn", testid: "trace-turn" },
    h("div", { class: "turn-head" },
      h("h3", {}, turn.turn !== undefined && h("span", { class: "turn-number" }, `Turn ${turn.turn}`), " ", stimulus(turn.stimulus)),
      turn.at && (exact ? h("time", { class: "muted small-text", datetime: turn.at, title: inFull(turn.at) }, secondOf(turn.at)) : h("span", { class: "muted small-text" }, timeOf(turn.at)))),
    path.length > 0 && h("ol", { class: "path" }, path.map((step) => stepView(step, link))),
    changes.length > 0 && h("dl", { class: "changes" }, changes.map(({ name, value }) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, typeof value === "string" ? value : JSON.stringify(value))))),
    warnings.length > 0 && h("ul", { class: "warnings" }, warnings.map(({ node, text }) =>
      h("li", {}, h("span", { class: "severity warning" }, "Warning"), " ", node && h("code", {}, node), node && ": ", prose(text)))),
  );
}

function stepView(step, link) {
  const address = link?.(step.node);
  return h("li", {},
    address ? h("a", { href: address, class: "node" }, step.node) : h("span", { class: "node" }, step.node),
    h("span", { class: "node-type" }, step.type.replaceAll("_", " ")),
    step.exit && h("span", { class: "exit" }, h("span", { "aria-hidden": "true" }, "→ "), h("span", { class: "visually-hidden" }, "left by "), step.exit),
    step.why && h("span", { class: "why" }, step.exit ? `because: ${step.why}` : step.why));
}

const KINDS = { image: "an image", video: "a video", audio: "a voice message", document: "a document", sticker: "a sticker", location: "a location", contacts: "a contact card" };

/** What made the turn, in words. */
export function stimulus(event) {
  if (!event) return "";
  switch (event.type) {
    case "start": return "Started";
    case "reply":
      if (event.kind === "tap") return `Tapped “${event.text ?? event.option}”`;
      if (KINDS[event.kind]) return `Sent ${KINDS[event.kind]}${event.text ? `: “${event.text}”` : ""}`;
      return `Replied “${event.text ?? ""}”`;
    case "tap": return `Tapped “${event.text ?? event.id}”`;
    case "timeout": return "The time to answer ran out";
    case "expire": return "Expired";
    case "cancel": return `Cancelled: ${event.reason}`;
    case "delivery_failed": return `A message could not be delivered${event.code ? `: ${event.code}` : ""}`;
    case "external":
    case "event": return `Event “${event.name ?? event.event}”`;
    case "internal_error": return "The session could not go on";
    default: return String(event.type).replaceAll("_", " ");
  }
}

/** What the contact said in a turn, as a message for the phone; null if it was no message. */
function saidIn(turn) {
  const event = turn.stimulus;
  if (event?.type !== "reply") return null;
  const media = event.payload && typeof event.payload === "object" ? { kind: event.kind, ...event.payload } : null;
  return { direction: "in", type: event.kind, text: event.text, media: KINDS[event.kind] ? media ?? { kind: event.kind } : null };
}

/** The conversation that a trace tells: replies and messages in order. */
export function conversationOf(turns) {
  const said = [];
  turns.forEach((turn, place) => {
    const reply = saidIn(turn);
    if (reply) said.push({ ...reply, id: `r${place}`, at: turn.at });
    (turn.messages ?? []).forEach((message, index) => {
      said.push({ ...message, id: message.id ?? `m${place}-${index}`, direction: "out", at: message.created_at ?? turn.at });
    });
  });
  return said;
}
