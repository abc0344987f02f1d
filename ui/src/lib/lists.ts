// What the server's registries hold: reasons in words, events of webhooks, types of nodes, outcomes of sessions. The
// script comes from the server, which puts its name by its content into the page.

interface Lists {
  REASONS: Record<string, string>;
  EVENTS: [title: string, names: string[]][];
  NODES: { type: string; about: string; takes_template: boolean; fields: Record<string, unknown> }[];
  OUTCOMES: string[];
}

let lists: Lists = { REASONS: {}, EVENTS: [], NODES: [], OUTCOMES: [] };

/** Loads the script. Everything else of this module is empty before. */
export async function loadLists(): Promise<void> {
  const name = document.querySelector<HTMLMetaElement>("meta[name=qyvo-lists]")?.content ?? "lists.js";
  lists = (await import(/* @vite-ignore */ new URL(name, document.baseURI).href)) as Lists;
}

/** A reason's code in words; empty where there are none for it. */
export const inWords = (code: string | null | undefined): string => {
  return code && Object.hasOwn(lists.REASONS, code) ? (lists.REASONS[code] ?? "") : "";
};

/** Events by group. */
export const eventGroups = (): Lists["EVENTS"] => lists.EVENTS;

/** Types of nodes, in the order in which they are offered. */
export const nodeTypes = (): Lists["NODES"] => lists.NODES;

/** Names of what is counted of sessions. */
export const outcomes = (): string[] => lists.OUTCOMES;
