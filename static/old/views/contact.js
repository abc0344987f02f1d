// One contact: who it is, what was said, which conversations there were; export and erasure.

import * as api from "../api.js";
import { liveChannel } from "../channel.js";
import { h, replace } from "../dom.js";
import { scan } from "../jsonmap.js";
import { gathered, watch } from "../live.js";
import { fromStored, readOnlyPhone } from "../phone.js";
import { inWords } from "../reasons.js";
import { createReplyBox } from "../reply-box.js";
import { retryButton } from "../retry.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, counted, download, facts, failure, field, fileName, form, pageHeader, personOf, toast } from "../ui.js";
import { tags } from "./contacts.js";
import { sessionList } from "./sessions.js";

export function contactView([id], page) {
  const { signal } = page;
  const path = `/contacts/${encodeURIComponent(id)}`;
  const header = h("div", {}, pageHeader("Contact"));
  const factsPlace = h("div", {});
  const profilePlace = h("div", {});
  const reply = createReplyBox({ path: `${path}/messages`, sent: () => {
    phone.follow();
    load({ withForm: false });
  } });
  const phone = readOnlyPhone("Messages", "", {
    foot: reply.element,
    actions: (message) => retryButton(message, () => load({ withForm: false })),
  });
  const older = button("Older messages", loadOlder, { kind: "small more" });
  const sessions = sessionList(signal, () => ({ contact_id: id }), { hideContact: true });
  let messages = [];
  let cursor = null;

  const element = h("div", {}, header,
    h("div", { class: "two-columns talk-first" },
      h("div", {},
        h("section", { "aria-label": "Facts" }, factsPlace),
        h("section", { "aria-label": "Profile" }, h("h2", {}, "Profile"), profilePlace)),
      h("section", { "aria-label": "Messages" }, h("h2", {}, "Messages"), older, phone.element)),
    h("section", { "aria-label": "Sessions" }, h("h2", {}, "Sessions"), sessions.element));
  older.hidden = true;

  async function load({ withForm = true } = {}) {
    try {
      const [contact, page1, channel] = await Promise.all([api.get(path, { signal }), api.get(`${path}/messages?limit=50`, { signal }), liveChannel({ signal })]);
      messages = page1.data;
      cursor = page1.next_cursor;
      draw(contact);
      reply.follow(contact, channel);
      // An edit that is under way is not thrown away by a message that comes in.
      if (withForm) replace(profilePlace, profileForm(contact));
    } catch (error) {
      if (api.isAbort(error)) return;
      const gone = error.status === 404;
      replace(element, pageHeader("Contact", { above: back() }), failure(gone ? new Error("There is no such contact. It may have been erased.") : error, gone ? null : load));
    }
  }

  async function loadOlder() {
    const answer = await api.get(api.withQuery(`${path}/messages`, { limit: 100, cursor }), { signal });
    messages = [...messages, ...answer.data];
    cursor = answer.next_cursor;
    drawMessages();
  }

  function drawMessages() {
    older.hidden = !cursor;
    phone.show(messages.length > 0 ? fromStored(messages) : [{ id: "none", note: "Nothing has been said yet." }]);
  }

  function draw(contact) {
    const name = contact.name || contact.phone || "Contact";
    page.setTitle(name);
    phone.setTitle(name);
    replace(header, pageHeader(name, {
      above: back(),
      actions: [
        button("Export", () => exportContact(path, contact), { testid: "contact-export" }),
        button("Erase", () => erase(contact), { kind: "danger", testid: "contact-erase" }),
      ],
    }));
    replace(factsPlace, facts([
      ["Phone", contact.phone],
      ["Tags", tags(contact.tags)],
      ["Source", contact.source ?? "–"],
      ["Opted in", timeOf(contact.opted_in_at, { none: "no" })],
      ["Opted out", contact.opted_out_at
        ? h("span", {}, timeOf(contact.opted_out_at), contact.opted_out_of === "marketing" && " of marketing")
        : h("span", {}, "no ", button("Opt out", () => optOut(contact), { kind: "small", testid: "contact-opt-out" }))],
      contact.auto_replies_stopped && ["Automatic answers", h("span", { class: "stack", testid: "contact-auto-replies" }, h("span", { class: "bad" }, "stopped"), inWords("auto_reply_limit"),
        button("Let them go on", () => allowAutoReplies(), { kind: "small", testid: "contact-allow-auto-replies" }))],
      contact.held_by && ["Held", h("span", { class: "stack", testid: "contact-held" }, h("span", {}, `${contact.held_by === "colleague" ? "by a colleague" : "by another system of Meta"}; ends `, timeOf(contact.held_until)), inWords(contact.held_by),
        button("Let flows go on", () => resume(), { kind: "small", testid: "contact-resume" }))],
      ["Last reply", timeOf(contact.last_inbound_at, { none: "never" })],
      ["Messages", contact.total_messages],
      ["Added", timeOf(contact.created_at)],
    ]));
    drawMessages();
  }

  function profileForm(contact) {
    const input = (value, properties) => h("input", { type: "text", autocomplete: "off", value: value ?? "", ...properties });
    const name = input(contact.name, { maxlength: "255", testid: "contact-name" });
    const email = input(contact.email, { type: "email" });
    const language = input(contact.language, { placeholder: "en" });
    const tagText = input((contact.tags ?? []).join(", "));
    const metadata = h("textarea", { class: "code short", rows: "6", spellcheck: "false", value: JSON.stringify(contact.metadata ?? {}, null, 2) });
    return form([
      field("Name", name), field("Email", email), field("Language", language), field("Tags", tagText, { hint: "Separated by commas." }),
      field("Metadata", metadata, { hint: "A JSON object; read in flows as {{contact.metadata.…}}." }),
    ], {
      submit: "Save", testid: "contact-save", errorTestid: "contact-error",
      async action() {
        const fresh = await api.patch(path, {
          name: name.value.trim(), email: email.value.trim(), language: language.value.trim(),
          tags: tagText.value.split(",").map((tag) => tag.trim()).filter(Boolean),
          metadata: readMetadata(metadata.value, contact.metadata ?? {}),
        });
        toast("Saved.");
        draw(fresh);
        replace(profilePlace, profileForm(fresh));
      },
    }).element;
  }

  async function allowAutoReplies() {
    draw(await api.post(`${path}/allow-auto-replies`, {}, { signal }));
    toast("Automatic answers go on.");
  }

  async function resume() {
    draw(await api.post(`${path}/resume`, {}, { signal }));
    toast("Flows go on.");
    await sessions.reload();
  }

  /** Sessions of theirs that would end, in words. */
  async function running() {
    const { data, next_cursor: more } = await api.get(api.withQuery("/sessions", { contact_id: id, status: "running", limit: 200 }), { signal });
    if (data.length === 0) return "No session of theirs is running.";
    return more ? "More than 200 running sessions of theirs end." : `${counted(data.length, "running session of theirs ends", "running sessions of theirs end")}.`;
  }

  async function optOut(contact) {
    const done = await confirmDialog("Opt this contact out?", `${personOf(contact)}: no flow reaches them any more. ${await running()} Only they themselves can undo this.`, {
      confirm: "Opt out", testid: "contact-opt-out-confirm", action: () => api.patch(path, { opted_out: true }),
    });
    if (done) {
      await load();
      await sessions.reload();
    }
  }

  async function erase(contact) {
    const phoneText = contact.phone ?? contact.id;
    const done = await confirmDialog("Erase this contact?",
      `Everything that is stored on ${personOf(contact)} is erased: profile, messages, sessions and their traces. ${await running()} This cannot be undone.`, {
        confirm: "Erase", testid: "contact-erase-confirm", typed: phoneText, action: () => api.del(path),
      });
    if (!done) return;
    const { sessions: count = 0, messages: said = 0 } = done.erased ?? {};
    toast(`Erased, with ${count} ${count === 1 ? "session" : "sessions"} and ${said} ${said === 1 ? "message" : "messages"}.`);
    location.hash = "#/contacts";
  }

  const later = gathered(() => {
    if (signal.aborted) return;
    load({ withForm: false });
    sessions.reload();
  });
  watch({ contact_id: id }, { session: later, message: later, reload: later }, signal);
  load();
  return { title: "Contact", element };
}

/** What to send so that the stored metadata becomes what was typed: the server merges, so a key that is gone is sent as null. */
function readMetadata(text, before) {
  const { error, tree } = scan(text.trim() === "" ? "{}" : text);
  if (error) throw new Error(`Metadata, line ${error.line}, column ${error.column}: ${error.text}`);
  if (tree.kind !== "object") throw new Error("The metadata must be a JSON object, such as {}.");
  const after = JSON.parse(text.trim() === "" ? "{}" : text);
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) after[key] = null;
  }
  return after;
}

async function exportContact(path, contact) {
  const { text } = await api.send("GET", `${path}/export`);
  download(`contact-${fileName(contact.phone ?? contact.id)}.json`, text);
}

const back = () => h("p", { class: "back" }, h("a", { href: "#/contacts" }, "Contacts"));
