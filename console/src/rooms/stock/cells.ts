/** The grid of items by nodes: pure, and tested. */

export const MEASURES = ["available", "on_hand", "allocated", "unavailable", "inbound", "safety_stock"] as const;
export type Measure = (typeof MEASURES)[number];

/** Items that are read at once. */
export const PAGE = 100;

export interface GridRow {
  sku: string;
  total: number;
  /** By node; null: it was never there. */
  units: readonly (number | null)[];
  /** Which of `units` are oversold, or sold down to safety stock. */
  short: readonly number[];
}

/** A row with the sum of its units. */
export const withTotal = (row: Omit<GridRow, "total">): GridRow => ({ ...row, total: row.units.reduce<number>((sum, units) => sum + (units ?? 0), 0) });

/** Numbers of the pages that the rows `first` to `last` lie on. */
export function pagesOf(first: number, last: number): number[] {
  const from = Math.floor(first / PAGE);
  return Array.from({ length: Math.floor(last / PAGE) - from + 1 }, (_, i) => from + i);
}

export interface Column {
  index: number;
  /** undefined: the sum over all nodes, which comes first. */
  node: string | undefined;
  start: number;
  size: number;
}

/** Columns `from` to `to`, beside a name of so many pixels. */
export const columnsOf = (nodes: readonly string[], from: number, to: number, name: number, size: number): Column[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ index: from + i, node: nodes[from + i - 1], start: name + (from + i) * size, size }));
