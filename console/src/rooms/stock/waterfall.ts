/** The terms of a number as steps that lead to it: pure, and tested. */

export interface Term {
  term: string;
  units: number;
  node?: string | undefined;
}

export interface Step {
  term: string;
  node: string | null;
  units: number;
  /** The sum before and after it. */
  from: number;
  to: number;
}

/** Steps from 0 to the sum; those that change nothing are left out. Units that add come first, as the server tells them. */
export function stepsOf(terms: readonly Term[]): Step[] {
  let sum = 0;
  const steps: Step[] = [];
  for (const { term, units, node } of terms) {
    if (units === 0) continue;
    steps.push({ term, node: node ?? null, units, from: sum, to: sum + units });
    sum += units;
  }
  return steps;
}

/** Many nodes' steps of one term, the largest `most` by themselves and the rest together: a chart of 600 bars says nothing. */
export function gathered(terms: readonly Term[], most: number): Term[] {
  const names = [...new Set(terms.map((each) => each.term))];
  return names.flatMap((name) => {
    const own = terms.filter((each) => each.term === name && each.units !== 0);
    if (own.length <= most) return own;
    const sorted = own.toSorted((a, b) => Math.abs(b.units) - Math.abs(a.units));
    const rest = sorted.slice(most - 1);
    return [...sorted.slice(0, most - 1), { term: name, units: rest.reduce((sum, each) => sum + each.units, 0), node: `+${rest.length}` }];
  });
}
