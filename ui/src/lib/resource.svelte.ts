// Something that a view shows and the server has: loaded when the view comes, given up when it goes, and loaded again
// when the server is back after it could not be reached.
import { untrack } from "svelte";

import { isAbort, isUnreachable } from "./api/errors.ts";
import { connection } from "./connection.svelte.ts";

/** Milliseconds after which a view says that it loads: what comes sooner would only flicker. */
export const SLOW = 200;

export class Resource<T> {
  /** What was loaded last. It stays while it is loaded anew. */
  data = $state.raw<T | null>(null);
  error = $state.raw<unknown>(null);
  /** Nothing is there yet, and it takes longer than `SLOW`. */
  isSlow = $state(false);
  #load: (signal: AbortSignal) => Promise<T>;
  #run: AbortController | null = null;
  #forget: (() => void) | null = null;

  constructor(load: (signal: AbortSignal) => Promise<T>) {
    this.#load = load;
  }

  /** Loads it anew; what a load before it finds no longer counts. */
  reload = async (): Promise<void> => {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    const timer = setTimeout(() => { this.isSlow = this.data === null; }, SLOW);
    try {
      const data = await this.#load(run.signal);
      if (this.#run !== run) return;
      this.data = data;
      this.error = null;
    } catch (error) {
      if (isAbort(error) || this.#run !== run) return;
      this.error = error;
      if (isUnreachable(error)) this.#forget = connection.onReturn(() => void this.reload());
    } finally {
      clearTimeout(timer);
      if (this.#run === run) this.isSlow = false;
    }
  };

  /** Puts something in its place that an answer has brought. */
  take(data: T): void {
    this.stop();
    this.data = data;
    this.error = null;
  }

  /** Gives up what is under way. */
  stop(): void {
    this.#run?.abort();
    this.#run = null;
    this.#forget?.();
    this.#forget = null;
  }

  /** Begins with something else. */
  clear(): void {
    this.stop();
    this.data = null;
    this.error = null;
    this.isSlow = false;
  }
}

/** A resource of a component. It is cleared and loaded anew when `key` changes. */
export function useResource<T, K>(key: () => K, load: (key: K, signal: AbortSignal) => Promise<T>): Resource<T> {
  const resource: Resource<T> = new Resource((signal) => load(untrack(key), signal));
  $effect(() => {
    key();
    untrack(() => {
      resource.clear();
      void resource.reload();
    });
    return () => resource.stop();
  });
  return resource;
}
