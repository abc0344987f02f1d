// The address: which view is on screen, with its filters. It stands behind the `#`, so that a link of today goes on to
// work, no server has to know the views, and a set-up code in a link reaches no log.

export interface Address {
  /** Such as `/sessions/…`. */
  path: string;
  query: URLSearchParams;
}

/** Reads what stands behind the `#`. */
export function readAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  return { path: path === "" ? "/" : path, query: new URLSearchParams(query) };
}

/** The same as text; empty filters are left out, and the others stay in their order. */
export function writeAddress(path: string, query: URLSearchParams | Record<string, string | null | undefined>): string {
  const entries = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const kept = entries.filter((entry): entry is [string, string] => Boolean(entry[1]));
  const text = new URLSearchParams(kept).toString();
  return `#${path}${text === "" ? "" : `?${text}`}`;
}

/** The parameters of a path by a pattern such as `/flows/:id/:tab?`, or null where it does not fit. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (given.length > wanted.length) return null;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index];
    if (part.startsWith(":")) {
      const isOptional = part.endsWith("?");
      if (value === undefined || value === "") {
        if (!isOptional) return null;
      } else {
        found[part.slice(1).replace("?", "")] = decode(value);
      }
    } else if (part !== value) {
      return null;
    }
  }
  return found;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
