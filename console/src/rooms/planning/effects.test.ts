import { expect, it } from "vitest";
import { isUndoable, sumsOf, waysOf } from "./effects";

const row = (kind: "transfer" | "purchase" | "safety_stock", quantity: number, gain: number, currency: string | null = "EUR") => ({
  kind, quantity, cost_minor: 10, currency, effect: { money_minor: { expected: gain } },
});

it("adds up money of one currency only, and units of what moves", () => {
  const sums = sumsOf([row("transfer", 5, 300), row("safety_stock", 40, 100), row("purchase", 7, 900, "USD"), row("transfer", 2, 50, null)]);
  expect(sums).toEqual([
    { currency: "USD", gain: 900, cost: 10, units: 7 },
    { currency: "EUR", gain: 450, cost: 30, units: 7 },
  ]);
});

it("offers to take back what has not left, not come and was done", () => {
  const now = Date.parse("2026-03-02T23:59:00Z");
  const today = "2026-03-02T00:01:00Z";
  const transfer = { kind: "transfer", status: "approved", decided_at: today, followed: { received: 0 } } as const;
  expect(isUndoable(transfer, now)).toBe(true);
  expect(isUndoable({ ...transfer, decided_at: "2026-03-01T23:59:00Z" }, now)).toBe(false);
  expect(isUndoable({ ...transfer, followed: { received: 1 } }, now)).toBe(false);
  expect(isUndoable({ ...transfer, status: "done" }, now)).toBe(false);
  expect(isUndoable({ ...transfer, kind: "purchase", decided_at: "2026-02-01T00:00:00Z" }, now)).toBe(true);
  expect(isUndoable({ kind: "safety_stock", status: "done", decided_at: today, followed: null }, now)).toBe(true);
  expect(isUndoable({ kind: "safety_stock", status: "proposed", decided_at: null, followed: null }, now)).toBe(false);
});

it("draws one arrow for all units between two nodes, and keeps apart what is under way", () => {
  const move = (from: string | null, node: string, quantity: number, status: "proposed" | "approved") => ({ from, node, quantity, status });
  const ways = waysOf([move("a", "b", 3, "proposed"), move("a", "b", 4, "proposed"), move("a", "b", 9, "approved"), move("b", "a", 1, "proposed"), move(null, "a", 5, "proposed")]);
  expect(ways).toEqual([
    { from: "a", to: "b", units: 9, proposals: 1, isUnderWay: true },
    { from: "a", to: "b", units: 7, proposals: 2, isUnderWay: false },
    { from: "b", to: "a", units: 1, proposals: 1, isUnderWay: false },
  ]);
});
