// Where in a document's text a problem is.
import { entry, textOf, type Entry, type JsonNode, type Range } from "./jsonmap.ts";

/** The place of a problem: its field, else the nearest thing around it that is there. */
export function locate(tree: JsonNode | null, { node, field }: { node?: string | null; field?: string | null }): Range {
  if (!tree) return { start: 0, end: 0 };
  const name = entry(tree, "name");
  let root = tree;
  let range = name ? keyRange(name) : { start: tree.start, end: tree.start + 1 };
  if (node) {
    const list = entry(tree, "nodes")?.node;
    const items = list?.kind === "array" ? list.items : [];
    const found = items.find((item) => textOf(entry(item, "id")?.node) === node);
    const id = entry(found, "id");
    if (!found || !id) return range;
    root = found;
    range = keyRange(id);
  }
  return (field && follow(root, field)) || range;
}

function follow(root: JsonNode, field: string): Range | null {
  let node = root;
  let range: Range | null = null;
  let rest = field;
  while (rest !== "") {
    const index = /^\[(\d+)\]\.?/.exec(rest);
    if (index) {
      const item: JsonNode | undefined = node.kind === "array" ? node.items[Number(index[1])] : undefined;
      if (!item) return range;
      node = item;
      range = { start: item.start, end: isLong(item) ? item.start + 1 : item.end };
      rest = rest.slice(index[0].length);
      continue;
    }
    // Keys may hold dots themselves (`header.1`), so the longest that fits is taken.
    const wanted = rest;
    const entries: Entry[] = node.kind === "object" ? node.entries : [];
    const fits = entries.filter(
      ({ key }) => wanted === key || wanted.startsWith(`${key}.`) || wanted.startsWith(`${key}[`),
    );
    const best = fits.reduce<Entry | null>(
      (longest, candidate) => (longest && candidate.key.length < longest.key.length ? longest : candidate),
      null,
    );
    if (!best) return range;
    node = best.node;
    range = keyRange(best);
    rest = rest.slice(best.key.length).replace(/^\./, "");
  }
  return range;
}

const isLong = (node: JsonNode): boolean => node.kind === "object" || node.kind === "array";

/** The whole entry where it is short, else its key: selecting half the document shows nothing. */
function keyRange({ keyStart, keyEnd, node }: Entry): Range {
  return { start: keyStart, end: isLong(node) ? keyEnd : node.end };
}
