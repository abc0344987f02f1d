// Times as people read them: relative, with the exact moment in the title and for machines in `datetime`.

import { h } from "./dom.js";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 minutes ago", "in 2 hours". */
function ago(iso, now = Date.now()) {
  const away = Math.round((new Date(iso).getTime() - now) / 1000);
  if (Math.abs(away) < 5) return "just now";
  for (const [unit, length] of UNITS) {
    // Cut, not rounded: 119 minutes are "1 hour", and nothing jumps to the next unit too early.
    if (Math.abs(away) >= length) return relative.format(Math.trunc(away / length), unit);
  }
  return relative.format(away, "second");
}

/** The moment in full, in the reader's own zone and form. */
export function inFull(iso) {
  return exact.format(new Date(iso));
}

/** Hours and minutes, for bubbles. */
export function hourOf(iso) {
  return clock.format(new Date(iso));
}

/** The same with seconds, for a trace. */
export function secondOf(iso) {
  return seconds.format(new Date(iso));
}

/** A `<time>` that keeps itself current; a dash for nothing. */
export function timeOf(iso, { none = "–" } = {}) {
  if (!iso) return h("span", { class: "muted" }, none);
  return h("time", { datetime: iso, title: inFull(iso), "data-relative": true }, ago(iso));
}

/** Relative and exact side by side, for timers, where both matter. */
export function timeInFull(iso, { none = "–" } = {}) {
  if (!iso) return h("span", { class: "muted" }, none);
  return h("span", { class: "stack" }, timeOf(iso), h("span", { class: "muted small-text" }, inFull(iso)));
}

/** "1 h 20 min" from seconds. */
export function duration(seconds) {
  const parts = [];
  let rest = Math.round(seconds);
  for (const [name, length] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(rest / length);
    if (count > 0 && parts.length < 2) parts.push(`${count} ${name}`);
    rest -= count * length;
  }
  return parts.join(" ") || "0 s";
}

/** Moves all shown relative times on. Called once, at start. */
export function keepTimesCurrent() {
  const renew = () => {
    for (const element of document.querySelectorAll("time[data-relative]")) {
      const text = ago(element.dateTime);
      if (element.textContent !== text) element.textContent = text;
    }
  };
  setInterval(renew, 5_000);
}
