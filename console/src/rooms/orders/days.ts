/** Days of an order's filter, as people here count them, and the moments that the address keeps. */

/** When a day begins; `""`: no day. */
export const beginOf = (day: string): string => (day === "" ? "" : new Date(`${day}T00:00`).toISOString());

/** When a day is over. */
export function endOf(day: string): string {
  if (day === "") return "";
  const over = new Date(`${day}T00:00`);
  over.setDate(over.getDate() + 1); // not 24 hours later: days on which clocks change are shorter, or longer
  return over.toISOString();
}

/** The day that begins at a moment, or is under way then. */
export const dayFrom = (moment: string | undefined): string => dayAt(moment, 0);

/** The day that is over at a moment, or is under way then. */
export const dayUntil = (moment: string | undefined): string => dayAt(moment, -1);

function dayAt(moment: string | undefined, more_ms: number): string {
  const at = new Date(Date.parse(moment ?? "") + more_ms);
  if (Number.isNaN(at.getTime())) return "";
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
