/** Planning: what is proposed, how service answers to stock, and what moves where. */

import { Link, useAddress, withParameters } from "../../app/router";
import { useText } from "../../i18n/text";
import { Head } from "../../ui/parts";
import { Proposals } from "./Proposals";
import { Service } from "./Service";
import { Transfers } from "./Transfers";
import "../../styles/planning.css";

const TABS = ["proposals", "service", "transfers"] as const;

export default function Planning() {
  const text = useText();
  const address = useAddress();
  const tab = TABS.find((each) => each === address.searchParams.get("tab")) ?? "proposals";
  return (
    <>
      <Head title={text("room.planning")} />
      <nav className="tabs" aria-label={text("planning.tabs")}>
        {TABS.map((each) => (
          <Link key={each} to={withParameters(address, { tab: each === "proposals" ? null : each })} aria-current={each === tab ? "page" : undefined}>
            {text(`planning.${each}`)}
          </Link>
        ))}
      </nav>
      {tab === "proposals" ? <Proposals /> : tab === "service" ? <Service /> : <Transfers />}
    </>
  );
}
