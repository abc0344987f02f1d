// Counts, names and small texts.

/** A count with its thousands apart, in the reader's form. */
export const number = (count: number | null | undefined): string => (count ?? 0).toLocaleString();

/** A count with the word for it. */
export const counted = (count: number, one: string, many: string): string =>
  `${number(count)} ${count === 1 ? one : many}`;

/** Whom a question is about. */
export function personOf(contact: { name?: string | null; phone?: string | null } | null | undefined): string {
  return [contact?.name, contact?.phone].filter(Boolean).join(", ") || "this contact";
}

/** What a contact is called in a list. */
export function nameOf(contact: { name?: string | null; phone?: string | null } | null | undefined): string {
  return contact?.name || contact?.phone || "Contact";
}

/** A file name from what people call a thing. */
export function fileName(name: string): string {
  return name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "flow";
}

/** A typed text by what it says: blanks and the signs of phone numbers tell nothing. */
export const bare = (text: string): string => text.normalize("NFC").replaceAll(/[\s()-]/g, "");

/** A sentence in which the server put names between backticks, in parts. */
export function proseParts(text: string): { text: string; isCode: boolean }[] {
  return text.split("`").map((part, index) => ({ text: part, isCode: index % 2 === 1 })).filter((part) => part.text);
}

/** A code such as `backing_off` as words. */
export const spaced = (code: string): string => code.replaceAll("_", " ");

/** The same with a capital letter. */
export const titled = (code: string): string => spaced(code).replace(/^./, (first) => first.toUpperCase());
