import { expect, it } from "vitest";
import { byCurrency, byNode, loadOf } from "./figures";

const none = { orders: null, lines: null, units: null };
const day = (node: string, orders: number | null, held: number, more: object = {}) => ({
  node, day: "2026-03-02", capacity: { ...none, orders }, held: { ...none, orders: held }, used: none, planned: none, headroom: none, ...more,
});

it("is as full as the limit that binds first", () => {
  expect(loadOf(day("A", 100, 40)).share).toBeCloseTo(0.4);
  const both = loadOf(day("A", 100, 40, { capacity: { orders: 100, lines: null, units: 50 }, held: { orders: 40, lines: 40, units: 60 } }));
  expect([both.limit, both.share]).toEqual(["units", 1.2]);
  expect(loadOf(day("A", null, 40)).share).toBeNull();
  expect(loadOf(day("A", 0, 0)).isClosed).toBe(true);
});

it("shows the fullest node first", () => {
  expect(byNode([day("A", 100, 10), day("B", 100, 90), day("C", null, 0)]).map((node) => node.node)).toEqual(["B", "A", "C"]);
});

it("adds no money of two currencies", () => {
  const rows = [{ currency: "EUR", minor: 5 }, { currency: "CHF", minor: 9 }, { currency: "EUR", minor: 6 }];
  expect(byCurrency(rows, (row) => row.minor)).toEqual([["EUR", 11], ["CHF", 9]]);
});
