// How a list takes a page that was loaded anew.

type Key<Item> = (item: Item) => string;

/** A list that is held: each row is replaced where it stands, and none comes, goes or moves. */
export function mergeHeld<Item>(shown: Item[], page: Item[], key: Key<Item>): Item[] {
  const news = new Map(page.map((item) => [key(item), item]));
  return shown.map((item) => news.get(key(item)) ?? item);
}

/** How many rows of a page a list does not show. */
export function freshIn<Item>(shown: Item[], page: Item[], key: Key<Item>): number {
  const known = new Set(shown.map(key));
  return page.filter((item) => !known.has(key(item))).length;
}

/**
 * The page, and behind it what the list shows beyond its end: a reader who has gone far down stays there.
 * `hasTail` says whether anything was kept.
 */
export function mergeNew<Item>(shown: Item[], page: Item[], key: Key<Item>): { items: Item[]; hasTail: boolean } {
  const last = page.at(-1);
  const end = last === undefined ? -1 : shown.findIndex((item) => key(item) === key(last));
  if (end === -1) return { items: page, hasTail: false };
  const inPage = new Set(page.map(key));
  const tail = shown.slice(end + 1).filter((item) => !inPage.has(key(item)));
  return { items: [...page, ...tail], hasTail: tail.length > 0 };
}
