// Settings: what can be set here, what the file or the environment has set, and this page's own password.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { button, confirmDialog, failure, field, form, pageHeader, prose, status, table, toast } from "../ui.js";

const SOURCES = { default: "default", database: "set here", file: "set in the file", environment: "set in the environment" };

export function settingsView(_params, page) {
  const place = h("div", {}, h("p", { class: "muted" }, "Loading …"));
  async function load() {
    try {
      const { data } = await api.get("/settings", { signal: page.signal });
      draw(data);
    } catch (error) {
      if (!api.isAbort(error)) replace(place, failure(error, load));
    }
  }

  function draw(settings) {
    replace(place,
      section("Set here", settings.filter((setting) => setting.is_editable)),
      section("Set in the file or the environment", settings.filter((setting) => !setting.is_editable)));
  }

  function section(caption, settings) {
    if (settings.length === 0) return null;
    const list = table({
      caption,
      columns: [{ label: "Setting", kind: "main wide" }, { label: "Value", kind: "value" }, { label: "Default", kind: "short" }, { label: "Source" }],
    });
    list.body.append(...settings.map((setting) => list.row([
      h("span", { class: "stack" }, h("code", { class: "strong", id: nameId(setting) }, setting.key), h("span", { class: "muted small-text" }, prose(setting.about ?? ""))),
      setting.is_editable ? editor(setting) : shown(setting.value),
      shown(setting.default),
      SOURCES[setting.source] ?? setting.source,
    ], { testid: "setting-row", "data-key": setting.key })));
    return [h("h2", {}, caption), list.element];
  }

  function editor(setting) {
    const isSet = written(setting.value) !== "";
    const input = h("input", {
      type: setting.is_secret ? "password" : "text", autocomplete: "off", spellcheck: "false", value: setting.is_secret ? "" : written(setting.value),
      placeholder: setting.is_secret ? (isSet ? "set; type another to replace it" : "not set") : null, "aria-labelledby": nameId(setting), testid: "setting-value",
    });
    const save = async (value) => {
      const put = (query) =>
        api.put(api.withQuery("/settings", query), { [setting.key]: value }, { signal: page.signal });
      let answer;
      try {
        answer = await put({});
      } catch (error) {
        if (error.status !== 409 || error.body.confirm !== setting.key) throw error;
        return void confirmDialog("This may lock you out", error.body.error, {
          confirm: "Save all the same", testid: "setting-confirm",
          action: async () => saved((await put({ confirm: "true" })).data, value),
        });
      }
      saved(answer.data, value);
    };
    const reset = async () => {
      const done = await confirmDialog(`Reset ${setting.key}?`, setting.is_secret
        ? "The stored value is deleted, and nobody can read it any more. This cannot be undone."
        : `It is ${written(setting.value)} now, and has its default again.`, {
        confirm: "Reset", testid: "setting-reset-confirm", action: async () => true,
      });
      if (done) await save(null);
    };
    const saved = (data, value) => {
      toast(value === null ? `${setting.key} has its default again.` : `Saved ${setting.key}.`);
      draw(data);
    };
    const parts = form([input], {
      submit: "Save", testid: "setting-save", kind: "small",
      action: () => save(parsed(input.value, setting)),
      cancel: setting.source === "database" && button("Reset", reset, { kind: "small quiet", testid: "setting-reset" }),
    });
    parts.element.classList.add("setting");
    return parts.element;
  }

  load();
  return {
    title: "Settings",
    element: h("div", {},
      pageHeader("Settings", { intro: "What the configuration file or the environment sets goes before what is set here, and can only be changed there." }),
      place, passwordSection()),
  };
}

const nameId = (setting) => `setting-${setting.key.replaceAll(".", "-")}`;

function shown(value) {
  if (written(value) === "") return h("span", { class: "muted" }, "none");
  if (value === true || value === false) return status(value ? "on" : "off");
  return h("code", {}, written(value));
}

function written(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What was typed, as the kind of value that the setting has. */
function parsed(text, { value, default: initial }) {
  const model = initial ?? value;
  const trimmed = text.trim();
  if (Array.isArray(model)) return trimmed.split(",").map((part) => part.trim()).filter(Boolean);
  if (typeof model === "number") {
    if (trimmed === "" || Number.isNaN(Number(trimmed))) throw new Error("This must be a number.");
    return Number(trimmed);
  }
  if (typeof model === "boolean") {
    if (!["true", "false"].includes(trimmed)) throw new Error("This must be true or false.");
    return trimmed === "true";
  }
  if (model !== null && typeof model === "object") {
    try {
      return JSON.parse(trimmed);
    } catch {
      throw new Error("This must be JSON.");
    }
  }
  return trimmed === "" ? null : trimmed;
}

function passwordSection() {
  const current = h("input", { type: "password", autocomplete: "current-password", testid: "password-current" });
  const fresh = h("input", { type: "password", autocomplete: "new-password", testid: "password-new" });
  const again = h("input", { type: "password", autocomplete: "new-password", testid: "password-again" });
  const parts = form([
    field("Current password", current), field("New password", fresh, { hint: "At least 10 characters." }), field("New password again", again),
  ], {
    submit: "Change password", testid: "password-submit", errorTestid: "password-error", kind: "",
    async action() {
      if ([...fresh.value].length < 10) throw new Error("The new password needs at least 10 characters.");
      if (fresh.value !== again.value) throw new Error("The two new passwords differ. Type the same one twice.");
      try {
        await api.post("/admin/password", { current: current.value, new: fresh.value });
      } catch (error) {
        if (error.status === 401 || error.status === 403) throw new Error("The current password is not right.");
        throw error;
      }
      parts.element.reset();
      toast("The password is changed.");
    },
  });
  return h("section", { class: "narrow-section", "aria-label": "Password" }, h("h2", {}, "Password of this page"), parts.element);
}
