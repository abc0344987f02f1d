// Trying a flow for real: with what is published and a contact of the simulator channel, followed live.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { gathered, watch } from "../live.js";
import { createPhone, fromStored } from "../phone.js";
import { sessionFacts } from "../session-facts.js";
import { triggerOf } from "../snippets.js";
import { createTrace } from "../trace.js";
import { button, emptyState, field, form, toast, toastError } from "../ui.js";
import { contextInput, eventControls, layout, nodeLink, readContext, remembered, SAMPLE_PHONE, SAMPLE_PLACE } from "./try-parts.js";

export function contactTrial(flow, signal) {
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
      const trigger = triggerOf(flow.summary.kind === "sequence");
      const raw = `{"${trigger.key}": ${JSON.stringify(flow.id)}, "phone": ${JSON.stringify(phoneText)}${passed ? `, "context": ${passed}` : ""}}`;
      const answer = JSON.parse((await api.send("POST", trigger.path, { raw, signal })).text);
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
    else if (media === "location") Object.assign(body, { type: "location", media: SAMPLE_PLACE });
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
