/** Why an order is served as it is: the candidates side by side, what bound, what would have changed it. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { onePlan } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel, Select } from "../../ui/parts";
import { Loaded } from "../../ui/states";
import { compared, paidTerms } from "./compare";
import type { Detail } from "./Order";

const SHOWN = 6;

export function PlanPanel({ order }: { order: Detail }) {
  const text = useText();
  const format = useFormat();
  const [chosen, setChosen] = useState(order.plans.at(-1)?.plan_id ?? "");
  const plan = useQuery(onePlan(chosen));
  return (
    <Panel
      title={text("plan.title")}
      beside={
        order.plans.length > 1 ? (
          <Select
            label={text("plan.which")}
            value={chosen}
            onChange={setChosen}
            options={order.plans.map((each) => [each.plan_id, `${format.moment(each.at)} · ${each.because ?? text("plan.first")}`] as const)}
          />
        ) : undefined
      }
    >
      <Loaded query={plan} lines={8}>{(data) => <Plan plan={data} currency={order.currency} />}</Loaded>
    </Panel>
  );
}

function Plan({ plan, currency }: { plan: Schema["PlanOut"]; currency: string }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [isAll, setAll] = useState(false);
  const all = compared(plan);
  const shown = isAll ? all : all.slice(0, SHOWN);
  const terms = paidTerms(plan);
  return (
    <>
      <div className="inside stack tight">
        {plan.sentences.map((sentence, i) => (
          <p key={i}>{sentence}</p>
        ))}
        <p className="small soft">
          {text("plan.by", { policy: plan.policy, objective: plan.objective.name })}
          {plan.rule !== null && ` · ${plan.rule.name}`}
          {!plan.reproduced && ` · ${text("plan.not_reproduced")}`}
        </p>
      </div>
      {shown.length > 0 && (
        <div className="table-wrap">
          <table className="table plan">
            <caption className="hidden-visually">{text("plan.candidates")}</caption>
            <thead>
              <tr>
                <th scope="col">{text("plan.term")}</th>
                {shown.map(({ candidate }) => (
                  <th key={candidate.node} scope="col" className={candidate.chosen ? "chosen" : ""}>
                    {candidate.node}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              <tr>
                <th scope="row">{text("plan.verdict")}</th>
                {shown.map(({ candidate, lostBy, because }) => (
                  <td key={candidate.node} className={candidate.chosen ? "chosen" : "lost"}>
                    {candidate.chosen ? (
                      <Badge tone="accent">{text("plan.chosen")}</Badge>
                    ) : lostBy !== null ? (
                      text("plan.lost_by", { money: format.money(lostBy, currency), term: because === null ? "" : word("term", because) })
                    ) : candidate.excluded_because != null ? (
                      word("excluded", candidate.excluded_because)
                    ) : (
                      text("plan.lacks", { items: Object.entries(candidate.missing).map(([sku, units]) => `${units} × ${sku}`).join(", ") })
                    )}
                  </td>
                ))}
              </tr>
              <tr>
                <th scope="row">{text("plan.cost")}</th>
                {shown.map(({ candidate }) => (
                  <td key={candidate.node} className={`strong ${candidate.chosen ? "chosen" : ""}`}>
                    {candidate.cost_minor == null ? "–" : format.money(candidate.cost_minor, currency)}
                  </td>
                ))}
              </tr>
              {terms.map((term) => (
                <tr key={term}>
                  <th scope="row" className="soft">{word("term", term)}</th>
                  {shown.map(({ candidate }) => (
                    <td key={candidate.node} className={candidate.chosen ? "chosen" : ""}>
                      {candidate.cost?.[term] === undefined ? "–" : format.money(candidate.cost[term], currency)}
                    </td>
                  ))}
                </tr>
              ))}
              <tr>
                <th scope="row" className="soft">{text("plan.there_by")}</th>
                {shown.map(({ candidate }) => (
                  <td key={candidate.node} className={candidate.chosen ? "chosen" : ""}>
                    {candidate.deliver_by == null ? "–" : format.day(candidate.deliver_by)}
                  </td>
                ))}
              </tr>
            </tbody>
          </table>
        </div>
      )}
      {all.length > SHOWN && (
        <p className="note">
          <button type="button" className="button quiet" onClick={() => setAll(!isAll)}>
            {isAll ? text("action.fewer") : text("plan.all", { count: all.length })}
          </button>
        </p>
      )}
      {plan.would_change_it.length > 0 && (
        <div className="inside">
          <h3>{text("plan.would_change")}</h3>
          <ul>
            {plan.would_change_it.map((change, i) => (
              <li key={i} className="small">
                {change.if} → {change.then.join(", ")} ({format.money(change.cost_minor, currency)})
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}
