// Templates as a person reads them.

export interface Placeholder {
  key: string;
  is_media?: boolean;
}
/** As much of a template as a preview shows; one that is being written may lack any of it. */
export interface Previewed {
  name: string;
  header?: { kind: string; text?: string | null; media?: string | null } | null;
  body: string;
  footer?: string | null;
  buttons?: { kind: string; text?: string | null; url?: string | null }[] | null;
}

/** A placeholder's name. */
export function placeholderLabel({ key, is_media: isMedia }: Placeholder): string {
  if (isMedia) return "Link to the header's medium";
  if (key.startsWith("header.")) return "Header";
  if (key.startsWith("button.")) return `Button ${Number(key.slice(7)) + 1}`;
  return `{{${key}}}`;
}

/** A text in parts: its placeholders are marked, and filled in where `values` has something for them. */
export function markedParts(
  text: string | null | undefined,
  values: Record<string, string>,
  key?: string,
): { text: string; isPlaceholder: boolean }[] {
  return (text ?? "").split(/(\{\{.*?\}\})/s).filter(Boolean).map((part) => {
    if (!/^\{\{.*\}\}$/s.test(part)) return { text: part, isPlaceholder: false };
    return { text: values[key ?? part.slice(2, -2).trim()] || part, isPlaceholder: true };
  });
}
