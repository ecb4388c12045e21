/** Candidates of a decision beside the plan that was chosen: pure, and tested. */

import type { Schema } from "../../api/client";

type Plan = Schema["PlanOut"];
type Candidate = Plan["candidates"][number];

export interface Compared {
  candidate: Candidate;
  /** Dearer than the chosen plan by so much; null where it could not do all of it, or is part of the plan. */
  lostBy: number | null;
  /** The cost term that made most of the difference. */
  because: string | null;
}

const terms = (costs: Record<string, number> | null | undefined) => costs ?? {};

/** What the chosen plan costs by term, over its fulfilments. */
export function chosenCost(plan: Plan): Record<string, number> {
  const sums: Record<string, number> = {};
  const fulfilments = (plan.decision["fulfilments"] ?? []) as { cost?: Record<string, number> }[];
  for (const fulfilment of fulfilments) {
    for (const [term, minor] of Object.entries(terms(fulfilment.cost))) sums[term] = (sums[term] ?? 0) + minor;
  }
  return sums;
}

/** Chosen nodes first, then those that could have served all of it, by cost, then the others. */
export function compared(plan: Plan): Compared[] {
  const chosen = chosenCost(plan);
  const canAll = (candidate: Candidate) => candidate.cost_minor != null && Object.keys(candidate.missing).length === 0;
  const rank = (candidate: Candidate) => (candidate.chosen ? 0 : canAll(candidate) ? 1 : 2);
  return [...plan.candidates]
    .sort((a, b) => rank(a) - rank(b) || (a.cost_minor ?? Infinity) - (b.cost_minor ?? Infinity) || a.node.localeCompare(b.node))
    .map((candidate) => {
      if (candidate.chosen || !canAll(candidate) || plan.cost_minor === null || candidate.cost_minor == null) {
        return { candidate, lostBy: null, because: null };
      }
      const differences = Object.entries(terms(candidate.cost)).map(([term, minor]) => [term, minor - (chosen[term] ?? 0)] as const);
      const [because] = differences.filter(([, more]) => more > 0).sort((a, b) => b[1] - a[1])[0] ?? [null];
      return { candidate, lostBy: candidate.cost_minor - plan.cost_minor, because };
    });
}

/** Terms that any of the plans pays, the dearest first. */
export function paidTerms(plan: Plan): string[] {
  const most = new Map<string, number>();
  for (const costs of [chosenCost(plan), ...plan.candidates.map((candidate) => terms(candidate.cost))]) {
    for (const [term, minor] of Object.entries(costs)) {
      if (minor !== 0) most.set(term, Math.max(most.get(term) ?? 0, Math.abs(minor)));
    }
  }
  return [...most].sort((a, b) => b[1] - a[1]).map(([term]) => term);
}
