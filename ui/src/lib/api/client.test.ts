import { afterEach, expect, test, vi } from "vitest";

import { get, onLoggedOut, onReached, pathOf, post, send, setCsrfToken } from "./client.ts";
import { ApiError, isUnreachable } from "./errors.ts";

function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const fetched = vi.fn(async () => new Response(status === 204 ? null : JSON.stringify(body), { status, headers }));
  vi.stubGlobal("fetch", fetched);
  return fetched as unknown as { mock: { calls: [string, RequestInit][] } };
}

afterEach(() => {
  vi.unstubAllGlobals();
  setCsrfToken(null);
  onLoggedOut(() => {});
  onReached(() => {});
});

test("parameters are escaped and empty values of a query are left out", () => {
  expect(pathOf("/flows/{id}", { id: "a/b" }, { status: "", cursor: null, limit: 5 })).toBe("/flows/a%2Fb?limit=5");
  expect(pathOf("/flows")).toBe("/flows");
});

test("changing requests carry the token against forged ones, and reads do not", async () => {
  setCsrfToken("t");
  const fetched = answering(200, {});
  await post("/channels/{name}/pause", { path: { name: "simulator" } });
  await get("/channels");
  const [[path, changing], [, reading]] = fetched.mock.calls as [[string, RequestInit], [string, RequestInit]];
  expect(path).toBe("/api/v1/channels/simulator/pause");
  expect(changing.headers).toMatchObject({ "X-CSRF-Token": "t", "Content-Type": "application/json" });
  expect(changing.body).toBe("{}");
  expect(reading.headers).not.toHaveProperty("X-CSRF-Token");
});

test.each([
  [422, { message: "The given data was invalid.", errors: { url: ["The url is odd."], name: ["Too long."] } },
    "The url is odd. Too long."],
  [404, { error: "Flow not found" }, "Flow not found."],
  [409, { error: "It runs.", hint: "Stop it first." }, "It runs. Stop it first."],
  [429, {}, "Too many attempts. Try again in 7 seconds."],
  [500, { error: "Internal server error" }, "Internal server error. (Request r-1.)"],
])("a refusal with %i is a sentence", async (status, body, expected) => {
  answering(status, body, { "Retry-After": "7", "X-Request-Id": "r-1" });
  await expect(get("/flows")).rejects.toThrow(expected);
});

test("a 401 ends the visit, but for the log-in form's own", async () => {
  const ended = vi.fn();
  onLoggedOut(ended);
  answering(401, { message: "Unauthenticated." });
  await expect(send("POST", "/admin/log-in", { body: {} })).rejects.toBeInstanceOf(ApiError);
  expect(ended).not.toHaveBeenCalled();
  await expect(get("/flows")).rejects.toBeInstanceOf(ApiError);
  expect(ended).toHaveBeenCalledOnce();
});

test("a server that does not answer is told apart, and its return is noticed", async () => {
  const reached: boolean[] = [];
  onReached((isReached) => reached.push(isReached));
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
  await expect(get("/flows")).rejects.toSatisfy(isUnreachable);
  answering(200, { data: [] });
  await get("/flows");
  expect(reached).toEqual([false, true]);
});

test("an empty answer is null", async () => {
  answering(204, null);
  await expect(post("/admin/log-out")).resolves.toBeNull();
});
