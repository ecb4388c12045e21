import { expect, it } from "vitest";
import { compared, front, swept, type Point } from "./pareto";
import type { Report } from "./queries";

const point = (label: string, paid_minor: number, value: number): Point => ({ label, role: "other", paid_minor, value });
const names = (points: readonly Point[]) => points.map((each) => each.label);

function report(candidate: string, paid: number, days: number, more: { seed?: number; orders?: number } = {}): Report {
  const row = (metric: string, baseline: number, value: number) => ({ metric, baseline, candidate: value });
  return {
    baseline: { version: "standard@1" },
    candidate: { version: candidate },
    period: { from: "a", to: "b", orders: more.orders ?? 10 },
    method: { seed: more.seed ?? 0 },
    differences: [row("paid_minor", 500, paid), row("days", 3, days)],
    pareto: {
      orders: 9,
      points: [
        { name: "margin", day_minor: 1, co2_minor_per_kg: 0, paid_minor: 480, days: 3.5, co2_g: null, dominated_by: null },
        { name: null, day_minor: 50, co2_minor_per_kg: 200, paid_minor: 520, days: 2, co2_g: 700, dominated_by: null },
      ],
    },
  } as unknown as Report;
}

it("keeps what no other point beats", () => {
  const points = [point("dear and quick", 700, 1), point("beaten", 700, 3), point("cheap", 400, 5), point("between", 500, 3)];
  expect(names(front(points))).toEqual(["cheap", "between", "dear and quick"]);
});

it("keeps one of equal points and never none", () => {
  expect(names(front([point("a", 5, 1), point("b", 5, 1)]))).toEqual(["a"]);
  expect(front([])).toEqual([]);
});

it("agrees with asking of each pair whether one beats the other", () => {
  const points = Array.from({ length: 60 }, (_, i) => point(`${i}`, (i * 37) % 23, (i * 53) % 19));
  const beats = (a: Point, b: Point) =>
    a.paid_minor <= b.paid_minor && a.value <= b.value && (a.paid_minor < b.paid_minor || a.value < b.value);
  const kept = points.filter((each) => !points.some((other) => beats(other, each)));
  const key = (each: Point) => `${each.paid_minor}/${each.value}`;
  expect(new Set(front(points).map(key))).toEqual(new Set(kept.map(key)));
});

it("puts side by side only what met the same orders with the same luck", () => {
  const found = compared(
    report("standard@3", 470, 3.1),
    [report("standard@2", 460, 3.4), report("standard@4", 1, 1, { seed: 7 }), report("standard@5", 1, 1, { orders: 9 })],
    "days",
  );
  expect(found.map((each) => [each.label, each.role, each.paid_minor, each.value])).toEqual([
    ["standard@1", "present", 500, 3], ["standard@3", "tried", 470, 3.1], ["standard@2", "other", 460, 3.4],
  ]);
});

it("leaves out what was not measured", () => {
  expect(compared(report("standard@3", 470, 3.1), [], "late")).toEqual([]);
  expect(names(swept(report("standard@3", 470, 3.1), "co2_g"))).toEqual(["0.5 · 2"]);
  expect(swept(report("standard@3", 470, 3.1), "late")).toEqual([]);
});
