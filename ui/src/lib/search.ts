// Looking for anything: flows, people, conversations, messages, templates and endpoints, by the server; pages and
// settings by their names here.
import { get, pathOf, send } from "./api/client.ts";
import { ApiError } from "./api/errors.ts";

export interface Hit {
  kind: string;
  id: string;
  title: string;
  subtitle: string;
  href: string;
}
export interface Group {
  title: string;
  hits: Hit[];
}

interface FoundHit {
  kind: string;
  id: string;
  title: string;
  subtitle?: string;
  contact_id?: string;
  session_id?: string;
}
interface FoundGroup {
  kind: string;
  hits: FoundHit[];
  more?: { path: string; parameters: Record<string, string> }[];
}

const TITLES: Record<string, string> = {
  flow: "Flows",
  contact: "Contacts",
  session: "Sessions",
  message: "Messages",
  template: "Templates",
  endpoint: "Webhooks",
};
const PAGES = [
  ["Problems", "#/problems", "what is wrong"],
  ["Flows", "#/flows", "conversations, sequences"],
  ["Sessions", "#/sessions", "conversations that run or have ended"],
  ["Waiting for a person", "#/sessions?status=handoff", "handoff, inbox"],
  ["Contacts", "#/contacts", "people, phone numbers, tags"],
  ["Messages", "#/messages", "failed, not routed"],
  ["Channel", "#/channel", "WhatsApp, pause, access token"],
  ["Templates", "#/templates", ""],
  ["Webhooks", "#/webhooks", "endpoints, events"],
  ["Tokens", "#/tokens", "API keys"],
  ["Settings", "#/settings", "password, limits, backups"],
] as const;

/** Whether the server has the route. */
let isKnown = true;

/** Pages by a part of their names. */
export function pagesFor(text: string): Group[] {
  const wanted = text.trim().toLowerCase();
  const hits = PAGES.filter(([name, , about]) => wanted === "" || `${name} ${about}`.toLowerCase().includes(wanted));
  const found = hits.map(([title, href, subtitle]) => ({ kind: "page", id: href, title, subtitle, href }));
  return found.length > 0 ? [{ title: "Pages", hits: found }] : [];
}

/** What the server finds. */
export async function search(text: string, signal: AbortSignal): Promise<Group[]> {
  const groups = isKnown ? await ask(text, signal) : await fallback(text, signal);
  return groups.map(({ kind, hits, more = [] }) => {
    const shown = hits.map(hitOf);
    // A list that goes on where these end.
    for (const { path, parameters } of more) {
      const href = `#${pathOf(path, {}, parameters)}`;
      shown.push({ kind: "more", id: href, title: "Show all", subtitle: Object.keys(parameters).join(", "), href });
    }
    return { title: TITLES[kind] ?? kind, hits: shown };
  });
}

async function ask(text: string, signal: AbortSignal): Promise<FoundGroup[]> {
  try {
    const answer = await send("GET", pathOf("/search", {}, { q: text }), { signal });
    return (JSON.parse(answer.text) as { groups: FoundGroup[] }).groups;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    isKnown = false;
    return fallback(text, signal);
  }
}

/** Without the route: people, and flows by their names. */
async function fallback(text: string, signal: AbortSignal): Promise<FoundGroup[]> {
  const [flows, people] = await Promise.all([
    get("/flows", { signal }),
    get("/contacts", { query: { query: text, limit: 6 }, signal }),
  ]);
  const wanted = text.toLowerCase();
  const named = flows.data.filter(({ id, name }) => name.toLowerCase().includes(wanted) || id === wanted).slice(0, 6);
  const groups = [
    { kind: "flow", hits: named.map(({ id, name, status }) => ({ kind: "flow", id, title: name, subtitle: status })) },
    {
      kind: "contact",
      hits: people.data.map(({ id, name, phone }) => ({
        kind: "contact", id, title: name ?? phone ?? "Contact", subtitle: phone ?? "",
      })),
    },
  ];
  return groups.filter(({ hits }) => hits.length > 0);
}

function hitOf(hit: FoundHit): Hit {
  const { kind, id, title, subtitle = "" } = hit;
  return { kind, id, title, subtitle, href: hrefOf(hit) };
}

function hrefOf({ kind, id, title, contact_id: contact, session_id: session }: FoundHit): string {
  switch (kind) {
    case "contact":
      return `#/contacts/${id}`;
    case "session":
      return `#/sessions/${id}`;
    case "message":
      return session ? `#/sessions/${session}` : contact ? `#/contacts/${contact}` : "#/messages";
    case "template":
      return `#/templates?name=${encodeURIComponent(title)}`;
    case "endpoint":
      return `#/webhooks/${id}`;
    default:
      return `#/flows/${id}`;
  }
}
