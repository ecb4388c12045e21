import { expect, it } from "vitest";
import { columnsOf, PAGE, pagesOf, withTotal } from "./cells";
import { gathered, stepsOf } from "./waterfall";

it("adds up a row, and leaves out where the item never was", () => {
  expect(withTotal({ sku: "MUG", units: [3, null, 4], short: [] }).total).toBe(7);
});

it("reads the pages that rows lie on, and no others", () => {
  expect([pagesOf(0, 20), pagesOf(PAGE - 1, PAGE), pagesOf(250, 260)]).toEqual([[0], [0, 1], [2]]);
});

it("puts the sum before the nodes", () => {
  expect(columnsOf(["A", "B"], 0, 2, 100, 50).map(({ node, start }) => [node, start])).toEqual([[undefined, 100], ["A", 150], ["B", 200]]);
  expect(columnsOf(["A", "B"], 2, 2, 100, 50)).toEqual([{ index: 2, node: "B", start: 200, size: 50 }]);
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
