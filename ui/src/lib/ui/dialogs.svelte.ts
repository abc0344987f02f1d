// Dialogs that are opened by what happens: `await dialogs.open(SomeDialog, {…})` gives how it was closed.
import type { Component } from "svelte";

import Confirm from "./Confirm.svelte";

interface Opened {
  id: number;
  // What it takes is checked where it is opened.
  component: Component<any>;
  props: Record<string, unknown>;
  resolve: (result: unknown) => void;
}

class Dialogs {
  stack = $state.raw<Opened[]>([]);
  #next = 0;

  /** Opens a dialog; `undefined` says that it was left. */
  open<Props extends { close: (result?: never) => void }, Result = ResultOf<Props>>(
    component: Component<Props>,
    props: Omit<Props, "close">,
  ): Promise<Result | undefined> {
    return new Promise((resolve) => {
      const id = (this.#next += 1);
      const opened = { id, component, props, resolve: resolve as (result: unknown) => void };
      this.stack = [...this.stack, opened];
    });
  }

  close(id: number, result: unknown): void {
    const closed = this.stack.find((one) => one.id === id);
    this.stack = this.stack.filter((one) => one.id !== id);
    closed?.resolve(result);
  }

  closeAll(): void {
    for (const { id } of this.stack) this.close(id, undefined);
  }
}

type ResultOf<Props> = Props extends { close: (result?: infer Result) => void } ? Result : never;

export const dialogs = new Dialogs();

export interface Question {
  title: string;
  text: string;
  /** What the button says. */
  confirm: string;
  testid: string;
  kind?: "danger" | "primary";
  /** A text that has to be typed first: of what hits many at once. */
  typed?: string | undefined;
  /** A text that may be given, such as a reason. */
  input?: { label: string; hint?: string; maxlength?: number; testid?: string };
  /** Runs inside, so that its error can be read and tried again. What it gives is what `ask` gives. */
  action?: (input: string) => unknown;
}

/** Asks before something that cannot be undone, or that others would notice. `undefined` is a no. */
export function ask<T = unknown>(question: Question): Promise<T | undefined> {
  return dialogs.open(Confirm as Component<Question & { close: (result?: never) => void }>, question) as Promise<
    T | undefined
  >;
}
