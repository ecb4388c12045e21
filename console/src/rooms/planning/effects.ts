/** What proposals come to together, what can be done with each, and the curve as a chart. */

import type { Colours } from "../../charts/Chart";
import type { ChartOption } from "../../charts/echarts";
import type { Curve, Proposal } from "./queries";

type Counted = Pick<Proposal, "kind" | "quantity" | "cost_minor" | "currency"> & { effect: { money_minor: { expected: number } } };

export interface Sum {
  currency: string;
  gain: number;
  cost: number;
  /** Of transfers and purchases. */
  units: number;
}

/** Money is never added over currencies. */
export function sumsOf(rows: readonly Counted[]): Sum[] {
  const sums = new Map<string, Sum>();
  for (const row of rows) {
    const currency = row.currency ?? "EUR";
    const sum = sums.get(currency) ?? { currency, gain: 0, cost: 0, units: 0 };
    sum.gain += row.effect.money_minor.expected;
    sum.cost += row.cost_minor;
    if (row.kind === "transfer" || row.kind === "purchase") sum.units += row.quantity;
    sums.set(currency, sum);
  }
  return [...sums.values()].sort((a, b) => b.gain - a.gain);
}

type Standing = Pick<Proposal, "kind" | "status" | "decided_at"> & { followed?: { received: number } | null };

/** Whether it can still be taken back, as far as can be told from here; the server has the last word. */
export function isUndoable(row: Standing, now: number): boolean {
  if (row.kind === "safety_stock" || row.kind === "price") return row.status === "done";
  if (row.status !== "approved" || (row.followed?.received ?? 0) > 0) return false;
  return row.kind === "purchase" || row.decided_at?.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
}

export interface Way {
  from: string;
  to: string;
  units: number;
  proposals: number;
  isUnderWay: boolean;
}

/** Transfers between the same two nodes as one arrow; what is proposed and what is under way apart. */
export function waysOf(rows: readonly Pick<Proposal, "from" | "node" | "quantity" | "status">[]): Way[] {
  const ways = new Map<string, Way>();
  for (const row of rows) {
    if (row.from == null) continue;
    const isUnderWay = row.status !== "proposed";
    const key = JSON.stringify([row.from, row.node, isUnderWay]);
    const way = ways.get(key) ?? { from: row.from, to: row.node, units: 0, proposals: 0, isUnderWay };
    way.units += row.quantity;
    way.proposals += 1;
    ways.set(key, way);
  }
  return [...ways.values()].sort((a, b) => b.units - a.units);
}

export interface CurveWords {
  units: string;
  service: string;
  fill: string;
  present: string;
  kept: string;
  best: string;
}

export function curveOption(curve: Curve, words: CurveWords, colours: Colours, percent: (share: number) => string, number: (units: number) => string): ChartOption {
  const label = { color: colours.soft, fontFamily: "Geist Variable, sans-serif" };
  const line = (name: string, of: "service" | "fill_rate", color: string, width: number) => ({
    type: "line" as const, name, symbol: "none", silent: true, lineStyle: { color, width }, data: curve.points.map((point) => [point.units, point[of]]),
  });
  const most = curve.points.at(-1)?.units ?? 1;
  const mark = (name: string, point: Curve["present"], color: string, position: "right" | "bottom") => ({
    type: "line" as const, name, symbol: "circle", symbolSize: 11, silent: true, itemStyle: { color }, data: [[Math.min(Math.max(point.units, 0), most), point.service]],
    label: { show: true, position, color: colours.ink, fontFamily: "Geist Variable, sans-serif", formatter: name },
  });
  return {
    animationDuration: 250,
    grid: { left: 8, right: 34, top: 24, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { show: false },
    xAxis: { type: "value", min: 0, max: most, splitLine: { show: false }, axisLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, formatter: number } },
    yAxis: { type: "value", min: 0, max: 1, splitLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, formatter: percent } },
    series: [
      line(words.fill, "fill_rate", colours.soft, 1.2),
      line(words.service, "service", colours.accent, 2.2),
      mark(words.present, curve.present, colours.bad, "right"),
      mark(words.kept, curve.kept, colours.ink, "right"),
      ...(curve.best == null ? [] : [mark(words.best, curve.best, colours.good, "bottom")]),
    ],
  };
}
