// Where the reader is: the address as state, and the ways to change it.
import { readAddress, writeAddress, type Address } from "./router.ts";

/** Asks whether a view may be left; false keeps it. */
type Guard = () => Promise<boolean>;

class Navigation {
  #address = $state.raw<Address>(readAddress(location.hash));
  #guard: Guard | null = null;
  #isAsking = false;
  /** Whether the reader has gone from one view to another. */
  hasMoved = false;

  get path(): string {
    return this.#address.path;
  }

  get query(): URLSearchParams {
    return this.#address.query;
  }

  /** Follows the browser's own moves. Called once, at start. */
  start(): void {
    addEventListener("hashchange", () => void this.#follow());
    addEventListener("beforeunload", (event) => {
      if (this.#guard) event.preventDefault();
    });
  }

  /** Goes to a path, such as `/flows`, with filters. */
  go(path: string, query: Record<string, string | null | undefined> = {}): void {
    location.hash = writeAddress(path, query);
  }

  /** The same without a step to go back to. */
  replace(path: string, query: Record<string, string | null | undefined> = {}): void {
    history.replaceState(null, "", writeAddress(path, query));
    this.#address = readAddress(location.hash);
  }

  /** Changes filters of the view on screen. Nothing is loaded anew but what depends on them. */
  setQuery(changes: Record<string, string | null | undefined>): void {
    const query = new URLSearchParams(this.#address.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    history.replaceState(null, "", writeAddress(this.#address.path, query));
    this.#address = { path: this.#address.path, query };
  }

  /** Has leaving the view asked about; null lets it go. */
  guard(guard: Guard | null): void {
    this.#guard = guard;
  }

  /** Whether the reader may go: nothing is unsaved, or they say so. */
  async mayLeave(): Promise<boolean> {
    if (!this.#guard) return true;
    if (this.#isAsking) return false;
    this.#isAsking = true;
    try {
      const mayLeave = await this.#guard();
      if (mayLeave) this.#guard = null;
      return mayLeave;
    } finally {
      this.#isAsking = false;
    }
  }

  async #follow(): Promise<void> {
    const wanted = location.hash;
    const next = readAddress(wanted);
    this.hasMoved = true;
    const stays = next.path.split("/").slice(0, 3).join("/") === this.path.split("/").slice(0, 3).join("/");
    if (this.#guard && !stays) {
      // The address has changed already: it is put back while the question is open.
      history.replaceState(null, "", writeAddress(this.path, this.query));
      if (!(await this.mayLeave())) return;
      history.pushState(null, "", wanted);
    }
    this.#address = next;
  }
}

export const navigation = new Navigation();
