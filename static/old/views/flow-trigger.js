// The tab Trigger: code that starts this flow, ready to paste.

import { h, replace } from "../dom.js";
import { scan, valueOf } from "../jsonmap.js";
import { exampleContext, snippets } from "../snippets.js";
import { copyButton, field } from "../ui.js";

export function triggerTab(flow, { session }) {
  const phone = h("input", { type: "tel", value: "+14155550123", autocomplete: "off" });
  const place = h("div", { class: "snippets" });
  const draw = () => {
    replace(place, snippets({
      baseUrl: session.public_url || location.origin,
      flowId: flow.id,
      isSequence: flow.summary.kind === "sequence",
      phone: phone.value.trim(),
      context: exampleContext(valueOf(scan(flow.savedText).tree)),
    }).map(({ id, label, note, code }) => h("section", { class: "snippet", testid: `snippet-${id}` },
      h("div", { class: "snippet-head" }, h("h3", {}, label), h("span", { class: "muted small-text" }, note), copyButton(code, { testid: "snippet-copy" })),
      h("pre", { tabindex: "0", role: "region", "aria-label": `${label} code` }, h("code", {}, code)))));
  };
  phone.addEventListener("input", draw);
  draw();
  return h("div", {},
    h("h2", {}, "Trigger this flow from your code"),
    flow.summary.status !== "published" && h("p", { class: "notice", role: "note" }, "The flow is not published: until it is, these calls are answered with 404."),
    h("p", {}, "A call starts a session, or answers ", h("code", {}, "already_running"), " with the one that is live. Make the Idempotency-Key from the thing that happened, such as the order, and send the same key and body whenever you retry. You need a ",
      h("a", { href: "#/tokens" }, "token"), " with the scope ", h("code", {}, "trigger"), "."),
    h("div", { class: "inline-fields" }, field("Phone", phone)),
    place);
}
