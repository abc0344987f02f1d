// What a person reads about a request that failed.

/** The body of a refusal; which keys there are depends on the route. */
export interface ErrorBody {
  error?: string;
  message?: string;
  hint?: string;
  errors?: Record<string, string[]>;
  problems?: { node?: string | null; text: string }[];
  [more: string]: unknown;
}

/** An answer that is no success, or no answer at all (status 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly body: ErrorBody;
  /** Seconds after which another try may succeed. */
  readonly retryAfter: string | null;

  constructor(
    status: number,
    body: ErrorBody | null,
    more: { retryAfter?: string | null; requestId?: string | null } = {},
  ) {
    const text = sentence(status, body, more.retryAfter ?? null);
    super(status >= 500 && more.requestId ? `${text} (Request ${more.requestId}.)` : text);
    this.status = status;
    this.body = body ?? {};
    this.retryAfter = more.retryAfter ?? null;
  }
}

function sentence(status: number, body: ErrorBody | null, retryAfter: string | null): string {
  if (status === 0) return "The server cannot be reached. Check that it runs and that you are online, then try again.";
  if (status === 429) return `Too many attempts. Try again in ${retryAfter ?? "a few"} seconds.`;
  const fields = body?.errors && typeof body.errors === "object" ? Object.values(body.errors) : [];
  if (fields.length > 0) return fields.flat().join(" ");
  const text = body?.error ?? body?.message;
  if (typeof text === "string" && text !== "") {
    const whole = /[.!?]$/.test(text) ? text : `${text}.`;
    return typeof body?.hint === "string" ? `${whole} ${body.hint}` : whole;
  }
  if (status === 413) return "That is too large for the server.";
  if (status === 503) return "The server is busy. Try again in a moment.";
  return `The server answered ${status}.`;
}

/** Whether an error only says that its view was left. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

/** Whether nothing answered, so that the same request may succeed once the server is back. */
export const isUnreachable = (error: unknown): boolean => error instanceof ApiError && error.status === 0;

/** The sentence of any error. */
export const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
