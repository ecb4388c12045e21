/** What the room of demand reads. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "../../api/client";
import { allOf, set } from "../../api/queries";

export interface Place {
  node: string;
  region: string;
  channel: string;
}

export const itemsFound = (q: string) =>
  queryOptions({
    queryKey: ["items", "found", q],
    queryFn: () => answerOf(api.GET("/v1/items", { params: { query: { bundle: false, limit: 30, ...set({ q }) } } })),
    placeholderData: keepPreviousData,
  });

/** `to` is the last day: of today nobody knows yet what it comes to. */
export const demandOf = (sku: string, place: Place, from: string, to: string) =>
  queryOptions({
    queryKey: ["demand", sku, place, from, to],
    queryFn: () =>
      allOf(
        (cursor) => answerOf(api.GET("/v1/demand", { params: { query: { sku, from, to, limit: 1000, ...set({ ...place, cursor }) } } })),
        20_000,
      ),
    placeholderData: keepPreviousData,
  });

export const itemForecast = (sku: string, place: Place) =>
  queryOptions({
    queryKey: ["forecasts", "item", sku, place],
    queryFn: () => answerOf(api.GET("/v1/forecasts/items/{sku}", { params: { path: { sku }, query: set({ ...place }) } })),
    placeholderData: keepPreviousData,
  });

/** What each signal brings to it: worked out when it is asked, so not more often than there is a forecast. */
export const contributionsOf = (sku: string, place: Place) =>
  queryOptions({
    queryKey: ["forecasts", "contributions", sku, place],
    queryFn: () => answerOf(api.GET("/v1/forecasts/contributions/{sku}", { params: { path: { sku }, query: set({ ...place }) } })),
    staleTime: Infinity,
  });

/** Its series, whichever place is chosen: who is in charge of each, and which places there are. */
export const seriesOf = (sku: string, channel: string) =>
  queryOptions({
    queryKey: ["forecasts", "series", sku, channel],
    queryFn: () => answerOf(api.GET("/v1/forecasts", { params: { query: { sku, limit: 100, ...set({ channel }) } } })),
  });

export const forecastRuns = queryOptions({
  queryKey: ["forecasts", "runs"],
  queryFn: () => answerOf(api.GET("/v1/forecasts/runs", { params: { query: { limit: 12 } } })),
  // A run that is asked for has no events until it is made.
  refetchInterval: (query) => (query.state.data?.data.some((run) => isAtWork(run.state)) === true ? 2_000 : 60_000),
});

export const isAtWork = (state: string): boolean => state === "queued" || state === "running";

export const forecastRun = (run_id: string) =>
  queryOptions({
    queryKey: ["forecasts", "run", run_id],
    queryFn: () => answerOf(api.GET("/v1/forecasts/runs/{run_id}", { params: { path: { run_id } } })),
  });

export const schedule = queryOptions({
  queryKey: ["forecasts", "schedule"],
  queryFn: () => answerOf(api.GET("/v1/forecasts/schedule")),
});

export const signalsOf = (sku: string) =>
  queryOptions({
    queryKey: ["signals", sku],
    queryFn: () => answerOf(api.GET("/v1/signals", { params: { query: { sku, limit: 50 } } })),
  });
