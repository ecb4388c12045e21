/** A list that is read page by page: the state it is in, what it has, and more of it. */

import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useText } from "../i18n/text";
import { Panel } from "./parts";
import { Failure, Skeleton } from "./states";
import { Table, type Column } from "./table";

type Query<Row> = UseInfiniteQueryResult<InfiniteData<{ data: Row[] }>>;

export const rowsOf = <Row,>(query: Query<Row>): Row[] | undefined => query.data?.pages.flatMap((page) => page.data);

interface Props<Row> {
  query: Query<Row>;
  empty: ReactNode;
  children: (rows: Row[]) => ReactNode;
}

export function Paged<Row>({ query, empty, children }: Props<Row>) {
  const text = useText();
  const rows = rowsOf(query);
  return (
    <>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {rows === undefined && !query.isError && <Skeleton lines={8} />}
      {rows?.length === 0 && empty}
      {rows !== undefined && rows.length > 0 && children(rows)}
      {query.hasNextPage && (
        <p className="note">
          <button type="button" className="button" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {text(query.isFetchingNextPage ? "action.busy" : "action.more")}
          </button>
        </p>
      )}
    </>
  );
}

interface PanelProps<Row> {
  query: Query<Row>;
  title: ReactNode;
  beside?: ReactNode;
  note?: ReactNode;
  empty: ReactNode;
  columns: readonly Column[];
  /** A row of the table. */
  children: (row: Row) => ReactNode;
}

export function PagedPanel<Row>({ query, empty, columns, children, ...panel }: PanelProps<Row>) {
  return (
    <Panel {...panel}>
      <Paged query={query} empty={empty}>
        {(rows) => (
          <Table columns={columns} isCards>
            {rows.map(children)}
          </Table>
        )}
      </Paged>
    </Panel>
  );
}
