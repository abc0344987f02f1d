// What both ways of trying a flow are made of.

import { h } from "../dom.js";
import { scan, valueOf } from "../jsonmap.js";
import { exampleContext } from "../snippets.js";
import { field, form } from "../ui.js";

/** The number that stands for somebody's phone. */
export const SAMPLE_PHONE = "+14155550123";

/** The place that stands for where somebody is. */
export const SAMPLE_PLACE = { latitude: 37.7749, longitude: -122.4194 };

function documentOf(flow) {
  return valueOf(scan(flow.text).tree);
}

/** What the trigger passes, with an example to begin with. */
export function contextInput(flow) {
  return remembered(flow, "context", JSON.stringify(exampleContext(documentOf(flow)), null, 2), h("textarea", {
    class: "code short", rows: "5", spellcheck: "false", testid: "try-context",
  }));
}

/** An input that keeps what was typed while one goes to another tab and comes back. */
export function remembered(flow, name, initial, input) {
  input.value = flow.trial[name] ?? initial;
  input.addEventListener("input", () => { flow.trial[name] = input.value; });
  return input;
}

/** What was typed there, as text, so that no number is rounded; undefined for nothing. */
export function readContext(input) {
  const text = input.value.trim();
  if (text === "") return undefined;
  const { tree, error } = scan(text);
  if (error) throw new Error(`Context, line ${error.line}, column ${error.column}: ${error.text}`);
  if (tree.kind !== "object") throw new Error("The context must be a JSON object, such as {}.");
  return text;
}

/** The address of a node in the document. */
export const nodeLink = (flow) => (node) => `#/flows/${flow.id}/document?node=${encodeURIComponent(node)}`;

/** The three parts side by side: what to start with, the phone, and why it went as it did. */
export function layout(start, phone, side) {
  return h("div", { class: "try" }, h("section", { class: "try-start", "aria-label": "Start" }, start),
    h("section", { class: "try-phone", "aria-label": "Phone" }, phone), h("section", { class: "try-side", "aria-label": "What happened" }, side));
}

/** What stands for the outside while a session waits for it. `send` gets the event's name and payload. */
export function eventControls(flow, session, send) {
  if (session.status !== "running" || session.waiting_for !== "event") return null;
  const node = documentOf(flow)?.nodes?.find?.((candidate) => candidate?.id === session.current_node_id);
  const name = h("input", { type: "text", autocomplete: "off", maxlength: "64", value: node?.event ?? "", testid: "phone-event-name" });
  const payload = h("textarea", { class: "code short", rows: "3", spellcheck: "false", testid: "phone-event-payload" });
  const { element } = form([field("Event", name), field("Payload", payload, { hint: "JSON; may stay empty." })], {
    submit: "Send the event", kind: "small", testid: "phone-event-send",
    async action() {
      if (name.value.trim() === "") throw new Error("Enter the event's name.");
      const { tree, error } = scan(payload.value.trim() === "" ? "null" : payload.value);
      if (error) throw new Error(`Payload, line ${error.line}, column ${error.column}: ${error.text}`);
      await send(name.value.trim(), valueOf(tree));
    },
  });
  return h("div", { class: "clock-controls" }, h("h3", {}, "It waits for an event"), element);
}
