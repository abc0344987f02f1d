// Live updates: the view on screen has the page's one EventSource, with a filter, so that a busy server sends it only
// what it shows. A hidden tab closes its own and looks anew when it is shown again: a browser has six connections for
// each host, and six open tabs would leave none for anything else.

import { BASE, withQuery } from "./api.js";

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

let current = null;

/**
 * Watches until the signal is aborted. Handlers: `session`, `message`, `flow`, `handoff`, `templates` get an event's data; `reload` is called
 * whenever something may have been missed (the server says so, or the connection was lost); `state` gets true while
 * the connection stands.
 */
export function watch(filter, handlers, signal) {
  current?.close();
  const watcher = new Watcher(filter, handlers);
  current = watcher;
  signal.addEventListener("abort", () => watcher.close(), { once: true });
}

class Watcher {
  constructor(filter, handlers) {
    this.url = BASE + withQuery("/events", filter);
    this.handlers = handlers;
    this.pause = FIRST_PAUSE;
    this.wasLost = false;
    this.isClosed = false;
    this.onvisibility = () => this.follow();
    document.addEventListener("visibilitychange", this.onvisibility);
    this.follow();
  }

  /** Is open while the tab is shown. */
  follow() {
    if (!document.hidden && !this.source) this.open();
    else if (document.hidden && this.source) {
      clearTimeout(this.timer);
      this.source.close();
      this.source = null;
      // What changes meanwhile is missed.
      this.wasLost = true;
    }
  }

  open() {
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => {
      this.pause = FIRST_PAUSE;
      this.handlers.state?.(true);
      if (this.wasLost) this.handlers.reload?.();
      this.wasLost = false;
    });
    for (const name of ["session", "message", "flow", "handoff", "templates"]) {
      this.source.addEventListener(name, (event) => this.handlers[name]?.(JSON.parse(event.data)));
    }
    // Whatever is on screen, a channel that stops concerns everybody.
    this.source.addEventListener("channel", () => window.dispatchEvent(new Event("qyvo-channel")));
    this.source.addEventListener("lagged", () => this.handlers.reload?.());
    this.source.addEventListener("error", () => this.lost());
  }

  lost() {
    if (this.isClosed) return;
    this.wasLost = true;
    this.handlers.state?.(false);
    // The browser itself tries again unless the server refused; then it gives up for good, and we must.
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.source = null;
    this.timer = setTimeout(() => this.follow(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onvisibility);
    this.source?.close();
    if (current === this) current = null;
  }
}

/** Calls a function once for a burst of calls: a busy flow must not make the page reload its list for each message. */
export function gathered(action, pause = 400) {
  let timer = null;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      action();
    }, pause);
  };
}
