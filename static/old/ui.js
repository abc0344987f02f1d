// The parts that all views are made of: buttons that show they are busy, fields, tables, dialogs, toasts, empty states.

import { isAbort } from "./api.js";
import { append, h, replace, uniqueId } from "./dom.js";

/** A short message at the edge of the screen, read out by screen readers; errors stay longer. */
export function toast(text, kind = "done") {
  const element = h("div", { class: `toast ${kind}`, testid: "toast" }, text);
  const close = h("button", { type: "button", class: "quiet small dismiss", "aria-label": "Dismiss", onclick: () => element.remove() });
  element.append(close);
  const place = document.getElementById("toasts");
  // News is old once there is newer, and an error once something has gone well.
  for (const old of place.querySelectorAll(kind === "error" ? ".toast.done" : ".toast")) old.remove();
  place.append(element);
  setTimeout(() => element.remove(), kind === "error" ? 12_000 : 5_000);
}

/** Shows what went wrong; leaving a view is nothing that went wrong. */
export function toastError(error) {
  if (isAbort(error)) return;
  console.error(error);
  toast(error.message, "error");
}

/**
 * Runs an action while its control says that it is busy and cannot be used again. Gives the action's result. The
 * control is not disabled: a disabled control loses the focus, and a keyboard user their place.
 */
export async function whileBusy(control, action) {
  if (control.getAttribute("aria-busy") === "true") return undefined;
  control.setAttribute("aria-busy", "true");
  control.setAttribute("aria-disabled", "true");
  try {
    return await action();
  } finally {
    control.removeAttribute("aria-busy");
    control.removeAttribute("aria-disabled");
  }
}

/** A button whose action may take a while. What fails is shown as a toast, or by `onerror`. */
export function button(label, action, { kind = "", testid, title, disabled, onerror = toastError, ...rest } = {}) {
  const element = h("button", { type: "button", class: kind, testid, title, disabled, ...rest }, label);
  element.addEventListener("click", async () => {
    try {
      await whileBusy(element, async () => action(element));
    } catch (error) {
      onerror(error);
    }
  });
  return element;
}

/** A link that looks like a button. */
export function linkButton(label, href, { kind = "", testid } = {}) {
  return h("a", { href, class: `button ${kind}`, testid }, label);
}

/** A label, its input, and a hint. The input gets the id that ties them together. */
export function field(label, input, { hint, hideLabel = false } = {}) {
  input.id ||= uniqueId();
  const hintElement = hint ? h("p", { class: "hint", id: `${input.id}-hint` }, hint) : null;
  if (hintElement) input.setAttribute("aria-describedby", hintElement.id);
  return h("div", { class: "field" },
    h("label", { for: input.id, class: hideLabel ? "visually-hidden" : "" }, label), input, hintElement);
}

/** A checkbox before its label. */
export function checkbox(label, properties = {}) {
  const input = h("input", { type: "checkbox", id: uniqueId(), ...properties });
  const element = h("div", { class: "check" }, input, h("label", { for: input.id }, label));
  return { element, input };
}

/** A place for a form's error: read out when it appears. */
function errorPlace(testid) {
  const element = h("p", { class: "form-error", role: "alert", testid, hidden: true });
  return {
    element,
    show(error) {
      if (isAbort(error)) return;
      element.textContent = error.message ?? String(error);
      element.hidden = false;
    },
    clear() {
      element.hidden = true;
      element.textContent = "";
    },
  };
}

/** A form whose submission is an action; its errors show above its buttons. */
export function form(fields, { submit, action, testid, errorTestid, cancel, kind = "primary" }) {
  const error = errorPlace(errorTestid);
  const confirm = h("button", { type: "submit", class: kind, testid }, submit);
  const element = h("form", { class: "form", novalidate: true }, fields, error.element,
    h("div", { class: "actions" }, confirm, cancel));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.clear();
    try {
      await whileBusy(confirm, action);
    } catch (failure) {
      error.show(failure);
    }
  });
  return { element, error, confirm };
}

/** A view's heading with its actions. */
export function pageHeader(title, { intro, actions = [], above } = {}) {
  return h("header", { class: "page-header" },
    above,
    h("div", { class: "page-title" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "actions" }, actions)),
    intro && h("p", { class: "intro" }, intro));
}

/** What an empty list says: that it is empty, and what to do next. */
export function emptyState(title, text, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", {}, text),
    actions.length > 0 && h("div", { class: "actions" }, actions));
}

/** A status as a word with a dot; the colour only repeats what the word says. */
export function status(name, { testid } = {}) {
  return h("span", { class: `status status-${name}`, testid }, h("span", { class: "dot", "aria-hidden": "true" }),
    String(name).replaceAll("_", " "));
}

/**
 * A table that becomes a list of cards on a phone. The roles are spelled out because browsers drop them when the
 * style sheet changes how a table is laid out. Columns: `{ label, kind? }`; a column without a label holds actions.
 */
export function table({ caption, columns, testid }) {
  const body = h("tbody", { role: "rowgroup" });
  const element = h("div", { class: "table" },
    h("table", { role: "table", testid },
      h("caption", {}, caption),
      h("thead", { role: "rowgroup" },
        h("tr", { role: "row" }, columns.map((column) =>
          h("th", { role: "columnheader", scope: "col", class: column.kind }, column.label || h("span", { class: "visually-hidden" }, "Actions"))))),
      body));
  const row = (cells, properties = {}) => h("tr", { role: "row", ...properties },
    cells.map((cell, index) => {
      const isBlank = cell === null || cell === undefined || cell === "–";
      return h("td", { role: "cell", class: [columns[index].kind, isBlank && "blank"].filter(Boolean).join(" ") || null, "data-label": columns[index].label }, isBlank ? "–" : cell);
    }));
  return { element, body, row };
}

/** Pairs of a term and what it is. */
export function facts(pairs) {
  return h("dl", { class: "facts" },
    pairs.filter(Boolean).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value ?? "–"))));
}

/** A count with its thousands apart. */
export const number = (count) => (count ?? 0).toLocaleString();

/** A sentence in which the server put names between backticks. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? h("code", {}, part) : part));
}

/** A value as indented JSON. */
export function jsonBlock(value, label) {
  return h("pre", { class: "json", tabindex: "0", role: "region", "aria-label": label }, JSON.stringify(value, null, 2));
}

/**
 * Opens a dialog and gives a promise of how it was closed: what was passed to `close`, or undefined after Escape.
 * `build` gets `close` and gives the content.
 */
export function dialog(title, build, { testid, wide = false } = {}) {
  return new Promise((resolve) => {
    let result;
    const opener = document.activeElement?.dataset.testid;
    const heading = h("h2", { id: uniqueId("dialog") }, title);
    const element = h("dialog", { "aria-labelledby": heading.id, testid, class: wide ? "wide" : "" }, heading);
    const close = (value) => {
      result = value;
      element.close();
    };
    append(element, build(close));
    element.addEventListener("close", () => {
      element.remove();
      // The browser gives the focus back, unless what opened the dialog has been drawn anew meanwhile.
      if (document.activeElement === document.body && opener) document.querySelector(`[data-testid="${opener}"]`)?.focus();
      resolve(result);
    });
    document.body.append(element);
    element.showModal();
    // What cannot be undone is never one key press away. Elsewhere the browser's first choice may be a button; a form's
    // first field is nearer to what one came for.
    const safe = element.querySelector("[data-safe]")
      ?? (element.querySelector("button.danger") && element.querySelector(".actions button:not(.danger)"));
    (safe || element.querySelector("input:not([type=checkbox]), textarea, select"))?.focus();
  });
}

/**
 * Asks before something that cannot be undone, or that somebody else would notice. The action runs inside, so that its
 * error can be read and tried again. `typed` is a text that has to be typed first: of what hits many at once.
 */
export function confirmDialog(title, text, { confirm, testid, kind = "danger", action, more, typed }) {
  const input = typed && h("input", { type: "text", autocomplete: "off", spellcheck: "false", testid: `${testid}-typed` });
  return dialog(title, (close) => {
    const cancel = h("button", { type: "button", testid: `${testid}-cancel`, "data-safe": "true", onclick: () => close(undefined) }, "Cancel");
    return form([h("p", {}, text), more, typed && field(`Type ${typed} to confirm`, input)], {
      submit: confirm, kind, testid, cancel,
      async action() {
        if (typed && bare(input.value) !== bare(typed)) throw new Error(`That is not ${typed}.`);
        close((await action()) ?? true);
      },
    }).element;
  });
}

/** A typed text by what it says: blanks and the signs of phone numbers tell nothing. */
const bare = (text) => text.normalize("NFC").replaceAll(/[\s()-]/g, "");

/** Whom a question is about. */
export const personOf = (contact) => [contact?.name, contact?.phone].filter(Boolean).join(", ") || "this contact";

/** A count with the word for it. */
export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Shows something large and has one button. */
export function tellDialog(title, ...content) {
  return dialog(title, (close) => [
    ...content,
    h("div", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => close() }, "Close")),
  ], { wide: true });
}

/** Puts text on the clipboard; over plain HTTP browsers offer only the old way. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Not allowed here: the old way, inside an open dialog if there is one, because the rest of the page is inert then.
  }
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true", tabindex: "-1", value: text });
  const before = document.activeElement;
  place.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  before?.focus();
  if (!copied) throw new Error("The browser does not allow copying here. Select the text and copy it by hand.");
}

/** A button that copies and says so where it stands. */
export function copyButton(text, { label = "Copy", testid, kind = "small" } = {}) {
  const element = button(label, async () => {
    await copyText(typeof text === "function" ? text() : text);
    element.textContent = "Copied";
    setTimeout(() => { element.textContent = label; }, 2_000);
  }, { kind, testid, "aria-live": "polite" });
  return element;
}

/** Gives a text to the browser as a file. */
export function download(name, text, type = "application/json") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // At once would be too early for some browsers.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A file name from what people call a thing. */
export function fileName(name) {
  return name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "flow";
}

/**
 * A table's list that loads page by page. `load({ cursor, limit })` gives `{ data, next_cursor }`; `show(items)` puts all
 * items into the table, which is hidden while there are none, and `empty()` gives what stands there instead.
 * `reload` fetches again as much as is shown, so that a live update does not throw the reader back to the first page.
 */
export function pagedList({ list, load, show, empty }) {
  const PAGE = 50;
  let items = [];
  let cursor = null;
  let run = 0;
  const message = h("div", { class: "list-message", "aria-live": "polite" });
  const more = button("Show more", async () => {
    const mine = run;
    const page = await load({ cursor, limit: PAGE });
    if (mine !== run) return;
    take([...items, ...page.data], page.next_cursor);
  }, { kind: "more" });
  const foot = h("div", {}, message, more);
  more.hidden = true;
  list.element.hidden = true;

  function take(all, next) {
    items = all;
    cursor = next;
    show(items);
    list.element.hidden = items.length === 0;
    more.hidden = next === null || next === undefined;
    // A filtered list may answer a short page with more behind it.
    replace(message, items.length === 0 && (more.hidden ? empty() : h("p", { class: "muted" }, "Nothing here so far. There is more to look through.")));
  }

  async function reload() {
    run += 1;
    const mine = run;
    try {
      const page = await load({ cursor: null, limit: Math.min(Math.max(items.length, PAGE), 200) });
      if (mine === run) take(page.data, page.next_cursor);
    } catch (error) {
      if (isAbort(error) || mine !== run) return;
      replace(message, failure(error, reload));
    }
  }

  return { foot, reload, restart() { items = []; return reload(); }, get items() { return items; } };
}

/** What stands where something could not be loaded. */
export function failure(error, retry) {
  return h("div", { class: "empty", role: "alert" }, h("p", { class: "empty-title" }, "This could not be loaded"),
    h("p", {}, error.message), retry && h("div", { class: "actions" }, button("Try again", retry)));
}

/** Says whether live updates come in. */
export function liveMark() {
  const element = h("span", { class: "live", title: "Live updates" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, "connecting"));
  return {
    element,
    set(isLive) {
      element.classList.toggle("on", isLive);
      element.lastElementChild.textContent = isLive ? "live" : "reconnecting";
    },
  };
}
