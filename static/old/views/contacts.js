// Contacts, newest first, and a way to find some by a part of their name, email address or phone number.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { timeOf } from "../time.js";
import { emptyState, field, form, number, pageHeader, pagedList, table } from "../ui.js";

export function contactsView(_params, page) {
  const list = table({
    caption: "Contacts",
    columns: [{ label: "Contact", kind: "main" }, { label: "Tags", kind: "wide" }, { label: "Language" }, { label: "Messages", kind: "number" }, { label: "Last message" }, { label: "Added" }],
  });
  const sought = h("input", { type: "search", autocomplete: "off", placeholder: "Ana, example.org, 415555", testid: "contacts-query" });
  const tag = h("input", { type: "search", autocomplete: "off", placeholder: "Any", testid: "contacts-tag" });
  const count = h("p", { class: "muted", role: "status", testid: "contacts-count" });
  let wanted = {};
  let total = null;
  const isSearch = () => Boolean(wanted.query || wanted.tag);
  const contacts = pagedList({
    list,
    async load(query) {
      const answer = await api.get(api.withQuery("/contacts", { ...query, ...wanted }), { signal: page.signal });
      if (!query.cursor) total = answer.total === undefined ? null : { count: answer.total, isExact: answer.is_total_exact };
      return answer;
    },
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => row(item, list.row));
      count.textContent = total && total.count > items.length ? `The first ${number(items.length)} of ${total.isExact ? "" : "more than "}${number(total.count)}.` : "";
    },
    empty: () => (isSearch()
      ? emptyState("No contact has this", "Parts of the name, the email address or the phone number are enough, in any order, with or without accents. A tag has to be whole.")
      : emptyState("No contact yet", "A contact is made when a flow is triggered for a phone number, or when somebody writes in.")),
  });
  const search = form([field("Name, email or number", sought), field("Tag", tag)], {
    submit: "Find", testid: "contacts-find", kind: "",
    async action() {
      wanted = { query: sought.value.trim() || undefined, tag: tag.value.trim() || undefined };
      await contacts.restart();
    },
  });
  search.element.classList.add("inline");
  // The cross in a search field empties it: then all are wanted again.
  for (const input of [sought, tag]) {
    input.addEventListener("search", () => {
      if (input.value === "" && isSearch()) search.element.requestSubmit();
    });
  }
  contacts.reload();
  return { title: "Contacts", element: h("div", {}, pageHeader("Contacts"), search.element, count, list.element, contacts.foot) };
}

function row(contact, make) {
  return make([
    h("span", { class: "stack" }, h("a", { href: `#/contacts/${contact.id}`, class: "strong" }, contact.name || contact.phone || "Contact"),
      contact.name && h("span", { class: "muted small-text" }, contact.phone),
      contact.opted_out_at && h("span", { class: "small-text bad" },
        contact.opted_out_of === "marketing" ? "no marketing" : "opted out")),
    tags(contact.tags), contact.language || "–", contact.total_messages, timeOf(contact.last_message_at), timeOf(contact.created_at),
  ], { testid: "contact-row" });
}

/** Tags as small labels. */
export function tags(names) {
  return names?.length > 0 ? h("span", { class: "tags" }, names.map((name) => h("span", { class: "tag" }, name))) : "–";
}
