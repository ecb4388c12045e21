import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "../../api/client";
import { allOf } from "../../api/queries";
import type { Assessment } from "./assessment";

export const campaigns = queryOptions({
  queryKey: ["campaigns", "list"],
  queryFn: () =>
    allOf((cursor) => answerOf(api.GET("/v1/campaigns", { params: { query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } } })), 1_000),
});

export const oneCampaign = (campaign_id: string) =>
  queryOptions({
    queryKey: ["campaigns", "one", campaign_id],
    queryFn: () => answerOf(api.GET("/v1/campaigns/{campaign_id}", { params: { path: { campaign_id } } })),
  });

const UNDER_WAY = ["queued", "running"];

/** A job has no events: while it is at work it is looked at again soon. */
export const oneJob = (job_id: string) =>
  queryOptions({
    queryKey: ["jobs", job_id],
    queryFn: () => answerOf(api.GET("/v1/jobs/{job_id}", { params: { path: { job_id } } })),
    refetchInterval: (query) => (UNDER_WAY.includes(query.state.data?.state ?? "") ? 1_000 : false),
  });

/** What came of a job does not change. */
export const assessment = (job_id: string) =>
  queryOptions({
    queryKey: ["jobs", job_id, "result"],
    queryFn: async () => (await answerOf(api.GET("/v1/jobs/{job_id}/result", { params: { path: { job_id } } }))) as unknown as Assessment,
    staleTime: Infinity,
  });

export const itemsLike = (q: string) =>
  queryOptions({
    queryKey: ["items", "like", q],
    queryFn: () => answerOf(api.GET("/v1/items", { params: { query: { q, bundle: false, limit: 8 } } })),
    placeholderData: keepPreviousData,
    enabled: q !== "",
  });
