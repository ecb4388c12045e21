/** What `/metrics` says of the hot routes, in Prometheus' text format. */

export interface Counts {
  /** Upper bounds in seconds, ascending, and how many were at most that long since the server started. */
  bounds: readonly number[];
  below: readonly number[];
}

const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The histogram `name` of one method and route; null if it has not been observed. */
export function histogram(text: string, name: string, method: string, route: string): Counts | null {
  const found: [number, number][] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}_bucket{`)) continue;
    const labels = Object.fromEntries([...line.matchAll(LABEL)].map((match) => [match[1], match[2]]));
    if (labels["method"] !== method || labels["route"] !== route) continue;
    const bound = labels["le"] === "+Inf" ? Infinity : Number(labels["le"]);
    found.push([bound, Number(line.slice(line.lastIndexOf("}") + 1))]);
  }
  if (found.length === 0) return null;
  found.sort((a, b) => a[0] - b[0]);
  return { bounds: found.map(([bound]) => bound), below: found.map(([, count]) => count) };
}

/** What came between two readings; all of the later one when the server has started anew between them. */
export function between(earlier: Counts | null, later: Counts): Counts {
  if (earlier?.below.length !== later.below.length) return later;
  const below = later.below.map((count, i) => count - (earlier.below[i] ?? 0));
  return below.some((count) => count < 0) ? later : { bounds: later.bounds, below };
}

export const total = (counts: Counts): number => counts.below.at(-1) ?? 0;

/** The quantile in seconds, straight between the bounds; null when nothing was counted. Past the last bound, that. */
export function quantile(counts: Counts, share: number): number | null {
  const wanted = share * total(counts);
  if (wanted === 0) return null;
  const i = counts.below.findIndex((count) => count >= wanted);
  const upper = counts.bounds[i] ?? Infinity;
  const lower = i > 0 ? (counts.bounds[i - 1] ?? 0) : 0;
  if (!Number.isFinite(upper)) return lower;
  const before = i > 0 ? (counts.below[i - 1] ?? 0) : 0;
  const inside = (counts.below[i] ?? 0) - before;
  return lower + ((upper - lower) * (wanted - before)) / inside;
}
