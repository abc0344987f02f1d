// What happens to a text that is not saved: when its author leaves, and when somebody else has saved meanwhile.

import * as api from "./api.js";
import { diffView } from "./diff.js";
import { h } from "./dom.js";
import { entry, format, scan } from "./jsonmap.js";
import { timeOf } from "./time.js";
import { copyButton, dialog } from "./ui.js";

/** Asks before a view with a text that is not saved is left. Gives whether it may be. */
export function askToLeave(flow) {
  return dialog("Leave without saving?", (close) => [
    h("p", {}, `“${flow.summary.name}” has changes that are not saved. They are kept in this browser tab, and are here again when you come back.`),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", onclick: () => close(false) }, "Stay"),
      h("button", { type: "button", testid: "leave-confirm", onclick: () => close(true) }, "Leave")),
  ]).then((answer) => answer === true);
}

/** Somebody else saved meanwhile: nothing is lost, and the author decides. Gives whether the text is saved. */
export async function settleConflict(flow, theirs) {
  const choice = await dialog("Somebody else saved this flow", (close) => [
    h("p", {}, h("strong", {}, theirs.updated_by ?? "Somebody"), " saved revision ", theirs.revision, " ", timeOf(theirs.updated_at),
      `; your text is based on revision ${flow.baseRevision}. Nothing of yours is lost: it is still in the editor.`),
    h("div", { class: "actions column" },
      h("button", { type: "button", class: "primary", testid: "conflict-see", onclick: () => close("see") }, "See what they changed"),
      h("button", { type: "button", testid: "conflict-keep", onclick: () => close("keep") }, "Keep editing mine"),
      h("button", { type: "button", class: "danger", testid: "conflict-overwrite", onclick: () => close("overwrite") }, "Overwrite theirs with mine")),
  ], { testid: "conflict-dialog" });
  if (choice === "see") return seeTheirs(flow);
  if (choice !== "overwrite") return false;
  // Only what the author was told of is overwritten: a third save in between is a conflict again.
  flow.baseRevision = theirs.revision;
  return flow.save();
}

async function seeTheirs(flow) {
  const { text: answer } = await api.send("GET", flow.path);
  const theirs = JSON.parse(answer);
  const text = format(answer, entry(scan(answer).tree, "document").node);
  const choice = await dialog(`Revision ${theirs.revision} by ${theirs.updated_by ?? "somebody"}`, (close) => [
    h("p", {}, "Lines with − are theirs, lines with + are yours."),
    diffView(text, flow.text, "From their text to yours"),
    h("details", {}, h("summary", {}, "Their whole text"), h("div", { class: "snippet" }, copyButton(text), h("pre", { tabindex: "0", role: "region", "aria-label": "Their text" }, text))),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", testid: "conflict-keep", onclick: () => close("keep") }, "Keep editing mine"),
      h("button", { type: "button", testid: "conflict-take", onclick: () => close("take") }, "Take theirs, drop mine"),
      h("button", { type: "button", class: "danger", testid: "conflict-overwrite", onclick: () => close("overwrite") }, "Overwrite theirs with mine")),
  ], { wide: true, testid: "conflict-dialog" });
  if (choice === "take") {
    flow.discard();
    flow.take(answer);
  } else if (choice === "overwrite") {
    flow.baseRevision = theirs.revision;
    return flow.save();
  }
  return false;
}
