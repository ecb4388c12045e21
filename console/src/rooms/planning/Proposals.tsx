/** What plans propose, with what each would do: approved, dismissed and taken back, one by one or many at once. */

import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, navigate, useAddress, withParameters } from "../../app/router";
import { useLive } from "../../api/live";
import { answerOf, api, type Schema } from "../../api/client";
import { nodes } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Panel, Select } from "../../ui/parts";
import { Empty, Failure, Skeleton } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { isUndoable, sumsOf } from "./effects";
import { useProposals, type Proposal, type ProposalFilter } from "./queries";

const KINDS = ["transfer", "purchase", "safety_stock", "price"] as const;
const STATUSES = ["proposed", "approved", "done", "dismissed", "expired", "superseded"] as const;
/** Of one call: what the interface takes. */
const BATCH_MAX = 200;
const WATCHED = ["proposal.*", "plan.made"] as const;
const KEYS = [["proposals"]] as const;
const CHANGED = [["proposals"], ["stock"]] as const;

type What = "approve" | "dismiss" | "undo";
type Results = Schema["ProposalResults"];

export function Proposals() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const address = useAddress();
  const told = (name: string) => address.searchParams.get(name) ?? "";
  const status = told("status") === "" ? "proposed" : told("status");
  const kind = told("kind");
  const node = told("node");
  const sku = told("sku");
  const filter = useMemo(
    () => ({ status: STATUSES.find((each) => each === status), kind: KINDS.find((each) => each === kind), node, sku }) satisfies ProposalFilter,
    [status, kind, node, sku],
  );
  const set = (name: string) => (value: string) => navigate(withParameters(address, { [name]: value }));
  const places = useQuery(nodes);
  const found = useProposals(filter);
  const rows = found.data?.pages.flatMap((page) => page.data);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<{ what: What; rows: Proposal[] } | null>(null);
  const [refused, setRefused] = useState<Results["results"]>([]);
  // What is not shown any more is not acted on.
  const chosen = (rows ?? []).filter((row) => row.status === "proposed" && marked.has(row.proposal_id)).slice(0, BATCH_MAX);
  const open = (rows ?? []).filter((row) => row.status === "proposed").slice(0, BATCH_MAX);
  const mark = (proposal_id: string, isOn: boolean) => {
    const next = new Set(marked);
    if (isOn) next.add(proposal_id);
    else next.delete(proposal_id);
    setMarked(next);
  };
  return (
    <>
      <div className="filters">
        <Select label={text("planning.status")} value={status} onChange={(value) => set("status")(value === "proposed" ? "" : value)} options={[...STATUSES.map((each) => [each, word("proposal_status", each)] as const), ["all", text("planning.any_status")]]} />
        <Select label={text("planning.kind")} value={kind} onChange={set("kind")} options={[["", text("planning.any_kind")], ...KINDS.map((each) => [each, word("proposal", each)] as const)]} />
        <Select label={text("orders.node")} value={node} onChange={set("node")} options={[["", text("orders.any_node")], ...(places.data?.rows ?? []).map((each) => [each.code, each.name] as const)]} />
        {sku !== "" && <Badge tone="accent">{sku}</Badge>}
        {(told("status") + kind + node + sku) !== "" && (
          <button type="button" className="button quiet" onClick={() => navigate("/planning")}>
            {text("action.clear")}
          </button>
        )}
      </div>
      {refused.length > 0 && <Refused results={refused} rows={rows ?? []} onClose={() => setRefused([])} />}
      <Panel
        title={text("planning.count", { count: rows?.length ?? 0 })}
        beside={
          open.length > 0 && (
            <>
              <span className="small soft" role="status">{chosen.length > 0 ? text("planning.chosen", { count: chosen.length }) : ""}</span>
              <button type="button" className="button" disabled={chosen.length === 0} onClick={() => setAsked({ what: "dismiss", rows: chosen })}>
                {text("planning.dismiss")}
              </button>
              <button type="button" className="button main" disabled={chosen.length === 0} onClick={() => setAsked({ what: "approve", rows: chosen })}>
                {text("planning.approve")}
              </button>
            </>
          )
        }
        note={text("planning.note")}
      >
        {found.isError && <Failure error={found.error} onRetry={() => void found.refetch()} />}
        {rows === undefined && !found.isError && <Skeleton lines={8} />}
        {rows?.length === 0 && <Empty icon="planning" title={text("planning.none")}>{text("planning.none_hint")}</Empty>}
        {rows !== undefined && rows.length > 0 && (
          <div className="table-wrap">
            <table className="table cards-on-phone proposals">
              <thead>
                <tr>
                  <th scope="col">
                    <label className="check">
                      <input
                        type="checkbox"
                        aria-label={text("planning.choose_all")}
                        checked={open.length > 0 && chosen.length === open.length}
                        disabled={open.length === 0}
                        onChange={(event) => setMarked(new Set(event.target.checked ? open.map((row) => row.proposal_id) : []))}
                      />
                      {text("planning.proposal")}
                    </label>
                  </th>
                  <th scope="col" className="end">{text("planning.units")}</th>
                  <th scope="col" className="end">{text("planning.cover")}</th>
                  <th scope="col" className="end">{text("planning.more_sold")}</th>
                  <th scope="col" className="end">{text("planning.served")}</th>
                  <th scope="col" className="end">{text("planning.gain")}</th>
                  <th scope="col">{text("planning.status")}</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <Row key={row.proposal_id} row={row} isMarked={marked.has(row.proposal_id)} onMark={(isOn) => mark(row.proposal_id, isOn)} onAsk={(what) => setAsked({ what, rows: [row] })} now={found.dataUpdatedAt} />
                ))}
              </tbody>
            </table>
          </div>
        )}
        {found.hasNextPage && (
          <p className="note">
            <button type="button" className="button" disabled={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
              {text(found.isFetchingNextPage ? "action.busy" : "action.more")}
            </button>
          </p>
        )}
      </Panel>
      {asked !== null && (
        <Decide
          {...asked}
          says={sumsOf(asked.rows).map((sum) => text("planning.sum", { gain: format.money(Math.round(sum.gain), sum.currency), cost: format.money(sum.cost, sum.currency), units: sum.units }))}
          onClose={() => setAsked(null)}
          onDone={(results) => {
            setAsked(null);
            setMarked(new Set());
            setRefused(results.filter((result) => result.outcome === "refused"));
          }}
        />
      )}
    </>
  );
}

interface RowProps {
  row: Proposal;
  isMarked: boolean;
  onMark: (isOn: boolean) => void;
  onAsk: (what: What) => void;
  now: number;
}

function Row({ row, isMarked, onMark, onAsk, now }: RowProps) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { effect } = row;
  const money = (minor: number | null | undefined) => (minor == null ? "–" : format.roundMoney(Math.round(minor), row.currency ?? "EUR"));
  const before = effect.service.share_before ?? null;
  const after = effect.service.share_after ?? null;
  return (
    <tr className={isMarked ? "chosen" : ""}>
      <th scope="row" className="wide">
        <div className="check">
          {row.status === "proposed" && <input type="checkbox" aria-label={text("planning.choose", { what: `${word("proposal", row.kind)} ${row.sku} ${row.node}` })} checked={isMarked} onChange={(event) => onMark(event.target.checked)} />}
          <div>
            {word("proposal", row.kind)} <Link to={`/planning?tab=service&sku=${encodeURIComponent(row.sku)}&node=${encodeURIComponent(row.node)}`}>{row.sku}</Link>{" "}
            <span className="soft">
              {row.from ?? row.supplier ?? ""} {(row.from ?? row.supplier) != null && "→"} {row.node}
            </span>
            <div className="small soft why">{row.explanation}</div>
          </div>
        </div>
      </th>
      <td className="end strong">{format.number(row.quantity)}</td>
      <td className="end nowrap">{effect.cover_days == null ? "–" : text("planning.days", { days: format.number(effect.cover_days, effect.cover_days < 10 ? 1 : 0) })}</td>
      <td className="end not-on-phone">{format.number(effect.units.expected, 1)}</td>
      <td className="end nowrap not-on-phone">{before === null || after === null ? "–" : `${format.percent(before.expected)} → ${format.percent(after.expected)}`}</td>
      <td className="end nowrap">
        <span className="strong">{money(effect.money_minor.expected)}</span>
        <div className="small soft">{text("planning.range", { low: money(effect.money_minor.low), high: money(effect.money_minor.high) })}</div>
      </td>
      <td>
        <Badge tone={row.undone ? "quiet" : toneOf(row.status)}>{row.undone ? text("planning.undone") : word("proposal_status", row.status)}</Badge>
        {row.reason != null && <div className="small soft breaks">{row.reason}</div>}
        {row.followed != null && <div className="small soft">{text("planning.received", { received: row.followed.received, ordered: row.followed.ordered })}</div>}
        {row.followed != null && row.followed.short > 0 && <div className="small bad">{text("planning.short", { count: row.followed.short })}</div>}
        {row.status === "proposed" && (
          <div className="acts">
            <button type="button" className="button quiet" aria-label={text("planning.approve_this", { sku: row.sku, node: row.node })} onClick={() => onAsk("approve")}>
              {text("planning.approve")}
            </button>
            <button type="button" className="button quiet" aria-label={text("planning.dismiss_this", { sku: row.sku, node: row.node })} onClick={() => onAsk("dismiss")}>
              {text("planning.dismiss")}
            </button>
          </div>
        )}
        {isUndoable(row, now) && (
          <button type="button" className="button quiet" aria-label={text("planning.undo_this", { sku: row.sku, node: row.node })} onClick={() => onAsk("undo")}>
            {text("planning.undo")}
          </button>
        )}
      </td>
    </tr>
  );
}

/** Why some of what was asked for was not done: the others were. */
function Refused({ results, rows, onClose }: { results: Results["results"]; rows: readonly Proposal[]; onClose: () => void }) {
  const text = useText();
  const word = useWord();
  const named = (proposal_id: string) => {
    const row = rows.find((each) => each.proposal_id === proposal_id);
    return row === undefined ? proposal_id.slice(-8) : `${word("proposal", row.kind)} ${row.sku} ${row.node}`;
  };
  return (
    <div className="failure" role="alert">
      <strong>{text("planning.refused", { count: results.length })}</strong>
      <ul>
        {results.map((result) => (
          <li key={result.proposal_id}>
            <b>{named(result.proposal_id)}:</b> {result.message}
          </li>
        ))}
      </ul>
      <button type="button" className="button" onClick={onClose}>
        {text("planning.seen")}
      </button>
    </div>
  );
}

interface DecideProps {
  what: What;
  rows: Proposal[];
  says: string[];
  onClose: () => void;
  onDone: (results: Results["results"]) => void;
}

function Decide({ what, rows, says, onClose, onDone }: DecideProps) {
  const text = useText();
  const [reason, setReason] = useState("");
  const proposal_ids = rows.map((row) => row.proposal_id);
  const told = reason.trim() === "" ? null : reason.trim();
  const action = useAction({
    call: async (): Promise<Results["results"]> => {
      if (what === "undo") {
        const [proposal_id = ""] = proposal_ids;
        const proposal = await answerOf(api.POST("/v1/proposals/{proposal_id}/undo", { params: { path: { proposal_id } }, body: { reason: told } }));
        return [{ proposal_id, outcome: "dismissed", code: null, message: null, proposal }];
      }
      const { results } = await answerOf(
        what === "approve"
          ? api.POST("/v1/proposals/approve", { body: { proposal_ids } })
          : api.POST("/v1/proposals/dismiss", { body: { proposal_ids, reason: told } }),
      );
      onDone(results);
      return results;
    },
    done: (results) => text(`planning.was_${what}`, { count: results.filter((result) => result.outcome !== "refused").length }),
    changes: CHANGED,
    after: () => what === "undo" && onClose(),
  });
  return (
    <Ask
      title={text(`planning.${what}_title`, { count: rows.length })}
      what={
        <div className="stack tight">
          {what === "approve" && says.map((line) => <p key={line} className="strong">{line}</p>)}
          <p>{text(`planning.${what}_what`)}</p>
          {rows.length === 1 && <p className="small soft">{rows[0]?.explanation}</p>}
        </div>
      }
      confirm={text(`planning.${what}`)}
      danger={what !== "approve"}
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      {what !== "approve" && (
        <label className="field">
          <span>{text("incident.reason")}</span>
          <input className="input" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} />
        </label>
      )}
    </Ask>
  );
}
