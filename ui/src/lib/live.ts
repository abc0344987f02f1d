// Live updates: the tab has one EventSource, with the filter of the view on screen, so that a busy server sends it only
// what it shows. A hidden tab closes its own and looks anew when it is shown again: a browser has six connections for
// each host, and six open tabs would leave none for anything else.
import { BASE, pathOf, type QueryValue } from "./api/client.ts";
import { connection } from "./connection.svelte.ts";

/** Kinds of events that concern what a view shows. */
const KINDS = ["session", "message", "flow", "handoff", "templates"] as const;
/** Kinds that concern every page, whatever its filter. */
const OF_ALL = ["channel", "problems"] as const;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
/** A filter that no conversation meets: what concerns every page comes all the same. */
const NOTHING = { session_id: "00000000-0000-0000-0000-000000000000" };

type Kind = (typeof KINDS)[number] | (typeof OF_ALL)[number];
/** An event's data, as far as a view needs it. */
export interface Change {
  id?: string;
  [more: string]: unknown;
}
export type Handlers = Partial<Record<Kind, (change: Change) => void>> & {
  /** Called whenever something may have been missed: the server says so, or the connection was lost. */
  reload?: () => void;
};
export type Filter = Record<string, QueryValue>;

class Live {
  #views: { filter: Filter; handlers: Handlers }[] = [];
  #pages = new Set<Handlers>();
  #source: EventSource | null = null;
  #url = "";
  #pause = FIRST_PAUSE;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wasLost = false;
  #isOn = false;

  /** Begins with a log-in. */
  start(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    document.addEventListener("visibilitychange", this.#follow);
    // The view that comes says what it wants: one connection is opened, and not two.
    this.#timer = setTimeout(this.#follow, FIRST_PAUSE);
  }

  /** Ends with a log-out. */
  stop(): void {
    this.#isOn = false;
    document.removeEventListener("visibilitychange", this.#follow);
    this.#close();
    this.#url = "";
    connection.isLive = null;
  }

  /** Watches for a view until the function that it gives is called. */
  watch(filter: Filter, handlers: Handlers): () => void {
    const view = { filter, handlers };
    this.#views.push(view);
    queueMicrotask(this.#follow);
    return () => {
      this.#views = this.#views.filter((one) => one !== view);
      // The view that follows comes at once: one connection is closed and opened, and not two.
      queueMicrotask(this.#follow);
    };
  }

  /** Watches for what concerns every page. */
  watchAll(handlers: Handlers): () => void {
    this.#pages.add(handlers);
    return () => this.#pages.delete(handlers);
  }

  /** Is open while the tab is shown, with the filter of the newest view. */
  #follow = (): void => {
    if (!this.#isOn) return;
    if (document.hidden) {
      // What changes meanwhile is missed.
      if (this.#source) this.#wasLost = true;
      this.#close();
      return;
    }
    const url = BASE + pathOf("/events", {}, this.#views.at(-1)?.filter ?? NOTHING);
    if (this.#source && url === this.#url) return;
    this.#close();
    this.#url = url;
    this.#open();
  };

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #handlers(): Handlers[] {
    return [...this.#views.map(({ handlers }) => handlers), ...this.#pages];
  }

  #reload(): void {
    for (const handlers of this.#handlers()) handlers.reload?.();
  }

  #open(): void {
    const source = new EventSource(this.#url);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#pause = FIRST_PAUSE;
      connection.isLive = true;
      connection.found(true);
      if (this.#wasLost) this.#reload();
      this.#wasLost = false;
    });
    for (const kind of [...KINDS, ...OF_ALL]) {
      source.addEventListener(kind, (event) => {
        const change = JSON.parse((event as MessageEvent<string>).data) as Change;
        for (const handlers of this.#handlers()) handlers[kind]?.(change);
      });
    }
    source.addEventListener("lagged", () => this.#reload());
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      this.#wasLost = true;
      connection.isLive = false;
      // The browser itself tries again unless the server refused; then it gives up for good, and we must.
      if (source.readyState !== EventSource.CLOSED) return;
      this.#close();
      this.#timer = setTimeout(() => {
        this.#url = "";
        this.#follow();
      }, this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    });
  }
}

export const live = new Live();
