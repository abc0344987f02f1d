// One webhook endpoint: how it does, what was told to it and what was not, and its secret.

import * as api from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { inWords } from "../reasons.js";
import { timeInFull, timeOf } from "../time.js";
import { button, confirmDialog, counted, emptyState, facts, failure, jsonBlock, number, pageHeader, pagedList, status, table, tellDialog, toast } from "../ui.js";
import { editEndpoint, eventsOf, showSecret, stateOf } from "./webhooks.js";

export function webhookView([id], page) {
  const { signal } = page;
  const path = `/webhook-endpoints/${encodeURIComponent(id)}`;
  const header = h("div", {}, pageHeader("Webhook"));
  const place = h("div", {});
  const list = table({
    caption: "Deliveries",
    columns: [{ label: "Event", kind: "main" }, { label: "Status" }, { label: "Attempts", kind: "number" }, { label: "Last error", kind: "wide" }, { label: "Next try" }, { label: "When" }, { label: "", kind: "row-actions" }],
  });
  const deliveries = pagedList({
    list,
    load: (query) => api.get(api.withQuery(`${path}/deliveries`, query), { signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("code", {}, item.event), status(item.status, { testid: "delivery-status" }), number(item.attempts),
        item.reason ? h("span", { class: "stack" }, h("span", { class: "clamp" }, item.reason), inWords(item.reason) && h("span", { class: "muted small-text" }, inWords(item.reason))) : "–",
        nextTry(item), timeOf(item.created_at),
        h("div", { class: "actions" }, button("Body", () => tellDialog(item.event, jsonBlock(item.body, "What is told")), { kind: "small", testid: "delivery-body" })),
      ], { testid: "delivery-row" }));
    },
    empty: () => emptyState("Nothing was told to it yet", "What it was told is kept for a day."),
  });
  const element = h("div", {}, header, h("section", { "aria-label": "State" }, place),
    h("section", { "aria-label": "Deliveries" }, h("h2", {}, "Deliveries"), list.element, deliveries.foot));

  async function load() {
    try {
      draw(await api.get(path, { signal }));
      await deliveries.reload();
    } catch (error) {
      if (api.isAbort(error)) return;
      const gone = error.status === 404;
      replace(element, pageHeader("Webhook", { above: back() }), failure(gone ? new Error("There is no such endpoint. It may have been deleted.") : error, gone ? null : load));
    }
  }

  function draw(endpoint) {
    page.setTitle(endpoint.url);
    replace(header, pageHeader(endpoint.url, {
      above: back(),
      actions: [
        button("Refresh", load, { kind: "quiet" }),
        button("Send a test", test, { testid: "webhook-test" }),
        endpoint.is_active && endpoint.queued > 0 && button("Try now", tryNow, { testid: "webhook-try" }),
        button("Edit", async () => (await editEndpoint(endpoint)) && load(), { testid: "webhook-edit" }),
        endpoint.is_active
          ? button("Pause", pause, { testid: "webhook-pause" })
          : button("Resume", () => change({ is_active: true }, "It is told again."), { kind: "primary", testid: "webhook-resume" }),
        button("New secret", rotate, { testid: "webhook-rotate" }),
        button("Delete", remove, { kind: "danger", testid: "webhook-delete" }),
      ],
      intro: endpoint.description,
    }));
    replace(place, facts([
      ["Status", status(stateOf(endpoint), { testid: "webhook-state" })],
      ["Events", eventsOf(endpoint)],
      endpoint.failing_since && ["Failing since", timeInFull(endpoint.failing_since)],
      endpoint.last_error && ["Last error", h("span", { class: "bad" }, endpoint.last_error)],
      ["Waiting", number(endpoint.queued)],
      endpoint.oldest_queued_at && ["Oldest waits since", timeInFull(endpoint.oldest_queued_at)],
      endpoint.gives_up_at && ["Given up from", h("span", { class: "bad" }, timeInFull(endpoint.gives_up_at))],
      endpoint.secret_hint && ["Secret", h("code", {}, `${endpoint.secret_hint}…`)],
      ["Made", timeOf(endpoint.created_at)],
    ]));
  }

  async function change(fields, text) {
    await api.patch(path, fields, { signal });
    toast(text);
    await load();
  }

  async function pause() {
    const done = await confirmDialog("Pause this endpoint?", "What happens while it is paused is not told to it, not even later.", {
      confirm: "Pause", testid: "webhook-pause-confirm", action: () => api.patch(path, { is_active: false }),
    });
    if (!done) return;
    toast("Paused: what happens meanwhile is not told to it.");
    await load();
  }

  async function test() {
    await api.post(`${path}/test`, {}, { signal });
    toast("A webhook.test is on its way. It stands below.");
    await load();
  }

  async function tryNow() {
    await api.post(`${path}/try-now`, {}, { signal });
    toast("What waits is tried now.");
    await load();
  }

  async function rotate() {
    const done = await confirmDialog("Make a new secret?", "Requests are signed with the new one from now on, and your system refuses them until it knows it.", {
      confirm: "Make a new secret", testid: "webhook-rotate-confirm", action: () => api.post(`${path}/rotate-secret`),
    });
    if (done) await showSecret(done.secret);
  }

  async function remove() {
    const { url, queued } = await api.get(path, { signal });
    const done = await confirmDialog("Delete this endpoint?", `${url} is told of nothing any more. ${queued > 0 ? `${counted(queued, "event that waits for it is", "events that wait for it are")} dropped.` : "Nothing waits for it."} This cannot be undone.`, {
      confirm: "Delete", testid: "webhook-delete-confirm", action: () => api.del(path),
    });
    if (!done) return;
    toast("Deleted the endpoint.");
    location.hash = "#/webhooks";
  }

  load();
  return { title: "Webhook", element };
}

/** When a delivery is tried next, or what it waits for. */
function nextTry(item) {
  if (item.status !== "queued") return "–";
  if (item.behind) return h("span", { testid: "delivery-behind" }, `behind ${item.behind.event}`);
  return item.next_attempt_at && new Date(item.next_attempt_at) > new Date() ? timeOf(item.next_attempt_at) : "now";
}

const back = () => h("p", { class: "back" }, h("a", { href: "#/webhooks" }, "Webhooks"));
