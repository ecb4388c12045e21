/** One policy: its text and versions, what shadow and canary came to, simulations on history, the lanes it learned. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParameter } from "../../app/router";
import { useLive } from "../../api/live";
import type { Schema } from "../../api/client";
import { useText } from "../../i18n/text";
import { Badge, Head } from "../../ui/parts";
import { Loaded } from "../../ui/states";
import { AddressTabs, useTab } from "../../ui/tabs";
import "../../styles/policies.css";
import { Editor } from "./Editor";
import { Promote, RollBack } from "./Moves";
import { onePolicy, type Brief } from "./queries";
import { Simulations } from "./Simulations";
import { Lanes, Trials } from "./Trials";
import { Versions } from "./Versions";

const WATCHED = ["policy.*"] as const;
const KEYS = [["policies"]] as const;

export default function Policy({ parameters }: { parameters: Record<string, string> }) {
  useLive(WATCHED, KEYS);
  const policy = useQuery(onePolicy(parameters["policy"] ?? ""));
  return <Loaded query={policy} lines={12}>{(data) => <Page key={data.name} policy={data} />}</Loaded>;
}

function Page({ policy }: { policy: Schema["PolicyOut"] }) {
  const text = useText();
  const tab = useTab(["text", "simulate", "trials"]);
  const [asked, setVersion] = useParameter("version");
  const [moved, setMoved] = useState<Brief | null>(null);
  // What somebody wrote stays while they look at other versions and tabs.
  const [written, setWritten] = useState<Record<number, string>>({});
  const version = policy.versions.find((each) => String(each.version) === asked) ?? policy.versions[0];
  if (version === undefined) return null; // a policy has a version
  const edited = written[version.version];
  return (
    <>
      <Head
        crumb={<Link to="/policies">{text("room.policies")}</Link>}
        title={
          <span className="row">
            {policy.name}
            {policy.active !== null && <Badge tone="good">{text("policies.version", { no: String(policy.active) })}</Badge>}
          </span>
        }
        beside={<RollBack policy={policy} />}
      />
      <AddressTabs
        label={policy.name}
        leaves={["job", "measure"]}
        tabs={[
          ["text", text("policies.tab_text")],
          ["simulate", text("policies.tab_simulate")],
          ["trials", text("policies.tab_trials")],
        ]}
      />
      {tab === "text" && (
        <>
          <Editor
            policy={policy}
            version={version.version}
            written={edited}
            onWrite={(value) => setWritten({ ...written, [version.version]: value })}
            onSaved={(saved) => {
              setWritten({});
              setVersion(String(saved), { replace: true });
            }}
          />
          <Versions policy={policy} shown={version.version} onMove={setMoved} />
        </>
      )}
      {tab === "simulate" && <Simulations policy={policy} version={version} edited={edited} />}
      {tab === "trials" && (
        <>
          <Trials policy={policy} onMove={setMoved} />
          <Lanes policy={policy} />
        </>
      )}
      {moved !== null && <Promote policy={policy} version={moved} onClose={() => setMoved(null)} />}
    </>
  );
}
