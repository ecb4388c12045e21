/** Rows on their way to the server, many at once, and what became of each. */

import { answerOf, api } from "../../api/client";

export interface Kind {
  path: string;
  member: string;
  /** What holds for every row unless a column says otherwise. */
  constants?: Record<string, unknown>;
}

export const KINDS = {
  items: { path: "/v1/items/batch", member: "items" },
  nodes: { path: "/v1/nodes/batch", member: "nodes" },
  stock: { path: "/v1/stock/entries", member: "entries", constants: { kind: "count" } },
  supply: { path: "/v1/supply/batch", member: "supply" },
  lanes: { path: "/v1/lanes/batch", member: "lanes" },
} as const satisfies Record<string, Kind>;
export type What = keyof typeof KINDS;

export interface Outcome {
  status: "created" | "updated" | "unchanged" | "applied" | "rejected";
  /** Why it was rejected: the field where that is known, and the remedy. */
  problem: string;
}

interface Result {
  status: Outcome["status"];
  errors?: { path: string; message: string }[];
  message?: string;
}

const ROWS_MAX = 5_000;

const post = api.POST as unknown as (
  path: string,
  options: { params: { query: { dry_run: boolean } }; body: unknown },
) => Promise<{ data?: { results: Result[] }; error?: unknown; response: Response }>;

/** Sends all rows, with `isTrial` to be checked only; what became of each, in their order. */
export async function send(
  kind: Kind,
  rows: readonly unknown[],
  isTrial: boolean,
  onProgress: (done: number) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let first = 0; first < rows.length; first += ROWS_MAX) {
    const body = { [kind.member]: rows.slice(first, first + ROWS_MAX) };
    const { results } = await answerOf(post(kind.path, { params: { query: { dry_run: isTrial } }, body }));
    outcomes.push(...results.map(({ status, errors = [], message = "" }) => ({ status, problem: errors.map(said).join("; ") || message })));
    onProgress(outcomes.length);
  }
  return outcomes;
}

const said = ({ path, message }: { path: string; message: string }): string => (path === "" ? message : `${path}: ${message}`);

/** How many rows came to what. */
export function counted(outcomes: readonly Outcome[]): Partial<Record<Outcome["status"], number>> {
  const counts: Partial<Record<Outcome["status"], number>> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
