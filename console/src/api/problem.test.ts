import { expect, it } from "vitest";
import { asProblem, problemOf } from "./problem";

it("reads a problem document with its fields", () => {
  const problem = problemOf(422, { title: "x", detail: "d", code: "input.invalid", errors: [{ path: "lines[0].sku", message: "no item" }, 7] });
  expect([problem.status, problem.code, problem.message, problem.passes]).toEqual([422, "input.invalid", "d", false]);
  expect(problem.fields).toEqual([{ path: "lines[0].sku", message: "no item" }]);
});

it("makes one of anything else", () => {
  expect(problemOf(502, "<html>").code).toBe("http.502");
  expect(problemOf(503, { retry_after_s: 5 }).retryAfterS).toBe(5);
  const away = asProblem(new TypeError("Failed to fetch"));
  expect([away.status, away.code, away.passes]).toEqual([0, "server.unreachable", true]);
});
