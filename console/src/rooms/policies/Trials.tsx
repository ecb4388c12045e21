import { useQuery } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { policyLanes, policyTrials, type Brief } from "./queries";

type Policy = Schema["PolicyOut"];
type Outcome = Schema["OutcomeOut"];

/** How shadow and canary do beside the active version. */
export function Trials({ policy, onMove }: { policy: Policy; onMove: (version: Brief) => void }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const trials = useQuery(policyTrials(policy.name));
  const measures: readonly (readonly [keyof Outcome, (value: number) => string])[] = [
    ["orders", (value) => format.number(value)],
    ["cost_per_order_minor", (value) => format.number(value / 100, 2)],
    ["split_share", (value) => format.percent(value, 1)],
    ["late_share", (value) => format.percent(value, 1)],
    ["co2_g_per_order", (value) => format.number(value)],
    ["unfillable_share", (value) => format.percent(value, 1)],
  ];
  return (
    <Loaded
      query={trials}
      isEmpty={(data) => data.trials.length === 0}
      empty={
        <section className="panel">
          <Empty icon="policies" title={text("policies.no_trials")}>{text("policies.no_trials_hint")}</Empty>
        </section>
      }
    >
      {(data) =>
        data.trials.map((trial) => {
          const version = policy.versions.find((each) => each.version === trial.version);
          return (
            <Panel
              key={trial.version}
              title={
                <span className="row">
                  {text("policies.version", { no: String(trial.version) })}
                  <Badge tone={toneOf(trial.state)}>
                    {word("policy", trial.state)}
                    {trial.share !== null && ` ${format.percent(trial.share, 1)}`}
                  </Badge>
                </span>
              }
              beside={
                version !== undefined && (
                  <button type="button" className="button" onClick={() => onMove(version)}>
                    {text("policies.move")}
                    <span className="hidden-visually"> {text("policies.version", { no: String(trial.version) })}</span>
                  </button>
                )
              }
              note={text("policies.trial_note", { time: format.moment(trial.since) })}
            >
              {trial.breach !== null && <p className="inside bad">{trial.breach}</p>}
              <div className="table-wrap">
                <table className="table">
                  <thead>
                    <tr>
                      <th scope="col">{text("policies.measure")}</th>
                      {trial.outcomes.map((outcome) => (
                        <th key={outcome.version} scope="col" className="end">
                          {text("policies.version", { no: String(outcome.version) })}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {measures.map(([name, say]) => (
                      <tr key={name}>
                        <th scope="row">{word("outcome_of", name)}</th>
                        {trial.outcomes.map((outcome) => {
                          const value = outcome[name];
                          return <td key={outcome.version} className="end">{value === null ? "–" : say(value)}</td>;
                        })}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </Panel>
          );
        })
      }
    </Loaded>
  );
}

/** What was proposed because lanes cost more than they promise, and what became of it. */
export function Lanes({ policy }: { policy: Policy }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const lanes = useQuery(policyLanes(policy.name));
  return (
    <Panel title={text("policies.lanes")} note={text("policies.lanes_note")}>
      <Loaded
        query={lanes}
        isEmpty={(data) => data.proposals.length === 0}
        empty={<Empty icon="calm" title={text("policies.no_lanes")} />}
      >
        {(data) => (
          <ul className="list">
            {data.proposals.map((proposal) => (
              <li key={proposal.version} className="stack tight">
                <span className="row">
                  <b>{text("policies.version", { no: String(proposal.version) })}</b>
                  <Badge tone={toneOf(proposal.state)}>{word("policy", proposal.state)}</Badge>
                  <span className="small soft">
                    {format.ago(proposal.at)}
                    {proposal.evidence.difference !== null &&
                      ` · ${text("policies.lane_saves", { money: format.money(proposal.evidence.difference, proposal.currency, { sign: true }), count: proposal.orders })}`}
                  </span>
                </span>
                {proposal.lanes
                  .filter((lane) => lane.is_avoided)
                  .map((lane) => (
                    <span key={`${lane.area}${lane.way}${lane.name}`} className="small soft">
                      {text("policies.lane", {
                        area: lane.area,
                        way: `${word("way", lane.way)} ${lane.name}`,
                        money: format.money(lane.mean_minor, proposal.currency, { sign: true }),
                        least: format.money(lane.low_minor, proposal.currency, { sign: true }),
                        count: lane.orders,
                      })}
                    </span>
                  ))}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
