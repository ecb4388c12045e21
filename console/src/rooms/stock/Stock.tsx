/** Stock: items by nodes. Only what can be seen is drawn, and only what can be seen is read: some hundred items at a time,
 *  and what was left long behind is forgotten again.
 */

import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useDeferredValue, useEffect, useMemo, useRef, useState, type SyntheticEvent } from "react";
import { Link, navigate, useAddress, useParameter, withParameters } from "../../app/router";
import { useFormat, type Format } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Head, Panel, Select } from "../../ui/parts";
import { Empty, Failure, Skeleton } from "../../ui/states";
import { columnsOf, MEASURES, pagesOf, type Column, type GridRow, type Measure } from "./cells";
import { gridPage } from "./queries";

const ROW_PX = 36;
const CELL_PX = 112;
const NAME_PX = 190;
/** A page that is in sight for so long is read also while it moves. */
const SEEN_MS = 120;

export default function Stock() {
  const text = useText();
  const format = useFormat();
  const address = useAddress();
  const measure = MEASURES.find((each) => each === address.searchParams.get("measure")) ?? "available";
  const [part, setPart] = useParameter("q");
  const wanted = useDeferredValue(part.trim());
  // The first page also says how many there are.
  const first = useQuery({ ...gridPage(measure, wanted, 0), placeholderData: keepPreviousData });
  const { data, isError, error } = first;
  const open = (event: SyntheticEvent) => {
    event.preventDefault();
    if (part.trim() === "") return;
    const only = data?.items === 1 ? data.rows[0]?.sku : undefined;
    navigate(`/stock/${encodeURIComponent(only ?? part.trim())}`);
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
            {data !== undefined && text("stock.shown", { items: format.number(data.items), nodes: format.number(data.nodes.length) })}
          </span>
        }
        note={text("stock.note")}
      >
        {isError && <Failure error={error} onRetry={() => void first.refetch()} />}
        {data === undefined && !isError && <Skeleton lines={12} />}
        {data?.items === 0 && (
          <Empty icon={wanted === "" ? "stock" : "search"} title={text(wanted === "" ? "stock.none" : "stock.none_found")}>
            {text(wanted === "" ? "stock.none_hint" : "stock.none_found_hint")}
          </Empty>
        )}
        {data !== undefined && data.items > 0 && (
          <Grid key={`${measure} ${wanted}`} items={data.items} nodes={data.nodes} measure={measure} part={wanted} />
        )}
      </Panel>
    </>
  );
}

interface GridProps {
  items: number;
  nodes: readonly string[];
  measure: Measure;
  part: string;
}

function Grid({ items, nodes, measure, part }: GridProps) {
  const text = useText();
  const format = useFormat();
  const view = useRef<HTMLDivElement>(null);
  const isNarrow = innerWidth < 760;
  const name = isNarrow ? 124 : NAME_PX;
  // eslint-disable-next-line react-hooks/incompatible-library -- it tells React when it has scrolled
  const rows = useVirtualizer({ count: items, getScrollElement: () => view.current, estimateSize: () => ROW_PX, overscan: 6 });
  const columns = useVirtualizer({
    count: nodes.length + 1,
    horizontal: true,
    getScrollElement: () => view.current,
    estimateSize: () => (isNarrow ? 88 : CELL_PX),
    overscan: 2,
  });
  const shownRows = rows.getVirtualItems();
  const seen = columns.getVirtualItems();
  const [from, to] = [seen[0]?.index ?? 0, seen.at(-1)?.index ?? 0];
  const size = isNarrow ? 88 : CELL_PX;
  // The same array while the same columns are seen: a row that stays is not drawn again.
  const shownColumns = useMemo(() => columnsOf(nodes, from, to, name, size), [nodes, from, to, name, size]);
  const found = usePages(measure, part, shownRows[0]?.index ?? 0, shownRows.at(-1)?.index ?? 0, rows.isScrolling);
  const width = name + columns.getTotalSize();
  return (
    <div ref={view} className="grid" role="table" tabIndex={0} aria-label={text(`measure.${measure}`)} aria-rowcount={items + 1} aria-colcount={nodes.length + 2}>
      <div className="grid-head" role="row" aria-rowindex={1} style={{ width, height: ROW_PX }}>
        <div className="grid-name small soft" role="columnheader" aria-colindex={1} style={{ width: name, height: ROW_PX }}>
          {text("order.item")}
        </div>
        {shownColumns.map((column) => (
          <div
            key={column.index}
            role="columnheader"
            aria-colindex={column.index + 2}
            className="grid-cell small soft"
            style={{ insetInlineStart: column.start, width: column.size }}
          >
            <span className="cut" title={column.node}>
              {column.node ?? text("stock.total")}
            </span>
          </div>
        ))}
      </div>
      <div role="rowgroup" style={{ height: rows.getTotalSize(), width, position: "relative" }}>
        {shownRows.map(({ key, index, start }) => (
          <Row key={key} index={index} start={start} row={found.get(index)} columns={shownColumns} name={name} width={width} format={format} />
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  index: number;
  start: number;
  /** undefined: it has not been read yet. */
  row: GridRow | undefined;
  columns: readonly Column[];
  name: number;
  width: number;
  format: Format;
}

const Row = memo(function Row({ index, start, row, columns, name, width, format }: RowProps) {
  return (
    <div role="row" aria-rowindex={index + 2} className="grid-row" style={{ transform: `translateY(${start}px)`, height: ROW_PX, width }}>
      <div className="grid-name" role="rowheader" aria-colindex={1} style={{ width: name }}>
        {row === undefined ? <span className="soft">…</span> : <Link to={`/stock/${encodeURIComponent(row.sku)}`}>{row.sku}</Link>}
      </div>
      {columns.map((column) => {
        const units = row === undefined ? null : column.index === 0 ? row.total : (row.units[column.index - 1] ?? null);
        const isShort = row !== undefined && column.index > 0 && row.short.includes(column.index - 1);
        return (
          <div
            key={column.index}
            role="cell"
            aria-colindex={column.index + 2}
            className={`grid-cell ${column.index === 0 ? "strong" : ""} ${isShort ? "short" : ""} ${units === null || units === 0 ? "none" : ""}`}
            style={{ insetInlineStart: column.start, width: column.size }}
          >
            {row === undefined ? "" : units === null ? "·" : format.number(units)}
          </div>
        );
      })}
    </div>
  );
});

/** Rows by number, of the pages that `first` to `last` lie on. A page that is only flown past is not read. */
function usePages(measure: Measure, part: string, first: number, last: number, isScrolling: boolean): ReadonlyMap<number, GridRow> {
  const seen = pagesOf(first, last).join();
  const [asked, setAsked] = useState(seen);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(seen), isScrolling ? SEEN_MS : 0);
    return () => clearTimeout(timer);
  }, [seen, isScrolling]);
  return useQueries({ queries: asked.split(",").map((page) => gridPage(measure, part, Number(page))), combine: rowsOf });
}

function rowsOf(pages: readonly { data: { first: number; rows: readonly GridRow[] } | undefined }[]): ReadonlyMap<number, GridRow> {
  const rows = new Map<number, GridRow>();
  for (const { data } of pages) data?.rows.forEach((row, i) => rows.set(data.first + i, row));
  return rows;
}
