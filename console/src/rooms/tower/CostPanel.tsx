import { useQuery } from "@tanstack/react-query";
import { costsOf, trials } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
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
            <div className="table-wrap">
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col">{text("tower.term")}</th>
                    <th scope="col" className="end">{text("tower.promised")}</th>
                    <th scope="col" className="end">{text("tower.actual")}</th>
                    <th scope="col" className="end">{text("tower.difference")}</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((row) => (
                    <tr key={row.key ?? ""}>
                      <th scope="row">{word("term", row.key ?? "")}</th>
                      <td className="end">{format.money(row.promised_minor, currency)}</td>
                      <td className="end">{format.money(row.actual_minor, currency)}</td>
                      <td className={`end ${row.difference_minor > 0 ? "bad" : ""}`}>{format.money(row.difference_minor, currency, { sign: true })}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Loaded>
      {tried.data?.flatMap(({ name, trials: each }) =>
        each.map((trial) => {
          const [theirs, ours] = trial.outcomes;
          const a = theirs?.cost_per_order_minor;
          const b = ours?.cost_per_order_minor;
          if (a == null || b == null || b === 0) return null;
          return (
            <p key={`${name}${trial.version}`} className="note">
              <Badge tone={a <= b ? "good" : "warn"}>{word("trial", trial.state)}</Badge>{" "}
              {text("tower.trial", {
                policy: `${name}@${trial.version}`,
                share: format.percent(a / b - 1, 1),
                count: theirs?.orders ?? 0,
              })}
            </p>
          );
        }),
      )}
    </Panel>
  );
}
