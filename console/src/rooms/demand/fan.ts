/** Days of demand and the forecast behind them, as one row of days, and as a chart of it. */

import type { Schema } from "../../api/client";
import type { Colours } from "../../charts/Chart";
import type { ChartOption } from "../../charts/echarts";

type Demand = Pick<Schema["DemandOut"], "day" | "units" | "demand" | "lost" | "open_share">;
type Period = Pick<Schema["ForecastPeriodOut"], "from" | "mean" | "quantiles">;

export interface Day {
  day: string;
  demand: number | null;
  lost: number;
  /** There was not always something to sell: demand is partly supposed. */
  isShort: boolean;
  mean: number | null;
  median: number | null;
  inner: readonly [number, number] | null;
  outer: readonly [number, number] | null;
}

export const plusDays = (day: string, days: number): string =>
  new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);

/** The quantiles of a band: those at `low` and 1 - `low`, if both were forecast. */
function band(quantiles: Period["quantiles"], low: string, high: string): readonly [number, number] | null {
  const from = quantiles[low];
  const to = quantiles[high];
  return from === undefined || to === undefined ? null : [from, to];
}

/** Every day from `from` to the end of the forecast, places summed. A day that demand leaves out had none; after the
 *  last day that was told, and before the forecast, nobody knows. */
export function daysOf(rows: readonly Demand[], periods: readonly Period[], from: string): Day[] {
  const units = new Map<string, { demand: number; lost: number; isShort: boolean }>();
  for (const row of rows) {
    const day = units.get(row.day) ?? { demand: 0, lost: 0, isShort: false };
    day.demand += row.demand;
    day.lost += row.lost;
    day.isShort ||= row.open_share < 1;
    units.set(row.day, day);
  }
  const told = [...units.keys()].sort().at(-1) ?? "";
  const ahead = new Map(periods.map((period) => [period.from, period]));
  const last = [told, periods.at(-1)?.from ?? ""].sort().at(-1) ?? "";
  const days: Day[] = [];
  for (let day = from; day <= last; day = plusDays(day, 1)) {
    const past = units.get(day);
    const next = ahead.get(day);
    days.push({
      day,
      demand: past?.demand ?? (day <= told ? 0 : null),
      lost: past?.lost ?? 0,
      isShort: past?.isShort ?? false,
      mean: next?.mean ?? null,
      median: next?.quantiles["0.5"] ?? null,
      inner: next === undefined ? null : band(next.quantiles, "0.25", "0.75"),
      outer: next === undefined ? null : band(next.quantiles, "0.05", "0.95"),
    });
  }
  return days;
}

export const totalOf = (days: readonly Day[], name: "demand" | "lost" | "mean"): number => days.reduce((sum, day) => sum + (day[name] ?? 0), 0);

export interface FanWords {
  demand: string;
  lost: string;
  median: string;
}

export function fan(days: readonly Day[], words: FanWords, colours: Colours, shown: { day: (iso: string) => string; number: (units: number, places?: number) => string }): ChartOption {
  const label = { color: colours.soft, fontFamily: "Geist Variable, sans-serif" };
  // A band is drawn as its lower edge, which is not seen, and its width upon that.
  const banded = (name: string, of: (day: Day) => readonly [number, number] | null, opacity: number): NonNullable<ChartOption["series"]> => {
    const edge = { type: "line" as const, stack: name, symbol: "none", silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false } };
    return [
      { ...edge, data: days.map((day) => of(day)?.[0] ?? null) },
      { ...edge, areaStyle: { color: colours.accent, opacity }, data: days.map((day) => { const range = of(day); return range === null ? null : range[1] - range[0]; }) },
    ];
  };
  return {
    animationDuration: 250,
    grid: { left: 8, right: 14, top: 14, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: {
      trigger: "axis",
      backgroundColor: colours.panel,
      borderColor: colours.line,
      textStyle: { color: colours.ink, fontFamily: "Geist Variable, sans-serif", fontSize: 12 },
      formatter: (points: unknown) => {
        const at = (points as { dataIndex: number }[])[0]?.dataIndex ?? 0;
        const day = days[at];
        if (day === undefined) return "";
        const lines = [shown.day(day.day)];
        if (day.demand !== null) lines.push(`${words.demand} ${shown.number(day.demand, 1)}`);
        if (day.lost > 0) lines.push(`${words.lost} ${shown.number(day.lost, 1)}`);
        if (day.median !== null) lines.push(`${words.median} ${shown.number(day.median, 1)}`);
        if (day.outer !== null) lines.push(`90 % ${shown.number(day.outer[0], 1)} – ${shown.number(day.outer[1], 1)}`);
        return lines.join("<br>");
      },
    },
    xAxis: { type: "category", data: days.map((day) => day.day), boundaryGap: false, axisTick: { show: false }, axisLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, formatter: shown.day } },
    yAxis: { type: "value", splitLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, formatter: (units: number) => shown.number(units) } },
    series: [
      ...[banded("outer", (day) => day.outer, 0.16), banded("inner", (day) => day.inner, 0.26)].flat(),
      { type: "bar", name: words.lost, barMaxWidth: 6, itemStyle: { color: colours.bad, opacity: 0.75 }, data: days.map((day) => (day.lost > 0 ? day.lost : null)) },
      {
        type: "line", name: words.demand, lineStyle: { color: colours.ink, width: 1.4 }, itemStyle: { color: colours.ink }, showAllSymbol: true,
        data: days.map((day) => ({ value: day.demand ?? "-", symbol: day.isShort ? "circle" : "none", symbolSize: 6, itemStyle: { color: colours.bad } })),
      },
      { type: "line", name: words.median, symbol: "none", lineStyle: { color: colours.accent, width: 2 }, data: days.map((day) => day.median) },
    ],
  };
}
