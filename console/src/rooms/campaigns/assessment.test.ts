import { expect, it } from "vitest";
import { dayFrom, heatOf } from "./assessment";

const days = Array.from({ length: 20 }, (_, i) => ({
  day: `2026-03-${String(i + 1).padStart(2, "0")}`, is_campaign: i >= 8 && i <= 10, fill_rate: 1, fill_rate_low: 1, fill_rate_without: 1, late_share: 0,
}));
const node = (name: string, units: number, low: number) => ({
  node: name, units: days.map(() => units), fill_rate: days.map((_, i) => (i === 9 ? low : i === 10 ? null : 1)),
});

it("shows the days of the campaign and three around them, the node that is asked most first", () => {
  const heat = heatOf({ days, nodes: [node("A", 1, 0.5), node("B", 4, 0.25), node("C", 4, 0.75)] });
  expect(heat.days).toEqual(days.slice(5, 14).map((each) => each.day));
  expect(heat.nodes).toEqual(["B", "C", "A"]);
  expect(heat.rates[0]).toEqual([1, 1, 1, 1, 0.25, null, 1, 1, 1]);
  expect(heat.worst).toEqual({ node: "B", day: "2026-03-10", rate: 0.25 });
});

it("shows nothing where nothing is known, and no more than can be read", () => {
  expect(heatOf({ days })).toMatchObject({ nodes: [], worst: null });
  expect(heatOf({ days, nodes: Array.from({ length: 90 }, (_, i) => node(`N${i}`, i, 1)) }).nodes).toHaveLength(40);
  expect(heatOf({ days: [], nodes: [] }).days).toEqual([]);
});

it("counts days from today in UTC", () => {
  expect(dayFrom(7, Date.parse("2026-02-26T23:59:59Z"))).toBe("2026-03-05");
});
