// What was said, apart from plain text: media, places, address-book entries, notes about earlier messages, and how far
// a message of ours got.
import { inWords } from "../lists.ts";
import { duration, inFull } from "../time.ts";
import { spaced } from "../words.ts";

/** A message as lists, traces and simulations give it, as far as it is shown. */
export interface Said {
  id: string;
  direction?: string | null;
  type: string;
  text?: string | null;
  option?: unknown;
  options?: { id: string; title: string; description?: string | null }[] | null;
  media?: unknown;
  template?: { name: string } | null;
  sent?: { as?: string; name?: string; language?: string; text?: string | null } | null;
  origin?: string | null;
  handled?: string | null;
  status?: string | null;
  reason?: string | null;
  error?: string | null;
  stages?: { stage: string; at: string }[] | null;
  created_at?: string | null;
  at?: string | null;
  channel?: string | null;
  session_id?: string | null;
}

/** A remark between messages. */
export interface Note {
  id: string;
  note: string;
  isDivider?: boolean;
}

const MEDIA_WORDS: Record<string, string> = {
  image: "Image",
  video: "Video",
  audio: "Audio",
  document: "Document",
  sticker: "Sticker",
  location: "Location",
  contacts: "Contact card",
  order: "Order",
};

/** Messages that are only remarks about others. */
const NOTES = new Set(["reaction", "edit", "revoke", "system"]);

export const isNote = (message: Said): boolean => NOTES.has(message.type);

type Loose = Record<string, unknown>;
const loose = (value: unknown): Loose => (value && typeof value === "object" ? (value as Loose) : {});
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The words for a kind of medium. */
export function mediaWord(kind: string, medium?: unknown): string {
  if (kind === "audio" && loose(medium).voice !== false) return "Voice message";
  return Object.hasOwn(MEDIA_WORDS, kind) ? (MEDIA_WORDS[kind] ?? kind) : spaced(kind);
}

/** What a remark says. */
export function noteText(message: Said): string {
  switch (message.type) {
    case "reaction":
      return message.text ? `Reacted with ${message.text}` : "Took a reaction back";
    case "edit":
      return message.text ? `Changed an earlier message to: ${message.text}` : "Changed an earlier message";
    case "revoke":
      return "Took an earlier message back";
    default:
      return message.text || "Notice of the channel";
  }
}

/** Who said it, in words. */
export function speaker(message: Said): string {
  if (message.direction === "in") return "The contact";
  if (message.origin === "agent" || message.origin === "colleague") return "A person of ours";
  return message.origin === "standby" ? "Another system of Meta" : "The flow";
}

/** What a message carries beside its text. */
export interface Carried {
  title: string;
  lines: string[];
  link?: { href: string; text: string };
  /** An address that no browser should open. */
  address?: string;
}

/** What a message carries beside its text, or null. */
export function carried(message: Said): Carried | null {
  const medium = loose(message.media);
  const kind = text(medium.kind) || (Object.hasOwn(MEDIA_WORDS, message.type) ? message.type : "");
  if (!kind) return null;
  if (kind === "location") return place(medium);
  if (kind === "contacts") return cards(message.media);
  const isLong = typeof medium.duration === "number" && Number.isFinite(medium.duration);
  const length = isLong ? duration(Number(medium.duration)) : "";
  const more = [text(medium.filename) || text(medium.name), length, text(medium.mime_type)].filter(Boolean).join(" · ");
  const found: Carried = { title: mediaWord(kind, medium), lines: more ? [more] : [] };
  const url = text(medium.url) || text(medium.link);
  // Whatever wrote the address: only what a browser opens as a page becomes a link.
  if (/^https?:\/\//i.test(url)) found.link = { href: url, text: url };
  else if (url) found.address = url;
  return found;
}

function place(medium: Loose): Carried {
  const latitude = Number(medium.latitude);
  const longitude = Number(medium.longitude);
  const found: Carried = { title: "Location", lines: [text(medium.name), text(medium.address)].filter(Boolean) };
  if (medium.latitude !== undefined && Number.isFinite(latitude) && Number.isFinite(longitude)) {
    const query = new URLSearchParams({ mlat: String(latitude), mlon: String(longitude) });
    const href = `https://www.openstreetmap.org/?${query}#map=16/${latitude}/${longitude}`;
    found.link = { href, text: `${latitude}, ${longitude}` };
  }
  return found;
}

function cards(medium: unknown): Carried {
  const listed = Array.isArray(medium) ? medium : loose(medium).contacts;
  const people = (Array.isArray(listed) ? listed : [medium]).filter(Boolean).map(loose);
  const all = (values: unknown, names: string[]): string[] =>
    (Array.isArray(values) ? values : [])
      .map((one) => names.map((name) => text(loose(one)[name])).find(Boolean) ?? "")
      .filter(Boolean);
  const lines = people.map((person) => {
    const names = loose(person.name);
    const name = text(names.formatted_name) || text(names.first_name) || text(person.name);
    const known = [name, ...all(person.phones, ["phone", "wa_id"]), ...all(person.emails, ["email"])].filter(Boolean);
    return known.join(" · ") || "Nothing that can be shown";
  });
  return { title: people.length > 1 ? `${people.length} contact cards` : "Contact card", lines };
}

/** What it says, also where that came inside of what it carries, or went out as a template. */
export function saidOf(message: Said): string {
  if (message.direction !== "in" && message.sent?.as === "template") return message.sent.text ?? "";
  if (message.text) return message.text;
  return carried(message) ? text(loose(message.media).caption) : "";
}

/** One line for lists. */
export function lineOf(message: Said): string {
  if (isNote(message)) return noteText(message);
  if (saidOf(message)) return saidOf(message);
  return message.template ? `Template ${message.template.name}` : mediaWord(message.type, message.media);
}

const TICKS: Record<string, string> = { queued: "…", sending: "…", sent: "✓", delivered: "✓✓", read: "✓✓" };

export interface Progress {
  status: string;
  ticks: string;
  isBad: boolean;
  why: string;
  /** When it reached each stage, a line each. */
  stages: string;
}

/** How far a message of ours got, and why it failed or still waits. */
export function progressOf(message: Said): Progress | null {
  const { status, reason, error } = message;
  if (!status || ["received", "simulated"].includes(status)) return null;
  const isBad = ["failed", "unknown"].includes(status);
  const stages = (message.stages ?? []).map(({ stage, at }) => `${stage} ${inFull(at)}`).join("\n");
  const why = isBad || status === "queued" ? whyNot(reason, error) : "";
  return { status, ticks: TICKS[status] ?? "", isBad, why, stages };
}

/** Why a message was not sent, or not yet, in words: ours where there are some, else the channel's own. */
export function whyNot(reason: string | null | undefined, error: string | null | undefined): string {
  return [inWords(reason), error && `The channel says: ${error}`].filter(Boolean).join(" ");
}
