// Starts the page: finds out who is here, shows the frame around every view, and routes `#/…` to the views.

import * as api from "./api.js";
import { channelBanner, simulatorBanner } from "./channel.js";
import { h, replace } from "./dom.js";
import { keepTimesCurrent } from "./time.js";
import { button, failure, toastError } from "./ui.js";
import { entryView } from "./views/entry.js";
import { flowsView } from "./views/flows.js";
import { flowView } from "./views/flow.js";
import { sessionsView } from "./views/sessions.js";
import { sessionView } from "./views/session.js";
import { contactsView } from "./views/contacts.js";
import { contactView } from "./views/contact.js";
import { messagesView } from "./views/messages.js";
import { channelView } from "./views/channel.js";
import { templatesView } from "./views/templates.js";
import { webhooksView } from "./views/webhooks.js";
import { webhookView } from "./views/webhook.js";
import { tokensView } from "./views/tokens.js";
import { serverView } from "./views/server.js";
import { settingsView } from "./views/settings.js";

const SECTIONS = ["flows", "sessions", "contacts", "messages", "channel", "templates", "webhooks", "tokens", "settings", "server"];

// A view is a function of (params, page) that gives { title, element, update? }. `page.signal` is aborted when it is
// left; `page.guard` may be set to an async function that says whether it may be left.
const ROUTES = [
  [/^\/flows$/, flowsView],
  [/^\/flows\/([^/]+)(?:\/([a-z]+))?$/, flowView],
  [/^\/sessions$/, sessionsView],
  [/^\/sessions\/([^/]+)$/, sessionView],
  [/^\/contacts$/, contactsView],
  [/^\/contacts\/([^/]+)$/, contactView],
  [/^\/messages$/, messagesView],
  [/^\/channel$/, channelView],
  [/^\/templates$/, templatesView],
  [/^\/webhooks$/, webhooksView],
  [/^\/webhooks\/([^/]+)$/, webhookView],
  [/^\/tokens$/, tokensView],
  [/^\/settings$/, settingsView],
  [/^\/server$/, serverView],
];

const app = document.getElementById("app");
let session = null;
let main = null;
let shown = null;
// Aborted when somebody logs out or in.
let visit = new AbortController();

/** What the address asks for: path, query, and the view that shows it. */
function readAddress() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  for (const [pattern, view] of ROUTES) {
    const match = pattern.exec(path);
    if (match) {
      return { hash: location.hash, path, view, params: match.slice(1).map(decode), query: new URLSearchParams(query) };
    }
  }
  return null;
}

function decode(part) {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function route() {
  if (session?.state !== "logged_in") return;
  const address = readAddress();
  if (!address) {
    // Also the first visit, which has no hash.
    location.replace("#/flows");
    return;
  }
  if (shown && address.hash === shown.address.hash) return;
  const isSameThing = shown?.view.update && shown.address.view === address.view && shown.address.params[0] === address.params[0];
  if (isSameThing) {
    shown.address = address;
    shown.view.update(address);
    return;
  }
  if (shown?.page.guard) {
    // The address has changed already: put it back while the question is open.
    const before = shown.address.hash;
    history.replaceState(null, "", before);
    const mayLeave = await shown.page.guard();
    if (!mayLeave) return;
    shown.page.guard = null;
    history.pushState(null, "", address.hash);
  }
  show(address);
}

function show(address) {
  shown?.controller.abort();
  const controller = new AbortController();
  const page = { signal: controller.signal, session, guard: null, address, leave: () => { page.guard = null; } };
  let view;
  try {
    view = address.view(address.params, page);
  } catch (error) {
    console.error(error);
    view = { title: "Error", element: failure(error) };
  }
  shown = { address, page, controller, view };
  page.setTitle = setTitle;
  setTitle(view.title);
  replace(main, view.element);
  window.scrollTo(0, 0);
  const section = address.path.split("/")[1];
  for (const link of app.querySelectorAll(".nav a")) {
    if (link.dataset.section === section) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else {
      link.removeAttribute("aria-current");
    }
  }
  // Screen readers and keyboards go on at the new heading, as after loading a page; not on the very first view.
  if (hasRouted) main.querySelector("h1")?.focus({ preventScroll: true });
  hasRouted = true;
}

let hasRouted = false;

function setTitle(title) {
  document.title = title ? `${title} · Qyvo` : "Qyvo";
}

/** The frame: navigation, who is logged in, and the banner. */
function frame() {
  main = h("main", { id: "main", tabindex: "-1" });
  const links = SECTIONS.map((name) =>
    h("li", {}, h("a", { href: `#/${name}`, "data-section": name, testid: `nav-${name}` }, name[0].toUpperCase() + name.slice(1))));
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => {
    // A real jump would change the route.
    event.preventDefault();
    main.focus();
  } }, "Skip to content");
  return h("div", { class: "frame" },
    skip,
    h("header", { class: "side" },
      h("a", { class: "brand", href: "#/flows" }, h("img", { src: "icon.svg", alt: "", width: "28", height: "28" }), "Qyvo"),
      h("nav", { class: "nav", "aria-label": "Main" }, h("ul", {}, links)),
      h("div", { class: "who" },
        h("span", { class: "who-name", title: "Logged in as" }, h("span", { class: "visually-hidden" }, "Logged in as "), session.actor ?? ""),
        button("Log out", logOut, { kind: "quiet small", testid: "log-out" }),
        h("a", { href: "../", testid: "to-new-page" }, "To the new page"),
        session.version && h("span", { class: "muted version" }, `Version ${session.version}`))),
    h("div", { class: "page" }, channelBanner(session.channel, visit.signal), main));
}

async function logOut() {
  if (shown?.page.guard && !(await shown.page.guard())) return;
  if (shown) shown.page.guard = null;
  await api.post("/admin/log-out");
  await begin();
}

/** Looks who is here, and shows the frame or the way in. */
async function begin() {
  try {
    enter(await api.get("/admin/session"));
  } catch (error) {
    shown?.controller.abort();
    shown = null;
    replace(app, h("main", { class: "alone" }, failure(error, begin)));
  }
}

function enter(state) {
  session = state;
  visit.abort();
  visit = new AbortController();
  api.setCsrfToken(state.csrf_token);
  shown?.controller.abort();
  shown = null;
  if (state.state === "logged_in") {
    replace(app, frame());
    route();
  } else {
    setTitle(state.state === "set_up" ? "Set up" : "Log in");
    replace(app, simulatorBanner(state.channel), entryView(state, enter, begin));
    app.querySelector("input")?.focus();
  }
}

window.addEventListener("hashchange", () => route().catch(toastError));
window.addEventListener("beforeunload", (event) => {
  if (shown?.page.guard) event.preventDefault();
});
api.onLoggedOut(() => {
  // Several requests may find out at once.
  if (session?.state !== "logged_in") return;
  session = { state: "log_in" };
  begin();
});
keepTimesCurrent();
begin();
