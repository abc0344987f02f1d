// Contacts, newest first, and a way to find some by a part of their name, email address or phone number.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { timeOf } from "../time.js";
import { emptyState, field, form, pageHeader, pagedList, table } from "../ui.js";

/** The server shows no more of what it finds; the page of a list may have as many. */
const FOUND_AT_MOST = 200;

export function contactsView(_params, page) {
  const list = table({
    caption: "Contacts",
    columns: [{ label: "Contact", kind: "main" }, { label: "Tags", kind: "wide" }, { label: "Language" }, { label: "Messages", kind: "number" }, { label: "Last message" }, { label: "Added" }],
  });
  const sought = h("input", { type: "search", autocomplete: "off", placeholder: "Ana, example.org, 415555", testid: "contacts-query" });
  let wanted = "";
  const contacts = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/contacts", wanted === "" ? query : { query: wanted, limit: FOUND_AT_MOST }), { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => row(item, list.row));
    },
    empty: () => (wanted
      ? emptyState("No contact has this", "A part of the name, the email address or the phone number is enough, in capitals or not.")
      : emptyState("No contact yet", "A contact is made when a flow is triggered for a phone number, or when somebody writes in.")),
  });
  const search = form([field("Find by name, email or phone number", sought)], {
    submit: "Find", testid: "contacts-find", kind: "",
    async action() {
      wanted = sought.value.trim();
      await contacts.restart();
    },
  });
  search.element.classList.add("inline");
  // The cross in a search field empties it: then all are wanted again.
  sought.addEventListener("search", () => {
    if (sought.value === "" && wanted !== "") search.element.requestSubmit();
  });
  contacts.reload();
  return { title: "Contacts", element: h("div", {}, pageHeader("Contacts"), search.element, list.element, contacts.foot) };
}

function row(contact, make) {
  return make([
    h("span", { class: "stack" }, h("a", { href: `#/contacts/${contact.id}`, class: "strong" }, contact.name || contact.phone || "Contact"),
      contact.name && h("span", { class: "muted small-text" }, contact.phone),
      contact.opted_out_at && h("span", { class: "small-text bad" }, "opted out")),
    tags(contact.tags), contact.language || "–", contact.total_messages, timeOf(contact.last_message_at), timeOf(contact.created_at),
  ], { testid: "contact-row" });
}

/** Tags as small labels. */
export function tags(names) {
  return names?.length > 0 ? h("span", { class: "tags" }, names.map((name) => h("span", { class: "tag" }, name))) : "–";
}
