// The server: how much room its database takes and has, the backups, and who did what.

import * as api from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { timeOf } from "../time.js";
import { button, counted, emptyState, facts, failure, field, pageHeader, pagedList, table, toast } from "../ui.js";

const UNITS = [["GiB", 1024 ** 3], ["MiB", 1024 ** 2], ["KiB", 1024]];

/** Bytes in the largest unit of which there is one. */
function bytesOf(bytes) {
  const [unit, size] = UNITS.find(([, least]) => Math.abs(bytes) >= least) ?? ["bytes", 1];
  return `${(bytes / size).toLocaleString(undefined, { maximumFractionDigits: size === 1 ? 0 : 1 })} ${unit}`;
}

/** By how much the database grows, in words. */
function growthOf({ growth_per_day_bytes: growth }) {
  if (growth === undefined) return "known after a day";
  if (growth <= 0) return "it does not grow";
  return `${bytesOf(growth)} a day`;
}

function roomOf(disk) {
  if (!disk) return h("p", { class: "muted" }, "The file system does not say how much room there is.");
  const { full_in_days: days } = disk;
  return facts([
    ["Database", bytesOf(disk.database_bytes)],
    ["Its write-ahead log", bytesOf(disk.log_bytes)],
    ["Free on its disk", bytesOf(disk.free_bytes)],
    ["Growth in the last week", h("span", { testid: "disk-growth" }, growthOf(disk))],
    days !== undefined && ["The disk is full", h("span", { class: days < 14 ? "bad" : null, testid: "disk-full-in" }, `in ${counted(days, "day", "days")}, if that goes on`)],
  ]);
}

/** How the server's own backups stand, in a sentence or two. */
function standOf({ every_seconds: every, is_late: isLate, error, data }) {
  const plan = every === 0
    ? "The server makes none by itself: set backup.every in its configuration."
    : `The server makes one every ${every % 3600 === 0 ? counted(every / 3600, "hour", "hours") : counted(Math.round(every / 60), "minute", "minutes")}.`;
  return [
    h("p", { testid: "backup-plan" }, plan, " ", data.length > 0 ? ["The last one was made ", timeOf(data[0].created_at), "."] : "There is none yet."),
    error && h("p", { class: "bad", role: "alert", testid: "backup-error" }, `The last attempt failed: ${error}`),
    isLate && h("p", { class: "bad", testid: "backup-late" }, "None was made for more than two intervals."),
  ];
}

/** Who did something: the name, or what it was if it has none. */
const actorOf = ({ kind, name, network }) => h("span", { class: "stack" }, name ?? kind.replaceAll("_", " "),
  h("span", { class: "muted small-text" }, [name && kind.replaceAll("_", " "), network].filter(Boolean).join(", ")));

export function serverView(_params, page) {
  const room = h("div", { testid: "disk" });
  const stand = h("div");
  const copies = table({
    caption: "Backups",
    columns: [{ label: "File", kind: "main" }, { label: "Size", kind: "number" }, { label: "Made" }, { label: "", kind: "row-actions" }],
  });
  const backups = pagedList({
    list: copies,
    async load() {
      const answer = await api.get("/backups", { signal: page.signal });
      replace(stand, standOf(answer));
      return answer;
    },
    show(items) {
      keyed(copies.body, items, (item) => item.name, (item) => copies.row([
        h("span", { class: "strong" }, item.name), bytesOf(item.bytes), timeOf(item.created_at),
        h("a", { class: "button small", href: `${api.BASE}/backups/${encodeURIComponent(item.name)}`, download: item.name, testid: "backup-download" }, "Download"),
      ], { testid: "backup-row" }));
    },
    empty: () => emptyState("No backup yet", "A backup is a copy of the whole database. Keep it on another machine."),
  });

  async function backUp() {
    const made = await api.post("/backups");
    toast(`${made.name} is whole.`);
    await Promise.all([backups.reload(), audit.reload()]);
  }

  const actor = h("input", { type: "search", autocomplete: "off", testid: "audit-actor" });
  const entries = table({
    caption: "Who did what",
    columns: [{ label: "When" }, { label: "What", kind: "main" }, { label: "By" }, { label: "To" }, { label: "Detail", kind: "wide" }],
  });
  const audit = pagedList({
    list: entries,
    load: (query) => api.get(api.withQuery("/audit", { ...query, actor: actor.value.trim() }), { signal: page.signal }),
    show(items) {
      keyed(entries.body, items, ({ at, action, target, detail }) => JSON.stringify([at, action, target, detail]), (item) => entries.row([
        timeOf(item.at), h("code", {}, item.action), actorOf(item.actor), item.target && h("span", { class: "small-text clamp" }, item.target),
        item.detail && h("span", { class: "small-text" }, item.detail),
      ], { testid: "audit-row" }));
    },
    empty: () => emptyState("Nothing", actor.value.trim() === "" ? "Nothing was done so far that is written down." : "Nothing was done under this name."),
  });
  actor.addEventListener("change", () => audit.restart());

  async function loadRoom() {
    try {
      replace(room, roomOf((await api.get("/stats?hours=1", { signal: page.signal })).disk));
    } catch (error) {
      if (!api.isAbort(error)) replace(room, failure(error, loadRoom));
    }
  }

  loadRoom();
  backups.reload();
  audit.reload();
  return {
    title: "Server",
    element: h("div", {},
      pageHeader("Server", { intro: "The room that the database takes, its backups, and who did what." }),
      h("section", {}, h("h2", {}, "Room"), room),
      h("section", {}, h("div", { class: "page-title" }, h("h2", {}, "Backups"), h("div", { class: "actions" }, button("Back up now", backUp, { testid: "backup-make" }))),
        stand, copies.element, backups.foot),
      h("section", {}, h("h2", {}, "Who did what"), field("By", actor, { hint: "The name of a person or of a token." }), entries.element, audit.foot)),
  };
}
