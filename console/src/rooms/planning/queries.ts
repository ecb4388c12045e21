/** What the room of planning reads. */

import { queryOptions, useInfiniteQuery } from "@tanstack/react-query";
import { answerOf, api, type Schema } from "../../api/client";
import { allOf, set } from "../../api/queries";

export type Proposal = Schema["ProposalOut"];
export type Curve = Schema["ServiceCurveOut"];

export interface ProposalFilter {
  kind?: Proposal["kind"] | undefined;
  status?: Proposal["status"] | undefined;
  node?: string | undefined;
  sku?: string | undefined;
}

const PAGE = 100;

export function useProposals(filter: ProposalFilter) {
  return useInfiniteQuery({
    queryKey: ["proposals", "list", filter],
    queryFn: ({ pageParam }) => answerOf(api.GET("/v1/proposals", { params: { query: { ...set({ ...filter, cursor: pageParam }), limit: PAGE } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

/** Transfers that are proposed, and those on their way. */
export const transfers = queryOptions({
  queryKey: ["proposals", "transfers"],
  queryFn: async () => {
    const parts = await Promise.all(
      (["proposed", "approved"] as const).map((status) =>
        allOf((cursor) => answerOf(api.GET("/v1/proposals", { params: { query: { kind: "transfer", status, limit: 200, ...set({ cursor }) } } })), 1_000),
      ),
    );
    return parts.flatMap((part) => part.rows);
  },
});

export const serviceCurve = (sku: string, node: string) =>
  queryOptions({
    queryKey: ["proposals", "curve", sku, node],
    queryFn: () => answerOf(api.GET("/v1/service-curve", { params: { query: { sku, node } } })),
  });
