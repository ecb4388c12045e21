/** Orders: searched, filtered by what the address says, newest first. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link, navigate, useAddress, useParameter, withParameters } from "../../app/router";
import { useLive } from "../../api/live";
import { channels, nodes, QUEUES, useOrders, type OrderFilter } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { PagedPanel, rowsOf } from "../../ui/paged";
import { Badge, Head, Select } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { beginOf, dayFrom, dayUntil, endOf } from "./days";
import { Due } from "./Due";

const STATUSES = ["sourced", "backordered", "held", "unfillable", "partly_shipped", "shipped", "delivered", "cancelled"] as const;
const FILTERS = ["q", "status", "queue", "channel", "node", "sku", "from", "to"] as const;
const WATCHED = ["order.*", "fulfilment.*"] as const;
const KEYS = [["orders", "list"]] as const;
const NONE: readonly string[] = [];
const PAGES_LIVE = 2;
const TYPING_MS = 250;

export default function Orders() {
  const text = useText();
  const word = useWord();
  const address = useAddress();
  const filter = Object.fromEntries(FILTERS.map((name) => [name, address.searchParams.get(name) ?? undefined])) as OrderFilter;
  const isFiltered = FILTERS.some((name) => address.searchParams.has(name));
  const set = (name: string) => (value: string) => navigate(withParameters(address, { [name]: value }));
  const known = useQuery(channels);
  const places = useQuery(nodes);
  const any = ["", ""] as const;

  return (
    <>
      <Head title={text("room.orders")} />
      <div className="filters" role="search">
        <Search />
        <Select
          label={text("orders.status")}
          value={filter.status ?? ""}
          onChange={set("status")}
          options={[[any[0], text("orders.any_status")], ...STATUSES.map((each) => [each, word("order_status", each)] as const)]}
        />
        <Select
          label={text("orders.queue")}
          value={filter.queue ?? ""}
          onChange={set("queue")}
          options={[[any[0], text("orders.any_queue")], ...QUEUES.map((each) => [each, word("queue", each)] as const)]}
        />
        <Select
          label={text("orders.channel")}
          value={filter.channel ?? ""}
          onChange={set("channel")}
          options={[[any[0], text("orders.any_channel")], ...(known.data?.rows ?? []).map((each) => [each.code, each.name] as const)]}
        />
        <Select
          label={text("orders.node")}
          value={filter.node ?? ""}
          onChange={set("node")}
          options={[[any[0], text("orders.any_node")], ...(places.data?.rows ?? []).map((each) => [each.code, each.name] as const)]}
        />
        <Day label={text("orders.first_day")} day={dayFrom(filter.from ?? undefined)} onChange={(day) => set("from")(beginOf(day))} />
        <Day label={text("orders.last_day")} day={dayUntil(filter.to ?? undefined)} onChange={(day) => set("to")(endOf(day))} />
        {filter.sku != null && <Badge tone="accent">{filter.sku}</Badge>}
        {isFiltered && (
          <button type="button" className="button quiet" onClick={() => navigate("/orders")}>
            {text("action.clear")}
          </button>
        )}
      </div>
      <List filter={filter} isFiltered={isFiltered} />
    </>
  );
}

function Day({ label, day, onChange }: { label: string; day: string; onChange: (day: string) => void }) {
  return <input type="date" className="input" aria-label={label} title={label} value={day} onChange={(event) => onChange(event.target.value)} />;
}

function Search() {
  const text = useText();
  const [query, setQuery] = useParameter("q");
  const [typed, setTyped] = useState(query);
  const [shown, setShown] = useState(query);
  if (query !== shown) {
    // The address changed by itself, for example by the back button.
    setShown(query);
    setTyped(query);
  }
  useEffect(() => {
    if (typed === query) return;
    const timer = setTimeout(() => setQuery(typed.trim(), { replace: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, query, setQuery]);
  return (
    <input
      type="search"
      className="input"
      aria-label={text("orders.search")}
      placeholder={text("orders.search")}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  );
}

function List({ filter, isFiltered }: { filter: OrderFilter; isFiltered: boolean }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const orders = useOrders(filter);
  const rows = rowsOf(orders);
  // Whoever has gone far back reads: pages that move under the eye would be no help.
  useLive((orders.data?.pages.length ?? 0) > PAGES_LIVE ? NONE : WATCHED, KEYS);
  return (
    <PagedPanel
      query={orders}
      title={text("orders.newest")}
      beside={rows !== undefined && <span className="small soft">{text("orders.shown", { count: rows.length })}</span>}
      empty={
        <Empty icon={isFiltered ? "search" : "orders"} title={text(isFiltered ? "orders.none_found" : "orders.none")}>
          {text(isFiltered ? "orders.none_found_hint" : "orders.none_hint")}
        </Empty>
      }
      columns={[
        [text("orders.order")],
        [text("orders.status")],
        [text("orders.queue")],
        [text("orders.channel")],
        [text("orders.placed")],
        [text("orders.promise")],
        [text("orders.units"), "end"],
        [text("orders.total"), "end"],
      ]}
    >
      {(order) => (
        <tr key={order.order_id} className="goes">
          <th scope="row">
            <Link className="leads breaks" to={`/orders/${order.order_id}`}>
              {order.external_id}
            </Link>
          </th>
          <td className="end-on-phone">
            <Badge tone={toneOf(order.status)}>{word("order_status", order.status)}</Badge>
          </td>
          <td className="soft not-on-phone">{order.queue === null ? "" : word("queue", order.queue)}</td>
          <td className="soft">{order.channel}</td>
          <td className="soft nowrap" title={format.moment(order.placed_at)}>
            {format.ago(order.created_at)}
          </td>
          <td className="not-on-phone">{order.promise !== null && <Due at={order.promise.deliver_by} isOver={["delivered", "cancelled"].includes(order.status)} />}</td>
          <td className="end not-on-phone">{format.number(order.units)}</td>
          <td className="end">{format.money(order.total_minor, order.currency)}</td>
        </tr>
      )}
    </PagedPanel>
  );
}
