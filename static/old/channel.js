// What carries messages: how the live channel does, and the banner that says in red when nothing reaches anybody.

import * as api from "./api.js";
import { h, replace } from "./dom.js";
import { inWords } from "./reasons.js";

/** How often the banner looks, besides when it is told. */
const PAUSE = 30_000;

/** The live channel as the server describes it. */
export async function liveChannel(options) {
  const { data } = await api.get("/channels", options);
  return data.find((channel) => channel.is_live) ?? null;
}

/** A state in words. */
export const STATES = { running: "running", paused: "paused", backing_off: "waiting to try again", off: "not in use" };

/** Why a channel does not run, in words. */
export function whyStopped(channel) {
  // Says by itself what is missing and what to do.
  if (channel.reason === "configured_in_part") return channel.explanation ?? "";
  if (channel.reason === "operator") return `${inWords(channel.reason)}${channel.explanation ? ` They say: “${channel.explanation}”.` : ""}`;
  const words = inWords(channel.reason);
  return [words, channel.explanation && (words ? `The channel says: ${channel.explanation}` : channel.explanation)].filter(Boolean).join(" ");
}

/** Says in red that nobody gets any message, for as long as that is so. */
export function simulatorBanner(channel) {
  if (!channel || channel.reaches_phones) return null;
  return h("section", { class: "banner", "aria-label": "Channel", testid: "banner-simulator" },
    h("strong", {}, "Messages reach no phone."),
    ` The channel in use is the ${channel.name}: every message is only recorded here.`);
}

/** The banner of a page that somebody is logged in to; it keeps itself current until the signal is aborted. */
export function channelBanner(known, signal) {
  const element = h("div", { "aria-live": "polite" }, simulatorBanner(known));
  let shown = null;
  async function look() {
    if (document.hidden || signal.aborted) return;
    try {
      const [channel, troubles] = await Promise.all([liveChannel({ signal }), otherTroubles(signal)]);
      const mark = JSON.stringify([channel?.state, channel?.reason, channel?.explanation, troubles]);
      if (mark === shown) return;
      shown = mark;
      replace(element, channel?.state === "paused" ? pausedBanner(channel) : simulatorBanner(known), ...troubles.map(troubleBanner));
    } catch (error) {
      // What is on screen says by itself when the server cannot be reached.
      if (!api.isAbort(error)) console.warn(error);
    }
  }
  const timer = setInterval(look, PAUSE);
  for (const event of ["qyvo-channel", "focus"]) window.addEventListener(event, look, { signal });
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  look();
  return element;
}

/** What else keeps the server from doing all of its work. A paused channel has a banner of its own. */
async function otherTroubles(signal) {
  const response = await fetch("/readyz", { signal, headers: { Accept: "application/json" } });
  const { reasons = [] } = await response.json();
  return reasons.filter(({ code }) => code !== "channel_paused").map(({ code, text }) => ({ code, text }));
}

function troubleBanner({ code, text }) {
  return h("section", { class: "banner", "aria-label": "Server", testid: `banner-${code}` }, text);
}

function pausedBanner(channel) {
  return h("section", { class: "banner", "aria-label": "Channel", testid: "banner-paused" },
    h("strong", {}, `The channel ${channel.name} is paused: nothing goes out.`), " ", whyStopped(channel), " ",
    h("a", { href: "#/channel" }, "See the channel"));
}

/** Tells the banner and whoever else listens that the channel may have changed. */
export function channelChanged() {
  window.dispatchEvent(new Event("qyvo-channel"));
}
