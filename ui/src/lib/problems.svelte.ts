// What is wrong with the server now, as every page shows it: the count in the menu, and the banner.
import { send } from "./api/client.ts";
import { ApiError, isAbort } from "./api/errors.ts";
import { gathered } from "./gathered.ts";
import { live } from "./live.ts";
import { titles } from "./ui/title.svelte.ts";
import { visit } from "./visit.svelte.ts";

export interface Problem {
  /** What it is known by for as long as it goes on. */
  key: string;
  kind: string;
  severity: string;
  since: string | null;
  newest_at?: string | null;
  /** What is wrong. */
  text: string;
  /** What to do. */
  advice: string;
  count?: number | null;
  is_at_least?: boolean;
  about: {
    channel?: string;
    endpoint_id?: string;
    status?: string;
    reason?: string;
    template?: string;
    flows?: { id: string; name: string }[];
    token_id?: string;
    limit?: string;
  };
}

/** Milliseconds between two looks, besides when the server tells of a change. */
const PAUSE = 15_000;
/** Kinds that every page says, because nothing else works while they last. */
const ON_EVERY_PAGE = new Set([
  "database_stopped", "database_locked", "disk_full", "disk_nearly_full", "disk_below_min_free", "channel_unknown",
  "channel_paused", "channel_backing_off", "messages_reach_no_phone",
]);

class Problems {
  list = $state.raw<Problem[]>([]);
  /** When the list was made: what comes later is not in it. */
  at = $state.raw<string | null>(null);
  isLoaded = $state(false);
  error = $state.raw<unknown>(null);
  /** Whether the server has the list, and with it marks of what was seen. */
  isKnown = $state(true);
  #timer: ReturnType<typeof setInterval> | undefined;
  #end: (() => void) | null = null;

  get banners(): Problem[] {
    return this.list.filter(({ kind }) => ON_EVERY_PAGE.has(kind));
  }

  /** Begins with a log-in, and gives what ends it. */
  start(): () => void {
    const later = gathered(this.look, 500);
    this.#end = live.watchAll({ problems: later.call, channel: later.call, reload: later.call });
    this.#timer = setInterval(() => document.hidden || later.call(), PAUSE);
    void this.look();
    return () => {
      later.cancel();
      clearInterval(this.#timer);
      this.#end?.();
      this.#take([], null);
      this.isLoaded = false;
    };
  }

  /** Asks the server. */
  look = async (): Promise<void> => {
    try {
      const answer = this.isKnown ? await this.#ask() : await fallback();
      this.#take(answer.problems, answer.at ?? null);
    } catch (error) {
      if (!isAbort(error)) this.error = error;
    }
  };

  async #ask(): Promise<{ problems: Problem[]; at?: string }> {
    try {
      const { text } = await send("GET", "/problems");
      return JSON.parse(text) as { problems: Problem[]; at?: string };
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      this.isKnown = false;
      return fallback();
    }
  }

  #take(list: Problem[], at: string | null): void {
    this.list = list;
    this.at = at;
    this.isLoaded = true;
    this.error = null;
    titles.count(list.length);
  }
}

/** What a server without the list says of itself. */
async function fallback(): Promise<{ problems: Problem[]; at?: string }> {
  const response = await fetch("/readyz", { headers: { Accept: "application/json" } });
  const { reasons = [] } = (await response.json()) as { reasons?: { code: string; text: string; since: string }[] };
  const problems = reasons.map(({ code, text, since }) => {
    const about = code.startsWith("channel") ? { channel: visit.current?.channel.name ?? "" } : {};
    return { key: code, kind: code, severity: "error", since, text, advice: "", about };
  });
  if (visit.current && !visit.current.channel.reaches_phones && problems.every(({ about }) => !about.channel)) {
    problems.push({
      key: "messages_reach_no_phone", kind: "messages_reach_no_phone", severity: "warning", since: "",
      text: "Messages reach no phone: the channel in use only records them.",
      advice: "Connect a channel. For trying flows out it may stay as it is.",
      about: { channel: visit.current.channel.name },
    });
  }
  return { problems };
}

export const problems = new Problems();

/** Where a problem is looked into: the address, and what the link says. */
export function placeOf({ kind, about }: Problem): { href: string; label: string } | null {
  if (about.endpoint_id) return { href: `#/webhooks/${about.endpoint_id}`, label: "See the endpoint" };
  if (about.status) {
    const query = new URLSearchParams({ status: about.status });
    if (about.reason) query.set("reason", about.reason);
    return { href: `#/messages?${query}`, label: "See the messages" };
  }
  if (about.template) {
    return { href: `#/templates?name=${encodeURIComponent(about.template)}`, label: "See the template" };
  }
  if (kind.includes("templates")) return { href: "#/templates", label: "See the templates" };
  if (about.token_id) return { href: "#/tokens", label: "See the tokens" };
  if (kind.startsWith("backup")) return { href: "#/settings", label: "See the settings" };
  if (about.channel) return { href: "#/channel", label: "See the channel" };
  return null;
}
