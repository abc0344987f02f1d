// The box in which a person of ours answers a contact. It says why where that is not possible, and what to do instead.

import * as api from "./api.js";
import { h } from "./dom.js";
import { toastError, whileBusy } from "./ui.js";

const WINDOW = 24 * 3600 * 1000;
const MOST = 4096;

/** Makes the box. `sent` is called once a message is on its way. */
export function createReplyBox({ path, sent }) {
  const input = h("textarea", { rows: "1", maxlength: String(MOST), "aria-label": "Answer as a person", placeholder: "Answer as a person", testid: "agent-text" });
  const send = h("button", { type: "submit", class: "primary small", testid: "agent-send" }, "Send");
  const hint = h("p", { class: "hint", testid: "agent-hint", hidden: true });
  const composer = h("form", { class: "composer" }, input, send);
  const element = h("div", { class: "reply-box" }, hint, composer);

  composer.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value;
    if (text.trim() === "" || input.disabled) return;
    try {
      await whileBusy(send, () => api.post(path, { text }));
      // Only what was sent goes away: typing on while it is on its way is fine.
      if (input.value === text) input.value = "";
      input.focus();
      sent();
    } catch (error) {
      toastError(error);
    }
  });
  // Enter sends, as in a messenger; with Shift it makes a new line.
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });

  /** Shows whether the contact can be answered over a channel. */
  function follow(contact, channel) {
    const closed = channel?.has_window && !isOpen(contact.last_inbound_at);
    input.disabled = closed;
    send.disabled = closed;
    const words = [
      closed && (contact.last_inbound_at
        ? "The contact wrote last more than 24 hours ago: WhatsApp takes only templates now. Start a flow that begins with one."
        : "The contact has never written: WhatsApp takes only templates. Start a flow that begins with one."),
      !closed && contact.opted_out_at && "This person has opted out of flows. You may still answer what they write.",
      !closed && channel && !channel.reaches_phones && "This reaches no phone: it is only recorded.",
    ].filter(Boolean);
    hint.textContent = words.join(" ");
    hint.hidden = words.length === 0;
  }

  return { element, follow };
}

const isOpen = (lastInbound) => Boolean(lastInbound) && Date.now() - new Date(lastInbound).getTime() < WINDOW;
