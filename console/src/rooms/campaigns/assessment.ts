/** What is told of a campaign (docs/how-to/campaigns.md), and what of it is drawn. */

import type { ChartOption } from "../../charts/echarts";
import type { Colours } from "../../charts/Chart";

export interface Assessment {
  items: string[];
  channels: string[] | null;
  from: string;
  to: string;
  discount: number | null;
  uplift: number;
  can_serve: boolean;
  late_share: number;
  late_risk: number;
  largest_uplift: { uplift: number; is_lower_bound: boolean };
  first_break: { probability: number; day: string; day_low: string; day_high: string } | null;
  breaks: { kind: string; what: string; probability: number; is_first: number; without_campaign: number; day: string; day_low: string; day_high: string }[];
  days: { day: string; is_campaign: boolean; fill_rate: number | null; fill_rate_low: number | null; fill_rate_without: number | null; late_share: number | null }[];
  /** Absent in what was assessed by an earlier version. */
  nodes?: { node: string; fill_rate: (number | null)[]; units: number[] }[];
  remedies: { actions: Action[]; cost_minor: number; units_unserved: number; late_share: number; late_risk: number } | null;
  other_dates: { from: string; to: string; late_share: number; late_risk: number; fill_rate: number }[];
}

export interface Action {
  do: "buy" | "expedite" | "transfer" | "overtime" | "spread";
  sku: string | null;
  node: string | null;
  from_node: string | null;
  quantity: number;
  start_by: string;
  before: string;
  until: string | null;
  cost_minor: number;
}

export interface Heat {
  days: string[];
  nodes: string[];
  /** Fill rate by node and day; null where nobody asks. */
  rates: (number | null)[][];
  worst: { node: string; day: string; rate: number } | null;
}

const AROUND = 3;
const ROWS = 40;

/** Days of the campaign and some around them; of many nodes those that are asked most. */
export function heatOf({ days, nodes = [] }: Pick<Assessment, "days" | "nodes">): Heat {
  const during = days.flatMap((day, i) => (day.is_campaign ? [i] : []));
  const from = Math.max(0, (during[0] ?? 0) - AROUND);
  const to = Math.min(days.length, (during.at(-1) ?? days.length) + AROUND + 1);
  const asked = (units: number[]) => units.slice(from, to).reduce((sum, each) => sum + each, 0);
  const shown = [...nodes].sort((a, b) => asked(b.units) - asked(a.units) || a.node.localeCompare(b.node)).slice(0, ROWS);
  const heat: Heat = {
    days: days.slice(from, to).map((day) => day.day),
    nodes: shown.map((each) => each.node),
    rates: shown.map((each) => each.fill_rate.slice(from, to)),
    worst: null,
  };
  heat.rates.forEach((row, n) =>
    row.forEach((rate, d) => {
      if (rate !== null && rate < (heat.worst?.rate ?? Infinity)) heat.worst = { node: heat.nodes[n] ?? "", day: heat.days[d] ?? "", rate };
    }),
  );
  return heat;
}

/** The picture: days across, nodes down, the fuller the better. */
export function heatOption(heat: Heat, colours: Colours, day: (iso: string) => string, percent: (share: number) => string): ChartOption {
  const cells = heat.rates.flatMap((row, n) => row.flatMap((rate, d) => (rate === null ? [] : [[d, n, rate]])));
  return {
    animation: false,
    grid: { left: 8, right: 12, top: 8, bottom: 36, outerBoundsMode: "same" },
    xAxis: { type: "category", data: heat.days.map(day), axisLabel: { color: colours.soft }, axisLine: { show: false }, axisTick: { show: false } },
    yAxis: { type: "category", data: heat.nodes, inverse: true, axisLabel: { color: colours.ink }, axisLine: { show: false }, axisTick: { show: false } },
    visualMap: {
      min: 0, max: 1, orient: "horizontal", left: "center", bottom: 0, itemWidth: 10, itemHeight: 120, calculable: false,
      text: [percent(1), percent(0)], textStyle: { color: colours.soft }, inRange: { color: [colours.bad, colours.panel, colours.good] },
    },
    tooltip: {
      formatter: (shown) => {
        const [d = 0, n = 0, rate = 0] = (shown as unknown as { value: number[] }).value;
        return `${heat.nodes[n] ?? ""} · ${day(heat.days[d] ?? "")}: ${percent(rate)}`;
      },
    },
    series: [{ type: "heatmap", data: cells, itemStyle: { borderColor: colours.panel, borderWidth: 2, borderRadius: 4 } }],
  };
}

/** Days from today, as the interface writes them (UTC). */
export const dayFrom = (days: number, now = Date.now()): string => new Date(now + days * 86_400_000).toISOString().slice(0, 10);
