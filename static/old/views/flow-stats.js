// The tab Stats: what came of the flow's sessions, by the hour, and where they went.

import * as api from "../api.js";
import { h, replace, s } from "../dom.js";
import { OUTCOMES } from "../lists.js";
import { inFull } from "../time.js";
import { emptyState, failure, field, table } from "../ui.js";

export function statsTab(flow, { signal }) {
  const hours = h("select", { testid: "stats-hours" }, h("option", { value: "24" }, "24 hours"), h("option", { value: "72" }, "3 days"), h("option", { value: "168" }, "7 days"));
  const place = h("div", { "aria-live": "polite" });
  async function load() {
    try {
      draw(place, await api.get(api.withQuery("/stats", { flow_id: flow.id, hours: hours.value }), { signal }), hours.selectedOptions[0].textContent);
    } catch (error) {
      if (!api.isAbort(error)) replace(place, failure(error, load));
    }
  }
  hours.addEventListener("change", load);
  load();
  return h("div", {}, h("div", { class: "inline-fields" }, field("Charts show the last", hours)), place);
}

function draw(place, stats, span) {
  const sessions = stats.totals?.sessions ?? {};
  replace(place,
    h("h2", {}, "In all"),
    h("dl", { class: "tiles" }, ["running", ...OUTCOMES].map((name) => tile(name, sessions[name])), tile("messages sent", stats.totals?.messages?.out)),
    h("h2", {}, `By the hour, last ${span}`),
    h("div", { class: "charts" },
      chart("Sessions started", stats.series ?? [], (hour) => hour.started ?? 0),
      chart("Sessions that expired, failed or reached nobody", stats.series ?? [], (hour) => (hour.expired ?? 0) + (hour.failed ?? 0) + (hour.undelivered ?? 0)),
      chart("Messages sent", stats.series ?? [], (hour) => hour.messages_out ?? 0)),
    seriesTable(stats.series ?? []),
    versions(stats.versions ?? []),
    exits(stats.nodes ?? []));
}

const tile = (name, count) => h("div", { class: "tile" }, h("dt", {}, name[0].toUpperCase() + name.slice(1)), h("dd", {}, (count ?? 0).toLocaleString()));

const WIDTH = 480;
const HEIGHT = 120;

/** Bars. The numbers are in the table below, so the picture itself needs only a name. */
function chart(title, series, valueOf) {
  const values = series.map(valueOf);
  const most = Math.max(...values, 0);
  const total = values.reduce((sum, value) => sum + value, 0);
  const step = WIDTH / Math.max(series.length, 1);
  const bars = series.map((hour, index) => {
    const height = most === 0 ? 0 : Math.max((values[index] / most) * (HEIGHT - 4), values[index] > 0 ? 3 : 0);
    return s("rect", { class: "bar", x: (index * step + step * 0.12).toFixed(2), y: (HEIGHT - height).toFixed(2), width: (step * 0.76).toFixed(2), height: height.toFixed(2), rx: Math.min(2, step / 4) },
      s("title", {}, `${inFull(hour.hour)}: ${values[index]}`));
  });
  const label = `${title}: ${total} in all, at most ${most} in an hour`;
  return h("figure", { class: "chart" },
    h("figcaption", {}, h("span", {}, title), h("span", { class: "muted small-text" }, `${total.toLocaleString()} in all, at most ${most.toLocaleString()} in an hour`)),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
      s("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), bars),
    series.length > 0 && h("div", { class: "chart-foot" }, h("span", {}, inFull(series[0].hour)), h("span", {}, "this hour")));
}

function seriesTable(series) {
  const columns = [{ label: "Hour", kind: "main" }, ...OUTCOMES.map((name) => ({ label: name[0].toUpperCase() + name.slice(1), kind: "number" })), { label: "Messages", kind: "number" }];
  const list = table({ caption: "Numbers by the hour", columns });
  const busy = series.filter((hour) => OUTCOMES.some((name) => hour[name]) || hour.messages_out).reverse();
  list.body.append(...busy.map((hour) => list.row([inFull(hour.hour), ...OUTCOMES.map((name) => hour[name] ?? 0), hour.messages_out ?? 0])));
  return h("details", {}, h("summary", {}, "The numbers as a table"), busy.length > 0 ? list.element : h("p", { class: "muted" }, "Nothing happened in this time."));
}

function versions(rows) {
  if (rows.length === 0) return null;
  const list = table({ caption: "By version", columns: [{ label: "Version", kind: "main" }, ...OUTCOMES.map((name) => ({ label: name[0].toUpperCase() + name.slice(1), kind: "number" }))] });
  list.body.append(...rows.map((row) => list.row([`Version ${row.version}`, ...OUTCOMES.map((name) => row[name] ?? 0)])));
  return [h("h2", {}, "By version"), list.element];
}

function exits(nodes) {
  const rows = nodes.flatMap(({ node, exits: counts, leads_nowhere: nowhere = {} }) => {
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    return Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([exit, count], index) => ({ node: index === 0 ? node : "", name: node, exit, count, nowhere: nowhere[exit] ?? 0, share: all === 0 ? 0 : count / all }));
  });
  const heading = h("h2", {}, "Where sessions went");
  if (rows.length === 0) return [heading, emptyState("No session has moved yet", "Trigger the flow, and the exits that its sessions take are counted here.")];
  const list = table({ caption: "Exits by node", columns: [{ label: "Node", kind: "main" }, { label: "Exit" }, { label: "Share", kind: "wide" }, { label: "Times", kind: "number" }] });
  list.body.append(...rows.map(({ name, exit, count, nowhere, share }) => list.row([
    h("code", {}, name), nowhere === 0 ? exit : h("span", {}, exit, " ", deadEnd(nowhere)),
    shareBar(share), count.toLocaleString(),
  ])));
  return [heading, list.element];
}

/** How many conversations ended without a word, because an exit is not wired. */
const deadEnd = (count) =>
  h("span", { class: "severity warning" }, `leads nowhere: ${count.toLocaleString()} ended without a word`);

function shareBar(share) {
  const percent = `${Math.round(share * 100)} %`;
  return h("span", { class: "share" },
    s("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { class: "track", width: 100, height: 8, rx: 2 }), s("rect", { class: "bar", width: (share * 100).toFixed(1), height: 8, rx: 2 })),
    h("span", {}, percent));
}
