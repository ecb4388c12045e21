/** What an assessment says: whether, how much at most, where and when it fails, and what to do before when. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { channels } from "../../api/queries";
import { Link } from "../../app/router";
import { Chart, type Colours } from "../../charts/Chart";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel, Stat } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { Table } from "../../ui/table";
import { heatOf, heatOption, type Assessment } from "./assessment";

interface Props {
  found: Assessment;
  /** Where other dates can be taken. */
  onDates?: (from: string, to: string) => void;
}

export function Picture({ found, onDates }: Props) {
  const text = useText();
  const format = useFormat();
  const [first] = found.breaks;
  const { largest_uplift: largest } = found;
  return (
    <>
      <div className="stats">
        <Stat
          label={text("campaigns.late")}
          value={format.percent(found.late_share, 1)}
          under={text("campaigns.late_risk", { risk: format.percent(found.late_risk) })}
          tone={found.can_serve ? "good" : "bad"}
        />
        <Stat
          label={text("campaigns.largest")}
          value={`+${format.percent(largest.uplift)}`}
          under={largest.is_lower_bound ? text("campaigns.at_least") : text("campaigns.planned", { uplift: `+${format.percent(found.uplift)}` })}
          tone={found.can_serve ? "good" : "warn"}
        />
        <Stat
          label={text("campaigns.first_break")}
          value={first === undefined ? text("campaigns.nothing_breaks") : first.what}
          under={found.first_break !== null && text("campaigns.break_when", { day: format.day(found.first_break.day), probability: format.percent(found.first_break.probability) })}
          tone={found.first_break === null ? "good" : "warn"}
        />
      </div>
      <HeatPanel found={found} />
      <div className="columns even">
        <Breaks found={found} />
        <Remedies found={found} />
      </div>
      {found.other_dates.length > 0 && <OtherDates found={found} {...(onDates === undefined ? {} : { onDates })} />}
    </>
  );
}

function HeatPanel({ found }: { found: Assessment }) {
  const text = useText();
  const format = useFormat();
  const heat = useMemo(() => heatOf(found), [found]);
  const option = useCallback((colours: Colours) => heatOption(heat, colours, format.day, (share) => format.percent(share)), [heat, format]);
  return (
    <Panel title={text("campaigns.heat")} note={text("campaigns.heat_note")}>
      {heat.worst === null ? (
        <Empty icon="campaigns" title={text("campaigns.heat_none")} />
      ) : (
        <Chart
          summary={text("campaigns.heat_says", {
            nodes: heat.nodes.length, days: heat.days.length, rate: format.percent(heat.worst.rate), node: heat.worst.node, day: format.day(heat.worst.day),
          })}
          option={option}
          height={Math.min(720, 80 + 34 * heat.nodes.length)}
          table={
            <table className="table dense">
              <thead>
                <tr>
                  <th scope="col">{text("campaigns.day")}</th>
                  {heat.nodes.map((node) => (
                    <th key={node} scope="col" className="end">{node}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {heat.days.map((day, d) => (
                  <tr key={day}>
                    <th scope="row">{format.day(day)}</th>
                    {heat.rates.map((row, n) => {
                      const rate = row[d] ?? null;
                      return <td key={n} className="end">{rate === null ? "–" : format.percent(rate)}</td>;
                    })}
                  </tr>
                ))}
              </tbody>
            </table>
          }
        />
      )}
    </Panel>
  );
}

function Breaks({ found }: { found: Assessment }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  return (
    <Panel title={text("campaigns.breaks")}>
      {found.breaks.length === 0 ? (
        <Empty icon="check" title={text("campaigns.no_breaks")} />
      ) : (
        <Table
          columns={[
            [text("campaigns.what")],
            [text("campaigns.when")],
            [text("campaigns.probability"), "end"],
            [text("campaigns.without"), "end"],
          ]}
          look="dense"
        >
          {found.breaks.slice(0, 12).map((each) => (
            <tr key={each.kind + each.what}>
              <th scope="row" className="breaks">
                <span className="soft">{word("what", each.kind)}</span> {each.what}
              </th>
              <td className="nowrap" title={text("campaigns.dates_of", { from: format.day(each.day_low), to: format.day(each.day_high) })}>
                {format.day(each.day)}
              </td>
              <td className="end">{format.percent(each.probability)}</td>
              <td className="end soft">{format.percent(each.without_campaign)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

function Remedies({ found }: { found: Assessment }) {
  const text = useText();
  const format = useFormat();
  const currencies = new Set((useQuery(channels).data?.rows ?? []).map((channel) => channel.currency));
  // Means are told in minor units of the one currency that a merchant reckons in; with several it is not known which.
  const [currency] = currencies.size === 1 ? currencies : [null];
  const { remedies } = found;
  return (
    <Panel
      title={text("campaigns.remedies")}
      beside={<Link to="/planning">{text("campaigns.proposals")}</Link>}
      {...(remedies === null ? {} : { note: text("campaigns.remedies_note", { risk: format.percent(remedies.late_risk) }) })}
    >
      {remedies === null ? (
        <Empty icon="check" title={text("campaigns.no_remedies")} />
      ) : remedies.actions.length === 0 ? (
        <p className="inside">{text("campaigns.no_mix")}</p>
      ) : (
        <ul className="list">
          {remedies.actions.map((each, i) => (
            <li key={i} className="stack tight" style={{ gap: 2 }}>
              <span className="row apart">
                <b className="breaks">{text(`do.${each.do}`, { sku: each.sku ?? "", node: each.node ?? "", from: each.from_node ?? "" })}</b>
                <span className="nowrap">
                  {format.number(each.quantity)} {currency !== null && currency !== undefined && <span className="soft">· {format.roundMoney(each.cost_minor, currency)}</span>}
                </span>
              </span>
              <span className="small soft">
                {text("campaigns.start_by")} <time dateTime={each.start_by}>{format.day(each.start_by)}</time> · {text("campaigns.before")}{" "}
                <time dateTime={each.before}>{format.day(each.before)}</time>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function OtherDates({ found, onDates }: Props) {
  const text = useText();
  const format = useFormat();
  return (
    <Panel title={text("campaigns.other_dates")}>
      <ul className="list">
        {found.other_dates.map((each) => (
          <li key={each.from} className="row apart">
            <span>{text("campaigns.dates_of", { from: format.day(each.from), to: format.day(each.to) })}</span>
            <span className="row tight">
              <Badge tone={each.late_risk <= 0.05 ? "good" : "warn"}>{text("campaigns.late_risk", { risk: format.percent(each.late_risk) })}</Badge>
              {onDates !== undefined && (
                <button type="button" className="button" onClick={() => onDates(each.from, each.to)}>
                  {text("campaigns.take")}
                </button>
              )}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
