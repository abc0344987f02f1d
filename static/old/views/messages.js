// Messages by what became of them. What needs a person comes first: failed, unknown, and not routed.

import * as api from "../api.js";
import { h, keyed, replace } from "../dom.js";
import { gathered, watch } from "../live.js";
import { retryButton } from "../retry.js";
import { isNote, mediaWord, noteText, whyNot } from "../said.js";
import { timeOf } from "../time.js";
import { emptyState, field, liveMark, pageHeader, pagedList, status, table } from "../ui.js";

const NEEDS_A_LOOK = {
  failed: ["Failed", "These are not sent again by themselves. The reason says why."],
  unknown: ["Unknown", "The channel did not say whether these arrived."],
  unrouted: ["Not routed", "People wrote these, and no conversation took them."],
};
const OTHERS = ["queued", "sending", "simulated", "sent", "delivered", "read", "received"];

export function messagesView(_params, page) {
  const chosen = h("select", { testid: "messages-status", value: page.address.query.get("status") ?? "" },
    h("option", { value: "" }, "Needs a look"),
    Object.entries(NEEDS_A_LOOK).map(([name, [label]]) => h("option", { value: name }, label)),
    OTHERS.map((name) => h("option", { value: name }, name[0].toUpperCase() + name.slice(1))));
  const reason = h("input", { type: "search", autocomplete: "off", placeholder: "Any", testid: "messages-reason" });
  const live = liveMark();
  const place = h("div", {});
  let lists = [];
  function draw() {
    const names = chosen.value === "" ? Object.keys(NEEDS_A_LOOK) : [chosen.value];
    lists = names.map((name) => messageList(name, reason.value.trim(), page.signal));
    replace(place, names.map((name, index) => {
      const [label, about] = NEEDS_A_LOOK[name] ?? [name[0].toUpperCase() + name.slice(1), null];
      return h("section", { "aria-label": label }, h("h2", {}, label), about && h("p", { class: "muted" }, about), lists[index].element);
    }));
  }
  chosen.addEventListener("change", draw);
  reason.addEventListener("change", draw);
  const later = gathered(() => page.signal.aborted || lists.forEach((list) => list.reload()), 1_000);
  watch({}, { message: later, reload: later, state: live.set }, page.signal);
  draw();
  return {
    title: "Messages",
    element: h("div", {},
      pageHeader("Messages", { actions: [live.element] }),
      h("div", { class: "inline-fields" }, field("Show", chosen), field("Reason", reason)),
      place),
  };
}

function messageList(name, reason, signal) {
  const list = table({
    caption: `Messages: ${name}`,
    columns: [{ label: "Message", kind: "main wide" }, { label: "Status" }, { label: "Reason", kind: "wide" }, { label: "Contact" }, { label: "When" }, { label: "", kind: "row-actions" }],
  });
  const messages = pagedList({
    list,
    load: (query) => api.get(api.withQuery("/messages", { status: name, reason, ...query }), { signal }),
    show(items) {
      keyed(list.body, items, (item) => item.id, (item) => list.row([
        h("span", { class: "stack" },
          h("span", { class: "clamp" }, isNote(item) ? noteText(item) : (item.sent?.as === "template" && item.sent.text) || item.text || (item.template ? `Template ${item.template.name}` : mediaWord(item.type, item.media))),
          h("span", { class: "muted small-text" }, item.direction === "in" ? "from the contact" : item.origin === "agent" || item.origin === "colleague" ? "from a person of ours" : item.origin === "standby" ? "from another system of Meta" : "from us", ` · ${item.type}`, item.channel && ` · ${item.channel}`, item.sent?.as === "template" && ` · as template ${item.sent.name}`, item.attempts > 1 && ` · ${item.attempts} attempts`)),
        status(item.handled === "unrouted" ? "unrouted" : item.status),
        item.reason ? h("span", { class: "stack" }, h("code", {}, item.reason), whyNot(item.reason, item.error) && h("span", { class: "muted small-text" }, whyNot(item.reason, item.error))) : "–",
        h("span", { class: "stack" }, item.contact_id ? h("a", { href: `#/contacts/${item.contact_id}` }, item.contact?.name || item.contact?.phone || "Contact") : "–", item.session_id && h("a", { href: `#/sessions/${item.session_id}` }, "Session")),
        timeOf(item.created_at),
        retryButton(item, () => messages.reload()) ?? "",
      ], { testid: "message-row" }));
    },
    empty: () => (NEEDS_A_LOOK[name]
      ? h("p", { class: "all-clear" }, reason ? "None with this reason." : "None. Nothing to do here.")
      : emptyState("No message like this", "Choose another status, or wait until a flow speaks.")),
  });
  messages.reload();
  return { element: h("div", {}, list.element, messages.foot), reload: messages.reload };
}
