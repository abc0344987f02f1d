// What an author can put into a document: a node of each kind, as text to go on from.

import { NODES } from "./lists.js";

const BY_TYPE = new Map(NODES.map((node) => [node.type, node]));

/** Every type of node, in the order in which they are offered. */
export const TYPES = [...BY_TYPE.keys()];

/** Whether nodes of a type say something, and so may name a template. */
export const speaks = (type) => BY_TYPE.get(type)?.takes_template === true;

/** A type with what it does. */
export const describe = (type) => `${type}: ${BY_TYPE.get(type).about}`;

/** A node with an id that none of `taken` has. Exits lead nowhere yet. */
export function makeNode(type, taken) {
  const stem = type.replace(/^(send|set|update|wait_for|run)_/, "");
  let id = stem;
  for (let count = 2; taken.includes(id); count += 1) id = `${stem}_${count}`;
  return { id, type, ...structuredClone(BY_TYPE.get(type).fields) };
}
