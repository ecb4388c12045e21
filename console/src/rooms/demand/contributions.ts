/** A forecast in its parts, as bars: pure, and tested. */

import type { Schema } from "../../api/client";
import type { ChartOption } from "../../charts/echarts";
import type { Colours } from "../../charts/Chart";

export type Parts = Schema["ForecastPartsOut"];

export interface Part {
  /** `base`, `others`, or what a contribution is of. */
  name: string;
  units: number;
}

/** From the base by what is added and taken away to the mean; what nobody would see beside it is put to the others. */
export function partsOf({ mean, base, contributions, others }: Parts): Part[] {
  const seen = 0.0005 * Math.abs(mean);
  const large = Object.entries(contributions).filter(([, units]) => Math.abs(units) > seen);
  const rest = mean - base - large.reduce((sum, [, units]) => sum + units, 0);
  const shown = large.map(([name, units]) => ({ name, units }));
  return [{ name: "base", units: base }, ...shown, ...(Math.abs(others) > seen || Math.abs(rest) > seen ? [{ name: "others", units: rest }] : [])];
}

export function bars(parts: readonly Part[], names: readonly string[], colours: Colours, number: (units: number, places?: number) => string): ChartOption {
  const label = { color: colours.ink, fontFamily: "Geist Variable, sans-serif" };
  return {
    animationDuration: 250,
    grid: { left: 8, right: 48, top: 8, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { show: false },
    xAxis: { type: "value", splitLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, color: colours.soft, formatter: (units: number) => number(units, 1) } },
    yAxis: { type: "category", inverse: true, data: [...names], axisTick: { show: false }, axisLine: { show: false }, axisLabel: { ...label, width: 150, overflow: "truncate" } },
    series: [
      {
        type: "bar", barMaxWidth: 18,
        data: parts.map(({ name, units }) => ({
          value: units,
          itemStyle: { color: name === "base" || name === "others" ? colours.soft : units < 0 ? colours.bad : colours.good, borderRadius: 3 },
          label: { show: true, position: units < 0 ? ("left" as const) : ("right" as const), ...label, formatter: () => number(units, 1) },
        })),
      },
    ],
  };
}
