// Trying a flow as a simulation: of the text in the editor, saved or not, with a clock that one moves by hand.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { scan } from "../jsonmap.js";
import { createPhone } from "../phone.js";
import { sessionFacts } from "../session-facts.js";
import { duration, hourOf, inFull } from "../time.js";
import { conversationOf, createTrace } from "../trace.js";
import { button, dialog, field, form, toast } from "../ui.js";
import { contextInput, eventControls, layout, nodeLink, readContext, remembered, SAMPLE_PHONE, SAMPLE_PLACE } from "./try-parts.js";

/** The trial. It goes on where it was when one comes back to it from another tab. */
export function simulationTrial(flow, signal) {
  const contextArea = contextInput(flow);
  const message = remembered(flow, "message", "", h("input", { type: "text", autocomplete: "off", testid: "try-message" }));
  const name = remembered(flow, "name", "Ada", h("input", { type: "text", autocomplete: "off" }));
  const phoneNumber = remembered(flow, "phone", "", h("input", { type: "tel", autocomplete: "off", placeholder: SAMPLE_PHONE }));
  const language = remembered(flow, "language", "", h("input", { type: "text", autocomplete: "off", placeholder: "en" }));
  const notice = h("div", { "aria-live": "polite" });
  const trace = createTrace({ link: nodeLink(flow) });
  const statePlace = h("div", { "aria-live": "polite" });
  const phone = createPhone({ label: "Conversation", send });
  let running = flow.trial.running ?? null;

  const begin = form([
    field("Context", contextArea, { hint: "What the trigger passes, as JSON." }),
    field("Begins with the message", message, { hint: "What somebody writes, such as a keyword, in place of a trigger. Empty: a trigger." }),
    h("details", {}, h("summary", {}, "Contact"),
      h("div", { class: "stack-fields" }, field("Name", name), field("Phone", phoneNumber), field("Language", language))),
  ], { submit: "Start", testid: "phone-start", errorTestid: "try-error", action: startOver });

  async function startOver() {
    const scanned = scan(flow.text);
    if (scanned.error) throw new Error(`The document is not JSON yet: line ${scanned.error.line}, column ${scanned.error.column}: ${scanned.error.text}`);
    const contact = { name: name.value.trim() || undefined, phone: phoneNumber.value.trim() || undefined, language: language.value.trim() || undefined };
    const parts = [`"flow": ${flow.text}`];
    if (Object.values(contact).some(Boolean)) parts.push(`"contact": ${JSON.stringify(contact)}`);
    const written = message.value.trim();
    const passed = written ? null : readContext(contextArea);
    if (written) parts.push(`"message": ${JSON.stringify({ type: "text", text: written })}`);
    if (passed) parts.push(`"context": ${passed}`);
    let answer;
    try {
      answer = await api.send("POST", "/simulations", { raw: `{${parts.join(", ")}}`, signal });
    } catch (error) {
      const [first] = error.body?.problems ?? [];
      if (first) throw new Error(`${error.message} ${first.node ? `Node ${first.node}: ` : ""}${first.text} The tab Document shows all problems.`);
      throw error;
    }
    const state = JSON.parse(answer.text);
    running = { id: state.id, startedAt: state.now, turns: [], text: flow.text, message: written };
    flow.trial.running = running;
    take(state);
    phone.input.focus();
  }

  function take(state) {
    running.state = state;
    // Moving the clock may fire several timers, each a turn, or none.
    running.turns.push(...state.turns);
    draw();
  }

  function draw() {
    const { state, turns } = running;
    const isRunning = state.session.status === "running";
    const said = conversationOf(turns);
    if (running.message) said.unshift({ id: "opening", direction: "in", type: "text", text: running.message, at: running.startedAt });
    if (!isRunning) said.push({ id: "end", note: endNote(state.session) });
    phone.setTitle(name.value.trim() || "Contact");
    phone.setClock(clockText(running.startedAt, state.now), inFull(state.now));
    phone.show(said);
    phone.setOpen(isRunning, "The conversation is over.");
    trace.show(turns, { exact: true });
    replace(notice, flow.text !== running.text && h("p", { class: "notice", role: "note" }, "The text has changed since this began. Restart to try it as it is now."));
    replace(statePlace, sessionFacts(state.session, state.now),
      eventControls(flow, state.session, (name, payload) => event({ type: "event", name, payload })), timeControls(isRunning));
  }

  async function event(body) {
    const state = await api.post(`/simulations/${running.id}/events`, body, { signal });
    take(state);
  }

  async function send({ text, message, option, media }) {
    if (text !== undefined) return event({ type: "reply", text });
    if (media === "location") return event({ type: "location", ...SAMPLE_PLACE });
    if (media) return event({ type: "media", kind: media });
    return event({ type: "tap", id: option.id, message: message.index });
  }

  function timeControls(isRunning) {
    if (!isRunning) return null;
    const advance = (seconds, label) => button(label, () => event({ type: "advance", seconds }), { kind: "small", testid: "phone-advance", "data-seconds": seconds });
    const amount = h("input", { type: "number", min: "1", step: "1", value: "30", class: "narrow", "aria-label": "How long", testid: "phone-advance-amount" });
    const unit = h("select", { "aria-label": "Unit", class: "narrow", testid: "phone-advance-unit" },
      h("option", { value: "1" }, "seconds"), h("option", { value: "60" }, "minutes"), h("option", { value: "3600" }, "hours"), h("option", { value: "86400" }, "days"));
    unit.value = "60";
    return h("div", { class: "clock-controls" },
      h("h3", {}, "Move the clock"),
      h("div", { class: "actions" }, advance(60, "+1 min"), advance(600, "+10 min"), advance(3600, "+1 h")),
      h("div", { class: "actions" }, amount, unit, button("Advance", () => {
        const seconds = Math.round(Number(amount.value) * Number(unit.value));
        if (!(seconds > 0)) throw new Error("Enter how long, as a number above 0.");
        return event({ type: "advance", seconds });
      }, { kind: "small", testid: "phone-advance-custom" })),
      h("div", { class: "actions" },
        button("To the next timer", () => event({ type: "timeout" }), { kind: "small", testid: "phone-timeout" }),
        button("Expire", () => event({ type: "expire" }), { kind: "small", testid: "phone-expire", title: "Moves the clock to where the session expires. Timers that are due earlier fire first." })));
  }

  if (running) draw();
  return layout(begin.element, [
    notice,
    phone.element,
    h("div", { class: "actions" },
      button("Restart", () => (running ? startOver() : begin.element.requestSubmit()), { testid: "phone-restart" }),
      button("Save as test case", () => saveCase(flow, running), { testid: "phone-save-case" })),
  ], [statePlace, h("h2", {}, "Trace"), trace.element]);
}

function clockText(startedAt, now) {
  const passed = (new Date(now) - new Date(startedAt)) / 1000;
  return passed > 0 ? `${hourOf(now)} (+${duration(passed)})` : hourOf(now);
}

function endNote(session) {
  const more = session.outcome ?? session.reason;
  return `The conversation is ${session.status}${more ? `: ${more}` : ""}.`;
}

async function saveCase(flow, running) {
  if (!running) throw new Error("Start the simulation and play the conversation first.");
  const done = await dialog("Save as test case", (close) => {
    const name = h("input", { type: "text", maxlength: "255", testid: "case-name" });
    return form([
      h("p", {}, "What you played becomes what is expected: a later version that answers otherwise is not published without a word."),
      field("Name", name),
    ], {
      submit: "Save", testid: "case-submit", errorTestid: "case-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      async action() {
        if (name.value.trim() === "") throw new Error("Give the test case a name, such as “Declines the offer”.");
        close(await api.post(`${flow.path}/test-cases`, { name: name.value.trim(), simulation_id: running.id }));
      },
    }).element;
  });
  if (done) toast(`Saved “${done.name}”. It runs whenever the flow is published.`);
}
