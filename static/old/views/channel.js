// The channel: how it does, what waits, and what an operator can do about it.

import * as api from "../api.js";
import { channelChanged, STATES, whyStopped } from "../channel.js";
import { h, replace } from "../dom.js";
import { gathered, watch } from "../live.js";
import { straysSection } from "../strays.js";
import { duration, timeInFull, timeOf } from "../time.js";
import { button, confirmDialog, facts, failure, field, form, liveMark, number, pageHeader, status, toast } from "../ui.js";

const NAMES = { whatsapp: "WhatsApp", webhook: "Generic webhook", simulator: "Simulator" };
const TOKEN = "whatsapp.access_token";

export function channelView(_params, page) {
  const { signal } = page;
  const header = h("div", {}, pageHeader("Channel"));
  const place = h("div", {});
  const tested = h("div", { "aria-live": "polite" });
  const tokenPlace = h("div", {});
  const others = h("ul", { class: "plain-list" });
  const strays = straysSection(signal);
  const live = liveMark();

  async function load() {
    try {
      const { data } = await api.get("/channels", { signal });
      draw(data);
    } catch (error) {
      if (!api.isAbort(error)) replace(place, failure(error, load));
    }
  }

  function draw(channels) {
    const channel = channels.find((one) => one.is_live);
    const path = `/channels/${encodeURIComponent(channel.name)}`;
    const isPaused = channel.state === "paused";
    replace(header, pageHeader(`Channel: ${NAMES[channel.name] ?? channel.name}`, {
      actions: [
        live.element,
        button("Test", (control) => test(path, control), { testid: "channel-test" }),
        isPaused
          ? button("Resume", () => act(`${path}/resume`, "The channel goes on."), { kind: "primary", testid: "channel-resume" })
          : button("Pause", () => pause(path), { testid: "channel-pause" }),
      ],
      intro: channel.reaches_phones ? "What carries messages to people." : "Nothing reaches a phone: every message is only recorded here.",
    }));
    const queue = channel.queue ?? {};
    const templates = channel.templates ?? {};
    replace(place, facts([
      ["State", h("span", { class: "stack" }, status(channel.state, { testid: "channel-state" }), channel.state === "backing_off" && h("span", { class: "muted small-text" }, "It tries again by itself", channel.held_until && [" ", timeOf(channel.held_until)], "."))],
      channel.reason && ["Reason", h("span", { class: "stack" }, h("code", {}, channel.reason), whyStopped(channel))],
      channel.since && ["Since", timeInFull(channel.since)],
      ["Waiting", h("span", { class: "stack" }, `${number(queue.length)} ${queue.length === 1 ? "message" : "messages"}`,
        queue.oldest_seconds > 0 && h("span", { class: "muted small-text" }, `the oldest for ${duration(queue.oldest_seconds)}`))],
      ["Templates", h("span", { class: "stack" }, h("a", { href: "#/templates" }, `${number(templates.approved)} of ${number(templates.total)} can be sent`),
        !templates.are_by_hand && h("span", { class: "muted small-text" }, "fetched ", timeOf(templates.synced_at, { none: "never" })),
        templates.refused && h("span", { class: "bad small-text" }, `The last fetch was refused: ${templates.refused.text}`))],
      ["Free text", channel.has_window ? "within 24 hours of the person's last message" : "at any time"],
    ]));
    replace(others, channels.filter((one) => !one.is_live).map((one) => h("li", {}, h("span", { class: "strong" }, NAMES[one.name] ?? one.name), " ", h("span", { class: "muted" }, STATES[one.state]))));
    if (channel.name === "whatsapp" && tokenPlace.childElementCount === 0) drawToken();
    strays.reload(channel.name === "whatsapp");
  }

  async function act(path, text, body = {}) {
    await api.post(path, body, { signal });
    toast(text);
    channelChanged();
    await load();
  }

  async function pause(path) {
    const reason = h("input", { type: "text", maxlength: "200", autocomplete: "off", testid: "channel-pause-reason" });
    const done = await confirmDialog("Pause the channel?", "Nothing goes out until somebody resumes it. Flows go on being triggered, and their messages wait.", {
      confirm: "Pause", testid: "channel-pause-confirm", more: field("Reason", reason, { hint: "For whoever sees it; may stay empty." }),
      action: () => api.post(`${path}/pause`, { reason: reason.value.trim() || undefined }),
    });
    if (!done) return;
    channelChanged();
    await load();
  }

  async function test(path) {
    replace(tested);
    try {
      const seen = await api.post(`${path}/test`, {}, { signal });
      replace(tested, h("div", { class: "notice good", testid: "channel-tested" }, h("p", {}, seen.text),
        seen.display_phone !== undefined && facts([
          ["Number", seen.display_phone], ["Name", seen.verified_name], ["Quality", seen.quality],
          ["Deliveries", seen.is_subscribed ? "subscribed" : h("span", { class: "bad" }, "not subscribed: what people write does not arrive")],
        ])));
    } catch (error) {
      if (api.isAbort(error)) return;
      replace(tested, h("div", { class: "notice wrong", role: "alert", testid: "channel-tested" }, h("p", {}, error.message)));
    }
  }

  // What the server says of the token: whether it can be set here. The token itself it never says.
  async function drawToken() {
    const { data } = await api.get("/settings", { signal });
    const setting = data.find(({ key }) => key === TOKEN);
    if (!setting) return;
    if (!setting.is_editable) {
      replace(tokenPlace, h("h2", {}, "Access token"),
        h("p", {}, `The ${setting.source} sets ${TOKEN}: change it there. If it came from a file, Resume reads that file again; otherwise restart the server.`));
      return;
    }
    const token = h("input", { type: "password", autocomplete: "off", spellcheck: "false", testid: "channel-token" });
    const parts = form([field("New access token", token, { hint: "Used at once and never shown again. A channel that was paused because the old one had expired goes on." })], {
      submit: "Use this token", testid: "channel-token-save", errorTestid: "channel-token-error",
      async action() {
        await api.put("/settings", { [TOKEN]: token.value.trim() });
        parts.element.reset();
        toast("The new token is in use.");
        channelChanged();
        await load();
      },
    });
    replace(tokenPlace, h("h2", {}, "Access token"), parts.element);
  }

  const later = gathered(() => signal.aborted || load(), 1_000);
  watch({}, { message: later, templates: later, reload: later, state: live.set }, signal);
  window.addEventListener("qyvo-channel", later, { signal });
  load();
  return {
    title: "Channel",
    element: h("div", {}, header, tested, h("section", { "aria-label": "State" }, place),
      h("section", { class: "narrow-section", "aria-label": "Access token" }, tokenPlace),
      strays.element,
      h("section", { "aria-label": "Other channels" }, h("h2", {}, "Other channels"), others,
        h("p", { class: "hint" }, "Which channel is in use is set in the configuration, for the next start."))),
  };
}
