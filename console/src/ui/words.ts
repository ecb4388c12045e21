/** How grave a word of the interface is: the one place where states get a colour. */

import type { Tone } from "./parts";

const TONES: Record<string, Tone> = {
  // orders and fulfilments
  delivered: "good", shipped: "good", partly_shipped: "accent", sourced: "accent", packed: "accent", accepted: "accent",
  allocated: "accent", backordered: "warn", held: "warn", unfillable: "bad", rejected: "bad", cancelled: "quiet",
  // channels
  publishing: "good", calls_us: "good", failing: "bad", silent: "bad", not_connected: "warn", inactive: "quiet",
  // incidents and runs
  open: "bad", dismissed: "quiet", closed: "good", ready: "accent", standing: "good", needs_approval: "warn", done: "good",
  undone: "quiet", undoing: "accent", failed: "bad", refused: "warn", skipped: "quiet", told: "quiet",
  // proposals
  proposed: "warn", approved: "accent", expired: "quiet", superseded: "quiet",
  // tests of a connection; `failed` is above
  works: "good", untried: "quiet",
  // policies and jobs
  active: "good", canary: "accent", shadow: "accent", draft: "quiet", retired: "quiet", running: "accent", queued: "quiet",
  // autopilot
  auto: "accent", recommend: "quiet", off: "quiet",
};

export const toneOf = (word: string): Tone => TONES[word] ?? "quiet";
