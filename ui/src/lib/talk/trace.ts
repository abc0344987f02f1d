// The trace of a session: turn by turn, what happened, which way it went, and why.
import type { Said } from "./said.ts";

export interface Step {
  node: string;
  type: string;
  exit?: string | null;
  why?: string | null;
}
export interface Stimulus {
  type: string;
  kind?: string;
  text?: string | null;
  option?: string | null;
  [more: string]: unknown;
}
export interface Turn {
  turn?: number;
  at?: string;
  stimulus?: Stimulus | null;
  path?: Step[] | null;
  messages?: Said[] | null;
  changes?: { name: string; value?: unknown }[] | null;
  warnings?: { node?: string | null; text: string }[] | null;
}

const KINDS: Record<string, string> = {
  image: "an image",
  video: "a video",
  audio: "a voice message",
  document: "a document",
  sticker: "a sticker",
  location: "a location",
  contacts: "a contact card",
};
const isMedia = (kind: string | undefined): kind is string => kind !== undefined && Object.hasOwn(KINDS, kind);

/** What made a turn, in words. */
export function stimulusText(event: Stimulus | null | undefined): string {
  if (!event) return "";
  switch (event.type) {
    case "start":
      return "Started";
    case "reply":
      if (event.kind === "tap") return `Tapped “${event.text ?? event.option}”`;
      if (isMedia(event.kind)) return `Sent ${KINDS[event.kind]}${event.text ? `: “${event.text}”` : ""}`;
      return `Replied “${event.text ?? ""}”`;
    case "tap":
      return `Tapped “${event.text ?? event.id}”`;
    case "timeout":
      return "The time to answer ran out";
    case "expire":
      return "Expired";
    case "cancel":
      return `Cancelled: ${event.reason}`;
    case "delivery_failed":
      return `A message could not be delivered${event.code ? `: ${event.code}` : ""}`;
    case "external":
    case "event":
      return `Event “${event.name ?? event.event}”`;
    case "http":
      return "An HTTP call was answered";
    case "internal_error":
      return "The session could not go on";
    default:
      return event.type.replaceAll("_", " ");
  }
}

/** The conversation that a trace tells: replies and messages in order. */
export function conversationOf(turns: Turn[]): Said[] {
  return turns.flatMap((turn, place) => {
    const said: Said[] = [];
    const event = turn.stimulus;
    if (event?.type === "reply") {
      const kind = event.kind ?? "text";
      const payload = event.payload && typeof event.payload === "object" ? event.payload : {};
      const media = isMedia(kind) ? { kind, ...payload } : null;
      said.push({ id: `r${place}`, direction: "in", type: kind, text: event.text ?? null, media, at: turn.at ?? null });
    }
    (turn.messages ?? []).forEach((message, index) => {
      const at = message.created_at ?? turn.at ?? null;
      said.push({ ...message, id: message.id ?? `m${place}-${index}`, direction: "out", at });
    });
    return said;
  });
}
