// Times as people read them: relative, and in full in the reader's own zone, language and form.

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always" });
const now = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** The language in which times are written, for readers aloud. */
export const TIME_LANGUAGE = exact.resolvedOptions().locale;

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 minutes ago", "in 2 hours", in the reader's language. `at` and `from` are milliseconds. */
export function ago(at: number, from: number): string {
  const away = Math.round((at - from) / 1000);
  if (Math.abs(away) < 5) return now.format(0, "second");
  for (const [unit, length] of UNITS) {
    // Cut, not rounded: 119 minutes are "1 hour", and nothing jumps to the next unit too early.
    if (Math.abs(away) >= length) return relative.format(Math.trunc(away / length), unit);
  }
  return relative.format(away, "second");
}

/** Milliseconds after which what `ago` says may change. */
export function staysFor(at: number, from: number): number {
  const away = Math.abs(at - from) / 1000;
  return away < 60 ? 5_000 : away < 3_600 ? 20_000 : 300_000;
}

/** The moment in full. */
export const inFull = (iso: string): string => exact.format(new Date(iso));

/** The day alone. */
export const dayOf = (iso: string): string => day.format(new Date(iso));

/** Hours and minutes, for bubbles. */
export const hourOf = (iso: string): string => clock.format(new Date(iso));

/** The same with seconds, for a trace. */
export const secondOf = (iso: string): string => seconds.format(new Date(iso));

/** "1 h 20 min" from seconds. */
export function duration(length: number): string {
  const parts: string[] = [];
  let rest = Math.round(length);
  for (const [name, size] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const) {
    const count = Math.floor(rest / size);
    if (count > 0 && parts.length < 2) parts.push(`${count} ${name}`);
    rest -= count * size;
  }
  return parts.join(" ") || "0 s";
}
