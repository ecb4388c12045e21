import { expect, it } from "vitest";
import type { Schema } from "../../api/client";
import { chosenCost, compared, paidTerms } from "./compare";

const candidate = (node: string, cost: Record<string, number> | null, more: object = {}) => ({
  node, chosen: false, can_serve: [], missing: {}, cost, cost_minor: cost === null ? null : Object.values(cost).reduce((a, b) => a + b, 0), ...more,
});
const plan = {
  cost_minor: 710,
  decision: { fulfilments: [{ cost: { shipping: 400, handling: 100 } }, { cost: { shipping: 160, handling: 50 } }] },
  candidates: [
    candidate("EMPTY", null, { missing: { MUG: 2 } }),
    candidate("FAR", { shipping: 900, handling: 150, carbon: 0 }),
    candidate("NEAR", { shipping: 560, handling: 192 }),
    candidate("OURS", { shipping: 400, handling: 100 }, { chosen: true }),
    candidate("PART", { shipping: 1, handling: 1 }, { missing: { MUG: 1 } }),
  ],
} as unknown as Schema["PlanOut"];

it("adds the terms of all fulfilments", () => expect(chosenCost(plan)).toEqual({ shipping: 560, handling: 150 }));

it("says by how much the others lost, and by which term", () => {
  const rows = compared(plan);
  expect(rows.map((row) => row.candidate.node)).toEqual(["OURS", "NEAR", "FAR", "PART", "EMPTY"]);
  expect(rows.map((row) => [row.lostBy, row.because])).toEqual([[null, null], [42, "handling"], [340, "shipping"], [null, null], [null, null]]);
});

it("shows the terms that somebody pays, the dearest first", () => expect(paidTerms(plan)).toEqual(["shipping", "handling"]));
