// The tab Tests: saved conversations that must go the same way whenever the flow is published.

import * as api from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { stimulus } from "../trace.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, emptyState, linkButton, pagedList, status, table } from "../ui.js";

export function testsTab(flow, { signal }) {
  let results = new Map();
  const verdict = h("p", { role: "status", testid: "tests-verdict" });
  const list = table({
    caption: "Test cases",
    columns: [{ label: "Name", kind: "main" }, { label: "Result", kind: "wide" }, { label: "Saved" }, { label: "", kind: "row-actions" }],
  });
  const runAll = button("Run all", run, { kind: "primary", testid: "tests-run" });
  const cases = pagedList({
    list,
    load: () => api.get(`${flow.path}/test-cases`, { signal }),
    show(items) {
      runAll.hidden = items.length === 0;
      keyed(list.body, items.map((item) => ({ ...item, result: results.get(item.id) })), (item) => item.id, row);
    },
    empty: () => emptyState("No test case yet", "Play a conversation in the tab Try and save it as a test case. Publishing then runs it, and tells you if the flow answers otherwise.",
      linkButton("Go to Try", `#/flows/${flow.id}/try`)),
  });

  function row(item) {
    const { result } = item;
    return list.row([
      h("span", { class: "stack" }, h("span", { class: "strong" }, item.name), h("span", { class: "muted small-text" }, stepsOf(item.script))),
      result ? h("span", { class: "stack" }, status(result.passed ? "passed" : "failed"), result.problem && h("span", {}, result.problem)) : h("span", { class: "muted" }, "not run"),
      h("span", { class: "stack" }, timeOf(item.created_at), item.actor && h("span", { class: "muted small-text" }, `by ${item.actor}`)),
      h("div", { class: "actions" }, button("Delete", () => remove(item), { kind: "small", testid: "test-delete" })),
    ], { testid: "test-row" });
  }

  async function run() {
    const { data } = await api.post(`${flow.path}/test-cases/run`, {}, { signal });
    results = new Map(data.map((result) => [result.id, result]));
    const failed = data.filter((result) => !result.passed).length;
    replace(verdict, failed === 0 ? `All ${data.length} passed, against the saved draft.` : `${failed} of ${data.length} failed, against the saved draft.`);
    await cases.reload();
  }

  async function remove(item) {
    const done = await confirmDialog(`Delete “${item.name}”?`, "The test case is deleted. This cannot be undone.", {
      confirm: "Delete", testid: "test-delete-confirm", action: () => api.del(`${flow.path}/test-cases/${item.id}`),
    });
    if (done) await cases.reload();
  }

  cases.reload();
  return h("div", {}, h("div", { class: "toolbar" }, runAll, verdict), list.element, cases.foot);
}

/** What is played, in short. */
function stepsOf(script) {
  const steps = script?.steps ?? [];
  const words = steps.slice(0, 4).map(({ event }) => short(event)).filter(Boolean);
  const more = steps.length > 4 ? ` and ${steps.length - 4} more` : "";
  return words.length > 0 ? words.join(", ") + more : "starts only";
}

function short(event) {
  if (event?.type === "reply" && !event.kind) return `“${event.text}”`;
  if (event?.type === "tap") return `taps ${event.id}`;
  if (event?.type === "advance") return `+${event.seconds} s`;
  if (event?.type === "media") return `sends ${event.kind}`;
  return stimulus(event).toLowerCase();
}
