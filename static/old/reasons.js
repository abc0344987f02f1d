// Reasons in words: the server and its channels give short names and codes, for programs; people who look why something
// stopped need a sentence. A name that is not listed is shown as it is.

// lists.js is no file: the server makes it from its registries (src/api/manage/page_lists.rs).
import { REASONS } from "./lists.js";

/** A sentence for a reason, or null. */
export function inWords(reason) {
  return Object.hasOwn(REASONS, reason ?? "") ? REASONS[reason] : null;
}
