// The text of a document, laid out. Values are taken letter by letter from the text that was read.
import type { JsonNode } from "./jsonmap.ts";

/** Columns that an object or list may take on one line. */
const WIDTH = 100;

interface Child {
  key?: string;
  label: string;
  child: JsonNode;
}
interface Spot {
  indent: string;
  /** Columns that stand before it on its line. */
  used: number;
  depth: number;
  isFlowNode: boolean;
  isNodeList: boolean;
}

/**
 * The text of a tree: two spaces a level, and small things on one line, except the nodes of a flow, which are easier to
 * find on lines of their own.
 */
export function format(text: string, tree: JsonNode): string {
  return `${lay(text, tree, { indent: "", used: 0, depth: 0, isFlowNode: false, isNodeList: false })}\n`;
}

function lay(text: string, node: JsonNode, { indent, used, depth, isFlowNode, isNodeList }: Spot): string {
  const children = childrenOf(text, node);
  if (!children) return text.slice(node.start, node.end);
  const [open, close] = node.kind === "object" ? ["{", "}"] : ["[", "]"];
  if (children.length === 0) return open + close;
  if (depth >= 2 && !isFlowNode) {
    const line = inline(text, node, WIDTH - indent.length - used);
    if (line !== null) return line;
  }
  const deeper = `${indent}  `;
  const lines = children.map(({ label, child, key }) => {
    const isList = depth === 0 && key === "nodes";
    const spot = { indent: deeper, used: label.length, depth: depth + 1, isFlowNode: isNodeList, isNodeList: isList };
    return deeper + label + lay(text, child, spot);
  });
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

/** The node on one line, or null if it does not fit. */
function inline(text: string, node: JsonNode, room: number): string | null {
  const children = childrenOf(text, node);
  if (!children) return text.slice(node.start, node.end);
  if (children.length === 0) return node.kind === "object" ? "{}" : "[]";
  const parts: string[] = [];
  let length = 4;
  for (const { label, child } of children) {
    const part = inline(text, child, room);
    if (part === null) return null;
    length += label.length + part.length + 2;
    if (length > room) return null;
    parts.push(label + part);
  }
  return node.kind === "object" ? `{ ${parts.join(", ")} }` : `[${parts.join(", ")}]`;
}

function childrenOf(text: string, node: JsonNode): Child[] | null {
  if (node.kind === "object") {
    return node.entries.map(({ key, keyStart, keyEnd, node: child }) => ({
      key,
      label: `${text.slice(keyStart, keyEnd)}: `,
      child,
    }));
  }
  return node.kind === "array" ? node.items.map((child) => ({ label: "", child })) : null;
}
