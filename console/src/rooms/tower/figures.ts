/** What the tower tells of what it reads: pure, and tested. */

import type { Schema } from "../../api/client";

type Day = Schema["CapacityOut"];

export interface Loaded {
  /** Share of the tightest limit that is taken; null: the node has no limit. */
  share: number | null;
  limit: "orders" | "lines" | "units" | null;
  taken: number;
  most: number;
  /** The node does not work that day. */
  isClosed: boolean;
}

/** How full a day of a node is, by the limit that binds first. */
export function loadOf(day: Day): Loaded {
  let found: Loaded = { share: null, limit: null, taken: 0, most: 0, isClosed: false };
  for (const limit of ["orders", "lines", "units"] as const) {
    const most = day.capacity[limit];
    if (most === null) continue;
    if (most === 0) return { share: null, limit, taken: 0, most: 0, isClosed: true };
    const taken = (day.held[limit] ?? 0) + (day.used[limit] ?? 0) + (day.planned[limit] ?? 0);
    if (found.share === null || taken / most > found.share) found = { share: taken / most, limit, taken, most, isClosed: false };
  }
  return found;
}

export interface NodeDays {
  node: string;
  days: { day: string; load: Loaded }[];
  worst: number;
}

/** Days by node, the node with the fullest day first. */
export function byNode(rows: readonly Day[]): NodeDays[] {
  const nodes = new Map<string, NodeDays>();
  for (const row of rows) {
    const node = nodes.get(row.node) ?? { node: row.node, days: [], worst: -1 };
    const load = loadOf(row);
    node.days.push({ day: row.day, load });
    node.worst = Math.max(node.worst, load.share ?? -1);
    nodes.set(row.node, node);
  }
  return [...nodes.values()].sort((a, b) => b.worst - a.worst || a.node.localeCompare(b.node));
}

/** Sums by currency, the largest first: money of several currencies is never added. */
export function byCurrency<Row extends { currency: string }>(rows: readonly Row[], minor: (row: Row) => number): [string, number][] {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(row.currency, (sums.get(row.currency) ?? 0) + minor(row));
  return [...sums].sort((a, b) => b[1] - a[1]);
}
