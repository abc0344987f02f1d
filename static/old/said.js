// What was said, apart from plain text: media, places, address-book entries, notes about earlier messages, and how far a
// message of ours got.

import { h } from "./dom.js";
import { inWords } from "./reasons.js";
import { duration, inFull } from "./time.js";

const MEDIA_WORDS = { image: "Image", video: "Video", audio: "Audio", document: "Document", sticker: "Sticker", location: "Location", contacts: "Contact card", order: "Order" };

/** Messages that are only remarks about others. */
const NOTES = new Set(["reaction", "edit", "revoke", "system"]);

export const isNote = (message) => NOTES.has(message.type);

/** The words for a kind of medium. */
export function mediaWord(kind, medium) {
  return kind === "audio" && medium?.voice !== false ? "Voice message" : MEDIA_WORDS[kind] ?? kind;
}

/** What a remark says. */
export function noteText(message) {
  switch (message.type) {
    case "reaction": return message.text ? `Reacted with ${message.text}` : "Took a reaction back";
    case "edit": return message.text ? `Changed an earlier message to: ${message.text}` : "Changed an earlier message";
    case "revoke": return "Took an earlier message back";
    default: return message.text || "Notice of the channel";
  }
}

/** What a message carries beside its text, or null. */
export function carried(message) {
  const { media: medium } = message;
  const kind = medium?.kind ?? (message.type in MEDIA_WORDS ? message.type : null);
  if (!kind) return null;
  if (kind === "location") return place(medium);
  if (kind === "contacts") return cards(medium);
  const name = text(medium?.filename) || text(medium?.name);
  const length = Number.isFinite(medium?.duration) ? duration(medium.duration) : null;
  const more = [name, length, text(medium?.mime_type)].filter(Boolean).join(" · ");
  const content = [h("span", { class: "media-kind" }, mediaWord(kind, medium)), more && h("span", {}, more)];
  const url = text(medium?.url) || text(medium?.link);
  // Whoever wrote the address: only what a browser opens as a page becomes a link.
  return /^https?:\/\//i.test(url)
    ? h("a", { class: "media", href: url, target: "_blank", rel: "noopener noreferrer" }, content, h("span", { class: "media-url" }, url))
    : h("div", { class: "media" }, content, url && h("span", { class: "media-url" }, url));
}

/** A caption that came inside of what a message carries. */
export const captionOf = (message) => message.text || (message.media?.kind || message.type in MEDIA_WORDS ? text(message.media?.caption) : "");

const text = (value) => (typeof value === "string" ? value : "");

function place(medium) {
  const latitude = Number(medium?.latitude);
  const longitude = Number(medium?.longitude);
  const isKnown = medium?.latitude !== undefined && Number.isFinite(latitude) && Number.isFinite(longitude);
  const query = new URLSearchParams({ mlat: latitude, mlon: longitude });
  return h("div", { class: "media" }, h("span", { class: "media-kind" }, "Location"),
    text(medium?.name) && h("span", {}, medium.name), text(medium?.address) && h("span", {}, medium.address),
    isKnown && h("a", { href: `https://www.openstreetmap.org/?${query}#map=16/${latitude}/${longitude}`, target: "_blank", rel: "noopener noreferrer" }, `${latitude}, ${longitude}`));
}

function cards(medium) {
  const people = Array.isArray(medium) ? medium : Array.isArray(medium?.contacts) ? medium.contacts : [medium].filter(Boolean);
  return h("div", { class: "media" }, h("span", { class: "media-kind" }, people.length > 1 ? `${people.length} contact cards` : "Contact card"),
    people.map((person) => {
      const phones = (Array.isArray(person?.phones) ? person.phones : []).map((one) => text(one?.phone) || text(one?.wa_id)).filter(Boolean);
      const mails = (Array.isArray(person?.emails) ? person.emails : []).map((one) => text(one?.email)).filter(Boolean);
      const name = text(person?.name?.formatted_name) || text(person?.name?.first_name) || text(person?.name);
      return h("span", {}, [name, ...phones, ...mails].filter(Boolean).join(" · ") || "Nothing that can be shown");
    }));
}

const TICKS = { queued: "…", sending: "…", sent: "✓", delivered: "✓✓", read: "✓✓" };

/** How far a message of ours got: a tick and its word, and why it failed or still waits. */
export function progress(message) {
  const { status, reason, error } = message;
  if (!status || ["received", "simulated"].includes(status)) return null;
  const isBad = ["failed", "unknown"].includes(status);
  const why = (isBad || status === "queued") && whyNot(reason, error);
  const stages = (message.stages ?? []).map(({ stage, at }) => `${stage} ${inFull(at)}`).join("\n");
  return h("span", { class: `bubble-status ${isBad ? "bad" : ""} ${status === "read" ? "seen" : ""}`, title: stages || null, testid: "message-progress" },
    TICKS[status] && h("span", { class: "ticks", "aria-hidden": "true" }, TICKS[status]), " ", status, isBad && reason ? `: ${reason}` : "",
    why && h("span", { class: "why-not" }, why));
}

/** Why a message was not sent, or not yet, in words: ours where we have some, else the channel's own. */
export function whyNot(reason, error) {
  return [inWords(reason), error && `The channel says: ${error}`].filter(Boolean).join(" ");
}
