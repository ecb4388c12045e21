/** The tower: how everything stands, in one look. */

import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { useLive } from "../../api/live";
import { capacity, costsOf, flows, nodes, openIncidents, queueDepths, serviceLevels } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Head, Panel, Stat } from "../../ui/parts";
import { Empty, Loaded, Skeleton } from "../../ui/states";
import { Table } from "../../ui/table";
import { CapacityPanel } from "./Capacity";
import { ChannelsPanel } from "./ChannelsPanel";
import { CostPanel } from "./CostPanel";
import { byCurrency, byNode } from "./figures";
import { IncidentsPanel } from "./IncidentsPanel";
import { QueuesPanel } from "./QueuesPanel";
import { Spark } from "./Spark";
import { Story } from "./Story";

const NetworkMap = lazy(() => import("../../map/NetworkMap"));

// Orders come by the second: what counts them is looked at every so often instead.
const WATCHED = ["incident.*", "network.changed"] as const;
const KEYS = [["incidents", "open"], ["network", "nodes"], ["channels", "list"]] as const;

/** Minutes that are drawn behind the number. */
const SPARK_BARS = 30;
/** Ways that are drawn: of hundreds nobody sees one. */
const WAYS = 120;

export default function Tower() {
  const text = useText();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const coming = useQuery(flows);
  const queues = useQuery(queueDepths);
  const incidents = useQuery(openIncidents);
  const levels = useQuery(serviceLevels);

  const orders = coming.data?.orders;
  const promises = levels.data?.promises;
  const all = queues.data?.queues;
  const waiting = all?.reduce((sum, queue) => sum + queue.orders, 0) ?? null;
  const late = all?.reduce((sum, queue) => sum + queue.past_due, queues.data?.to_ship.past_due ?? 0) ?? 0;
  const risks = incidents.data === undefined ? null : byCurrency(incidents.data.rows, (row) => row.risk_minor);
  const [currency, risk] = risks?.[0] ?? ["EUR", 0];

  return (
    <>
      <Head title={text("tower.title")} />
      <Story />
      <div className="stats">
        <Stat
          label={text("tower.orders")}
          value={
            orders === undefined ? "…" : (
              <>
                {format.number(orders.last_minute / 60, orders.last_minute < 600 ? 2 : 0)} <small>{text("tower.per_second")}</small>
              </>
            )
          }
          under={
            orders !== undefined && (
              <>
                <Spark values={orders.by_minute.slice(-SPARK_BARS)} />
                {text("tower.last_hour", { count: orders.last_hour })}
              </>
            )
          }
          to="/orders"
        />
        <Stat
          label={text("tower.promises")}
          value={promises?.p50_ms == null ? "–" : format.span(promises.p50_ms / 1000)}
          under={
            promises?.p99_ms == null
              ? text("tower.no_promises")
              : text("tower.promise_p99", { time: format.span(promises.p99_ms / 1000) })
          }
        />
        <Stat
          label={text("tower.waiting")}
          value={waiting === null ? "…" : format.number(waiting)}
          under={
            late > 0
              ? text("tower.late", { count: late })
              : waiting === 0
                ? text("tower.nothing_waits")
                : text("tower.in_queues", { count: all?.filter((each) => each.orders > 0).length ?? 0 })
          }
          tone={late > 0 ? "bad" : waiting === 0 ? "good" : "quiet"}
          to="/orders"
        />
        <Stat
          label={text("tower.at_risk")}
          value={risks === null ? "…" : format.roundMoney(risk, currency)}
          under={text("tower.open_incidents", { count: incidents.data?.rows.length ?? 0 })}
          tone={risk > 0 ? "bad" : "good"}
          to="/incidents"
        />
        <CostStat />
      </div>
      <div className="columns two-one">
        <NetworkPanel />
        <div className="stack">
          <IncidentsPanel />
          <QueuesPanel />
        </div>
      </div>
      <div className="columns even">
        <ChannelsPanel />
        <CostPanel />
      </div>
      <CapacityPanel />
    </>
  );
}

function CostStat() {
  const text = useText();
  const format = useFormat();
  const costs = useQuery(costsOf("day", today()));
  const rows = costs.data?.data ?? [];
  const [currency] = byCurrency(rows, (row) => row.actual_minor)[0] ?? ["EUR"];
  const ours = rows.filter((row) => row.currency === currency);
  const sum = (name: "orders" | "actual_minor" | "difference_minor") => ours.reduce((all, row) => all + row[name], 0);
  const orders = sum("orders");
  const difference = sum("difference_minor");
  return (
    <Stat
      label={text("tower.cost_per_order")}
      value={costs.data === undefined ? "…" : orders === 0 ? "–" : format.money(Math.round(sum("actual_minor") / orders), currency)}
      under={
        orders === 0
          ? text("tower.no_costs")
          : text("tower.cost_difference", { money: format.money(Math.round(difference / orders), currency, { sign: true }) })
      }
      tone={difference > 0 ? "warn" : "quiet"}
    />
  );
}

export const today = (): string => new Date().toISOString().slice(0, 10);

function NetworkPanel() {
  const text = useText();
  const format = useFormat();
  const all = useQuery(nodes);
  const days = useQuery(capacity(14));
  const going = useQuery(flows);
  const loads = useMemo(() => {
    const found = new Map<string, number | null>();
    for (const node of byNode(days.data?.rows ?? [])) found.set(node.node, node.days[0]?.load.share ?? null);
    return found;
  }, [days.data]);

  const ways = useMemo(
    () =>
      (going.data?.flows ?? []).slice(0, WAYS).flatMap(({ node, country, region, orders, latitude, longitude }) =>
        latitude === null || longitude === null
          ? []
          : [{ id: `${node} ${country} ${region ?? ""}`, from: node, latitude, longitude, orders, goes: [region, country].filter(Boolean).join(", ") }],
      ),
    [going.data],
  );

  return (
    <Panel title={text("tower.network")} note={text("tower.flows", { count: ways.length })}>
      <Loaded
        query={all}
        lines={10}
        isEmpty={(data) => data.rows.length === 0}
        empty={
          <Empty icon="tower" title={text("tower.no_nodes")}>
            {text("tower.no_nodes_hint")} <a href="/docs">/docs</a>
          </Empty>
        }
      >
        {(data) => (
          <Suspense fallback={<Skeleton lines={10} />}>
            <NetworkMap
              nodes={data.rows
                .map((node) => ({
                  code: node.code,
                  name: node.name,
                  latitude: node.latitude,
                  longitude: node.longitude,
                  load: loads.get(node.code) ?? null,
                }))}
              flows={ways.map((way) => ({ ...way, label: `${way.from} → ${way.goes}: ${way.orders}` }))}
            />
            {ways.length > 0 && (
              <details className="data">
                <summary>{text("chart.table")}</summary>
                <Table columns={[[text("orders.node")], [text("tower.goes")], [text("room.orders"), "end"]]}>
                  {ways.map((way) => (
                    <tr key={way.id}>
                      <th scope="row">{way.from}</th>
                      <td>{way.goes}</td>
                      <td className="end">{format.number(way.orders)}</td>
                    </tr>
                  ))}
                </Table>
              </details>
            )}
          </Suspense>
        )}
      </Loaded>
    </Panel>
  );
}
