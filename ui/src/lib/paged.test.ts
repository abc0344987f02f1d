import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ApiError } from "./api/errors.ts";
import { connection } from "./connection.svelte.ts";
import { Paged, type Page } from "./paged.svelte.ts";

interface Row {
  id: string;
  status: string;
}
const rows = (...ids: string[]): Row[] => ids.map((id) => ({ id, status: "running" }));
const page = (data: Row[], next_cursor: string | null = null): Page<Row> => ({ data, next_cursor });
const shown = (list: Paged<Row>) => list.items.map(({ id }) => id).join("");

function listOf(answers: (Page<Row> | Error)[]) {
  const asked: { cursor: string | null; limit: number }[] = [];
  const list = new Paged<Row>(async (wanted) => {
    asked.push(wanted);
    const answer = answers.shift() ?? page([]);
    if (answer instanceof Error) throw answer;
    return answer;
  }, ({ id }) => id);
  return { list, asked };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("a list that is held moves no row, counts what is new, and shows it once it is let go", async () => {
  const { list } = listOf([page(rows("a", "b")), page([...rows("x", "y"), { id: "b", status: "completed" }])]);
  await list.restart();
  list.hold(true);
  await list.follow();
  expect([shown(list), list.fresh, list.isMoreFresh]).toEqual(["ab", 2, false]);
  expect(list.items[1]?.status).toBe("completed");
  list.hold(false);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([shown(list), list.fresh]).toEqual(["xyb", 0]);
});

test("a list that is held again in time keeps still", async () => {
  const { list } = listOf([page(rows("a")), page(rows("x", "a"))]);
  await list.restart();
  list.hold(true);
  await list.follow();
  list.hold(false);
  list.hold(true);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(shown(list)).toBe("a");
  list.showFresh();
  expect(shown(list)).toBe("xa");
});

test("what the reader does shows at once, also while the list is held", async () => {
  const { list } = listOf([page(rows("a", "b")), page(rows("a"))]);
  await list.restart();
  list.hold(true);
  await list.reload();
  expect(shown(list)).toBe("a");
});

test("the next page is behind what is there, and what is shown is what is loaded anew", async () => {
  const answers = [page(rows("a", "b"), "1"), page(rows("b", "c"), "2"), page(rows("x", "a", "b"), "1")];
  const { list, asked } = listOf(answers);
  await list.restart();
  await list.more();
  expect([shown(list), list.cursor]).toEqual(["abc", "2"]);
  await list.follow();
  expect([shown(list), list.cursor]).toEqual(["xabc", "2"]);
  expect(asked).toEqual([{ cursor: null, limit: 50 }, { cursor: "1", limit: 50 }, { cursor: null, limit: 50 }]);
});

test("more may be new than was loaded", async () => {
  const { list } = listOf([page(rows("a"), "1"), page(rows("x", "y"), "1")]);
  await list.restart();
  list.hold(true);
  await list.follow();
  expect([list.fresh, list.isMoreFresh]).toEqual([2, true]);
});

test("a list says that it loads only where that takes a while", async () => {
  let answer = (_: Page<Row>) => {};
  const list = new Paged<Row>(() => new Promise((resolve) => { answer = resolve; }), ({ id }) => id);
  const restarting = list.restart();
  await vi.advanceTimersByTimeAsync(150);
  expect(list.isSlow).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  expect(list.isSlow).toBe(true);
  answer(page(rows("a")));
  await restarting;
  expect([list.isSlow, shown(list)]).toEqual([false, "a"]);
});

test("what could not be loaded is loaded once the server is back", async () => {
  let isBack = false;
  vi.stubGlobal("fetch", async () => {
    if (!isBack) throw new TypeError("refused");
    return new Response("{}");
  });
  const { list } = listOf([page(rows("a")), new ApiError(0, null), page(rows("b", "a"))]);
  await list.restart();
  await list.follow();
  expect([shown(list), list.error instanceof ApiError]).toEqual(["a", true]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(shown(list)).toBe("a");
  isBack = true;
  await vi.advanceTimersByTimeAsync(3_000);
  expect([shown(list), list.error, connection.isReached]).toEqual(["ba", null, true]);
});
