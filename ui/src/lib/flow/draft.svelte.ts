// A flow's draft as all parts of its page share it: the flow as the server has it, and the text at hand. The text
// outlives a change of tabs, and it is kept in the browser's tab until it is saved: it survives a reload, a log-out and
// a crash of the page.
import { pathOf, send } from "../api/client.ts";
import { ApiError } from "../api/errors.ts";
import type { Schema } from "../api/types.ts";
import { format } from "./format.ts";
import { entry, scan } from "./jsonmap.ts";

export type Summary = Omit<Schema<"Flow">, "document">;

/** What a refusal says of a draft that was saved by another person meanwhile. */
export interface Theirs {
  revision: number;
  updated_by?: string | null;
  updated_at?: string | null;
}
/** Decides what becomes of a conflict; gives whether the text is saved. */
type Settle = (draft: FlowDraft, theirs: Theirs) => Promise<boolean>;

interface Kept {
  text: string;
  revision: number;
  at: string;
}
type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Milliseconds after the last key until what was typed is kept. */
const PAUSE = 300;

export class FlowDraft {
  readonly id: string;
  summary = $state.raw<Summary | null>(null);
  /** The draft as it was saved last, laid out. */
  savedText = $state.raw("");
  /** The text at hand. */
  text = $state.raw("");
  /** The revision that the text at hand is based on. */
  baseRevision = $state.raw(0);
  /** When the text at hand was kept, if it comes from an earlier visit. */
  restoredAt = $state.raw<string | null>(null);
  readonly isDirty = $derived(this.text !== this.savedText);
  readonly #settle: Settle;
  readonly #store: Store | null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, settle: Settle, store: Store | null = storeOfTab()) {
    this.id = id;
    this.#settle = settle;
    this.#store = store;
  }

  get path(): string {
    return pathOf("/flows/{id}", { id: this.id });
  }

  /** Loads the flow, and the text that was kept of an earlier visit. */
  async load(signal?: AbortSignal): Promise<void> {
    const { text } = await send("GET", this.path, { signal });
    const before = this.#read();
    this.take(text);
    if (!before) return;
    this.text = before.text;
    if (this.isDirty) {
      this.baseRevision = before.revision;
      this.restoredAt = before.at;
    }
    this.keep();
  }

  /** Loads the flow anew. A text that is not saved stays, based on what it was: saving it meets the conflict. */
  async reload(signal?: AbortSignal): Promise<void> {
    const { text } = await send("GET", this.path, { signal });
    const base = this.baseRevision;
    const keepsText = this.isDirty;
    this.take(text, { keepsText });
    if (keepsText) this.baseRevision = base;
  }

  /** Takes a flow as the server answered it, as text, so that no value of its document is rounded. */
  take(answer: string, { keepsText = false }: { keepsText?: boolean } = {}): void {
    const { document: _, ...summary } = JSON.parse(answer) as Schema<"Flow">;
    const before = this.summary?.revision;
    this.summary = summary;
    // A document that is the same keeps the form that its author gave it.
    if (before !== summary.revision) {
      const node = entry(scan(answer).tree, "document")?.node;
      this.savedText = node ? format(answer, node) : "";
      this.baseRevision = summary.revision;
      if (!keepsText) this.text = this.savedText;
    }
    this.keep();
  }

  /** Takes a summary that came without a document. */
  takeSummary(summary: Partial<Summary>): void {
    if (this.summary) this.summary = { ...this.summary, ...summary };
  }

  /** Takes what was typed. */
  setText(text: string): void {
    this.text = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.keep(), PAUSE);
  }

  /** Goes back to what is saved. */
  discard(): void {
    this.text = this.savedText;
    this.restoredAt = null;
    this.keep();
  }

  /** Keeps the text in the browser's tab, or forgets it once it is saved. */
  keep(): void {
    clearTimeout(this.#timer);
    try {
      if (this.isDirty) {
        const kept: Kept = { text: this.text, revision: this.baseRevision, at: new Date().toISOString() };
        this.#store?.setItem(this.#key, JSON.stringify(kept));
      } else {
        this.#store?.removeItem(this.#key);
      }
    } catch {
      // The store is full or forbidden: then only the open page has the text, and it warns before it is closed.
    }
  }

  /** Saves the text. Gives true once it is saved; a conflict is settled first. */
  async save(): Promise<boolean> {
    const { error } = scan(this.text);
    if (error) throw new Error(`Not saved: line ${error.line}, column ${error.column}: ${error.text}`);
    const text = this.text;
    try {
      const headers = { "If-Match": `"${this.baseRevision}"` };
      const answer = await send("PUT", this.path, { raw: `{"document": ${text}}`, headers });
      this.restoredAt = null;
      // What was typed while the request ran stays, and stays unsaved.
      this.take(answer.text, { keepsText: true });
      this.savedText = text;
      this.keep();
      return true;
    } catch (failure) {
      if (!(failure instanceof ApiError) || failure.status !== 412) throw failure;
      return this.#settle(this, failure.body as unknown as Theirs);
    }
  }

  /** Saves over what another person saved; only over what the author was told of: a third save is a conflict again. */
  overwrite({ revision }: Theirs): Promise<boolean> {
    this.baseRevision = revision;
    return this.save();
  }

  get #key(): string {
    return `qyvo.text.${this.id}`;
  }

  #read(): Kept | null {
    try {
      const kept = JSON.parse(this.#store?.getItem(this.#key) ?? "null") as Kept | null;
      return typeof kept?.text === "string" ? kept : null;
    } catch {
      return null;
    }
  }
}

/** A browser may forbid storing. */
function storeOfTab(): Store | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}
