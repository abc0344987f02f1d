// What keys do on every page. None of them acts inside a field.
import { navigation } from "../lib/navigation.svelte.ts";
import { dialogs } from "../lib/ui/dialogs.svelte.ts";
import Help from "./Help.svelte";
import Palette from "./Palette.svelte";

/** Where "g" and a letter go. */
export const GOES: Record<string, string> = {
  p: "/problems",
  f: "/flows",
  s: "/sessions",
  c: "/contacts",
  m: "/messages",
};
/** Milliseconds in which the letter has to follow. */
const PATIENCE = 1_200;

export const openPalette = (): void => void dialogs.open(Palette, {});
export const openHelp = (): void => void dialogs.open(Help, {});

const isInField = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Listens until the function that it gives is called. */
export function listen(): () => void {
  let wentAt = 0;
  const press = (event: KeyboardEvent): void => {
    if (event.isComposing || dialogs.stack.length > 0) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isInField(event.target)) return;
    const target = GOES[key];
    if (target && event.timeStamp - wentAt < PATIENCE) {
      event.preventDefault();
      wentAt = 0;
      navigation.go(target);
    } else if (key === "g") {
      wentAt = event.timeStamp;
    } else if (key === "/") {
      const field = document.querySelector<HTMLElement>("main input[type=search]");
      event.preventDefault();
      if (field) field.focus();
      else openPalette();
    } else if (key === "?") {
      event.preventDefault();
      openHelp();
    }
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}
