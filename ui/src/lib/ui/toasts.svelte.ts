// Short messages at the edge of the page.
import { isAbort, sentenceOf } from "../api/errors.ts";

/** Milliseconds that a message stays; one that says what went wrong stays until it is dismissed. */
const STAYS = 6_000;

interface Toast {
  id: number;
  text: string;
  isError: boolean;
}

class Toasts {
  shown = $state.raw<Toast[]>([]);
  #next = 0;

  add(text: string, isError = false): void {
    const id = (this.#next += 1);
    // The same complaint twice tells nothing more.
    this.shown = [...this.shown.filter((one) => one.text !== text), { id, text, isError }].slice(-4);
    if (!isError) setTimeout(() => this.dismiss(id), STAYS);
  }

  dismiss(id: number): void {
    this.shown = this.shown.filter((one) => one.id !== id);
  }
}

export const toasts = new Toasts();

export const toast = (text: string): void => toasts.add(text);

/** Says what went wrong, unless a view was only left. */
export function toastError(error: unknown): void {
  if (!isAbort(error)) toasts.add(sentenceOf(error), true);
}
