/** Campaigns that were accepted, the newest first. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import { campaigns } from "./queries";

export default function Campaigns() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const all = useQuery(campaigns);
  return (
    <>
      <Head title={text("room.campaigns")} beside={<Link className="button main" to="/campaigns/new">{text("campaigns.plan")}</Link>} />
      <Panel title={text("campaigns.count", { count: all.data?.rows.length ?? 0 })}>
        <Loaded
          query={all}
          lines={6}
          isEmpty={(data) => data.rows.length === 0}
          empty={<Empty icon="campaigns" title={text("campaigns.none")}>{text("campaigns.none_hint")}</Empty>}
        >
          {(data) => (
            <Table
              columns={[
                [text("campaigns.name")],
                [text("campaigns.state")],
                [text("campaigns.dates")],
                [text("campaigns.items")],
                [text("campaigns.uplift"), "end"],
              ]}
              isCards
            >
              {data.rows.map((campaign) => (
                <tr key={campaign.campaign_id} className="goes">
                  <th scope="row">
                    <Link className="leads breaks" to={`/campaigns/${campaign.campaign_id}`}>{campaign.name}</Link>
                  </th>
                  <td className="end-on-phone">
                    <Badge tone={toneOf(campaign.state)}>{word("campaign", campaign.state)}</Badge>
                  </td>
                  <td className="nowrap">{text("campaigns.dates_of", { from: format.day(campaign.first_day), to: format.day(campaign.last_day) })}</td>
                  <td className="soft breaks not-on-phone">{campaign.items.slice(0, 4).join(", ")}{campaign.items.length > 4 && " …"}</td>
                  <td className="end">+{format.percent(campaign.uplift)}</td>
                </tr>
              ))}
            </Table>
          )}
        </Loaded>
      </Panel>
    </>
  );
}
