import { expect, test } from "vitest";

import { match, readAddress, writeAddress } from "./router.ts";

test("an address is read with its filters", () => {
  const { path, query } = readAddress("#/sessions?status=handoff&q=a%3Fb");
  expect([path, query.get("status"), query.get("q")]).toEqual(["/sessions", "handoff", "a?b"]);
  expect(readAddress("").path).toBe("/");
  expect(readAddress("#").path).toBe("/");
});

test("empty filters are left out of an address", () => {
  expect(writeAddress("/sessions", { status: "running", flow_id: "", cursor: null })).toBe("#/sessions?status=running");
  expect(writeAddress("/sessions", {})).toBe("#/sessions");
});

test("paths are matched whole, with optional parts", () => {
  expect(match("/flows/:id/:tab?", "/flows/a%20b")).toEqual({ id: "a b" });
  expect(match("/flows/:id/:tab?", "/flows/x/try")).toEqual({ id: "x", tab: "try" });
  expect(match("/flows/:id/:tab?", "/flows")).toBeNull();
  expect(match("/flows/:id/:tab?", "/flows/x/try/more")).toBeNull();
  expect(match("/flows", "/flows/x")).toBeNull();
  expect(match("/flows/:id", "/flows/%zz")).toEqual({ id: "%zz" });
});
