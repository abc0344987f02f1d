// Contacts, newest first, and a way to find one by phone.

import * as api from "../api.js";
import { h, keyed } from "../dom.js";
import { timeOf } from "../time.js";
import { emptyState, field, form, pageHeader, pagedList, table } from "../ui.js";

export function contactsView(_params, page) {
  const list = table({
    caption: "Contacts",
    columns: [{ label: "Contact", kind: "main" }, { label: "Tags", kind: "wide" }, { label: "Language" }, { label: "Messages", kind: "number" }, { label: "Last message" }, { label: "Added" }],
  });
  const phone = h("input", { type: "search", inputmode: "tel", autocomplete: "off", placeholder: "+14155550123", testid: "contacts-phone" });
  let wanted = "";
  const contacts = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/contacts", { phone: wanted, ...query }), { signal: page.signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => row(item, list.row));
    },
    empty: () => (wanted
      ? emptyState("No contact with this number", "Write the number in full, with the country's code, such as +14155550123.")
      : emptyState("No contact yet", "A contact is made when a flow is triggered for a phone number, or when somebody writes in.")),
  });
  const search = form([field("Find by phone number", phone)], {
    submit: "Find", testid: "contacts-find", kind: "",
    async action() {
      const before = wanted;
      wanted = phone.value.trim();
      try {
        // Asked here first, so that what is wrong with the number stands beside it and the list stays.
        if (wanted !== "") await api.get(api.withQuery("/contacts", { phone: wanted, limit: 1 }), { signal: page.signal });
      } catch (error) {
        wanted = before;
        throw error;
      }
      await contacts.restart();
    },
  });
  search.element.classList.add("inline");
  // The cross in a search field empties it: then all are wanted again.
  phone.addEventListener("search", () => {
    if (phone.value === "" && wanted !== "") search.element.requestSubmit();
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
