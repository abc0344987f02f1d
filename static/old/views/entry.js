// The way in: the first visit sets the password with the code that the server printed; later visits log in.

import * as api from "../api.js";
import { h } from "../dom.js";
import { field, form } from "../ui.js";

const NAME_KEY = "qyvo.name";
const LEAST_PASSWORD = 10;

/** Shows the form for the state; `enter` gets the new state, `begin` asks for it again. */
export function entryView(state, enter, begin) {
  return h("main", { class: "alone" },
    h("div", { class: "card entry" },
      h("img", { src: "icon.svg", alt: "", width: "44", height: "44" }),
      state.state === "set_up" ? setUp(enter, begin) : logIn(enter)));
}

function nameInput() {
  return h("input", { type: "text", autocomplete: "name", maxlength: "100", testid: "login-name", value: recall() });
}

const nameField = (input) => field("Your name", input, { hint: "Shown beside what you change." });

function setUp(enter, begin) {
  const code = h("input", { type: "text", autocomplete: "one-time-code", autocapitalize: "off", spellcheck: "false", testid: "login-code" });
  const password = h("input", { type: "password", autocomplete: "new-password", testid: "login-password" });
  const again = h("input", { type: "password", autocomplete: "new-password", testid: "login-password-again" });
  const name = nameInput();
  const { element } = form([
    field("Set-up code", code, { hint: "The server printed it when it started." }),
    field("New password", password, { hint: `At least ${LEAST_PASSWORD} characters.` }),
    field("New password again", again),
    nameField(name),
  ], {
    submit: "Set up", testid: "login-submit", errorTestid: "login-error",
    async action() {
      if (code.value.trim() === "") throw new Error("Enter the set-up code that the server printed when it started.");
      if ([...password.value].length < LEAST_PASSWORD) throw new Error(`The password needs at least ${LEAST_PASSWORD} characters.`);
      if (password.value !== again.value) throw new Error("The two passwords differ. Type the same one twice.");
      const actor = readName(name);
      try {
        const body = { code: code.value.trim(), password: password.value, name: actor };
        enter(await kept(await api.post("/admin/set-up", body)));
      } catch (error) {
        if (error.status === 403) throw new Error("That is not the set-up code. The server prints a fresh one each time it starts, until a password is set.");
        // Somebody else was quicker: what is needed now is to log in.
        if (error.status === 409) return begin();
        throw tooMany(error);
      }
      return undefined;
    },
  });
  return [h("h1", {}, "Set up Qyvo"), h("p", { class: "muted" }, "Choose the password of this admin page."), element];
}

function logIn(enter) {
  const name = nameInput();
  const password = h("input", { type: "password", autocomplete: "current-password", testid: "login-password" });
  const { element } = form([field("Password", password), nameField(name)], {
    submit: "Log in", testid: "login-submit", errorTestid: "login-error",
    async action() {
      if (password.value === "") throw new Error("Enter the password.");
      const actor = readName(name);
      try {
        enter(await kept(await api.post("/admin/log-in", { password: password.value, name: actor })));
      } catch (error) {
        if (error.status === 401) {
          password.select();
          throw new Error("That password is not right. It can be set anew on the server with: qyvo admin reset-password");
        }
        throw tooMany(error);
      }
    },
  });
  return [h("h1", {}, "Log in"), element];
}

/** The state after a log-in, once the browser has shown that it keeps the log-in's cookie. */
async function kept(state) {
  if ((await api.get("/admin/session")).state === "logged_in") return state;
  const lost = "The password is right, but your browser did not keep the cookie";
  throw new Error(location.protocol === "http:" && /^https:/i.test(state.public_url ?? "")
    ? `${lost}: this server expects https. Open ${state.public_url} instead; or take the setting away on the server: `
      + "qyvo settings unset server.public_url"
    : `${lost}. Allow cookies for this address, and try again.`);
}

function tooMany(error) {
  return error.status === 429 ? new Error(`Too many wrong attempts. Try again in ${error.retryAfter ?? "a few"} seconds.`) : error;
}

function readName(input) {
  const name = input.value.trim();
  if (name === "") throw new Error("Enter your name, so that others can see who changed what.");
  remember(name);
  return name;
}

// A browser may forbid storing; then the name is typed again.
function remember(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch { /* see above */ }
}

function recall() {
  try {
    return localStorage.getItem(NAME_KEY) ?? "";
  } catch {
    return "";
  }
}
