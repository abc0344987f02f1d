import { beforeEach, expect, test, vi } from "vitest";

import { connection } from "./connection.svelte.ts";
import { live } from "./live.ts";

class Stream extends EventTarget {
  static readonly CLOSED = 2;
  static opened: Stream[] = [];
  readonly url: string;
  readyState = 0;

  constructor(url: string) {
    super();
    this.url = url;
    Stream.opened.push(this);
  }

  close() {
    this.readyState = Stream.CLOSED;
  }

  say(kind: string, data: object = {}) {
    this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify(data) }));
  }
}

class Page extends EventTarget {
  hidden = false;
}
let tab: Page;
const open = () => Stream.opened.filter(({ readyState }) => readyState !== Stream.CLOSED);
const soon = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  tab = new Page();
  Stream.opened = [];
  vi.stubGlobal("document", tab);
  vi.stubGlobal("EventSource", Stream);
  live.start();
  return () => {
    live.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  };
});

test("a tab has one stream, with the filter of the view on screen", async () => {
  const end = live.watch({ flow_id: "f" }, {});
  await soon();
  expect(open().map(({ url }) => url)).toEqual(["/api/v1/events?flow_id=f"]);
  // One view goes and another comes: one stream is closed and one opened.
  end();
  const next = live.watch({}, {});
  await soon();
  expect(open().map(({ url }) => url)).toEqual(["/api/v1/events"]);
  expect(Stream.opened).toHaveLength(2);
  next();
});

test("a view without live updates hears only what concerns every page", async () => {
  const problems = vi.fn();
  const end = live.watchAll({ problems });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(open()[0]?.url).toContain("session_id=00000000");
  open()[0]?.say("problems", { count: 1 });
  expect(problems).toHaveBeenCalledWith({ count: 1 });
  end();
});

test("a hidden tab closes its stream, and looks anew when it is shown", async () => {
  const reload = vi.fn();
  const end = live.watch({}, { reload });
  await soon();
  open()[0]?.say("open");
  tab.hidden = true;
  tab.dispatchEvent(new Event("visibilitychange"));
  expect(open()).toHaveLength(0);
  tab.hidden = false;
  tab.dispatchEvent(new Event("visibilitychange"));
  expect(reload).not.toHaveBeenCalled();
  open()[0]?.say("open");
  expect(reload).toHaveBeenCalledOnce();
  end();
});

test("a stream that the server refused is tried again after a pause, and what was missed is looked up", async () => {
  const reload = vi.fn();
  const end = live.watch({}, { reload });
  await soon();
  const [first] = open();
  first?.say("open");
  first?.close();
  first?.say("error");
  expect([connection.isLive, open().length]).toEqual([false, 0]);
  await vi.advanceTimersByTimeAsync(1_000);
  open()[0]?.say("open");
  expect([connection.isLive, reload.mock.calls.length]).toEqual([true, 1]);
  end();
});
