// Whether the server can be reached. What was asked for in vain is asked for again once it is back.
import { onReached } from "./api/client.ts";

class Connection {
  /** False from the first request that nothing answered until one is answered. */
  isReached = $state(true);
  /** Whether live updates come in; null while nobody waits for them. */
  isLive = $state<boolean | null>(null);
  #waiting = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Has something called once the server is back. Gives what takes that back. */
  onReturn(call: () => void): () => void {
    this.#waiting.add(call);
    this.#lookSoon();
    return () => this.#waiting.delete(call);
  }

  /** Takes what a request, or the live stream, has found. */
  found(isReached: boolean): void {
    this.isReached = isReached;
    if (!isReached) {
      this.#lookSoon();
      return;
    }
    const calls = [...this.#waiting];
    this.#waiting.clear();
    for (const call of calls) call();
  }

  /** Without the live stream nothing else would notice that the server is back. */
  #lookSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      if (this.isReached && this.#waiting.size === 0) return;
      const response = await fetch("/healthz", { cache: "no-store" }).catch(() => null);
      this.found(response?.ok === true);
    }, 2_000);
  }
}

export const connection = new Connection();
onReached((isReached) => {
  if (isReached !== connection.isReached) connection.found(isReached);
});
