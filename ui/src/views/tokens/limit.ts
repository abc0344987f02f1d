export const LIMIT_HINT = "Requests a minute. Leave it empty for the limit of the settings; 0 is no limit.";

/** What a field for a rate limit says: a number, or null where it is empty. Throws a sentence for anything else. */
export function limitIn(text: string): number | null {
  if (text.trim() === "") return null;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 0) throw new Error("The rate limit is a whole number, 0 or more.");
  return limit;
}
