/** Choices between money and something else: which of them nobody would take. */

import type { Report } from "./queries";

export type Measure = "days" | "late" | "co2_g";
export const MEASURES: readonly Measure[] = ["days", "late", "co2_g"];

export interface Point {
  label: string;
  /** `present`: decides now; `tried`: of the simulation that is looked at; `other`: of another simulation, or price. */
  role: "present" | "tried" | "other";
  paid_minor: number;
  value: number;
}

/** Points that no other one beats: none costs as little and is as good, and is better in one. Cheapest first. */
export function front(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a.paid_minor - b.paid_minor || a.value - b.value);
  let best = Infinity;
  return sorted.filter((point) => {
    const isBetter = point.value < best;
    best = Math.min(best, point.value);
    return isBetter;
  });
}

/** What the present policy, the one that was tried, and others that met the same orders came to. */
export function compared(report: Report, others: readonly Report[], measure: Measure): Point[] {
  const rows = [report, ...others.filter((other) => isAlike(report, other))];
  const present = pointOf(report, "baseline", "present", measure);
  const tried = rows.map((each, i) => pointOf(each, "candidate", i === 0 ? "tried" : "other", measure));
  const seen = new Set<string>();
  return [present, ...tried].filter((point): point is Point => {
    if (point === null || seen.has(point.label)) return false;
    seen.add(point.label);
    return true;
  });
}

/** What other prices of a day and of CO2 come to; lateness is not swept. */
export function swept(report: Report, measure: Measure): Point[] {
  if (measure === "late") return [];
  return (report.pareto?.points ?? []).flatMap((point) => {
    const value = point[measure];
    if (point.paid_minor === null || value === null) return [];
    const label = point.name ?? `${point.day_minor / 100} · ${point.co2_minor_per_kg / 100}`;
    return [{ label, role: point.name === null ? ("other" as const) : ("tried" as const), paid_minor: point.paid_minor, value }];
  });
}

/** Whether both replayed the same orders with the same luck, so that their means can stand side by side. */
function isAlike(a: Report, b: Report): boolean {
  const of = (report: Report) =>
    [report.baseline.version, report.period.from, report.period.to, report.period.orders, report.method.seed].join();
  return of(a) === of(b);
}

function pointOf(report: Report, side: "baseline" | "candidate", role: Point["role"], measure: Measure): Point | null {
  const mean = (metric: string) => report.differences.find((row) => row.metric === metric)?.[side] ?? null;
  const paid_minor = mean("paid_minor");
  const value = mean(measure);
  return paid_minor === null || value === null ? null : { label: report[side].version, role, paid_minor, value };
}
