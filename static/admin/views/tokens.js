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

export function tokensView(_params, page) {
  const list = table({
    caption: "Tokens",
    columns: [{ label: "Name", kind: "main" }, { label: "Scope" }, { label: "Token" }, { label: "Made" }, { label: "Status" }, { label: "", kind: "row-actions" }],
  });
  const tokens = pagedList({
    list,
    load: () => api.get("/tokens", { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("span", { class: "strong" }, item.name), item.scope, h("code", {}, item.hint ? `${item.hint}…` : "–"), timeOf(item.created_at),
        item.revoked_at ? h("span", { class: "stack" }, status("revoked"), timeOf(item.revoked_at)) : status("active"),
        item.revoked_at ? "" : h("div", { class: "actions" }, button("Revoke", () => revoke(item), { kind: "small", testid: "token-revoke" })),
      ], { testid: "token-row" }));
    },
    empty: () => emptyState("No token yet", "Programs that trigger flows need a token. Create one for each of them, so that you can revoke them one by one."),
  });

  async function create() {
    const made = await dialog("New token", (close) => {
      const name = h("input", { type: "text", maxlength: "100", autocomplete: "off", testid: "token-name" });
      const scope = h("select", { testid: "token-scope" }, SCOPES.map(([value, label]) => h("option", { value }, label)));
      return form([field("Name", name, { hint: "Which program will use it, such as “checkout service”." }), field("Scope", scope, { hint: "Give no more than it needs." })], {
        submit: "Create", testid: "token-submit", errorTestid: "token-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
        async action() {
          if (name.value.trim() === "") throw new Error("Give the token a name.");
          close(await api.post("/tokens", { name: name.value.trim(), scope: scope.value }));
        },
      }).element;
    });
    if (!made) return;
    tokens.reload();
    await dialog("Copy the token now", (close) => [
      h("p", {}, "It is shown this once only. Keep it like a password."),
      h("div", { class: "secret" }, h("code", { testid: "token-secret", tabindex: "0" }, made.token), copyButton(made.token, { testid: "token-copy" })),
      h("div", { class: "actions" }, h("button", { type: "button", class: "primary", testid: "token-done", onclick: () => close() }, "I have copied it")),
    ]);
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
