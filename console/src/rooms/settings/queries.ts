/** What the settings read. */

import { keepPreviousData, queryOptions, useInfiniteQuery } from "@tanstack/react-query";
import { answerOf, api, type Schema } from "../../api/client";
import { allOf } from "../../api/queries";
import type { Description } from "./fields";

const at = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });

/** Without what is not set. */
const set = <T extends Record<string, string>>(filter: T) => Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== ""));

/** Those that let somebody in, newest first: whoever signs in leaves a key behind every day. */
export const keys = queryOptions({
  queryKey: ["keys", "list"],
  queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/keys", { params: { query: { live: true, order: "desc", limit: 200, ...at(cursor) } } })), 2_000),
});

export const ownKey = queryOptions({ queryKey: ["keys", "own"], queryFn: () => answerOf(api.GET("/v1/key")), staleTime: 60_000 });

export const webhooks = queryOptions({
  queryKey: ["webhooks", "list"],
  queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/webhooks", { params: { query: { limit: 200, ...at(cursor) } } })), 2_000),
});

interface Page {
  next_cursor: string | null;
}

const paging = {
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page: Page) => page.next_cursor ?? undefined,
  placeholderData: keepPreviousData,
};

export const useDeliveries = (webhook_id: string, status: string) =>
  useInfiniteQuery({
    ...paging,
    queryKey: ["webhooks", "deliveries", webhook_id, status],
    queryFn: ({ pageParam }) =>
      answerOf(
        api.GET("/v1/webhooks/{webhook_id}/deliveries", {
          params: { path: { webhook_id }, query: { ...set({ status }), limit: 50, ...at(pageParam) } },
        }),
      ),
  });

export type AuditFilter = Record<"kind" | "subject" | "actor" | "from" | "to", string>;

export const useAudit = (filter: AuditFilter) =>
  useInfiniteQuery({
    ...paging,
    queryKey: ["audit", filter],
    queryFn: ({ pageParam }) => {
      const { from, to, ...rest } = filter;
      const day = (name: string, value: string, time: string) => (value === "" ? {} : { [name]: `${value}T${time}Z` });
      const query = { ...set(rest), ...day("from", from, "00:00:00"), ...day("to", to, "23:59:59.999999"), limit: 50, ...at(pageParam) };
      return answerOf(api.GET("/v1/audit", { params: { query } }));
    },
  });

const isAtWork = (job: Schema["JobOut"]) => job.state === "queued" || job.state === "running";

export const useJobs = (filter: Record<"kind" | "state", string>) =>
  useInfiniteQuery({
    ...paging,
    queryKey: ["jobs", "list", filter],
    queryFn: ({ pageParam }) => answerOf(api.GET("/v1/jobs", { params: { query: { ...set(filter), limit: 50, ...at(pageParam) } } })),
    refetchInterval: (query) => (query.state.data?.pages.some((page) => page.data.some(isAtWork)) === true ? 2_000 : 15_000),
  });

/** The server's own description of its interface: what may stand in a row. */
export const description = queryOptions({
  queryKey: ["openapi"],
  queryFn: async () => {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    return (await answer.json()) as Description;
  },
  staleTime: Infinity,
});
