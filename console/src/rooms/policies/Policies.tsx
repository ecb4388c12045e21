/** Policies: which version of each decides, what is on trial, who moved it last. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Badge, Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { policies } from "./queries";
import { useWho } from "./who";

const WATCHED = ["policy.*"] as const;
const KEYS = [["policies", "list"]] as const;

export default function Policies() {
  const text = useText();
  const format = useFormat();
  const who = useWho();
  useLive(WATCHED, KEYS);
  const all = useQuery(policies);
  return (
    <>
      <Head title={text("room.policies")} />
      <Panel title={text("policies.count", { count: all.data?.rows.length ?? 0 })} note={text("policies.note")}>
        <Loaded
          query={all}
          isEmpty={(data) => data.rows.length === 0}
          empty={<Empty icon="policies" title={text("policies.none")}>{text("policies.none_hint")}</Empty>}
        >
          {({ rows }) => (
            <Table
              columns={[
                [text("policies.policy")],
                [text("policies.active")],
                [text("policies.on_trial")],
                [text("policies.latest"), "end"],
                [text("policies.moved")],
              ]}
              isCards
            >
              {rows.map((row) => (
                <tr key={row.name} className="goes">
                  <th scope="row">
                    <Link className="leads" to={`/policies/${encodeURIComponent(row.name)}`}>
                      {row.name}
                    </Link>
                  </th>
                  <td>{row.active === null ? <span className="soft">–</span> : <Badge tone="good">{text("policies.version", { no: String(row.active) })}</Badge>}</td>
                  <td className="wide">
                    <span className="row">
                      {row.canary !== null && (
                        <Badge tone="accent">
                          {text("policies.is_canary", { no: String(row.canary), share: format.percent(row.share ?? 0, 1) })}
                        </Badge>
                      )}
                      {row.shadow !== null && <Badge>{text("policies.is_shadow", { no: String(row.shadow) })}</Badge>}
                    </span>
                  </td>
                  <td className="end not-on-phone">{row.latest}</td>
                  <td className="soft wide">
                    {format.ago(row.updated_at)}, {who(row.updated_by)}
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Loaded>
      </Panel>
    </>
  );
}
