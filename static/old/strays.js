// What Meta delivered and nothing took: kept with the reason, so that an operator can see what was missed.

import * as api from "./api.js";
import { h, keyed } from "./dom.js";
import { inFull, timeOf } from "./time.js";
import { emptyState, jsonBlock, pagedList, prose } from "./ui.js";

/** A section of what was left over of WhatsApp's deliveries; `reload(isLive)` fetches it. */
export function straysSection(signal) {
  const body = h("ul", { class: "strays", "aria-label": "Deliveries that nothing took", testid: "strays" });
  let isLive = true;
  const paged = pagedList({
    list: { element: body },
    load: (query) => api.get(api.withQuery("/channels/whatsapp/strays", query), { signal }),
    show(strays) {
      keyed(body, withKeys(strays), (stray) => stray.key, row);
      // Another channel has none, unless they came while WhatsApp was in use.
      element.hidden = !isLive && strays.length === 0;
    },
    empty: () => emptyState("Nothing was left over", "Whatever WhatsApp has delivered in the last 30 days was understood."),
  });
  const element = h("section", { class: "strays-section", hidden: true, "aria-label": "Left over", testid: "strays-section" }, h("h2", {}, "Deliveries that nothing took"),
    h("p", { class: "hint" }, "What WhatsApp delivered and this server could not use, such as news of the account. It is kept for 30 days, newest first."),
    body, paged.foot);
  return {
    element,
    reload(isWhatsApp) {
      isLive = isWhatsApp;
      // What cannot be loaded is said, too.
      element.hidden = !isLive && paged.items.length === 0;
      return paged.reload();
    },
  };
}

// They have no ids. Counted from the oldest, equal ones keep their keys when newer ones come.
function withKeys(strays) {
  const seen = new Map();
  const named = [...strays].reverse().map((stray) => {
    const name = `${stray.created_at} ${stray.why}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return { ...stray, key: `${name} ${count}` };
  });
  return named.reverse();
}

function row({ why, raw, created_at: createdAt }) {
  const details = h("details", {}, h("summary", {}, "As it was delivered"));
  // A delivery may be megabytes long, and most are never looked at.
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(jsonBlock(raw, "As it was delivered"));
  });
  return h("li", { testid: "stray" }, h("p", { class: "stray-why" }, prose(why)),
    h("p", { class: "muted small-text" }, timeOf(createdAt), " · ", inFull(createdAt)), details);
}
