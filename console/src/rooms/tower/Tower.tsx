/** The tower: how everything stands, in one look. */

import { useQueries, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useRef } from "react";
import { between, histogram, quantile, total, type Counts } from "../../api/metrics";
import { useLive } from "../../api/live";
import { problemOf } from "../../api/problem";
import { capacity, costsOf, newestOrders, nodes, oneOrder, openIncidents, queueDepths } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Head, Panel, Stat } from "../../ui/parts";
import { Empty, Loaded, Skeleton } from "../../ui/states";
import { CapacityPanel } from "./Capacity";
import { ChannelsPanel } from "./ChannelsPanel";
import { CostPanel } from "./CostPanel";
import { byCurrency, byNode, inSlots, ordersPerMinute } from "./figures";
import { IncidentsPanel } from "./IncidentsPanel";
import { QueuesPanel } from "./QueuesPanel";
import { Spark } from "./Spark";
import { Story } from "./Story";

const NetworkMap = lazy(() => import("../../map/NetworkMap"));

// Orders come by the second: what counts them is looked at every so often instead.
const WATCHED = ["incident.*", "network.changed"] as const;
const KEYS = [["incidents", "open"], ["network", "nodes"], ["channels", "list"]] as const;

const NEWEST = 200;
/** Orders whose way is drawn. Each is read by itself: where it goes is told of one order at a time. */
const FLOWS = 16;
const SPARK_BARS = 30;

export default function Tower() {
  const text = useText();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const orders = useQuery(newestOrders(NEWEST));
  const queues = useQuery(queueDepths);
  const incidents = useQuery(openIncidents);
  const promises = usePromiseTimes();

  const now = orders.dataUpdatedAt;
  const isAll = orders.data?.next_cursor === null;
  const rate = orders.data === undefined ? null : ordersPerMinute(orders.data.data, isAll, now);
  const waiting = queues.data?.reduce((sum, queue) => sum + queue.orders, 0) ?? null;
  const isMore = queues.data?.some((queue) => !queue.isWhole) === true;
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
            rate === null ? "…" : (
              <>
                {format.number(rate, rate < 10 ? 1 : 0)} <small>{text("tower.per_minute")}</small>
              </>
            )
          }
          under={orders.data !== undefined && <Spark values={inSlots(orders.data.data, isAll, now, SPARK_BARS)} />}
          to="/orders"
        />
        <Stat
          label={text("tower.promises")}
          value={promises?.p50 == null ? "–" : format.span(promises.p50)}
          under={
            promises?.p99 == null ? text("tower.no_promises") : text("tower.promise_p99", { time: format.span(promises.p99) })
          }
        />
        <Stat
          label={text("tower.waiting")}
          value={waiting === null ? "…" : `${format.number(waiting)}${isMore ? "+" : ""}`}
          under={waiting === 0 ? text("tower.nothing_waits") : text("tower.in_queues", { count: queues.data?.filter((each) => each.orders > 0).length ?? 0 })}
          tone={waiting === 0 ? "good" : "quiet"}
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
  const all = useQuery(nodes);
  const days = useQuery(capacity(14));
  const newest = useQuery(newestOrders(NEWEST));
  const latest = newest.data?.data.slice(0, FLOWS) ?? [];
  // Where an order goes does not change: it is read once.
  const details = useQueries({ queries: latest.map((order) => ({ ...oneOrder(order.order_id), staleTime: Infinity })) });
  const loads = useMemo(() => {
    const found = new Map<string, number | null>();
    for (const node of byNode(days.data?.rows ?? [])) found.set(node.node, node.days[0]?.load.share ?? null);
    return found;
  }, [days.data]);

  const flows = details.flatMap(({ data: order }) => {
    const { latitude, longitude } = order?.destination ?? {};
    if (order === undefined || latitude == null || longitude == null) return [];
    return order.fulfilments
      .filter((fulfilment) => fulfilment.status !== "rejected" && fulfilment.status !== "cancelled")
      .map((fulfilment) => ({ id: fulfilment.fulfilment_id, from: fulfilment.node, latitude, longitude, label: order.external_id }));
  });

  return (
    <Panel title={text("tower.network")} note={text("tower.flows", { count: flows.length })}>
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
              flows={flows}
            />
          </Suspense>
        )}
      </Loaded>
    </Panel>
  );
}

interface Times {
  p50: number | null;
  p99: number | null;
}

/** How long promises took lately: between the last two looks, or since the server started if none was asked for between. */
function usePromiseTimes(): Times | null {
  const before = useRef<Counts | null>(null);
  const { data } = useQuery({
    queryKey: ["metrics", "promises"],
    queryFn: async (): Promise<Times> => {
      const response = await fetch("/metrics");
      if (!response.ok) throw problemOf(response.status, null);
      const counts = histogram(await response.text(), "onhand_hot_request_seconds", "POST", "/v1/promises");
      if (counts === null) return { p50: null, p99: null };
      const lately = between(before.current, counts);
      before.current = counts;
      const shown = total(lately) > 0 ? lately : counts;
      return { p50: quantile(shown, 0.5), p99: quantile(shown, 0.99) };
    },
    refetchInterval: 15_000,
  });
  return data ?? null;
}

