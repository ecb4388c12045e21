/** Where the console shows what an incident is about. */

export interface Subject {
  what: string;
  key: readonly string[];
}

/** An address of the console; null if no room shows it. */
export function addressOf({ what, key }: Subject): string | null {
  const [first, second] = key.map(encodeURIComponent);
  if (first === undefined) return null;
  switch (what) {
    case "order":
      return `/orders/${first}`;
    case "queue":
      return `/orders?queue=${first}`;
    case "item":
    case "item_node":
      return `/stock/${first}`;
    case "node":
      return `/orders?node=${first}`;
    case "channel":
      return `/channels/${first}`;
    case "listing":
      return second === undefined ? `/channels/${first}` : `/stock/${second}?channel=${first}`;
    default:
      return null;
  }
}
