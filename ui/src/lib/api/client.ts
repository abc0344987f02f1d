// Talks to the server: the one place that knows the base path, the token against forged requests, and what to do when
// the server no longer knows who is here. Paths, parameters, bodies and answers have the types of its description.
import { ApiError, type ErrorBody } from "./errors.ts";
import type { paths } from "./schema.gen.ts";

export const BASE = "/api/v1";

type Method = "get" | "post" | "put" | "patch" | "delete";
type PathWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, infer Operation> ? (Operation extends object ? P : never) : never;
}[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : null;
type Success<R> = { [S in keyof R]: S extends 200 | 201 | 202 | 204 ? Json<R[S]> : never }[keyof R];

/** What a route answers when it succeeds. */
export type Answer<P extends keyof paths, M extends Method = "get"> =
  Operation<P, M> extends { responses: infer R } ? Success<R> : never;

/** What a route takes as its body. */
export type Body<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody?: { content: { "application/json": infer B } } } ? B : unknown;

type PathParameters<P> = P extends `${string}{${infer Name}}${infer Rest}`
  ? Record<Name, string | number> & PathParameters<Rest>
  : unknown;
type QueryOf<O> = O extends { parameters: { query?: infer Q } } ? Q : never;

export type QueryValue = string | number | boolean | null | undefined;

export interface Options<P extends keyof paths, M extends Method> {
  path?: PathParameters<P>;
  query?: { [K in keyof QueryOf<Operation<P, M>>]?: QueryValue };
  body?: Body<P, M>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

interface Sent {
  body?: unknown;
  /** Sent as it is: a document goes through untouched, because parsing it here would round large numbers. */
  raw?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface Received {
  status: number;
  text: string;
  headers: Headers;
}

let csrfToken: string | null = null;
let whenLoggedOut: () => void = () => {};
let whenReached: (isReached: boolean) => void = () => {};

/** Keeps what every changing request must carry. */
export function setCsrfToken(token: string | null | undefined): void {
  csrfToken = token ?? null;
}

/** Says what to do when the server no longer knows who is here. */
export function onLoggedOut(handler: () => void): void {
  whenLoggedOut = handler;
}

/** Says whom to tell whether the server could be reached, after each request. */
export function onReached(handler: (isReached: boolean) => void): void {
  whenReached = handler;
}

/** Sends a request below the base path and gives the answer as text. Throws an `ApiError` for every refusal. */
export async function send(method: string, path: string, { body, raw, headers, signal }: Sent = {}): Promise<Received> {
  const all: Record<string, string> = { Accept: "application/json", ...headers };
  const init: RequestInit = { method, credentials: "same-origin", cache: "no-store", headers: all };
  if (signal) init.signal = signal;
  if (raw !== undefined || body !== undefined) {
    all["Content-Type"] = "application/json";
    init.body = raw ?? JSON.stringify(body);
  }
  if (method !== "GET" && csrfToken) all["X-CSRF-Token"] = csrfToken;
  let response: Response;
  let text: string;
  try {
    response = await fetch(BASE + path, init);
    text = await response.text();
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw error;
    whenReached(false);
    throw new ApiError(0, null);
  }
  whenReached(true);
  if (response.ok) return { status: response.status, text, headers: response.headers };
  // The log-in form's own 401 is about the password, not about the visit.
  if (response.status === 401 && !path.startsWith("/admin/")) whenLoggedOut();
  throw new ApiError(response.status, parse(text), {
    retryAfter: response.headers.get("Retry-After"),
    requestId: response.headers.get("X-Request-Id"),
  });
}

function parse(text: string): ErrorBody | null {
  try {
    return JSON.parse(text) as ErrorBody;
  } catch {
    return null;
  }
}

/** A path of the description with its parameters and its query; empty values are left out. */
export function pathOf(
  template: string,
  parameters: Record<string, string | number> = {},
  query: Record<string, QueryValue> = {},
): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(parameters[name])));
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parts.set(name, String(value));
  }
  const text = parts.toString();
  return text === "" ? path : `${path}?${text}`;
}

async function call<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  options: Options<P, M> = {},
): Promise<Answer<P, M>> {
  const { body, headers, signal } = options;
  const target = pathOf(path, options.path as Record<string, string | number> | undefined, options.query);
  const sent: Sent = { signal };
  if (body !== undefined) sent.body = body;
  // Every changing route takes JSON, also those whose body may be empty.
  else if (method === "post") sent.body = {};
  if (headers) sent.headers = headers;
  const { text } = await send(method.toUpperCase(), target, sent);
  return (text === "" ? null : JSON.parse(text)) as Answer<P, M>;
}

export const get = <P extends PathWith<"get">>(path: P, options?: Options<P, "get">) => call("get", path, options);
export const post = <P extends PathWith<"post">>(path: P, options?: Options<P, "post">) => call("post", path, options);
export const put = <P extends PathWith<"put">>(path: P, options?: Options<P, "put">) => call("put", path, options);
export const patch = <P extends PathWith<"patch">>(path: P, options?: Options<P, "patch">) =>
  call("patch", path, options);
export const del = <P extends PathWith<"delete">>(path: P, options?: Options<P, "delete">) =>
  call("delete", path, options);
