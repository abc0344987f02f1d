// The tab Try: the flow in a phone. Either as a simulation of the text in the editor, with a clock to move and nothing
// stored, or for real with a contact of the simulator channel, as a person's phone would meet it.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { scan, valueOf } from "../jsonmap.js";
import { gathered, watch } from "../live.js";
import { createPhone, fromStored } from "../phone.js";
import { inWords } from "../reasons.js";
import { exampleContext } from "../snippets.js";
import { duration, hourOf, inFull, timeInFull } from "../time.js";
import { conversationOf, createTrace } from "../trace.js";
import { button, dialog, emptyState, facts, field, form, jsonBlock, status, toast, toastError } from "../ui.js";

const SAMPLE_PHONE = "+14155550123";

export function tryTab(flow, context) {
  const place = h("div", {});
  const modes = ["simulation", "real"].map((mode) => {
    const input = h("input", { type: "radio", name: "try-mode", value: mode, id: `try-${mode}`, testid: `try-${mode}`, checked: mode === "simulation" });
    input.addEventListener("change", () => start(mode));
    return h("div", { class: "check" }, input, h("label", { for: input.id },
      mode === "simulation" ? "Simulation of the text in the editor" : "Simulator contact, with what is published"));
  });
  let controller = null;
  function start(mode) {
    controller?.abort();
    controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, context.signal]);
    replace(place, mode === "simulation" ? simulation(flow, signal) : real(flow, signal));
  }
  start("simulation");
  return h("div", {}, h("fieldset", { class: "modes" }, h("legend", { class: "visually-hidden" }, "How to try"), modes), place);
}

function documentOf(flow) {
  return valueOf(scan(flow.text).tree);
}

function contextInput(flow) {
  return remembered(flow, "context", JSON.stringify(exampleContext(documentOf(flow)), null, 2), h("textarea", {
    class: "code short", rows: "5", spellcheck: "false", testid: "try-context",
  }));
}

/** An input that keeps what was typed while one goes to another tab and comes back. */
function remembered(flow, name, initial, input) {
  input.value = flow.trial[name] ?? initial;
  input.addEventListener("input", () => { flow.trial[name] = input.value; });
  return input;
}

function readContext(input) {
  const text = input.value.trim();
  if (text === "") return undefined;
  const { tree, error } = scan(text);
  if (error) throw new Error(`Context, line ${error.line}, column ${error.column}: ${error.text}`);
  if (tree.kind !== "object") throw new Error("The context must be a JSON object, such as {}.");
  return text;
}

const nodeLink = (flow) => (node) => `#/flows/${flow.id}/document?node=${encodeURIComponent(node)}`;

/** The three parts side by side: what to start with, the phone, and why it went as it did. */
function layout(start, phone, side) {
  return h("div", { class: "try" }, h("section", { class: "try-start", "aria-label": "Start" }, start),
    h("section", { class: "try-phone", "aria-label": "Phone" }, phone), h("section", { class: "try-side", "aria-label": "What happened" }, side));
}

function simulation(flow, signal) {
  const contextArea = contextInput(flow);
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
    h("details", {}, h("summary", {}, "Contact"),
      h("div", { class: "stack-fields" }, field("Name", name), field("Phone", phoneNumber), field("Language", language))),
  ], { submit: "Start", testid: "phone-start", errorTestid: "try-error", action: startOver });

  async function startOver() {
    const scanned = scan(flow.text);
    if (scanned.error) throw new Error(`The document is not JSON yet: line ${scanned.error.line}, column ${scanned.error.column}: ${scanned.error.text}`);
    const contact = { name: name.value.trim() || undefined, phone: phoneNumber.value.trim() || undefined, language: language.value.trim() || undefined };
    const parts = [`"flow": ${flow.text}`];
    if (Object.values(contact).some(Boolean)) parts.push(`"contact": ${JSON.stringify(contact)}`);
    const passed = readContext(contextArea);
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
    running = { id: state.id, startedAt: state.now, turns: [], text: flow.text };
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
    if (media === "location") return event({ type: "location", latitude: 37.7749, longitude: -122.4194 });
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

/** What stands for the outside while a session waits for it. `send` gets the event's name and payload. */
function eventControls(flow, session, send) {
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
    session.reason && ["Reason", h("span", { class: "stack" }, h("code", {}, session.reason), inWords(session.reason))],
    session.current_node_id && ["Node", h("code", {}, session.current_node_id)],
    session.status === "running" && ["Waits for", session.waiting_for ?? "–"],
    session.wake_at && session.status === "running" && ["Timer fires", when(session.wake_at)],
    session.expires_at && session.status === "running" && ["Expires", when(session.expires_at)],
    ["Context", Object.keys(session.context ?? {}).length > 0
      ? h("details", {}, h("summary", {}, "Show"), jsonBlock(session.context, "Context"))
      : h("span", { class: "muted" }, "empty")],
  ]);
}

function real(flow, signal) {
  if (flow.summary.status !== "published") {
    return emptyState("Not published", "Only a published flow can be triggered. Publish it, or try it as a simulation.");
  }
  const contextArea = contextInput(flow);
  const number = remembered(flow, "number", SAMPLE_PHONE, h("input", { type: "tel", autocomplete: "off", testid: "try-phone" }));
  const trace = createTrace({ link: nodeLink(flow) });
  const statePlace = h("div", { "aria-live": "polite" });
  const phone = createPhone({ label: "Conversation", send });
  let contactId = null;
  let sessionId = null;
  let session = null;

  const begin = form([
    h("p", { class: "hint" }, "This is the published version and a real contact: it is counted and stays in the lists."),
    flow.summary.has_changes && h("p", { class: "hint" }, "The draft has changes that are not published; they are not tried here."),
    field("Phone", number, { hint: "Any number: a contact is made of it." }),
    field("Context", contextArea, { hint: "What the trigger passes, as JSON." }),
  ], {
    submit: "Trigger the flow", testid: "phone-start", errorTestid: "try-error",
    async action() {
      const passed = readContext(contextArea);
      const phoneText = number.value.trim();
      if (phoneText === "") throw new Error("Enter a phone number, such as +14155550123.");
      const raw = `{"flow_id": ${JSON.stringify(flow.id)}, "phone": ${JSON.stringify(phoneText)}${passed ? `, "context": ${passed}` : ""}}`;
      const answer = JSON.parse((await api.send("POST", "/actions/trigger-flow", { raw, signal })).text);
      if (answer.status === "already_running") toast("This contact has a running session of this flow: here it is.");
      contactId = answer.contact_id;
      sessionId = answer.id;
      phone.setTitle(phoneText);
      phone.setClock("live");
      watch({ contact_id: contactId }, {
        session(data) {
          // A reply may have begun another session of this flow.
          if (data.flow_id === flow.id && data.status === "running") sessionId = data.id;
          later();
        },
        message: () => later(),
        reload: () => later(),
        state: (isLive) => phone.setClock(isLive ? "live" : "reconnecting"),
      }, signal);
      await reload();
      phone.setOpen(true);
      phone.input.focus();
    },
  });
  const later = gathered(() => reload().catch(toastError), 150);

  async function reload() {
    if (signal.aborted || !sessionId) return;
    const path = `/sessions/${sessionId}`;
    const [row, turns, messages] = await Promise.all([
      api.get(path, { signal }), api.get(`${path}/turns?limit=200`, { signal }), api.get(`/contacts/${contactId}/messages?limit=60`, { signal }),
    ]);
    const isSame = JSON.stringify(row) === JSON.stringify(session);
    session = row;
    phone.show(fromStored(messages.data));
    trace.show(turns.data);
    // What is being typed or is unfolded there stays.
    if (isSame) return;
    const isRunning = session.status === "running";
    const sendEvent = async (name, payload) => {
      await api.post(`${path}/events`, { event: name, payload }, { signal });
      await reload();
    };
    replace(statePlace, sessionFacts(session), eventControls(flow, session, sendEvent), h("div", { class: "actions" },
      isRunning && button("Fire the timer now", () => act("fire-timeout"), { kind: "small", testid: "phone-timeout" }),
      isRunning && button("Cancel session", () => act("cancel"), { kind: "small" }),
      h("a", { href: `#/sessions/${sessionId}`, class: "button small quiet" }, "Open the session")));
  }

  async function act(what) {
    await api.post(`/sessions/${sessionId}/${what}`, {}, { signal });
    await reload();
  }

  async function send({ text, option, media }) {
    const body = { id: randomId(), from: number.value.trim(), type: "text" };
    if (text !== undefined) body.text = text;
    else if (option) Object.assign(body, { type: "tap", option: option.id, text: option.title });
    else if (media === "location") Object.assign(body, { type: "location", media: { latitude: 37.7749, longitude: -122.4194 } });
    else Object.assign(body, { type: media, media: { url: `https://example.com/sample-${media}` } });
    await api.post("/inbound", body, { signal });
    await reload();
  }

  return layout(begin.element, phone.element, [statePlace, h("h2", {}, "Trace"), trace.element]);
}

/** An id for a message; `randomUUID` is only there over HTTPS and on localhost. */
function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
