/** What the tower tells of what it reads: pure, and tested. */

import type { Schema } from "../../api/client";

type Brief = Pick<Schema["OrderBriefOut"], "created_at">;
type Day = Schema["CapacityOut"];

const MINUTE_MS = 60_000;

/** Orders a minute over the last `windowMs`, of the newest orders; over a shorter time if they do not reach back that far. */
export function ordersPerMinute(newest: readonly Brief[], isAll: boolean, now: number, windowMs = 10 * MINUTE_MS): number {
  const within = newest.map((order) => now - Date.parse(order.created_at)).filter((age) => age <= windowMs);
  if (within.length === 0) return 0;
  const isWhole = isAll || within.length < newest.length;
  const spanMs = isWhole ? windowMs : Math.max(...within);
  return within.length / (Math.max(spanMs, 1_000) / MINUTE_MS);
}

/** Orders in `slots` equal times, the oldest first, over as long as the newest orders reach back, `windowMs` at most. */
export function inSlots(newest: readonly Brief[], isAll: boolean, now: number, slots: number, windowMs = 15 * MINUTE_MS): number[] {
  const ages = newest.map((order) => now - Date.parse(order.created_at));
  const spanMs = isAll ? windowMs : Math.min(windowMs, Math.max(1_000, ...ages));
  const counts = Array.from({ length: slots }, () => 0);
  for (const age of ages) {
    const i = slots - 1 - Math.floor((age / spanMs) * slots);
    if (i >= 0 && i < slots) counts[i] = (counts[i] ?? 0) + 1;
  }
  return counts;
}

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
