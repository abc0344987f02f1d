import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

import { exampleContext, snippets, triggerOf } from "./snippets.ts";

/** Milliseconds that starting a program may take on a busy machine. */
const PATIENCE = 60_000;
const CONTEXT = { name: "O'Neil \"x\" $y `z` \\", n: 1, ok: true, none: null, list: ["a", {}], empty: {} };
const of = (id: string) => {
  const all = snippets({ baseUrl: "http://q.test/", flowId: "f", isSequence: false, phone: "+1", context: CONTEXT });
  return all.find((one) => one.id === id)?.code ?? "";
};

test("the inputs of a flow are its context", () => {
  const inputs = [{ name: "cart_total", type: "string" }, { name: "count", type: "number" }];
  expect(exampleContext({ inputs })).toEqual({ cart_total: "129.00", count: 1 });
});

test("without inputs, the context is what texts read and the flow does not write", () => {
  const nodes = [
    { text: "Hi {{context.name}}, {{ context.said|upper }}{{context.city}}" },
    { save_as: "said", assignments: [{ name: "city" }] },
  ];
  expect(exampleContext({ nodes })).toEqual({ name: "Ada" });
  expect(exampleContext(null)).toEqual({});
});

test("sequences have a call of their own", () => {
  expect(triggerOf(true)).toEqual({ path: "/actions/trigger-sequence", key: "sequence_id" });
});

test("the address has one slash, and each snippet a key of its own", () => {
  const codes = ["curl", "javascript", "php", "python"].map(of);
  for (const code of codes) expect(code).toContain("http://q.test/api/v1/actions/trigger-flow");
  expect(new Set(codes.map((code) => /order-\d+/.exec(code)?.[0])).size).toBe(4);
});

test("what a shell hands on is the body", () => {
  const told = spawnSync("sh", ["-c", of("curl").replace("curl -sS", "printf '%s\\n'")], { encoding: "utf8" });
  const body = told.stdout.slice(told.stdout.indexOf("\n{") + 1);
  expect(JSON.parse(body)).toEqual({ flow_id: "f", phone: "+1", context: CONTEXT });
}, PATIENCE);

test("what Python reads is the body", () => {
  const value = /json=(\{[\s\S]*\}),\n {4}timeout/.exec(of("python"))?.[1] ?? "";
  const told = spawnSync("python3", ["-c", `import json; print(json.dumps(${value}))`], { encoding: "utf8" });
  expect(JSON.parse(told.stdout)).toEqual({ flow_id: "f", phone: "+1", context: CONTEXT });
}, PATIENCE);

test("an empty object stays one in PHP", () => {
  expect(of("php")).toContain("'empty' => new stdClass(),");
});
