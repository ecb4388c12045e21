/** A list that is read page by page: the state it is in, its table, and more of it. */

import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useText } from "../i18n/text";
import { Panel } from "./parts";
import { Failure, Skeleton } from "./states";

export const rowsOf = <Row,>(query: UseInfiniteQueryResult<InfiniteData<{ data: Row[] }>>): Row[] | undefined =>
  query.data?.pages.flatMap((page) => page.data);

interface Props<Row> {
  query: UseInfiniteQueryResult<InfiniteData<{ data: Row[] }>>;
  title: ReactNode;
  beside?: ReactNode;
  note?: ReactNode;
  empty: ReactNode;
  /** Heads of the columns; at the end of their cells if so said. */
  columns: readonly (readonly [head: string, at?: "end"])[];
  /** A row of the table. */
  children: (row: Row) => ReactNode;
}

export function PagedPanel<Row>({ query, empty, columns, children, ...panel }: Props<Row>) {
  const text = useText();
  const rows = rowsOf(query);
  return (
    <Panel {...panel}>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {rows === undefined && !query.isError && <Skeleton lines={8} />}
      {rows?.length === 0 && empty}
      {rows !== undefined && rows.length > 0 && (
        <div className="table-wrap">
          <table className="table cards-on-phone">
            <thead>
              <tr>
                {columns.map(([head, at]) => (
                  <th key={head} scope="col" className={at}>
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>{rows.map(children)}</tbody>
          </table>
        </div>
      )}
      {query.hasNextPage && (
        <p className="note">
          <button type="button" className="button" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {text(query.isFetchingNextPage ? "action.busy" : "action.more")}
          </button>
        </p>
      )}
    </Panel>
  );
}
