import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { gathered } from "./gathered.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a burst is one call", async () => {
  const action = vi.fn();
  const { call } = gathered(action, 100);
  for (let n = 0; n < 50; n += 1) call();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(action).toHaveBeenCalledOnce();
});

test("what comes while the action runs is made up for once", async () => {
  let end = () => {};
  const action = vi.fn(() => new Promise<void>((resolve) => { end = resolve; }));
  const { call } = gathered(action, 100);
  call();
  await vi.advanceTimersByTimeAsync(100);
  call();
  call();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(action).toHaveBeenCalledOnce();
  end();
  await vi.advanceTimersByTimeAsync(100);
  expect(action).toHaveBeenCalledTimes(2);
});

test("nothing is called after it was cancelled", async () => {
  const action = vi.fn();
  const { call, cancel } = gathered(action, 100);
  call();
  cancel();
  call();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(action).not.toHaveBeenCalled();
});
