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
const PARTS = "components";

const post = api.POST as unknown as (
  path: string,
  options: { params: { query: { dry_run: boolean } }; body: unknown; headers?: Record<string, string> },
) => Promise<{ data?: { results: Result[] }; error?: unknown; response: Response }>;

interface How {
  /** To be checked only. */
  isTrial: boolean;
  /** Of this file: written again under the same id, after it broke off, what was written already is not written twice. */
  id?: string;
  onProgress: (done: number) => void;
}

/** Sends all rows; what became of each, in their order. */
export async function send(kind: Kind, rows: readonly unknown[], { isTrial, id, onProgress }: How): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const order = partsFirst(rows);
  for (let first = 0; first < order.length; first += ROWS_MAX) {
    const numbers = order.slice(first, first + ROWS_MAX);
    const body = { [kind.member]: numbers.map((i) => rows[i]) };
    const headers = isTrial || id === undefined ? {} : { "idempotency-key": `${id}-${hash(JSON.stringify(body))}-${first}` };
    const { results } = await answerOf(post(kind.path, { params: { query: { dry_run: isTrial } }, body, headers }));
    for (const [k, { status, errors = [], message = "" }] of results.entries()) {
      // What a trial checks is forgotten at the end of its batch; parts of the same file are there when it is written.
      const isOfFile = isTrial && first > 0 && errors.length > 0 && errors.every(({ path }) => path.startsWith(PARTS));
      outcomes[numbers[k] ?? 0] = isOfFile ? { status: "created", problem: "" } : { status, problem: errors.map(said).join("; ") || message };
    }
    onProgress(Math.min(first + ROWS_MAX, order.length));
  }
  return outcomes;
}

/** Numbers of rows, bundles behind all others: what they are made of has to be there. */
function partsFirst(rows: readonly unknown[]): number[] {
  const isBundle = (row: unknown) => typeof row === "object" && row !== null && PARTS in row;
  const numbers = rows.map((_, i) => i);
  return [...numbers.filter((i) => !isBundle(rows[i])), ...numbers.filter((i) => isBundle(rows[i]))];
}

/** FNV-1a, of 32 bits: tells batches of one file apart, no more. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value.toString(16);
}

const said = ({ path, message }: { path: string; message: string }): string => (path === "" ? message : `${path}: ${message}`);

/** How many rows came to what. */
export function counted(outcomes: readonly Outcome[]): Partial<Record<Outcome["status"], number>> {
  const counts: Partial<Record<Outcome["status"], number>> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
