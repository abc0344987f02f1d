// Flows to begin with, which the server brings along, and documents that come from elsewhere.
import { send } from "./api/client.ts";
import { ApiError } from "./api/errors.ts";

export interface Sample {
  name: string;
  title: string;
  description: string;
}

let known: Promise<Sample[]> | null = null;

/** What samples there are; none where the server has no list of them. */
export function samples(): Promise<Sample[]> {
  known ??= send("GET", "/samples").then(
    ({ text }) => (JSON.parse(text) as { data: Sample[] }).data,
    (error: unknown) => {
      if (!(error instanceof ApiError && error.status === 404)) known = null;
      return [];
    },
  );
  return known;
}

/** A sample's document as text, without an id, so that it becomes a flow of its own; with a name where one is given. */
export async function loadSample(sample: string, name: string): Promise<string> {
  const { text } = await send("GET", `/samples/${encodeURIComponent(sample)}`);
  const { id: _, ...document } = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify(name === "" ? document : { ...document, name });
}

/** Imports a document. `revision` is that of the draft which it replaces, if there is one. */
export async function importDocument(
  text: string,
  revision?: number,
): Promise<{ id: string; name: string; isNew: boolean }> {
  const headers: Record<string, string> = revision === undefined ? {} : { "If-Match": `"${revision}"` };
  try {
    const answer = await send("POST", "/flows/import", { raw: text, headers });
    const flow = JSON.parse(answer.text) as { id: string; name: string };
    return { id: flow.id, name: flow.name, isNew: answer.status === 201 };
  } catch (failure) {
    const first = failure instanceof ApiError ? failure.body.problems?.[0] : undefined;
    if (!first || !(failure instanceof Error)) throw failure;
    throw new Error(`${failure.message} The first: ${first.node ? `node ${first.node}: ` : ""}${first.text}`);
  }
}
