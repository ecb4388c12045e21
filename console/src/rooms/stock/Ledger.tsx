import { useQuery } from "@tanstack/react-query";
import { Link, useParameter } from "../../app/router";
import { answerOf, api, type Schema } from "../../api/client";
import { stockOfItem } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel, Select } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";

type Entry = Schema["EntryOut"];

const SHOWN = 100;

/** The last entries of an item, the newest first. The list begins with the oldest, so it is asked for from ever further
 *  back, until there are enough or it is all of it.
 */
async function lastEntries(sku: string, node: string): Promise<{ rows: Entry[]; isAll: boolean }> {
  const query = { sku, limit: 1000, ...(node === "" ? {} : { node }) };
  const read = (after: number) => answerOf(api.GET("/v1/stock/entries", { params: { query: { ...query, after } } }));
  const found = await answerOf(api.GET("/v1/availability", { params: { query: { sku } } }));
  const ids = found.terms
    .filter((term) => node === "" || term["node"] === node)
    .map((term) => (term["ledger"] as { entry_id?: number } | undefined)?.entry_id ?? 0);
  const last = Math.max(0, ...ids);
  for (let back = 20_000; ; back *= 20) {
    const after = Math.max(0, last - back);
    const page = await read(after);
    // More than a page lies behind: the newest of it are on the pages that follow.
    let rows = page.data;
    for (let cursor = page.next_cursor; cursor !== null; ) {
      const next = await answerOf(api.GET("/v1/stock/entries", { params: { query: { ...query, cursor } } }));
      rows = [...rows, ...next.data].slice(-SHOWN);
      cursor = next.next_cursor;
    }
    if (rows.length >= SHOWN || after === 0) return { rows: rows.slice(-SHOWN).toReversed(), isAll: after === 0 && rows.length < SHOWN };
  }
}

export function Ledger({ sku }: { sku: string }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [node, setNode] = useParameter("node");
  const stock = useQuery(stockOfItem(sku));
  const entries = useQuery({ queryKey: ["stock", "ledger", sku, node], queryFn: () => lastEntries(sku, node), refetchInterval: 15_000 });
  return (
    <Panel
      title={text("ledger.title")}
      beside={
        <Select
          label={text("capacity.node")}
          value={node}
          onChange={setNode}
          options={[["", text("orders.any_node")], ...(stock.data?.rows ?? []).map((row) => [row.node, row.node] as const)]}
        />
      }
    >
      <Loaded
        query={entries}
        lines={6}
        isEmpty={(data) => data.rows.length === 0}
        empty={<Empty icon="stock" title={text("ledger.none")}>{text("ledger.none_hint")}</Empty>}
      >
        {({ rows, isAll }) => (
          <>
            <div className="table-wrap">
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col">{text("ledger.when")}</th>
                    <th scope="col">{text("ledger.kind")}</th>
                    <th scope="col">{text("capacity.node")}</th>
                    <th scope="col" className="end">{text("ledger.quantity")}</th>
                    <th scope="col" className="end">{text("measure.on_hand")}</th>
                    <th scope="col" className="end">{text("measure.allocated")}</th>
                    <th scope="col" className="end">{text("measure.available")}</th>
                    <th scope="col">{text("ledger.because")}</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((entry) => (
                    <tr key={`${entry.entry_id} ${entry.node}`}>
                      <td className="nowrap soft" title={format.moment(entry.occurred_at)}>
                        {format.day(entry.recorded_at)} {format.time(entry.recorded_at)}
                      </td>
                      <td>{word("entry", entry.kind)}</td>
                      <td>{entry.node}</td>
                      <td className="end">{format.number(entry.quantity)}</td>
                      <td className="end">{format.number(entry.on_hand)}</td>
                      <td className="end">{format.number(entry.allocated)}</td>
                      <td className="end strong">{format.number(entry.available)}</td>
                      <td className="small soft breaks">
                        {["allocate", "release", "ship"].includes(entry.kind) && entry.ref !== null ? (
                          <Link to={`/orders/${entry.ref}`}>{text("ledger.order")}</Link>
                        ) : (
                          [entry.reference, entry.reason].filter(Boolean).join(" · ")
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {!isAll && <p className="note">{text("ledger.latest", { count: rows.length })}</p>}
          </>
        )}
      </Loaded>
    </Panel>
  );
}
