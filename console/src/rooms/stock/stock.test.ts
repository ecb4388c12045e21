import { expect, it } from "vitest";
import { itemsOf, nodesOf } from "./cells";
import { gathered, stepsOf } from "./waterfall";

const row = (sku: string, node: string, available: number) => ({
  sku, node, on_hand: available, unavailable: 0, allocated: 0, oversold: 0, available, inbound: 0, safety_stock: 0, version: 1,
});
const rows = [row("MUG", "B", 3), row("MUG", "A", 4), row("PLATE", "A", 1)];

it("makes rows of items and columns of nodes", () => {
  const items = itemsOf(rows, "available", "");
  expect(items.map((item) => [item.sku, item.total])).toEqual([["MUG", 7], ["PLATE", 1]]);
  expect(items[0]?.cells.get("A")?.available).toBe(4);
  expect(nodesOf(rows)).toEqual(["A", "B"]);
  expect(itemsOf(rows, "inbound", "plat").map((item) => [item.sku, item.total])).toEqual([["PLATE", 0]]);
});

const TERMS = [
  { term: "available", units: 30, node: "A" }, { term: "available", units: 9, node: "B" }, { term: "available", units: 0, node: "C" },
  { term: "gate", units: -2 },
];

it("leads to the number step by step", () => {
  expect(stepsOf(TERMS).map((step) => [step.from, step.to])).toEqual([[0, 30], [30, 39], [39, 37]]);
});

it("puts small steps of many nodes together, and loses no unit", () => {
  const many = [...Array.from({ length: 40 }, (_, i) => ({ term: "available", units: i + 1, node: `N${i}` })), { term: "gate", units: -2 }];
  const few = gathered(many, 8);
  expect(few).toHaveLength(9);
  expect(few.at(7)).toEqual({ term: "available", units: (33 * 34) / 2, node: "+33" });
  expect(stepsOf(few).at(-1)?.to).toBe(stepsOf(many).at(-1)?.to);
});
