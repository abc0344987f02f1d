// Tokens: what programs use to call the API. A token is shown once, when it is made.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { timeOf } from "../time.js";
import { button, confirmDialog, copyButton, dialog, emptyState, field, form, pageHeader, pagedList, status, table, toast } from "../ui.js";

const SCOPES = [
  ["trigger", "trigger: start and cancel flows, send events"],
  ["api", "api: that, and contacts, messages and inbound messages"],
  ["admin", "admin: everything that this page can do"],
];

const GRACES = [["0s", "ends at once"], ["1h", "ends in an hour"], ["24h", "ends in a day"], ["7d", "ends in a week"]];

/** A token's requests per minute, in words. */
function limitOf(item) {
  if (item.rate_limit === null) return "as configured";
  return item.rate_limit === 0 ? "none" : `${item.rate_limit} a minute`;
}

/** What limits have refused to a token, in words; nothing where they have not. */
function refusedOf(item) {
  if (!item.refused) return "";
  const { count, last_at, limit } = item.refused;
  return h("span", { class: "stack", testid: "token-refused" },
    `${count} ${count === 1 ? "request was" : "requests were"} over a limit since the server started, the last one over ${limit}:`, timeOf(last_at));
}

function limitInput(value) {
  return h("input", { type: "number", min: "0", max: "1000000", step: "1", value, autocomplete: "off", testid: "token-rate-limit" });
}

const LIMIT_HINT = "Requests a minute. Leave it empty for the limit of the settings; 0 is no limit.";

/** What is in the field: a number, or null where it is empty. */
function limitIn(input) {
  if (input.value.trim() === "" && !input.validity.badInput) return null;
  const limit = Number(input.value);
  if (input.validity.badInput || !Number.isInteger(limit) || limit < 0) throw new Error("The rate limit is a whole number, 0 or more.");
  return limit;
}

export function tokensView(_params, page) {
  const list = table({
    caption: "Tokens",
    columns: [{ label: "Name", kind: "main" }, { label: "Scope" }, { label: "Token" }, { label: "Rate limit" }, { label: "Made" }, { label: "Status" }, { label: "", kind: "row-actions" }],
  });
  const tokens = pagedList({
    list,
    load: () => api.get("/tokens", { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("span", { class: "strong" }, item.name), item.scope, h("code", {}, item.hint ? `${item.hint}…` : "–"), limitOf(item), timeOf(item.created_at),
        item.revoked_at ? h("span", { class: "stack" }, status("revoked"), timeOf(item.revoked_at))
          : h("span", { class: "stack" }, status("active"), item.old_until && h("span", { class: "muted small-text", testid: "token-old" }, "old secret ends ", timeOf(item.old_until)), refusedOf(item)),
        item.revoked_at ? "" : h("div", { class: "actions" },
          button("Limit", () => changeLimit(item), { kind: "small", testid: "token-limit" }), button("Rotate", () => rotate(item), { kind: "small", testid: "token-rotate" }),
          button("Revoke", () => revoke(item), { kind: "small", testid: "token-revoke" })),
      ], { testid: "token-row" }));
    },
    empty: () => emptyState("No token yet", "Programs that trigger flows need a token. Create one for each of them, so that you can revoke them one by one."),
  });

  async function create() {
    const made = await dialog("New token", (close) => {
      const name = h("input", { type: "text", maxlength: "100", autocomplete: "off", testid: "token-name" });
      const scope = h("select", { testid: "token-scope" }, SCOPES.map(([value, label]) => h("option", { value }, label)));
      const limit = limitInput("");
      return form([
        field("Name", name, { hint: "Which program will use it, such as “checkout service”." }),
        field("Scope", scope, { hint: "Give no more than it needs. By the assistants’ tools at /mcp, “api” also reads flows with their drafts and sessions with their traces, and makes drafts; only “admin” publishes." }),
        field("Rate limit", limit, { hint: LIMIT_HINT }),
      ], {
        submit: "Create", testid: "token-submit", errorTestid: "token-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
        async action() {
          if (name.value.trim() === "") throw new Error("Give the token a name.");
          close(await api.post("/tokens", { name: name.value.trim(), scope: scope.value, rate_limit: limitIn(limit) }));
        },
      }).element;
    });
    if (!made) return;
    tokens.reload();
    await showToken(made.token);
  }

  function showToken(token) {
    return dialog("Copy the token now", (close) => [
      h("p", {}, "It is shown this once only. Keep it like a password."),
      h("div", { class: "secret" }, h("code", { testid: "token-secret", tabindex: "0" }, token), copyButton(token, { testid: "token-copy" })),
      h("div", { class: "actions" }, h("button", { type: "button", class: "primary", testid: "token-done", onclick: () => close() }, "I have copied it")),
    ]);
  }

  async function rotate(item) {
    const rotated = await dialog(`Rotate “${item.name}”`, (close) => {
      const grace = h("select", { testid: "token-grace" }, GRACES.map(([value, label]) => h("option", { value }, label)));
      return form([
        h("p", {}, "The token gets another secret. Its name, scope and limit stay, and so do the idempotency keys of its requests."),
        field("The old secret", grace, { hint: "Choose “at once” if it may have leaked. An older one that still goes is refused from now on." }),
      ], {
        submit: "Rotate", testid: "token-rotate-submit", errorTestid: "token-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
        async action() {
          close(await api.post(`/tokens/${item.id}/rotate`, { grace: grace.value }));
        },
      }).element;
    });
    if (!rotated) return;
    tokens.reload();
    await showToken(rotated.token);
  }

  async function changeLimit(item) {
    const done = await dialog(`Rate limit of “${item.name}”`, (close) => {
      const limit = limitInput(item.rate_limit === null ? "" : String(item.rate_limit));
      return form([field("Rate limit", limit, { hint: LIMIT_HINT })], {
        submit: "Save", testid: "token-limit-submit", errorTestid: "token-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
        async action() {
          close(await api.patch(`/tokens/${item.id}`, { rate_limit: limitIn(limit) }));
        },
      }).element;
    });
    if (!done) return;
    toast(`Changed the limit of “${item.name}”.`);
    await tokens.reload();
  }

  async function revoke(item) {
    const done = await confirmDialog(`Revoke “${item.name}”?`, "Every program that uses this token is refused from now on. This cannot be undone.", {
      confirm: "Revoke", testid: "token-revoke-confirm", action: () => api.del(`/tokens/${item.id}`),
    });
    if (!done) return;
    toast(`Revoked “${item.name}”.`);
    await tokens.reload();
  }

  tokens.reload();
  return {
    title: "Tokens",
    element: h("div", {},
      pageHeader("Tokens", { actions: [button("New token", create, { kind: "primary", testid: "token-create" })], intro: "What programs use to call the API." }),
      list.element, tokens.foot),
  };
}
