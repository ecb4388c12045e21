import { expect, it } from "vitest";
import { daysOf, plusDays, totalOf } from "./fan";

const row = (day: string, demand: number, lost = 0, open_share = 1) => ({ day, units: demand - lost, demand, lost, open_share });
const period = (from: string, mean: number) => ({ from, mean, quantiles: { "0.05": mean - 4, "0.25": mean - 1, "0.5": mean, "0.75": mean + 1, "0.95": mean + 5 } });

it("sums places, takes a day that is left out for none, and knows nothing behind the last", () => {
  const rows = [row("2026-03-01", 4), row("2026-03-01", 3, 1.5, 0.5), row("2026-03-03", 2)];
  const days = daysOf(rows, [period("2026-03-05", 9)], "2026-02-28");
  expect(days.map((day) => day.demand)).toEqual([0, 7, 0, 2, null, null]);
  expect(days.map((day) => day.isShort)).toEqual([false, true, false, false, false, false]);
  expect(days.at(-1)).toMatchObject({ day: "2026-03-05", mean: 9, median: 9, inner: [8, 10], outer: [5, 14] });
  expect([totalOf(days, "demand"), totalOf(days, "lost"), totalOf(days, "mean")]).toEqual([9, 1.5, 9]);
});

it("draws no band whose levels were not forecast", () => {
  const [day] = daysOf([], [{ from: "2026-03-01", mean: 3, quantiles: { "0.1": 1, "0.5": 3, "0.75": 4 } }], "2026-03-01");
  expect([day?.inner, day?.outer, day?.median]).toEqual([null, null, 3]);
});

it("counts days over the end of a month and of summer time", () => {
  expect([plusDays("2026-02-28", 1), plusDays("2026-03-28", 2), plusDays("2026-10-24", 3)]).toEqual(["2026-03-01", "2026-03-30", "2026-10-27"]);
});
