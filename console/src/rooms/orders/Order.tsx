/** One order: where it stands, why it is served as it is, what it cost, what happened, and what can be done. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import type { Schema } from "../../api/client";
import { oneOrder, orderCosts } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Facts, Head, Panel } from "../../ui/parts";
import { Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import { Actions } from "./Actions";
import { Due } from "./Due";
import { PlanPanel } from "./PlanPanel";
import { Timeline } from "./Timeline";
import { Tracking } from "./Tracking";

export type Detail = Schema["OrderDetailOut"];

const WATCHED = ["order.*", "fulfilment.*", "shipment.*", "return.*"] as const;
const KEYS = [["orders", "one"], ["orders", "costs"], ["orders", "shipment"]] as const;

export default function Order({ parameters }: { parameters: Record<string, string> }) {
  const id = parameters["order"] ?? "";
  const order = useQuery(oneOrder(id));
  useLive(WATCHED, KEYS, id);
  return <Loaded query={order} lines={12}>{(data) => <Page order={data} />}</Loaded>;
}

function Page({ order }: { order: Detail }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const total = order.lines.reduce((sum, line) => sum + line.quantity * line.price_minor, 0);
  const isOver = ["delivered", "cancelled"].includes(order.status);
  return (
    <>
      <Head
        crumb={<Link to="/orders">{text("room.orders")}</Link>}
        title={
          <span className="row">
            <span className="breaks">{order.external_id}</span>
            <Badge tone={toneOf(order.status)}>{word("order_status", order.status)}</Badge>
            {order.queue !== null && order.queue !== order.status && <Badge tone="warn">{word("queue", order.queue)}</Badge>}
          </span>
        }
        beside={<Actions order={order} />}
      />
      <div className="columns two-one">
        <div className="stack">
          <LinesPanel order={order} />
          <FulfilmentsPanel order={order} />
          {order.plans.length > 0 && <PlanPanel key={order.plans.length} order={order} />}
        </div>
        <div className="stack">
          <Panel title={text("order.facts")}>
            <div className="inside">
              <Facts
                rows={[
                  [text("orders.channel"), order.channel],
                  [text("orders.total"), <b key="t">{format.money(total, order.currency)}</b>],
                  [text("orders.placed"), format.moment(order.placed_at)],
                  [
                    text("orders.promise"),
                    order.promise === null ? (
                      "–"
                    ) : (
                      <span key="p">
                        <Due at={order.promise.deliver_by} isOver={isOver} />
                        {order.promise.confidence !== null && (
                          <span className="soft"> · {text("order.sure", { share: format.percent(order.promise.confidence) })}</span>
                        )}
                      </span>
                    ),
                  ],
                  [text("order.destination"), [order.destination.postal_code, order.destination.region, order.destination.country].filter(Boolean).join(" · ")],
                  [text("order.method"), word("method", order.method)],
                  ...(order.hold === null ? [] : [[text("order.hold"), order.hold] as const]),
                  [text("order.id"), <span key="i" className="small soft breaks">{order.order_id}</span>],
                ]}
              />
            </div>
          </Panel>
          <CostsPanel order={order} />
          <Timeline rows={order.timeline} />
        </div>
      </div>
    </>
  );
}

function LinesPanel({ order }: { order: Detail }) {
  const text = useText();
  const format = useFormat();
  return (
    <Panel title={text("order.lines", { count: order.lines.length })}>
      <Table
        columns={[
          [text("order.item")],
          [text("order.ordered"), "end"],
          [text("order.shipped"), "end"],
          [text("order.cancelled"), "end"],
          [text("order.returned"), "end"],
          [text("order.price"), "end"],
        ]}
      >
        {order.lines.map((line) => (
          <tr key={line.line_id}>
            <th scope="row">
              <Link to={`/stock/${encodeURIComponent(line.sku)}`}>{line.sku}</Link>
              {line.components !== undefined && line.components.length > 0 && (
                <div className="small soft">{line.components.map((part) => `${part.quantity} × ${part.sku}`).join(", ")}</div>
              )}
            </th>
            <td className="end">{format.number(line.quantity)}</td>
            <td className="end">{line.shipped === 0 ? <span className="soft">0</span> : format.number(line.shipped)}</td>
            <td className={`end ${line.cancelled > 0 ? "" : "soft"}`}>{format.number(line.cancelled)}</td>
            <td className={`end ${line.returned > 0 ? "" : "soft"}`}>{format.number(line.returned)}</td>
            <td className="end">{format.money(line.price_minor, order.currency)}</td>
          </tr>
        ))}
      </Table>
      {order.waiting.length > 0 && (
        <p className="note warn">
          {order.waiting
            .map((wait) =>
              text(wait.expected_at === null ? "order.waits" : "order.waits_until", {
                count: wait.quantity,
                sku: wait.sku,
                date: wait.expected_at === null ? "" : format.day(wait.expected_at),
              }),
            )
            .join(" · ")}
        </p>
      )}
    </Panel>
  );
}

function FulfilmentsPanel({ order }: { order: Detail }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  if (order.fulfilments.length === 0) return null;
  return (
    <Panel title={text("order.fulfilments", { count: order.fulfilments.length })}>
      <ul className="list">
        {order.fulfilments.map((fulfilment) => {
          const shipments = order.shipments.filter((shipment) => shipment.fulfilment_id === fulfilment.fulfilment_id);
          return (
            <li key={fulfilment.fulfilment_id} className="stack tight">
              <div className="row apart">
                <span className="row">
                  <b>{fulfilment.node}</b>
                  <Badge tone={toneOf(fulfilment.status)}>{word("order_status", fulfilment.status)}</Badge>
                  {fulfilment.reason !== null && <span className="small soft">{word("reason", fulfilment.reason)}</span>}
                </span>
                <span className="soft small">
                  {[fulfilment.carrier, fulfilment.service].filter(Boolean).join(" · ")} · {format.money(fulfilment.cost_minor, order.currency)} ·{" "}
                  {text("order.grams_co2", { count: fulfilment.co2_g })}
                </span>
              </div>
              <div className="row apart small">
                <span className="soft">{fulfilment.lines.map((line) => `${line.quantity} × ${line.sku}`).join(", ")}</span>
                <span className="soft">
                  {text("order.ship_by")} {format.moment(fulfilment.ship_by)} · {text("order.there_by")} {format.day(fulfilment.deliver_by)}
                </span>
              </div>
              {shipments.map((shipment) => (
                <Tracking key={shipment.shipment_id} shipment={shipment} />
              ))}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

function CostsPanel({ order }: { order: Detail }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const costs = useQuery(orderCosts(order.order_id));
  return (
    <Panel title={text("order.costs")}>
      <Loaded query={costs} isEmpty={(data) => data.data.length === 0} empty={<p className="inside soft">{text("order.no_costs")}</p>}>
        {(data) => (
          <>
            <div className="inside row">
              {data.totals.map((total) => (
                <div key={total.currency} className="row" style={{ gap: 22 }}>
                  <span>
                    <span className="small soft">{text("tower.promised")}</span>
                    <br />
                    <span className="money">{format.money(total.promised_minor, total.currency)}</span>
                  </span>
                  <span>
                    <span className="small soft">{text("tower.actual")}</span>
                    <br />
                    <span className="money">{format.money(total.actual_minor, total.currency)}</span>
                  </span>
                  {total.failures_minor !== 0 && (
                    <span className="bad">
                      <span className="small">{text("order.failures")}</span>
                      <br />
                      <span className="money">{format.money(total.failures_minor, total.currency)}</span>
                    </span>
                  )}
                </div>
              ))}
            </div>
            <details className="data">
              <summary>{text("order.entries", { count: data.data.length })}</summary>
              <table className="table">
                <tbody>
                  {data.data.map((entry) => (
                    <tr key={entry.entry_id}>
                      <td>{word("term", entry.term)}</td>
                      <td className="soft">{text(entry.kind === "promised" ? "tower.promised" : "tower.actual")}</td>
                      <td className="soft">{entry.cause === null ? "" : word("cause", entry.cause)}</td>
                      <td className="end">{format.money(entry.minor, entry.currency, { sign: true })}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </details>
          </>
        )}
      </Loaded>
    </Panel>
  );
}
