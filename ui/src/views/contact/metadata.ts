// A contact's metadata as they are typed.
import { scan } from "../../lib/flow/jsonmap.ts";

/**
 * What to send so that the stored metadata becomes what was typed: the server merges, so a key that is gone is sent as
 * null. Throws a sentence for what is no JSON object.
 */
export function readMetadata(text: string, before: Record<string, unknown>): Record<string, unknown> {
  const typed = text.trim() === "" ? "{}" : text;
  const { error, tree } = scan(typed);
  if (error) throw new Error(`Metadata, line ${error.line}, column ${error.column}: ${error.text}`);
  if (tree?.kind !== "object") throw new Error("The metadata must be a JSON object, such as {}.");
  const after = JSON.parse(typed) as Record<string, unknown>;
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) after[key] = null;
  }
  return after;
}
