// One flow: its heading with what can be done to it, and its tabs.

import * as api from "../api.js";
import { loadFlow } from "../flow-state.js";
import { h, replace } from "../dom.js";
import { failure, pageHeader } from "../ui.js";
import { backToFlows, flowHeader } from "./flow-header.js";
import { documentTab } from "./flow-document.js";
import { tryTab } from "./flow-try.js";
import { sessionsTab } from "./sessions.js";
import { versionsTab } from "./flow-versions.js";
import { testsTab } from "./flow-tests.js";
import { triggerTab } from "./flow-trigger.js";
import { statsTab } from "./flow-stats.js";

const TABS = {
  document: ["Document", documentTab], try: ["Try", tryTab], sessions: ["Sessions", sessionsTab],
  versions: ["Versions", versionsTab], tests: ["Tests", testsTab], trigger: ["Trigger", triggerTab], stats: ["Stats", statsTab],
};

export function flowView([id], page) {
  const element = h("div", {}, h("p", { class: "muted", "aria-busy": "true" }, "Loading the flow …"));
  const view = { title: "Flow", element, update: (address) => { wanted = address; } };
  let wanted = page.address;
  load();
  async function load() {
    try {
      const flow = await loadFlow(id, page);
      draw(flow);
    } catch (error) {
      if (api.isAbort(error)) return;
      const text = error.status === 404 ? new Error("There is no such flow. It may have been deleted.") : error;
      replace(element, pageHeader("Flow", { above: backToFlows() }), failure(text, error.status === 404 ? null : load));
    }
  }

  function draw(flow) {
    page.setTitle(flow.summary.name);
    const header = h("div", {});
    const panel = h("div", { class: "panel" });
    const links = Object.entries(TABS).map(([name, [label]]) =>
      h("a", { href: `#/flows/${id}/${name}`, testid: `tab-${name}`, "data-tab": name }, label));
    const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the flow" }, links);
    replace(element, header, tabs, panel);
    let tabController = null;

    function drawHeader() {
      page.setTitle(flow.summary.name);
      const focused = header.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
      replace(header, flowHeader(flow));
      if (focused) header.querySelector(`[data-testid="${focused}"]`)?.focus();
    }
    function drawTab(address) {
      const name = TABS[address.params[1]] ? address.params[1] : "document";
      for (const link of links) {
        if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      // On a phone the tabs are wider than the screen.
      tabs.scrollLeft = links.find((link) => link.dataset.tab === name).offsetLeft - tabs.clientWidth / 2;
      tabController?.abort();
      tabController = new AbortController();
      replace(panel, TABS[name][1](flow, { signal: AbortSignal.any([tabController.signal, page.signal]), query: address.query, session: page.session }));
    }
    flow.onchange(drawHeader);
    drawHeader();
    drawTab(wanted);
    view.update = drawTab;
    page.signal.addEventListener("abort", () => tabController?.abort());
  }
  return view;
}
