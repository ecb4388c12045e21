/** Stock: items by nodes. Only what can be seen is drawn, and more is read as it is come near to. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, type SyntheticEvent } from "react";
import { Link, navigate, useAddress, useParameter, withParameters } from "../../app/router";
import { useLive } from "../../api/live";
import { answerOf, api } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Head, Panel, Select } from "../../ui/parts";
import { Empty, Failure, Skeleton } from "../../ui/states";
import { itemsOf, MEASURES, nodesOf, type Item, type Measure } from "./cells";

const WATCHED = ["item.changed", "network.changed"] as const;
const KEYS = [["stock", "grid"]] as const;
const PAGE = 1000;
/** Pages that are read without being asked for. */
const AHEAD = 10;
const ROW_PX = 36;
const CELL_PX = 112;
const NAME_PX = 190;

export default function Stock() {
  const text = useText();
  useLive(WATCHED, KEYS);
  const address = useAddress();
  const measure = MEASURES.find((each) => each === address.searchParams.get("measure")) ?? "available";
  const [part, setPart] = useParameter("q");
  const [node] = useParameter("node");
  const stock = useInfiniteQuery({
    queryKey: ["stock", "grid", node],
    queryFn: ({ pageParam }) =>
      answerOf(
        api.GET("/v1/stock", {
          params: { query: { limit: PAGE, ...(node === "" ? {} : { node }), ...(pageParam === undefined ? {} : { cursor: pageParam }) } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    // Every page is read again: of a large catalogue only when the room is entered.
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > AHEAD ? false : 15_000),
  });
  const rows = useMemo(() => stock.data?.pages.flatMap((page) => page.data) ?? [], [stock.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage, isError } = stock;
  const pages = stock.data?.pages.length ?? 0;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isError && pages < AHEAD) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isError, pages, fetchNextPage]);

  const items = useMemo(() => itemsOf(rows, measure, part), [rows, measure, part]);
  const nodes = useMemo(() => nodesOf(rows), [rows]);
  const open = (event: SyntheticEvent) => {
    event.preventDefault();
    if (part.trim() !== "") navigate(`/stock/${encodeURIComponent(items.length === 1 ? (items[0]?.sku ?? part) : part.trim())}`);
  };
  return (
    <>
      <Head title={text("room.stock")} />
      <form className="filters" role="search" onSubmit={open}>
        <input
          type="search"
          className="input"
          aria-label={text("stock.search")}
          placeholder={text("stock.search")}
          value={part}
          onChange={(event) => setPart(event.target.value, { replace: true })}
        />
        <Select
          label={text("stock.measure")}
          value={measure}
          onChange={(value) => navigate(withParameters(address, { measure: value === "available" ? null : value }))}
          options={MEASURES.map((each) => [each, text(`measure.${each}`)] as const)}
        />
        <button type="submit" className="button" disabled={part.trim() === ""}>
          {text("stock.open")}
        </button>
      </form>
      <Panel
        title={text(`measure.${measure}`)}
        beside={
          <span className="small soft" role="status">
            {text("stock.shown", { items: items.length, positions: rows.length })}
            {hasNextPage && ` · ${text("stock.more")}`}
          </span>
        }
        note={text("stock.note")}
      >
        {isError && <Failure error={stock.error} onRetry={() => void stock.refetch()} />}
        {stock.data === undefined && !isError && <Skeleton lines={12} />}
        {stock.data !== undefined && items.length === 0 && (
          <Empty icon={part === "" ? "stock" : "search"} title={text(part === "" ? "stock.none" : "stock.none_found")}>
            {text(part === "" ? "stock.none_hint" : "stock.none_found_hint")}
          </Empty>
        )}
        {items.length > 0 && (
          <Grid
            items={items}
            nodes={nodes}
            measure={measure}
            onEnd={() => {
              if (hasNextPage && !isFetchingNextPage && part === "") void fetchNextPage();
            }}
          />
        )}
      </Panel>
    </>
  );
}

interface GridProps {
  items: readonly Item[];
  nodes: readonly string[];
  measure: Measure;
  onEnd: () => void;
}

function Grid({ items, nodes, measure, onEnd }: GridProps) {
  const text = useText();
  const format = useFormat();
  const view = useRef<HTMLDivElement>(null);
  const isNarrow = innerWidth < 760;
  const name = isNarrow ? 124 : NAME_PX;
  // eslint-disable-next-line react-hooks/incompatible-library -- it tells React when it has scrolled
  const rows = useVirtualizer({ count: items.length, getScrollElement: () => view.current, estimateSize: () => ROW_PX, overscan: 8 });
  const columns = useVirtualizer({
    count: nodes.length + 1,
    horizontal: true,
    getScrollElement: () => view.current,
    estimateSize: () => (isNarrow ? 88 : CELL_PX),
    overscan: 2,
  });
  const shownRows = rows.getVirtualItems();
  const shownColumns = columns.getVirtualItems();
  const last = shownRows.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= items.length - 20) onEnd();
  }, [last, items.length, onEnd]);
  const width = name + columns.getTotalSize();
  return (
    <div ref={view} className="grid" role="table" tabIndex={0} aria-label={text(`measure.${measure}`)} aria-rowcount={items.length + 1} aria-colcount={nodes.length + 2}>
      <div className="grid-head" role="row" aria-rowindex={1} style={{ width, height: ROW_PX }}>
        <div className="grid-name small soft" role="columnheader" aria-colindex={1} style={{ width: name, height: ROW_PX }}>
          {text("order.item")}
        </div>
        {shownColumns.map((column) => (
          <div
            key={column.key}
            role="columnheader"
            aria-colindex={column.index + 2}
            className="grid-cell small soft"
            style={{ insetInlineStart: name + column.start, width: column.size }}
          >
            <span className="cut" title={nodes[column.index - 1]}>
              {column.index === 0 ? text("stock.total") : nodes[column.index - 1]}
            </span>
          </div>
        ))}
      </div>
      <div role="rowgroup" style={{ height: rows.getTotalSize(), width, position: "relative" }}>
        {shownRows.map((row) => {
          const item = items[row.index];
          if (item === undefined) return null;
          return (
            <div key={row.key} role="row" aria-rowindex={row.index + 2} className="grid-row" style={{ transform: `translateY(${row.start}px)`, height: ROW_PX, width }}>
              <div className="grid-name" role="rowheader" aria-colindex={1} style={{ width: name }}>
                <Link to={`/stock/${encodeURIComponent(item.sku)}`}>{item.sku}</Link>
              </div>
              {shownColumns.map((column) => {
                const cell = column.index === 0 ? null : item.cells.get(nodes[column.index - 1] ?? "");
                const units = column.index === 0 ? item.total : cell?.[measure];
                const isShort = (cell?.oversold ?? 0) > 0 || (measure === "available" && cell != null && cell.available === 0 && cell.safety_stock > 0);
                return (
                  <div
                    key={column.key}
                    role="cell"
                    aria-colindex={column.index + 2}
                    className={`grid-cell ${column.index === 0 ? "strong" : ""} ${isShort ? "short" : ""} ${units === undefined || units === 0 ? "none" : ""}`}
                    style={{ insetInlineStart: name + column.start, width: column.size }}
                  >
                    {units === undefined ? "·" : format.number(units)}
                  </div>
                );
              })}
            </div>
          );
        })}
      </div>
    </div>
  );
}
