/** Parts of a room, of which the address says which is shown; the first one needs no word there. */

import { Link, useAddress, withParameters } from "../app/router";

interface Props {
  label: string;
  tabs: readonly (readonly [tab: string, name: string])[];
  /** Parameters that belong to a tab, and are left behind with it. */
  leaves?: readonly string[];
}

/** Which of `tabs` the address names. */
export function useTab<Tab extends string>(tabs: readonly [Tab, ...Tab[]]): Tab {
  const asked = useAddress().searchParams.get("tab");
  return tabs.find((tab) => tab === asked) ?? tabs[0];
}

export function AddressTabs({ label, tabs, leaves = [] }: Props) {
  const address = useAddress();
  const first = tabs[0]?.[0] ?? "";
  const shown = address.searchParams.get("tab") ?? first;
  const gone = Object.fromEntries(leaves.map((name) => [name, null]));
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(([tab, name]) => (
        <Link
          key={tab}
          to={withParameters(address, { ...gone, tab: tab === first ? null : tab })}
          aria-current={tab === shown ? "page" : undefined}
        >
          {name}
        </Link>
      ))}
    </nav>
  );
}
