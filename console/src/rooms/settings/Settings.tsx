/** Keys, webhooks, the audit log, data from files, jobs. */

import { useLive } from "../../api/live";
import { useText } from "../../i18n/text";
import { Head } from "../../ui/parts";
import { AddressTabs, useTab } from "../../ui/tabs";
import "../../styles/settings.css";
import { Audit } from "./Audit";
import { Import } from "./Import";
import { Jobs } from "./Jobs";
import { Keys } from "./Keys";
import { Webhooks } from "./Webhooks";

const TABS = ["keys", "audit", "webhooks", "import", "jobs"] as const;
const FILTERS = ["kind", "subject", "actor", "from", "to", "webhook", "status", "state", "what"];
const WATCHED = ["key.*", "webhook.*"] as const;
const KEYS = [["keys"], ["webhooks"]] as const;
const VIEWS = { keys: Keys, audit: Audit, webhooks: Webhooks, import: Import, jobs: Jobs };

export default function Settings() {
  const text = useText();
  useLive(WATCHED, KEYS);
  const View = VIEWS[useTab(TABS)];
  return (
    <>
      <Head title={text("room.settings")} />
      <AddressTabs label={text("room.settings")} leaves={FILTERS} tabs={TABS.map((tab) => [tab, text(`settings.${tab}`)] as const)} />
      <View />
    </>
  );
}
