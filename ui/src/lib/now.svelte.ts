// The present moment as state: one timer moves all relative times of the page on.

const PAUSE = 5_000;

class Now {
  /** Milliseconds. */
  value = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.value = Date.now();
    }, PAUSE);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.value = Date.now();
    });
  }
}

export const now = new Now();
