import { expect, it } from "vitest";
import { partsOf } from "./contributions";

const sum = (parts: readonly { units: number }[]) => parts.reduce((total, part) => total + part.units, 0);

it("shows every part that can be seen, and all of them together are the mean", () => {
  const parts = partsOf({ mean: 26.1, base: 22.4, contributions: { promotion: 3.2, history: -0.6, place: 0.001 }, others: 1.099 });
  expect(parts.map((part) => part.name)).toEqual(["base", "promotion", "history", "others"]);
  expect(parts.at(-1)?.units).toBeCloseTo(1.1);
  expect(sum(parts)).toBeCloseTo(26.1);
});

it("says nothing of others where there are none", () => {
  expect(partsOf({ mean: 5, base: 4, contributions: { price: 1 }, others: 0 })).toEqual([
    { name: "base", units: 4 },
    { name: "price", units: 1 },
  ]);
});
