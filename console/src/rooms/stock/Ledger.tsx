import { useQuery } from "@tanstack/react-query";
import { Link, useParameter } from "../../app/router";
import { stockOfItem, useLedger } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel, Select } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";

export function Ledger({ sku }: { sku: string }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [node, setNode] = useParameter("node");
  const stock = useQuery(stockOfItem(sku));
  const entries = useLedger(sku, node);
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
        isEmpty={(data) => data.pages.every((page) => page.data.length === 0)}
        empty={<Empty icon="stock" title={text("ledger.none")}>{text("ledger.none_hint")}</Empty>}
      >
        {({ pages }) => (
          <>
            <Table
              columns={[
                [text("ledger.when")],
                [text("ledger.kind")],
                [text("capacity.node")],
                [text("ledger.quantity"), "end"],
                [text("measure.on_hand"), "end"],
                [text("measure.allocated"), "end"],
                [text("measure.available"), "end"],
                [text("ledger.because")],
              ]}
            >
              {pages.flatMap((page) => page.data).map((entry) => (
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
            </Table>
            {entries.hasNextPage && (
              <p className="note">
                <button type="button" className="button quiet" disabled={entries.isFetchingNextPage} onClick={() => void entries.fetchNextPage()}>
                  {text("ledger.more")}
                </button>
              </p>
            )}
          </>
        )}
      </Loaded>
    </Panel>
  );
}
