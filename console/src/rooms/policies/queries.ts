/** What the room of policies reads and writes. */

import { queryOptions } from "@tanstack/react-query";
import { answerOf, api, type Schema } from "../../api/client";
import { allOf } from "../../api/queries";

export type Version = Schema["PolicyVersionOut"];
export type Brief = Schema["VersionBriefOut"];
export type Job = Schema["JobOut"];

type Side = "baseline" | "candidate";

/** The result of a simulation: docs/how-to/simulate-a-policy.md. Means over orders. */
export interface Report extends Record<Side, { version: string; orders_unserved: number }> {
  period: { from: string; to: string; orders: number; orders_left_out: number; is_shortened: boolean };
  method: { confidence: number; seed: number; target_days: number };
  differences: Difference[];
  pareto: { orders: number; points: Priced[] } | null;
}

export interface Difference {
  metric: string;
  name: string;
  unit: string;
  baseline: number | null;
  candidate: number | null;
  difference: number | null;
  low: number | null;
  high: number | null;
  orders: number;
  verdict: string;
  is_suspicious: boolean;
}

interface Priced {
  name: string | null;
  day_minor: number;
  co2_minor_per_kg: number;
  paid_minor: number | null;
  days: number | null;
  co2_g: number | null;
  dominated_by: number | null;
}

const at = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });

export const policies = queryOptions({
  queryKey: ["policies", "list"],
  queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/policies", { params: { query: { limit: 200, ...at(cursor) } } })), 2_000),
});

export const onePolicy = (name: string) =>
  queryOptions({
    queryKey: ["policies", "one", name],
    queryFn: () => answerOf(api.GET("/v1/policies/{name}", { params: { path: { name } } })),
  });

/** The text of a version never changes, but what became of it does. */
export const oneVersion = (name: string, version: number) =>
  queryOptions({
    queryKey: ["policies", "version", name, version],
    queryFn: () => answerOf(api.GET("/v1/policies/{name}/versions/{version}", { params: { path: { name, version } } })),
  });

export const policyTrials = (name: string) =>
  queryOptions({
    queryKey: ["policies", "trials", name],
    queryFn: () => answerOf(api.GET("/v1/policies/{name}/trials", { params: { path: { name } } })),
    refetchInterval: 30_000,
  });

export const policyLanes = (name: string) =>
  queryOptions({
    queryKey: ["policies", "lanes", name],
    queryFn: () => answerOf(api.GET("/v1/policies/{name}/lanes", { params: { path: { name } } })),
  });

/** A policy goes as it was written, and not as JSON of a string; JSON is YAML too. */
const asText = (text: string) => ({
  body: text as never,
  bodySerializer: (body: unknown) => String(body),
  headers: { "content-type": "application/yaml" },
});

export const lint = (name: string, text: string) =>
  queryOptions({
    queryKey: ["lint", name, text],
    queryFn: () => answerOf(api.POST("/v1/policies/{name}/lint", { params: { path: { name } }, ...asText(text) })),
    staleTime: 60_000,
    gcTime: 10_000,
  });

export const savePolicy = (name: string, text: string) =>
  answerOf(api.PUT("/v1/policies/{name}", { params: { path: { name } }, ...asText(text) }));

const isAtWork = (job: Pick<Job, "state">) => job.state === "queued" || job.state === "running";

/** The newest jobs of `kind` that are about the policy; looked at again soon while one of them is at work. */
export const policyJobs = (name: string, kind: "policy.simulate" | "policy.lanes") =>
  queryOptions({
    queryKey: ["jobs", "policy", name, kind],
    queryFn: async () => {
      const { data } = await answerOf(api.GET("/v1/jobs", { params: { query: { kind, limit: 100 } } }));
      return data.filter((job) => job.request["name"] === name);
    },
    refetchInterval: (query) => (query.state.data?.some(isAtWork) === true ? 1_500 : 30_000),
  });

export const simulated = (job_id: string) =>
  queryOptions({
    queryKey: ["job-result", job_id],
    queryFn: async () => {
      const found: unknown = await answerOf(api.GET("/v1/jobs/{job_id}/result", { params: { path: { job_id }, query: { format: "json" } } }));
      return found as Report;
    },
    staleTime: Infinity,
  });
