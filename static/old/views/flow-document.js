// The tab Document: the flow as JSON text, its mistakes while typing, and the validator's problems beside it.

import * as api from "../api.js";
import { createEditor } from "../editor.js";
import { h, replace } from "../dom.js";
import { entry, format, locate, places, scan } from "../jsonmap.js";
import { gathered, watch } from "../live.js";
import { inFull } from "../time.js";
import { button, prose, toast } from "../ui.js";
import { askForNode, askForTemplate } from "./insert-node.js";

/** Pause after the last key before the server is asked. */
const PAUSE = 400;

export function documentTab(flow, { signal, query }) {
  let scanned = scan(flow.text);
  let run = 0;
  let timer = null;
  // What the server said last stays on screen until it has judged what was typed since.
  let serverProblems = flow.isDirty ? [] : flow.summary.problems ?? [];
  let isJudged = !flow.isDirty;

  const editor = createEditor({
    label: "Document of the flow, as JSON", text: flow.text,
    onchange(text) {
      flow.setText(text);
      isJudged = false;
      check();
    },
    onsave: () => saveButton.click(),
  });
  const saveButton = button("Save", save, { kind: "primary", testid: "editor-save" });
  const formatButton = button("Format", () => {
    const { tree, error } = scanned;
    if (error) return goTo(error.offset, error.offset);
    editor.setText(format(editor.text, tree), { undoable: true });
    return undefined;
  }, { testid: "editor-format" });
  const addNode = button("Add a node", () => insert(askForNode), { testid: "editor-add-node" });
  const useTemplate = button("Use a template", () => insert(askForTemplate), { testid: "editor-use-template" });
  const saved = h("span", { class: "muted", "aria-live": "polite" });
  const nodeSelect = h("select", { class: "narrow", "aria-label": "Go to node", testid: "editor-goto" });
  nodeSelect.addEventListener("change", () => {
    const range = locate(scanned.tree, { node: nodeSelect.value });
    nodeSelect.value = "";
    goTo(range.start, range.end);
  });
  const notice = h("div", {});
  const news = h("div", {});
  let told = 0;
  const summary = h("p", { class: "problem-summary", role: "status" });
  const list = h("div", { testid: "editor-problems" });

  async function save() {
    if (!flow.isDirty) {
      toast("There is nothing to save.");
      return;
    }
    await flow.save();
  }

  async function insert(ask) {
    if (scanned.error) return goTo(scanned.error.offset, scanned.error.offset);
    const before = editor.text;
    const done = await ask(before, scanned.tree);
    if (!done || editor.text !== before) return undefined;
    editor.setText(done.text, { undoable: true });
    const range = locate(scanned.tree, { node: done.id });
    return goTo(range.start, range.end);
  }

  function goTo(start, end) {
    editor.select(start, end);
  }

  // The mistakes of the text itself are found here at once; what the flow means is the server's to judge.
  function check() {
    clearTimeout(timer);
    run += 1;
    scanned = scan(editor.text);
    drawNodes();
    draw();
    if (scanned.tree && !isJudged) timer = setTimeout(() => validate(run), PAUSE);
  }

  async function validate(mine) {
    try {
      const answer = await api.send("POST", "/flows/validate", { raw: editor.text, signal });
      if (mine !== run) return;
      serverProblems = JSON.parse(answer.text).problems;
      isJudged = true;
      draw();
    } catch (error) {
      if (api.isAbort(error) || mine !== run) return;
      replace(summary, `The document could not be checked: ${error.message}`);
    }
  }

  function draw() {
    const { tree, error, doubles } = scanned;
    const problems = error
      ? [{ id: "syntax", severity: "error", text: error.text, range: { start: error.offset, end: error.offset } }]
      : [
        ...doubles.map(({ key, start, end }) => ({ id: "double_key", severity: "warning", text: `The key "${key}" occurs twice in this object; only the last counts.`, range: { start, end } })),
        ...serverProblems.map((problem) => ({ ...problem, range: locate(tree, problem) })),
      ];
    const marks = new Map();
    const placeOf = places(editor.text);
    for (const problem of problems) {
      problem.at = placeOf(problem.range.start);
      if (marks.get(problem.at.line) !== "error") marks.set(problem.at.line, problem.severity);
    }
    editor.setMarks(marks);
    replace(list, problemList(problems, (problem) => goTo(problem.range.start, problem.range.end)));
    replace(summary, summaryText(problems, error, !isJudged));
    summary.classList.toggle("clear", !error && isJudged && problems.length === 0);
  }

  // A document with a mistake in it keeps the list from before.
  let nodeIds = null;
  function drawNodes() {
    if (!scanned.tree) return;
    const ids = (entry(scanned.tree, "nodes")?.node.items ?? []).map((item) => entry(item, "id")?.node.value).filter((id) => typeof id === "string");
    if (nodeIds?.join("\n") === ids.join("\n")) return;
    nodeIds = ids;
    replace(nodeSelect, h("option", { value: "" }, "Go to node …"), ids.map((id) => h("option", { value: id }, id)));
  }

  function drawState() {
    saveButton.disabled = !flow.isDirty;
    saved.textContent = flow.isDirty ? "Not saved" : `Revision ${flow.summary.revision}`;
    replace(notice, flow.restoredAt && flow.isDirty && h("div", { class: "notice", role: "note", testid: "editor-restored" },
      h("p", {}, `This is your text of ${inFull(flow.restoredAt)}, which was not saved.`,
        flow.baseRevision !== flow.summary.revision && ` The flow has been saved since by ${flow.summary.updated_by ?? "somebody"}.`),
      button("Drop it and show what is saved", () => flow.discard(), { kind: "small", testid: "editor-discard" })));
  }

  flow.onchange(() => {
    // Restored, taken over or discarded elsewhere.
    if (editor.text !== flow.text) {
      editor.setText(flow.text);
      serverProblems = flow.isDirty ? [] : flow.summary.problems ?? [];
      isJudged = !flow.isDirty;
      check();
    }
    if (flow.baseRevision >= told) replace(news);
    drawState();
  }, signal);
  signal.addEventListener("abort", () => clearTimeout(timer));

  // Somebody else's save is told of at once, not only when one's own meets it. Our own save is told of, too, perhaps
  // before its answer is here: so look a moment later.
  const lookAround = gathered(async () => {
    if (signal.aborted) return;
    try {
      const { revision, updated_by: by } = await api.get(flow.path, { signal });
      if (revision <= flow.baseRevision || revision === told) return;
      told = revision;
      replace(news, h("div", { class: "notice", role: "note", testid: "editor-news" },
        h("p", {}, `${by || "Somebody"} saved revision ${revision} meanwhile.${flow.isDirty ? " Saving your text will show you both." : ""}`),
        !flow.isDirty && button("Load it", async () => {
          await flow.reload();
          replace(news);
        }, { kind: "small" })));
    } catch (error) {
      if (!api.isAbort(error) && error.status !== 404) console.warn(error);
    }
  }, 1_000);
  watch({ flow_id: flow.id }, {
    flow: ({ revision }) => revision > flow.baseRevision && lookAround(),
    reload: lookAround,
  }, signal);
  check();
  drawState();

  const node = query.get("node");
  if (node) {
    // Once the tab is on screen.
    requestAnimationFrame(() => {
      const range = scanned.tree && locate(scanned.tree, { node });
      if (range) goTo(range.start, range.end);
    });
  }

  return h("div", { class: "document" },
    h("div", { class: "editor-side" },
      h("div", { "aria-live": "polite" }, news),
      notice,
      h("div", { class: "toolbar" }, saveButton, formatButton, addNode, useTemplate, nodeSelect, saved),
      editor.element, editor.help),
    h("section", { class: "problems", "aria-label": "Problems" }, h("h2", {}, "Problems"), summary, list));
}

function summaryText(problems, error, isChecking) {
  if (error) return "The text is not JSON yet.";
  if (isChecking) return "Checking …";
  const errors = problems.filter((problem) => problem.severity === "error").length;
  const warnings = problems.length - errors;
  if (problems.length === 0) return "No problems. It can be published.";
  const parts = [errors > 0 && `${errors} ${errors === 1 ? "error" : "errors"}`, warnings > 0 && `${warnings} ${warnings === 1 ? "warning" : "warnings"}`];
  return `${parts.filter(Boolean).join(", ")}.${errors > 0 ? "" : " It can be published."}`;
}

/** Problems as a list; with `goTo`, each is a button that leads to its place in the text. */
export function problemList(problems, goTo) {
  // Errors first, each kind in the order of the text.
  const order = (problem) => (problem.severity === "error" ? 0 : 1);
  const sorted = [...problems].sort((a, b) => order(a) - order(b) || (a.range?.start ?? 0) - (b.range?.start ?? 0));
  return h("ul", { class: "problem-list" }, sorted.map((problem) => {
    const where = [problem.node && `node ${problem.node}`, problem.field, problem.at && `line ${problem.at.line}${problem.id === "syntax" ? `, column ${problem.at.column}` : ""}`].filter(Boolean).join(" · ");
    const content = [
      h("span", { class: `severity ${problem.severity}` }, problem.severity === "error" ? "Error" : "Warning"),
      h("span", { class: "problem-text" }, prose(problem.text)),
      where && h("span", { class: "muted small-text problem-where" }, where),
    ];
    const properties = { class: `problem ${problem.severity}`, testid: "editor-problem", "data-problem": problem.id };
    return h("li", {}, goTo
      ? h("button", { type: "button", ...properties, onclick: () => goTo(problem) }, content)
      : h("div", properties, content));
  }));
}
