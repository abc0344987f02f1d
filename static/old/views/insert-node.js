// Puts a new node into a document's text, or a template into one of its nodes.

import * as api from "../api.js";
import { h, replace } from "../dom.js";
import { entry } from "../jsonmap.js";
import { describe, makeNode, speaks, TYPES } from "../nodes.js";
import { placeholderFields } from "../template-preview.js";
import { dialog, field, form } from "../ui.js";

const INDENT = "  ";

/** The document's nodes as `{ id, type, node }`, in its order; empty where it has none that can be read. */
function nodesOf(tree) {
  return (entry(tree, "nodes")?.node.items ?? [])
    .filter((item) => item.kind === "object")
    .map((node) => ({ id: entry(node, "id")?.node.value, type: entry(node, "type")?.node.value, node }))
    .filter(({ id }) => typeof id === "string");
}

/** JSON as it stands at a depth of the document. */
const at = (depth, value) => JSON.stringify(value, null, 2).replaceAll("\n", `\n${INDENT.repeat(depth)}`);

/** Asks for a kind of node. Gives the changed text and the node's id, or undefined. */
export async function askForNode(text, tree) {
  const list = entry(tree, "nodes")?.node;
  if (list?.kind !== "array") throw new Error('The document needs "nodes": [] first.');
  const { data: flows } = await api.get("/flows");
  return dialog("Add a node", (close) => {
    const type = h("select", { testid: "node-type" }, TYPES.map((name) => h("option", { value: name }, describe(name))));
    const flow = h("select", { testid: "node-flow" }, h("option", { value: "" }, "Choose later"), flows.map((one) => h("option", { value: one.id }, one.name)));
    const flowField = field("Flow that it runs", flow, { hint: "Its published version is run." });
    const follow = () => { flowField.hidden = type.value !== "run_flow"; };
    type.addEventListener("change", follow);
    follow();
    const after = h("select", { testid: "node-after" }, h("option", { value: "" }, "at the end"), nodesOf(tree).map(({ id }) => h("option", { value: id }, `after ${id}`)));
    return form([field("Kind", type), flowField, field("Place", after, { hint: "Only the order in the text; the way is what the exits say. Its own exits lead nowhere yet." })], {
      submit: "Add", testid: "node-add", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      action: () => {
        const nodes = nodesOf(tree);
        const node = makeNode(type.value, nodes.map(({ id }) => id));
        if (type.value === "run_flow") node.flow_id = flow.value;
        const before = nodes.find(({ id }) => id === after.value)?.node ?? list.items.at(-1);
        const written = at(2, node);
        const place = before ? before.end : list.start + 1;
        const inserted = before ? `,\n${INDENT.repeat(2)}${written}` : `\n${INDENT.repeat(2)}${written}\n${INDENT}`;
        close({ text: text.slice(0, place) + inserted + text.slice(place), id: node.id });
      },
    }).element;
  });
}

/** Asks for a template and what stands in its placeholders. Gives the changed text and the node's id, or undefined. */
export async function askForTemplate(text, tree) {
  const nodes = nodesOf(tree).filter(({ type }) => speaks(type));
  if (nodes.length === 0) throw new Error("No node of this document says anything. Add one first.");
  const { data: approved } = await api.get("/templates?status=approved");
  const templates = approved.filter((one) => one.unfillable.length === 0);
  if (templates.length === 0) throw new Error("There is no approved template that can be sent from here. See the page Templates.");
  return dialog("Use a template", (close) => {
    const target = h("select", { testid: "template-node" }, nodes.map(({ id, type }) => h("option", { value: id }, `${id} (${type})`)));
    const choice = h("select", { testid: "template-choice" }, templates.map((one) => h("option", { value: one.id }, `${one.name} (${one.language})`)));
    const place = h("div", { class: "template-try" });
    let values = {};

    function draw() {
      const template = templates.find((one) => one.id === choice.value);
      const known = template.placeholders.map(({ key }) => [key, values[key] ?? ""]);
      values = Object.fromEntries(known);
      replace(place, placeholderFields(template, values));
    }

    choice.addEventListener("change", draw);
    draw();
    return form([
      h("p", {}, "The template goes out where the channel forbids free text: as the first message, or after 24 hours of silence. Inside that time the node's text goes."),
      field("Node", target), field("Template", choice), place,
      h("p", { class: "hint" }, "A placeholder may hold {{…}} of ours, such as {{contact.name|default('there')}}."),
    ], {
      submit: "Use it", testid: "template-use", errorTestid: "template-use-error", cancel: h("button", { type: "button", onclick: () => close() }, "Cancel"),
      action: () => {
        const empty = Object.keys(values).filter((key) => values[key].trim() === "");
        if (empty.length > 0) throw new Error(`Fill in ${empty.join(", ")}: a message with a blank placeholder is never sent.`);
        const template = templates.find((one) => one.id === choice.value);
        const { id, node } = nodes.find((one) => one.id === target.value);
        const used = { name: template.name, language: template.language, ...(Object.keys(values).length > 0 ? { variables: values } : {}) };
        close({ text: withTemplate(text, node, used), id });
      },
    }).element;
  }, { wide: true });
}

/** The text with a node's template replaced, or put behind its other fields. */
function withTemplate(text, node, used) {
  const written = at(3, used);
  const known = entry(node, "template")?.node;
  if (known) return text.slice(0, known.start) + written + text.slice(known.end);
  const last = node.entries.findLast(({ key }) => key !== "exits")?.node ?? node.entries.at(-1).node;
  return `${text.slice(0, last.end)},\n${INDENT.repeat(3)}"template": ${written}${text.slice(last.end)}`;
}
