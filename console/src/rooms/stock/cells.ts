/** Positions as a grid of items by nodes, growing page by page: pure, and tested. */

import type { Schema } from "../../api/client";

type Row = Schema["StockOut"];
export const MEASURES = ["available", "on_hand", "allocated", "unavailable", "inbound", "safety_stock"] as const;
export type Measure = (typeof MEASURES)[number];

export interface Item {
  sku: string;
  total: number;
  /** By node. */
  cells: ReadonlyMap<string, Row>;
}

/** Items in the order they come in, each with its positions and the sum of `measure`; those whose sku holds `part`. */
export function itemsOf(rows: readonly Row[], measure: Measure, part: string): Item[] {
  const wanted = part.toLowerCase();
  const items = new Map<string, { sku: string; total: number; cells: Map<string, Row> }>();
  for (const row of rows) {
    if (wanted !== "" && !row.sku.toLowerCase().includes(wanted)) continue;
    let item = items.get(row.sku);
    if (item === undefined) items.set(row.sku, (item = { sku: row.sku, total: 0, cells: new Map() }));
    item.cells.set(row.node, row);
    item.total += row[measure];
  }
  return [...items.values()];
}

/** Nodes that hold anything, in order. */
export const nodesOf = (rows: readonly Row[]): string[] => [...new Set(rows.map((row) => row.node))].sort();
