import { expect, it } from "vitest";
import { concerns, type Digest } from "./live";

const digest: Digest = {
  "order.sourced": { count: 2, subjects: ["o1", "o2"], is_all: true },
  "fulfilment.shipped": { count: 1, subjects: ["o3-f1"], is_all: true },
  "stock.changed": { count: 900, subjects: ["MUG"], is_all: false },
};

it("concerns whoever watches the kind, and of one thing only what is about it", () => {
  expect(concerns(digest, ["order.*"], "")).toBe(true);
  expect(concerns(digest, ["incident.*"], "")).toBe(false);
  expect([concerns(digest, ["order.*"], "o2"), concerns(digest, ["order.*"], "o3"), concerns(digest, ["order.*"], "o")]).toEqual([true, false, false]);
  expect(concerns(digest, ["order.*", "fulfilment.*"], "o3")).toBe(true);
});

it("concerns everybody who watches when not everything is named", () => {
  expect([concerns(digest, ["stock.changed"], "MUG"), concerns(digest, ["stock.changed"], "PLATE")]).toEqual([true, true]);
});
