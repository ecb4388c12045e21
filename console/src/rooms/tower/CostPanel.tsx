import { useQuery } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { Link } from "../../app/router";
import { costsOf, trials } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { byCurrency } from "./figures";

const today = (): string => new Date().toISOString().slice(0, 10);

/** What serving today's orders costs by cost term, promised and actual, and what another policy would have come to. */
export function CostPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const costs = useQuery(costsOf("term", today()));
  const tried = useQuery(trials);
  return (
    <Panel title={text("tower.costs")} note={text("tower.costs_note")}>
      <Loaded
        query={costs}
        isEmpty={(data) => data.data.length === 0}
        empty={<Empty icon="orders" title={text("tower.no_costs")}>{text("tower.no_costs_hint")}</Empty>}
      >
        {({ data }) => {
          const [currency] = byCurrency(data, (row) => row.promised_minor + row.actual_minor)[0] ?? ["EUR"];
          const rows = data.filter((row) => row.currency === currency && (row.promised_minor !== 0 || row.actual_minor !== 0));
          return (
            <Table
              columns={[
                [text("tower.term")],
                [text("tower.cost_planned"), "end"],
                [text("tower.cost_shipped"), "end"],
                [text("tower.cost_spent"), "end"],
                [text("tower.cost_over"), "end"],
              ]}
            >
              {rows.map((row) => (
                <tr key={row.key ?? ""}>
                  <th scope="row">{word("term", row.key ?? "")}</th>
                  <td className="end">{format.money(row.promised_minor, currency)}</td>
                  <td className="end">{format.money(row.promised_minor - row.not_shipped_minor, currency)}</td>
                  <td className="end">{format.money(row.actual_minor, currency)}</td>
                  <td className={`end ${row.difference_minor > 0 ? "bad" : ""}`}>{format.money(row.difference_minor, currency, { sign: true })}</td>
                </tr>
              ))}
            </Table>
          );
        }}
      </Loaded>
      {tried.data !== undefined && <Counterfactual trials={tried.data} ours={costs.data?.data ?? []} />}
    </Panel>
  );
}

interface CounterfactualProps {
  trials: readonly Schema["TrialsOut"][];
  ours: readonly Schema["CostRow"][];
}

/** What today's orders would have come to by another version of the policy: by its measured difference an order. */
function Counterfactual({ trials: tried, ours }: CounterfactualProps) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [currency, promised] = byCurrency(ours, (row) => row.promised_minor)[0] ?? ["EUR", 0];
  const rows = tried.flatMap(({ name, trials: each }) =>
    each.flatMap(({ state, version, outcomes: [theirs, live] }) => {
      const a = theirs?.cost_per_order_minor;
      const b = live?.cost_per_order_minor;
      return theirs == null || a == null || b == null || b === 0 ? [] : [{ name, state, version, orders: theirs.orders, share: a / b - 1 }];
    }),
  );
  if (rows.length === 0)
    return (
      <p className="note">
        {text("tower.no_counterfactual")} <Link to="/policies">{text("tower.all_policies")}</Link>
      </p>
    );
  return rows.map(({ name, state, version, orders, share }) => (
    <p key={`${name}${version}`} className="note">
      <Badge tone={share <= 0 ? "good" : "warn"}>{word("trial", state)}</Badge>{" "}
      {text("tower.counterfactual", {
        policy: `${name}@${version}`,
        money: format.money(Math.round(promised * (1 + share)), currency),
        ours: format.money(promised, currency),
        share: `${share > 0 ? "+" : ""}${format.percent(share, 1)}`,
        count: orders,
      })}
    </p>
  ));
}
