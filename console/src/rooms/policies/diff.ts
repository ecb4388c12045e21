/** What changed between two texts, line by line. */

export interface Line {
  kind: "same" | "added" | "removed";
  text: string;
  /** Its number in the new text, or in the old one where it was removed; from 1. */
  no: number;
}

// A table of the longest common part has a cell for each pair of lines: beyond this, all between the equal ends differs.
const CELLS_MAX = 4_000_000;

export const linesOf = (text: string): string[] => text.replace(/\n$/, "").split(/\r?\n/);

/** All lines of both, in order: the fewest are called changed. */
export function diff(before: string, after: string): Line[] {
  const a = before === "" ? [] : linesOf(before);
  const b = after === "" ? [] : linesOf(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;

  const same = (text: string, i: number): Line => ({ kind: "same", text, no: i + 1 });
  return [
    ...b.slice(0, head).map(same),
    ...changed(a.slice(head, a.length - tail), b.slice(head, b.length - tail), head),
    ...b.slice(b.length - tail).map((text, i) => same(text, b.length - tail + i)),
  ];
}

function changed(a: readonly string[], b: readonly string[], offset: number): Line[] {
  const removed = (i: number): Line => ({ kind: "removed", text: a[i] ?? "", no: offset + i + 1 });
  const added = (j: number): Line => ({ kind: "added", text: b[j] ?? "", no: offset + j + 1 });
  if (a.length * b.length > CELLS_MAX) return [...a.map((_, i) => removed(i)), ...b.map((_, j) => added(j))];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width); // longest common part of what is left of both
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: b[j] ?? "", no: offset + j + 1 });
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) lines.push(removed(i++));
    else lines.push(added(j++));
  }
  return lines;
}

/** Only what changed, with some lines around it; null stands for lines left out. */
export function hunks(lines: readonly Line[], around = 3): (Line | null)[] {
  const shown = lines.map((_, i) => lines.slice(Math.max(0, i - around), i + around + 1).some((line) => line.kind !== "same"));
  const rows: (Line | null)[] = [];
  for (const [i, line] of lines.entries()) {
    if (shown[i] === true) rows.push(line);
    else if (rows.at(-1) !== null) rows.push(null);
  }
  return rows;
}
