/** One channel: how far behind it is and why, what is hidden from it, what differs there, what waits for a person. */

import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useState } from "react";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import { answerOf, api, type Schema } from "../../api/client";
import { channelGates, channelHealth, channelMessages, channelOrders } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Facts, Head, Panel, Stat } from "../../ui/parts";
import { Empty, Failure, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";

type Health = Schema["ChannelHealthOut"];

const SHOWN = 8;
const WATCHED = ["network.changed"] as const;
const KEYS = [["channels"]] as const;

export default function Channel({ parameters }: { parameters: Record<string, string> }) {
  useLive(WATCHED, KEYS);
  const health = useQuery(channelHealth(parameters["channel"] ?? ""));
  return <Loaded query={health} lines={12}>{(data) => <Page health={data} />}</Loaded>;
}

function Page({ health }: { health: Health }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { staleness } = health;
  return (
    <>
      <Head
        crumb={<Link to="/channels">{text("room.channels")}</Link>}
        title={
          <span className="row">
            {health.channel}
            <Badge tone={toneOf(health.status)}>{word("channel", health.status)}</Badge>
          </span>
        }
        beside={
          <>
            <Link className="button" to={`/channels/${encodeURIComponent(health.channel)}/settings`}>{text("connecting.settings")}</Link>
            <Reconcile code={health.channel} isSpoken={health.status !== "calls_us"} />
          </>
        }
      />
      {health.why !== null && <p className={health.status === "failing" || health.status === "silent" ? "bad" : "soft"}>{health.why}</p>}
      <div className="stats">
        <Stat
          label={text("channels.lag")}
          value={health.lag_ms === null ? "–" : format.span(health.lag_ms.p50 / 1000)}
          under={health.lag_ms === null ? text("channels.not_measured") : text("tower.promise_p99", { time: format.span(health.lag_ms.p99 / 1000) })}
        />
        <Stat
          label={text("channels.staleness")}
          value={staleness.p50_s === null ? "–" : format.span(staleness.p50_s)}
          under={staleness.oldest_s === null ? text("channels.not_measured") : text("channels.oldest", { time: format.span(staleness.oldest_s) })}
        />
        <Stat
          label={text("channels.to_tell")}
          value={format.number(health.queue_depth)}
          under={text("channels.of_listings", { count: staleness.listings })}
          tone={health.queue_depth > 0 ? "warn" : "good"}
        />
        <Stat
          label={text("channels.written")}
          value={format.compact(health.written)}
          under={text("channels.failed", { count: health.failed })}
          tone={health.failures_in_a_row > 0 ? "bad" : "quiet"}
        />
        <Stat
          label={text("channels.failing")}
          value={format.number(health.failing_listings)}
          under={text(health.breaker === "open" ? "channels.breaker_open" : "channels.breaker_closed")}
          tone={health.breaker === "open" ? "bad" : "good"}
        />
      </div>
      {health.last_error !== null && (
        <Panel title={text("channels.last_error")}>
          <p className="inside breaks">{health.last_error}</p>
        </Panel>
      )}
      <div className="columns even">
        <Gates health={health} />
        <Drift health={health} />
      </div>
      <div className="columns even">
        <DeadLetters code={health.channel} />
        <OrderTroubles code={health.channel} />
      </div>
      <Listings health={health} />
    </>
  );
}

function Reconcile({ code, isSpoken }: { code: string; isSpoken: boolean }) {
  const text = useText();
  const [isAsked, setAsked] = useState(false);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/channels/{code}/reconcile", { params: { path: { code } } })),
    done: () => text("channels.was_asked", { channel: code }),
    changes: [["channels"]],
    after: () => setAsked(false),
  });
  if (!isSpoken) return null;
  return (
    <>
      <button type="button" className="button main" onClick={() => setAsked(true)}>
        {text("channels.reconcile")}
      </button>
      {isAsked && (
        <Ask
          title={text("channels.reconcile_title", { channel: code })}
          what={<p>{text("channels.reconcile_what")}</p>}
          confirm={text("channels.reconcile")}
          isBusy={action.isPending}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        />
      )}
    </>
  );
}

function Gates({ health }: { health: Health }) {
  const text = useText();
  const format = useFormat();
  const gates = useQuery(channelGates(health.channel));
  const [isAll, setAll] = useState(false);
  const { gate } = health;
  const span = (seconds: number | null): ReactNode => (seconds === null ? <span className="soft">{text("channels.not_measured")}</span> : format.span(seconds));
  return (
    <Panel title={text("channels.gate")} beside={<Badge tone="accent">{text(`gate.${gate.mode}`)}</Badge>}>
      <div className="inside">
        <Facts
          rows={[
            [text("gate.hear"), span(gate.hear_s)],
            [text("gate.wait"), span(gate.wait_s)],
            [text("gate.apply"), span(gate.apply_s)],
            ...(gate.target === null ? [] : [[text("gate.target"), format.percent(gate.target, 2)] as const]),
            ...(gate.orders === null || gate.oversold === null
              ? []
              : [[text("gate.oversold"), text("gate.oversold_of", { oversold: gate.oversold, orders: gate.orders })] as const]),
          ]}
        />
      </div>
      <Loaded query={gates} isEmpty={(data) => data.data.length === 0} empty={<p className="note">{text("gate.none")}</p>}>
        {(data) => (
          <ul className="list">
            {(isAll ? data.data : data.data.slice(0, SHOWN)).map((row) => (
              <li key={row.sku} className="stack tight" style={{ gap: 2 }}>
                <span className="row apart">
                  <Link to={`/stock/${encodeURIComponent(row.sku)}?channel=${encodeURIComponent(health.channel)}`}>{row.sku}</Link>
                  <span className="nowrap">{text("gate.hides", { hidden: row.hidden, of: row.of })}</span>
                </span>
                <span className="small soft">{row.why}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {(gates.data?.data.length ?? 0) > SHOWN && (
        <p className="note">
          <button type="button" className="button quiet" onClick={() => setAll(!isAll)}>
            {isAll ? text("action.fewer") : text("gate.all", { count: gates.data?.data.length ?? 0 })}
          </button>
        </p>
      )}
    </Panel>
  );
}

function Drift({ health }: { health: Health }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { drift } = health;
  // What was read and agreed is always told; of what can be amiss, what is.
  const kinds = Object.entries(drift ?? {}).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number" && (entry[1] > 0 || ["read", "verified"].includes(entry[0])),
  );
  const examples = (Array.isArray(drift?.["examples"]) ? drift["examples"] : []) as Record<string, unknown>[];
  return (
    <Panel
      title={text("channels.drift")}
      beside={health.reconciled_at !== null && <span className="small soft">{format.ago(health.reconciled_at)}</span>}
    >
      {drift === null && health.orders === null ? (
        <Empty icon="search" title={text("channels.not_reconciled")}>{text("channels.not_reconciled_hint")}</Empty>
      ) : (
        <>
          <div className="inside">
            <Facts rows={kinds.map(([name, count]) => [word("drift", name), format.number(count)] as const)} />
          </div>
          {examples.length > 0 && (
            <ul className="list">
              {examples.slice(0, SHOWN).map((example, i) => (
                <li key={i} className="small soft breaks">
                  {Object.entries(example)
                    .filter(([, value]) => value !== null)
                    .map(([name, value]) => `${name.replaceAll("_", " ")} ${String(value)}`)
                    .join(" · ")}
                </li>
              ))}
            </ul>
          )}
          {health.orders !== null && (
            <p className="note">
              {text("channels.orders_compared", { seen: health.orders.seen, lost: health.orders.lost, changed: health.orders.changed })}
              {health.orders.error !== null && <span className="bad"> {health.orders.error}</span>}
            </p>
          )}
        </>
      )}
    </Panel>
  );
}

interface Waiting {
  key: string | number;
  head: ReactNode;
  why: string | null;
}

interface WaitingProps<Row, Key> {
  kind: "dead_letters" | "order_troubles";
  query: UseQueryResult<{ data: Row[] }>;
  show: (row: Row) => Waiting & { key: Key };
  retry: (key: Key) => Promise<string>;
}

/** What waits for a person, each to be tried again. */
function WaitingPanel<Row, Key extends string | number>({ kind, query, show, retry }: WaitingProps<Row, Key>) {
  const text = useText();
  const action = useAction({ call: retry, done: (topic) => text("channels.was_retried", { topic }), changes: [["channels"]] });
  return (
    <Panel title={text(`channels.${kind}`)} note={text(`channels.${kind}_note`)}>
      {action.isError && <Failure error={action.error} />}
      <Loaded query={query} isEmpty={(data) => data.data.length === 0} empty={<Empty icon="check" title={text(`channels.no_${kind}`)} />}>
        {(data) => (
          <ul className="list">
            {data.data.map(show).map(({ key, head, why }) => (
              <li key={key} className="row apart">
                <span>
                  {head}
                  <br />
                  <span className="small soft breaks">{why}</span>
                </span>
                <button type="button" className="button" disabled={action.isPending} onClick={() => action.mutate(key)}>
                  {text("action.retry")}
                </button>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}

function DeadLetters({ code }: { code: string }) {
  const format = useFormat();
  const query = useQuery(channelMessages(code, "parked"));
  return (
    <WaitingPanel
      kind="dead_letters"
      query={query}
      show={(message: Schema["MessageOut"]) => ({
        key: message.message_id,
        head: (
          <>
            <b>{message.topic}</b> <span className="small soft">{format.ago(message.received_at)}</span>
          </>
        ),
        why: message.error,
      })}
      retry={async (message_id) =>
        (await answerOf(api.POST("/v1/channels/{code}/messages/{message_id}/retry", { params: { path: { code, message_id } } }))).topic
      }
    />
  );
}

function OrderTroubles({ code }: { code: string }) {
  const word = useWord();
  const query = useQuery(channelOrders(code));
  return (
    <WaitingPanel
      kind="order_troubles"
      query={query}
      show={(order: Schema["ChannelOrderOut"]) => ({
        key: order.external_id,
        head: (
          <>
            {order.order_id === null ? <b>{order.external_id}</b> : <Link to={`/orders/${order.order_id}`}>{order.external_id}</Link>}{" "}
            <Badge tone="warn">{word("channel_order", order.status)}</Badge>
          </>
        ),
        why: order.problem,
      })}
      retry={async (external_id) =>
        (await answerOf(api.POST("/v1/channels/{code}/orders/retry", { params: { path: { code } }, body: { external_id } }))).external_id
      }
    />
  );
}

function Listings({ health }: { health: Health }) {
  const text = useText();
  const format = useFormat();
  const rows = [...health.failing.map((row) => ({ ...row, isFailing: true })), ...health.stalest.map((row) => ({ ...row, isFailing: false }))];
  if (rows.length === 0) return null;
  return (
    <Panel title={text("channels.listings_to_watch")}>
      <Table
        columns={[
          [text("order.item")],
          [text("channels.shows"), "end"],
          [text("channels.told")],
          [text("channels.verified")],
          [text("channels.last_error")],
        ]}
      >
        {rows.map((row) => (
          <tr key={`${row.sku}${row.isFailing}`}>
            <th scope="row">
              <Link to={`/stock/${encodeURIComponent(row.sku)}?channel=${encodeURIComponent(health.channel)}`}>{row.sku}</Link>
            </th>
            <td className="end">{row.shown_units === null ? "–" : format.number(row.shown_units)}</td>
            <td className="soft nowrap">{row.shown_at === null ? "–" : format.ago(row.shown_at)}</td>
            <td className="soft nowrap">{row.verified_at === null ? text("channels.never") : format.ago(row.verified_at)}</td>
            <td className={`breaks small ${row.isFailing ? "bad" : "soft"}`}>{row.last_error}</td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
