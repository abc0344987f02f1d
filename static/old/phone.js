// A phone-like panel: the conversation as the contact sees it, with something to type into. It knows nothing of where
// the messages come from; the simulation, the simulator channel and the message lists all show themselves in it.

import { h, keyed } from "./dom.js";
import { captionOf, carried, isNote, mediaWord, noteText, progress } from "./said.js";
import { hourOf, inFull } from "./time.js";
import { toastError, whileBusy } from "./ui.js";


/**
 * Makes a phone. `send` gets `{ text }`, `{ message, option }` or `{ media }` and may be async. Messages are
 * `{ id, direction, type, text, options, media, template, status, reason, at }`, or `{ id, note }` for a remark.
 */
export function createPhone({ label, send }) {
  const input = h("input", { type: "text", "aria-label": "Reply as the contact", placeholder: "Reply as the contact", autocomplete: "off", maxlength: "4096", testid: "phone-input" });
  const sendButton = h("button", { type: "submit", class: "primary small", testid: "phone-send" }, "Send");
  const attach = h("details", { class: "menu attach" },
    h("summary", { class: "button small quiet", "aria-label": "Attach", title: "Attach", testid: "phone-attach" }, "+"),
    h("div", { class: "menu-items up" }, ["image", "audio", "location"].map((kind) =>
      h("button", { type: "button", testid: `phone-attach-${kind}`, onclick: () => act(attach.querySelector("summary"), { media: kind }) }, mediaWord(kind)))));
  attach.addEventListener("click", (event) => {
    if (event.target.closest(".menu-items")) attach.open = false;
  });
  const composer = h("form", { class: "composer" }, attach, input, sendButton);
  const log = bubbles({ label, onTap: (control, message, option) => act(control, { message, option }) });
  const title = h("span", { class: "phone-name" });
  const clock = h("span", { class: "phone-clock", testid: "phone-clock" });
  const element = h("div", { class: "phone" },
    h("div", { class: "phone-top" }, title, clock), log.element, composer);
  let isOpen = false;

  async function act(control, what) {
    if (!isOpen) return;
    try {
      log.follow();
      await whileBusy(control, () => send(what));
    } catch (error) {
      toastError(error);
    }
  }

  composer.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value;
    if (text.trim() === "") return;
    if (!isOpen) return;
    try {
      log.follow();
      await whileBusy(sendButton, () => send({ text }));
      // Only what was sent goes away: typing on while it is on its way is fine.
      if (input.value === text) input.value = "";
      input.focus();
    } catch (error) {
      toastError(error);
    }
  });

  function setOpen(open, why) {
    isOpen = open;
    input.disabled = !open;
    sendButton.disabled = !open;
    input.placeholder = open ? "Reply as the contact" : why ?? "";
    attach.hidden = !open;
    log.setOpen(open);
  }
  setOpen(false);

  return {
    element,
    input,
    setOpen,
    setTitle(name) { title.textContent = name; },
    setClock(text, exact) {
      clock.textContent = text;
      clock.title = exact ?? "";
    },
    show: log.show,
  };
}

/** The conversation itself: a list that is read out as it grows. */
function bubbles({ label, onTap, actions }) {
  const list = h("ol", { class: "bubbles" });
  const element = h("div", { class: "phone-log", role: "log", "aria-label": label, tabindex: "0" }, list);
  let isOpen = false;
  let follows = true;

  function show(messages) {
    // Read before the list grows: only who is at the end, or has just said something, is taken along.
    const wasAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 60;
    keyed(list, messages, (message) => message.id, (message) => bubble(message, { onTap, actions }));
    setOpen(isOpen);
    if (wasAtEnd || follows) element.scrollTop = element.scrollHeight;
    follows = false;
  }

  function setOpen(open) {
    isOpen = open;
    for (const option of list.querySelectorAll("button.option")) option.disabled = !open;
  }

  return { element, show, setOpen, follow() { follows = true; } };
}

function bubble(message, { onTap, actions }) {
  if (message.note) return h("li", { class: "bubble-note" }, message.note);
  const isIn = message.direction === "in";
  if (isNote(message)) {
    return h("li", { class: "bubble-note", testid: "phone-note" }, h("span", { class: "visually-hidden" }, isIn ? "The contact: " : message.origin === "colleague" ? "A person of ours: " : message.origin === "standby" ? "Another system of Meta: " : "The flow: "), noteText(message));
  }
  const asTemplate = !isIn && message.sent?.as === "template";
  const said = asTemplate ? message.sent.text : captionOf(message);
  const extra = carried(message);
  const element = h("li", { class: `bubble ${isIn ? "in" : "out"}`, testid: "phone-bubble", "data-direction": message.direction },
    h("span", { class: "visually-hidden" }, isIn ? "The contact: " : message.origin === "agent" || message.origin === "colleague" ? "A person of ours: " : message.origin === "standby" ? "Another system of Meta: " : "The flow: "),
    extra,
    said && h("p", { class: "bubble-text" }, said),
    isIn && !said && !extra && h("p", { class: "bubble-text muted" }, tapped(message)),
    !isIn && !said && !extra && message.template && h("p", { class: "bubble-text muted" }, `Template ${message.template.name}`),
    h("span", { class: "bubble-foot" },
      message.origin === "agent" && h("span", {}, "written by a person"),
      message.origin === "colleague" && h("span", {}, "written in the Business app"),
      message.origin === "standby" && h("span", {}, "written by Meta's agent"),
      asTemplate && h("span", { title: "Sent because the channel forbids free text" }, `as template ${message.sent.name} (${message.sent.language})`),
      !asTemplate && !message.sent && message.template && said && h("span", { title: "Sent instead where the channel forbids free text" }, `template ${message.template.name}`),
      !isIn && progress(message),
      isIn && message.handled === "held" && h("span", { class: "bubble-status" }, message.reason === "standby" ? "for Meta's agent" : "for the colleague"),
      isIn && message.handled === "unrouted" && h("span", { class: "bubble-status bad" }, `not routed${message.reason ? `: ${message.reason}` : ""}`),
      message.at && h("time", { datetime: message.at, title: inFull(message.at) }, hourOf(message.at))),
    actions?.(message));
  if (!message.options || message.options.length === 0) return element;
  const buttons = message.options.map((option) => onTap
    ? h("button", { type: "button", class: "option", testid: "phone-option", "data-option": option.id, title: option.description, onclick: (event) => onTap(event.currentTarget, message, option) }, option.title)
    : h("span", { class: "option" }, option.title));
  element.append(h("div", { class: "options" }, buttons));
  return element;
}

/** What is known of a tap that came without its title. Options carry their session before a colon. */
const tapped = ({ option, type }) => (option ? `Tapped ${String(option).split(":").at(-1)}` : type);

/** Stored messages (newest first, as lists give them) as the phone shows them. */
export function fromStored(messages) {
  return messages.map((message) => ({ ...message, at: message.created_at })).reverse();
}

/**
 * Puts a conversation on the page that is not played on the contact's side. `actions` gives what stands in a bubble, and
 * `foot` what stands below them all, such as a box to answer in.
 */
export function readOnlyPhone(label, title, { actions, foot } = {}) {
  const log = bubbles({ label, actions });
  const name = h("span", { class: "phone-name" }, title);
  const element = h("div", { class: "phone read-only" }, h("div", { class: "phone-top" }, name), log.element, foot);
  return { element, show: log.show, follow: log.follow, setTitle(text) { name.textContent = text; } };
}
