import type { ReactNode } from "react";
import { useText } from "../../i18n/text";
import { Empty, Failure, Skeleton } from "../../ui/states";

interface Query<Page> {
  data?: { pages: Page[] } | undefined;
  error: unknown;
  isError: boolean;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  refetch: () => unknown;
  fetchNextPage: () => unknown;
}

/** The rows of a list that is read page by page, or the state it is in. */
export function Rows<Row>({ query, none, children }: { query: Query<{ data: Row[] }>; none: string; children: (rows: Row[]) => ReactNode }) {
  const text = useText();
  const rows = query.data?.pages.flatMap((page) => page.data);
  return (
    <>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {rows === undefined && !query.isError && <Skeleton lines={8} />}
      {rows?.length === 0 && <Empty icon="calm" title={none} />}
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
