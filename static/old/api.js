// Talks to the server: one place for the base path, the token against forged requests, and errors as sentences.

export const BASE = "/api/v1";

let csrfToken = null;
let whenLoggedOut = () => {};

/** Keeps what every changing request must carry. */
export function setCsrfToken(token) {
  csrfToken = token ?? null;
}

/** Says what to do when the server no longer knows us. */
export function onLoggedOut(handler) {
  whenLoggedOut = handler;
}

/** An answer that is no success, or no answer at all (status 0). */
class ApiError extends Error {
  constructor(status, body, { retryAfter = null, requestId = null } = {}) {
    super(sentence(status, body, retryAfter));
    this.status = status;
    this.body = body ?? {};
    this.retryAfter = retryAfter;
    this.requestId = requestId;
    if (status >= 500 && requestId) this.message += ` (Request ${requestId}.)`;
  }
}

/** What a person reads about a failed request. */
function sentence(status, body, retryAfter) {
  if (status === 0) return "The server cannot be reached. Check that it runs and that you are online, then try again.";
  if (status === 429) return `Too many attempts. Try again in ${retryAfter ?? "a few"} seconds.`;
  const fields = body?.errors && typeof body.errors === "object" ? Object.entries(body.errors) : [];
  if (fields.length > 0) return fields.flatMap(([, texts]) => texts).join(" ");
  const text = body?.error ?? body?.message;
  if (typeof text === "string" && text !== "") {
    const whole = /[.!?]$/.test(text) ? text : `${text}.`;
    return typeof body.hint === "string" ? `${whole} ${body.hint}` : whole;
  }
  if (status === 413) return "That is too large for the server.";
  if (status === 503) return "The server is busy. Try again in a moment.";
  return `The server answered ${status}.`;
}

/**
 * Sends a request and gives `{ status, text, etag }`.
 * `raw` is sent as it is: a document goes through untouched, because parsing it here would round large numbers.
 */
export async function send(method, path, { body, raw, headers = {}, signal } = {}) {
  const options = { method, signal, credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json", ...headers } };
  if (raw !== undefined || body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = raw ?? JSON.stringify(body);
  }
  if (method !== "GET" && csrfToken) options.headers["X-CSRF-Token"] = csrfToken;
  let response;
  let text;
  try {
    response = await fetch(BASE + path, options);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0);
  }
  if (!response.ok) {
    const failure = new ApiError(response.status, parse(text), {
      retryAfter: response.headers.get("Retry-After"),
      requestId: response.headers.get("X-Request-Id"),
    });
    // The log-in form's own 401 is about the password, not about the visit.
    if (response.status === 401 && !path.startsWith("/admin/")) whenLoggedOut();
    throw failure;
  }
  return { status: response.status, text, etag: response.headers.get("ETag") };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function json(method, path, options) {
  const answer = await send(method, path, options);
  return answer.text === "" ? null : JSON.parse(answer.text);
}

export const get = (path, options) => json("GET", path, options);
export const post = (path, body = {}, options) => json("POST", path, { body, ...options });
export const put = (path, body, options) => json("PUT", path, { body, ...options });
export const patch = (path, body, options) => json("PATCH", path, { body, ...options });
export const del = (path, options) => json("DELETE", path, options);

/** A path with its query; empty values are left out. */
export function withQuery(path, query) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parts.set(name, value);
  }
  const text = parts.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Whether an error only says that its view was left. */
export const isAbort = (error) => error?.name === "AbortError";
