/** One campaign: what was accepted, what it rests on, and how to take it back. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { answerOf, api, type Schema } from "../../api/client";
import { asProblem } from "../../api/problem";
import { Link } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Facts, Head, Panel } from "../../ui/parts";
import { Loaded } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { Picture } from "./Picture";
import { assessment, oneCampaign } from "./queries";

type Campaign = Schema["CampaignOut"];

export default function CampaignRoom({ parameters }: { parameters: Record<string, string> }) {
  const campaign = useQuery(oneCampaign(parameters["campaign"] ?? ""));
  return <Loaded query={campaign} lines={10}>{(data) => <Page campaign={data} />}</Loaded>;
}

function Page({ campaign }: { campaign: Campaign }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const found = useQuery(assessment(campaign.assessment));
  return (
    <>
      <Head
        crumb={<Link to="/campaigns">{text("room.campaigns")}</Link>}
        title={
          <span className="row">
            {campaign.name}
            <Badge tone={toneOf(campaign.state)}>{word("campaign", campaign.state)}</Badge>
          </span>
        }
        beside={campaign.state === "accepted" && <Cancel campaign={campaign} />}
      />
      <Panel title={text("campaigns.dates_of", { from: format.day(campaign.first_day), to: format.day(campaign.last_day) })}>
        <div className="inside">
          <Facts
            rows={[
              [text("campaigns.items"), <span key="items" className="breaks">{campaign.items.join(", ")}</span>],
              [text("campaigns.channels"), campaign.channels?.join(", ") ?? text("campaigns.all_channels")],
              [text("campaigns.uplift"), `+${format.percent(campaign.uplift)}`],
              ...(campaign.discount === null ? [] : [[text("campaigns.discount"), format.percent(campaign.discount)] as const]),
              [text("campaigns.accepted_at"), format.moment(campaign.created_at)],
            ]}
          />
        </div>
      </Panel>
      {found.isError && asProblem(found.error).status === 404 ? (
        <p className="soft">{text("campaigns.assessment_gone")}</p>
      ) : (
        <Loaded query={found} lines={8}>{(data) => <Picture found={data} />}</Loaded>
      )}
    </>
  );
}

function Cancel({ campaign }: { campaign: Campaign }) {
  const text = useText();
  const [isAsked, setAsked] = useState(false);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/campaigns/{campaign_id}/cancel", { params: { path: { campaign_id: campaign.campaign_id } } })),
    done: ({ name }) => text("campaigns.was_cancelled", { name }),
    changes: [["campaigns"], ["capacity"]],
    after: () => setAsked(false),
  });
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsked(true)}>
        {text("campaigns.cancel")}
      </button>
      {isAsked && (
        <Ask
          title={text("campaigns.cancel_title", { name: campaign.name })}
          what={<p>{text("campaigns.cancel_what")}</p>}
          confirm={text("campaigns.cancel")}
          danger
          isBusy={action.isPending}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        />
      )}
    </>
  );
}
