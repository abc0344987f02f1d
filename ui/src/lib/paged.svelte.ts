// A list that loads page by page and follows what changes, but never moves while it is held, which it is while the
// pointer or the focus is in it: then known rows change where they stand, and new ones are counted.
import { untrack } from "svelte";

import { isAbort, isUnreachable } from "./api/errors.ts";
import { connection } from "./connection.svelte.ts";
import { gathered } from "./gathered.ts";
import { live, type Filter, type Handlers } from "./live.ts";
import { freshIn, mergeHeld, mergeNew } from "./merge.ts";
import { SLOW } from "./resource.svelte.ts";

export const PAGE = 50;
const MOST = 200;
/** Milliseconds between two loads for live updates: what a busy server costs each viewer. */
export const PACE = 2_000;
/** Milliseconds after which a list that is no longer held takes what waits. */
const LET_GO = 400;

export interface Page<Item> {
  data: Item[];
  next_cursor: string | null;
  total?: number;
  is_total_exact?: boolean;
}
type Load<Item> = (page: { cursor: string | null; limit: number }, signal: AbortSignal) => Promise<Page<Item>>;

export class Paged<Item> {
  items = $state.raw<Item[]>([]);
  cursor = $state.raw<string | null>(null);
  /** How many there are in all, where the list says so. */
  total = $state.raw<{ count: number; isExact: boolean } | null>(null);
  isLoaded = $state(false);
  isSlow = $state(false);
  error = $state.raw<unknown>(null);
  /** How many rows wait until the list is let go. */
  fresh = $state(0);
  /** More of them may wait than were loaded. */
  isMoreFresh = $state(false);
  isHeld = false;
  readonly key: (item: Item) => string;
  #load: Load<Item>;
  #waiting: Page<Item> | null = null;
  #run: AbortController | null = null;
  #forget: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(load: Load<Item>, key: (item: Item) => string) {
    this.#load = load;
    this.key = key;
  }

  /** Begins anew, for another filter. */
  restart = async (): Promise<void> => {
    this.stop();
    this.#waiting = null;
    this.fresh = 0;
    this.error = null;
    this.isLoaded = false;
    await this.#fetch((page) => this.#take(page, false));
  };

  /** Loads what is shown anew, and shows it at once: for what the reader has done. */
  reload = async (): Promise<void> => this.#fetch((page) => this.#take(page, true));

  /** Loads what is shown anew for what others have done; new rows wait while the list is held. */
  follow = async (): Promise<void> => {
    await this.#fetch((page) => {
      if (!this.isHeld) return this.#take(page, true);
      this.#waiting = page;
      this.items = mergeHeld(this.items, page.data, this.key);
      this.fresh = freshIn(this.items, page.data, this.key);
      this.isMoreFresh = this.fresh === page.data.length && page.next_cursor !== null;
    });
  };

  /** Shows the rows that wait. */
  showFresh = (): void => {
    if (this.#waiting) this.#take(this.#waiting, true);
  };

  /** Loads the next page. */
  more = async (): Promise<void> => {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    const page = await this.#load({ cursor: this.cursor, limit: PAGE }, run.signal);
    if (this.#run !== run) return;
    const known = new Set(this.items.map(this.key));
    this.items = [...this.items, ...page.data.filter((item) => !known.has(this.key(item)))];
    this.cursor = page.next_cursor;
  };

  /** Keeps the rows where they are, or lets them go. */
  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    clearTimeout(this.#timer);
    if (!isHeld && this.#waiting) this.#timer = setTimeout(() => this.isHeld || this.showFresh(), LET_GO);
  }

  stop(): void {
    this.#run?.abort();
    this.#run = null;
    this.#forget?.();
    this.#forget = null;
    clearTimeout(this.#timer);
  }

  #take(page: Page<Item>, keepsTail: boolean): void {
    // Behind a page that is the last one there is nothing, whatever the list has shown.
    const mayGoOn = keepsTail && page.next_cursor !== null;
    const merged = mayGoOn ? mergeNew(this.items, page.data, this.key) : { items: page.data, hasTail: false };
    this.items = merged.items;
    // Behind rows that were kept stands the cursor that their own page gave.
    if (!merged.hasTail) this.cursor = page.next_cursor;
    this.total = page.total === undefined ? null : { count: page.total, isExact: page.is_total_exact !== false };
    this.#waiting = null;
    this.fresh = 0;
    this.isLoaded = true;
  }

  async #fetch(take: (page: Page<Item>) => void): Promise<void> {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    const timer = setTimeout(() => { this.isSlow = !this.isLoaded; }, SLOW);
    try {
      const limit = Math.min(Math.max(this.isLoaded ? this.items.length : 0, PAGE), MOST);
      const page = await this.#load({ cursor: null, limit }, run.signal);
      if (this.#run !== run) return;
      take(page);
      this.error = null;
    } catch (error) {
      if (isAbort(error) || this.#run !== run) return;
      this.error = error;
      if (isUnreachable(error)) this.#forget = connection.onReturn(() => void this.follow());
    } finally {
      clearTimeout(timer);
      if (this.#run === run) this.isSlow = false;
    }
  }
}

interface Settings<Item, K> {
  /** What the list depends on: when it changes, the list begins anew. */
  filter: () => K;
  load: (filter: K, page: { cursor: string | null; limit: number }, signal: AbortSignal) => Promise<Page<Item>>;
  key: (item: Item) => string;
  /** Kinds of live events after which it is loaded anew, and which of them the server sends. */
  follows?: { kinds: (keyof Handlers)[]; filter?: () => Filter };
}

/** A list of a component. */
export function usePaged<Item, K>({ filter, load, key, follows }: Settings<Item, K>): Paged<Item> {
  const list: Paged<Item> = new Paged((page, signal) => load(untrack(filter), page, signal), key);
  $effect(() => {
    filter();
    untrack(() => void list.restart());
    return () => list.stop();
  });
  if (follows) {
    $effect(() => {
      const watched = follows.filter?.() ?? {};
      const later = gathered(() => list.follow(), PACE);
      const kinds = [...follows.kinds, "reload"].map((kind) => [kind, later.call]);
      const end = live.watch(watched, Object.fromEntries(kinds) as Handlers);
      return () => {
        later.cancel();
        end();
      };
    });
  }
  return list;
}
