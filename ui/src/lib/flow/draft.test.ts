import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { FlowDraft, type Theirs } from "./draft.svelte.ts";

const flowOf = (revision: number, name = "Cart") =>
  `{"id": "f", "name": "${name}", "revision": ${revision}, "document": {"name": "${name}", "n": 12345678901234567890}}`;
const laid = (name = "Cart") => `{\n  "name": "${name}",\n  "n": 12345678901234567890\n}\n`;

class Store {
  readonly kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
  removeItem = (key: string) => void this.kept.delete(key);
}
let answers: Response[];
let asked: { method: string; body: unknown; match: string | undefined }[];
let told: Theirs[];
const draftIn = (store = new Store()) =>
  new FlowDraft("f", async (_, theirs) => {
    told.push(theirs);
    return false;
  }, store);

beforeEach(() => {
  [answers, asked, told] = [[], [], []];
  vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    asked.push({ method: init.method ?? "", body: init.body, match: headers["If-Match"] });
    return answers.shift() ?? new Response("", { status: 500 });
  });
});
afterEach(() => void vi.unstubAllGlobals());

test("a document is shown as it was written, letter by letter", async () => {
  answers = [new Response(flowOf(3))];
  const draft = draftIn();
  await draft.load();
  expect([draft.text, draft.baseRevision, draft.isDirty]).toEqual([laid(), 3, false]);
});

test("what is not saved is there again on the next visit, based on what it was based on", async () => {
  const store = new Store();
  answers = [new Response(flowOf(3)), new Response(flowOf(4, "Theirs"))];
  const first = draftIn(store);
  await first.load();
  first.setText('{"name": "Mine"}');
  first.keep();
  const second = draftIn(store);
  await second.load();
  expect([second.text, second.baseRevision, second.isDirty]).toEqual(['{"name": "Mine"}', 3, true]);
  expect(second.restoredAt).not.toBeNull();
  second.discard();
  expect([second.text, second.isDirty, store.kept.size]).toEqual([laid("Theirs"), false, 0]);
});

test("a text goes out as it is, for the revision that it is based on", async () => {
  answers = [new Response(flowOf(3)), new Response(flowOf(4, "Mine"))];
  const draft = draftIn();
  await draft.load();
  const text = '{ "name":"Mine", "n":12345678901234567890 }';
  draft.setText(text);
  expect(await draft.save()).toBe(true);
  expect(asked[1]).toEqual({ method: "PUT", body: `{"document": ${text}}`, match: '"3"' });
  expect([draft.text, draft.isDirty, draft.baseRevision]).toEqual([text, false, 4]);
});

test("what is typed while it is saved stays, and stays unsaved", async () => {
  answers = [new Response(flowOf(3)), new Response(flowOf(4, "Mine"))];
  const draft = draftIn();
  await draft.load();
  draft.setText('{"name": "Mine"}');
  const saving = draft.save();
  draft.setText('{"name": "Mine, too"}');
  await saving;
  expect([draft.text, draft.savedText, draft.isDirty]).toEqual(['{"name": "Mine, too"}', '{"name": "Mine"}', true]);
});

test("what is no JSON is not sent", async () => {
  answers = [new Response(flowOf(3))];
  const draft = draftIn();
  await draft.load();
  draft.setText('{"name": }');
  await expect(draft.save()).rejects.toThrow("Not saved: line 1, column 10");
  expect(asked).toHaveLength(1);
});

test("a conflict is told, and only what was told of is overwritten", async () => {
  const theirs = { revision: 7, updated_by: "Bo", updated_at: "2026-12-01T00:00:00+00:00" };
  answers = [
    new Response(flowOf(3)),
    new Response(JSON.stringify(theirs), { status: 412 }),
    new Response(JSON.stringify({ ...theirs, revision: 8 }), { status: 412 }),
  ];
  const draft = draftIn();
  await draft.load();
  draft.setText('{"name": "Mine"}');
  expect(await draft.save()).toBe(false);
  expect([told.length, told[0]?.revision, draft.text]).toEqual([1, 7, '{"name": "Mine"}']);
  expect(await draft.overwrite(theirs)).toBe(false);
  expect([asked[2]?.match, told[1]?.revision]).toEqual(['"7"', 8]);
});

test("news from others leave a text alone that is not saved, and saving it meets the conflict", async () => {
  answers = [new Response(flowOf(3)), new Response(flowOf(4, "Theirs"))];
  const draft = draftIn();
  await draft.load();
  draft.setText('{"name": "Mine"}');
  await draft.reload();
  expect([draft.text, draft.baseRevision, draft.summary?.revision]).toEqual(['{"name": "Mine"}', 3, 4]);
});

test("a browser that forbids storing costs only the copy", async () => {
  const store = new Store();
  store.setItem = () => { throw new Error("full"); };
  answers = [new Response(flowOf(3))];
  const draft = draftIn(store);
  await draft.load();
  draft.setText("{}");
  draft.keep();
  expect(draft.isDirty).toBe(true);
});
