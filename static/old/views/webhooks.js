// Webhooks: the operator's own systems that are told of what happens here.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { EVENTS } from "../lists.js";
import { timeOf } from "../time.js";
import { button, checkbox, copyButton, dialog, emptyState, field, form, number, pageHeader, pagedList, status, table } from "../ui.js";

/** How an endpoint does, in one word. */
export const stateOf = (endpoint) => (!endpoint.is_active ? "paused" : endpoint.failing_since ? "failing" : "active");

/** The events of an endpoint, in words. */
export const eventsOf = (endpoint) => (endpoint.events?.length > 0 ? endpoint.events.join(", ") : "all events");

/** How many events wait for an endpoint, since when the oldest does, and when the first is given up. */
const waitingOf = (endpoint) => h("span", { class: "stack", testid: "webhook-waiting" }, number(endpoint.queued),
  endpoint.oldest_queued_at && h("span", { class: "muted small-text" }, "oldest ", timeOf(endpoint.oldest_queued_at)),
  endpoint.gives_up_at && h("span", { class: "bad small-text" }, "given up ", timeOf(endpoint.gives_up_at)));

export function webhooksView(_params, page) {
  const list = table({
    caption: "Webhook endpoints",
    columns: [{ label: "URL", kind: "main" }, { label: "Events", kind: "wide" }, { label: "Status" }, { label: "Waiting", kind: "number" }, { label: "Made" }],
  });
  const endpoints = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/webhook-endpoints", query), { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("span", { class: "stack" }, h("a", { href: `#/webhooks/${item.id}`, class: "strong url" }, item.url), item.description && h("span", { class: "muted small-text" }, item.description)),
        h("span", { class: "small-text" }, eventsOf(item)),
        h("span", { class: "stack" }, status(stateOf(item), { testid: "webhook-state" }), item.failing_since && h("span", { class: "muted small-text" }, "since ", timeOf(item.failing_since)),
          item.last_error && h("span", { class: "bad small-text clamp" }, item.last_error)),
        waitingOf(item), timeOf(item.created_at),
      ], { testid: "webhook-row" }));
    },
    empty: () => emptyState("No webhook yet", "Your own systems can be told of messages and conversations as they happen. Each endpoint gets signed JSON and may choose its events."),
  });

  async function create() {
    const made = await editEndpoint(null);
    if (!made) return;
    endpoints.reload();
    await showSecret(made.secret);
  }

  endpoints.reload();
  return {
    title: "Webhooks",
    element: h("div", {},
      pageHeader("Webhooks", { actions: [button("New endpoint", create, { kind: "primary", testid: "webhook-create" })], intro: "Your own systems that are told of what happens here, of each contact in order, until they have taken it." }),
      list.element, endpoints.foot),
  };
}

/** Asks for an endpoint, or for changes of one. Gives the saved one, or undefined. */
export function editEndpoint(endpoint) {
  return dialog(endpoint ? "Edit endpoint" : "New endpoint", (close) => {
    const url = h("input", { type: "url", autocomplete: "off", placeholder: "https://crm.example.com/qyvo", value: endpoint?.url ?? "", testid: "webhook-url" });
    const about = h("input", { type: "text", maxlength: "200", autocomplete: "off", value: endpoint?.description ?? "", testid: "webhook-about" });
    const chosen = new Set(endpoint?.events ?? []);
    const all = checkbox("All events, also those of later versions", { checked: chosen.size === 0, testid: "webhook-all" });
    const boxes = EVENTS.map(([title, names]) => h("fieldset", { class: "event-group" }, h("legend", {}, title), names.map((name) => {
      const box = checkbox(name, { checked: chosen.has(name), "data-event": name, testid: "webhook-event" });
      box.input.addEventListener("change", () => (box.input.checked ? chosen.add(name) : chosen.delete(name)));
      return box.element;
    })));
    const some = h("div", { class: "event-groups" }, boxes);
    const follow = () => { some.hidden = all.input.checked; };
    all.input.addEventListener("change", follow);
    follow();
    return form([field("URL", url, { hint: "It gets a POST with JSON for each event, and answers with any 2xx." }), field("Description", about), all.element, some], {
      submit: endpoint ? "Save" : "Create", testid: "webhook-submit", errorTestid: "webhook-error",
      cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      async action() {
        if (!all.input.checked && chosen.size === 0) throw new Error("Choose at least one event, or all.");
        const fields = { url: url.value.trim(), description: about.value.trim(), events: all.input.checked ? [] : [...chosen] };
        close(await (endpoint ? api.patch(`/webhook-endpoints/${endpoint.id}`, fields) : api.post("/webhook-endpoints", fields)));
      },
    }).element;
  });
}

/** Shows a secret, this once. */
export function showSecret(secret) {
  return dialog("Copy the secret now", (close) => [
    h("p", {}, "It is shown this once only. Your system checks with it that a request comes from here."),
    h("div", { class: "secret" }, h("code", { testid: "webhook-secret", tabindex: "0" }, secret), copyButton(secret, { testid: "webhook-copy" })),
    h("p", { class: "hint" }, "Each request carries X-Qyvo-Signature: t=<unix>,v1=<hex>, the HMAC-SHA256 of “t.body” with this secret."),
    h("div", { class: "actions" }, h("button", { type: "button", class: "primary", testid: "webhook-done", onclick: () => close() }, "I have copied it")),
  ]);
}
