// The tab Try: the flow in a phone. Either as a simulation of the text in the editor, with a clock to move and nothing
// stored, or for real with a contact of the simulator channel, as a person's phone would meet it.

import { h, replace } from "../dom.js";
import { contactTrial } from "./try-contact.js";
import { simulationTrial } from "./try-simulation.js";

export function tryTab(flow, context) {
  const place = h("div", {});
  const modes = ["simulation", "real"].map((mode) => {
    const input = h("input", { type: "radio", name: "try-mode", value: mode, id: `try-${mode}`, testid: `try-${mode}`, checked: mode === "simulation" });
    input.addEventListener("change", () => start(mode));
    return h("div", { class: "check" }, input, h("label", { for: input.id },
      mode === "simulation" ? "Simulation of the text in the editor" : "Simulator contact, with what is published"));
  });
  let controller = null;
  let shown = null;
  function start(mode) {
    shown = { mode, status: flow.summary.status };
    controller?.abort();
    controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, context.signal]);
    replace(place, mode === "simulation" ? simulationTrial(flow, signal) : contactTrial(flow, signal));
  }
  start("simulation");
  // Publishing or stopping the flow decides whether there is anything to try for real.
  flow.onchange(() => shown.mode === "real" && shown.status !== flow.summary.status && start("real"), context.signal);
  return h("div", {}, h("fieldset", { class: "modes" }, h("legend", { class: "visually-hidden" }, "How to try"), modes), place);
}
