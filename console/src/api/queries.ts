/** What rooms read. The first word of a key is what it is about: actions and events name that to have it read again. */

import { keepPreviousData, queryOptions, useInfiniteQuery } from "@tanstack/react-query";
import { answerOf, api } from "./client";
import type { operations } from "./schema";

type Query<Name extends keyof operations> = operations[Name] extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;

interface Paged<Row> {
  data: Row[];
  next_cursor: string | null;
}

/** All rows of a list, up to about `most`. `isWhole`: there were no more. */
export async function allOf<Row>(
  page: (cursor: string | undefined) => Promise<Paged<Row>>,
  most: number,
): Promise<{ rows: Row[]; isWhole: boolean }> {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const answer = await page(cursor);
    rows.push(...answer.data);
    cursor = answer.next_cursor ?? undefined;
  } while (cursor !== undefined && rows.length < most);
  return { rows, isWhole: cursor === undefined };
}

/** A parameter for `query` only if there is a cursor. */
const at = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });

/** Without what is not set. */
function set<T extends Record<string, unknown>>(parameters: T): { [K in keyof T]?: Exclude<T[K], undefined | ""> } {
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "")) as never;
}

// Orders -----------------------------------------------------------------------------------------

export type OrderFilter = Pick<Query<"get_orders_v1_orders_get">, "status" | "queue" | "channel" | "sku" | "node" | "from" | "to" | "q">;

export function useOrders(filter: OrderFilter) {
  return useInfiniteQuery({
    queryKey: ["orders", "list", filter],
    queryFn: ({ pageParam }) =>
      answerOf(api.GET("/v1/orders", { params: { query: { ...set(filter), limit: 50, ...at(pageParam) } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
}

export const QUEUES = ["to_source", "rejected", "unfillable", "held", "backorder", "preorder", "sync_failed", "needs_approval"] as const;
export type Queue = (typeof QUEUES)[number];

export const queueDepths = queryOptions({
  queryKey: ["orders", "queues"],
  queryFn: () => answerOf(api.GET("/v1/orders/queues")),
  refetchInterval: 10_000,
});

/** What comes, and which ways the orders of the last hour go. */
export const flows = queryOptions({
  queryKey: ["orders", "flows"],
  queryFn: () => answerOf(api.GET("/v1/flows")),
  refetchInterval: 10_000,
});

export const serviceLevels = queryOptions({
  queryKey: ["service-levels"],
  queryFn: () => answerOf(api.GET("/v1/service-levels")),
  refetchInterval: 15_000,
});

export const oneOrder = (order_id: string) =>
  queryOptions({
    queryKey: ["orders", "one", order_id],
    queryFn: () => answerOf(api.GET("/v1/orders/{order_id}", { params: { path: { order_id } } })),
  });

export const orderCosts = (order_id: string) =>
  queryOptions({
    queryKey: ["orders", "costs", order_id],
    queryFn: () => answerOf(api.GET("/v1/orders/{order_id}/costs", { params: { path: { order_id }, query: { limit: 200 } } })),
  });

/** A decision does not change. */
export const onePlan = (plan_id: string) =>
  queryOptions({
    queryKey: ["plan", plan_id],
    queryFn: () => answerOf(api.GET("/v1/plans/{plan_id}", { params: { path: { plan_id } } })),
    staleTime: Infinity,
  });

export const oneShipment = (shipment_id: string) =>
  queryOptions({
    queryKey: ["orders", "shipment", shipment_id],
    queryFn: () => answerOf(api.GET("/v1/shipments/{shipment_id}", { params: { path: { shipment_id } } })),
  });

// The network ------------------------------------------------------------------------------------

export const nodes = queryOptions({
  queryKey: ["network", "nodes"],
  queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/nodes", { params: { query: { limit: 1000, ...at(cursor) } } })), 5_000),
  staleTime: 60_000,
});

export const capacity = (days: number) =>
  queryOptions({
    queryKey: ["capacity", days],
    queryFn: () => {
      const to = new Date(Date.now() + (days - 1) * 86_400_000).toISOString().slice(0, 10);
      return allOf(
        (cursor) => answerOf(api.GET("/v1/capacity", { params: { query: { to, limit: 1000, ...at(cursor) } } })),
        20_000,
      );
    },
    refetchInterval: 60_000,
  });

// Incidents --------------------------------------------------------------------------------------

export type IncidentFilter = Pick<Query<"get_incidents_v1_incidents_get">, "status" | "kind" | "about" | "what">;

export function useIncidents(filter: IncidentFilter) {
  return useInfiniteQuery({
    queryKey: ["incidents", "list", filter],
    queryFn: ({ pageParam }) =>
      answerOf(api.GET("/v1/incidents", { params: { query: { ...set(filter), limit: 50, ...at(pageParam) } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
}

export const openIncidents = queryOptions({
  queryKey: ["incidents", "open"],
  queryFn: () =>
    allOf((cursor) => answerOf(api.GET("/v1/incidents", { params: { query: { limit: 200, ...at(cursor) } } })), 1_000),
  refetchInterval: 30_000,
});

export const oneIncident = (incident_id: string) =>
  queryOptions({
    queryKey: ["incidents", "one", incident_id],
    queryFn: () => answerOf(api.GET("/v1/incidents/{incident_id}", { params: { path: { incident_id } } })),
  });

/** Runs have no events of their own: while one is at work it is looked at again soon. */
export const incidentRuns = (incident_id: string) =>
  queryOptions({
    queryKey: ["incidents", "runs", incident_id],
    queryFn: () => answerOf(api.GET("/v1/incidents/{incident_id}/runs", { params: { path: { incident_id } } })),
    refetchInterval: (query) =>
      query.state.data?.data.some((run) => ["ready", "undoing"].includes(run.status)) === true ? 1_500 : 15_000,
  });

// Autopilot --------------------------------------------------------------------------------------

export const autopilot = queryOptions({
  queryKey: ["autopilot", "domains"],
  queryFn: () => answerOf(api.GET("/v1/autopilot")),
  refetchInterval: 30_000,
});

export const autopilotActions = queryOptions({
  queryKey: ["autopilot", "actions"],
  queryFn: () => answerOf(api.GET("/v1/autopilot/actions", { params: { query: { limit: 30 } } })),
  refetchInterval: 30_000,
});

export const autopilotVerdicts = queryOptions({
  queryKey: ["autopilot", "verdicts"],
  queryFn: () => answerOf(api.GET("/v1/autopilot/verdicts", { params: { query: { limit: 30 } } })),
  refetchInterval: 30_000,
});

// Costs and policies -----------------------------------------------------------------------------

export const costsOf = (by: NonNullable<Query<"get_costs_v1_costs_get">["by"]>, from: string) =>
  queryOptions({
    queryKey: ["costs", by, from],
    queryFn: () => answerOf(api.GET("/v1/costs", { params: { query: { by, from, limit: 200 } } })),
    refetchInterval: 60_000,
  });

/** What other versions of policies come to on the same orders. */
export const trials = queryOptions({
  queryKey: ["policies", "trials"],
  queryFn: async () => {
    const policies = await answerOf(api.GET("/v1/policies", { params: { query: { limit: 100 } } }));
    const tried = policies.data.filter((policy) => policy.shadow !== null || policy.canary !== null);
    return Promise.all(
      tried.map(({ name }) => answerOf(api.GET("/v1/policies/{name}/trials", { params: { path: { name } } }))),
    );
  },
  refetchInterval: 60_000,
});

// Channels ---------------------------------------------------------------------------------------

export const channels = queryOptions({
  queryKey: ["channels", "list"],
  queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/channels", { params: { query: { limit: 200, ...at(cursor) } } })), 1_000),
  staleTime: 30_000,
});

export const channelHealth = (code: string) =>
  queryOptions({
    queryKey: ["channels", "health", code],
    queryFn: () => answerOf(api.GET("/v1/channels/{code}/health", { params: { path: { code } } })),
    refetchInterval: 10_000,
  });

export const channelGates = (code: string) =>
  queryOptions({
    queryKey: ["channels", "gates", code],
    queryFn: () => answerOf(api.GET("/v1/channels/{code}/gates", { params: { path: { code }, query: { limit: 50 } } })),
    refetchInterval: 30_000,
  });

export const channelMessages = (code: string, status: "parked" | "due") =>
  queryOptions({
    queryKey: ["channels", "messages", code, status],
    queryFn: () => answerOf(api.GET("/v1/channels/{code}/messages", { params: { path: { code }, query: { status, limit: 50 } } })),
    refetchInterval: 30_000,
  });

export const channelOrders = (code: string) =>
  queryOptions({
    queryKey: ["channels", "behind", code],
    queryFn: () => answerOf(api.GET("/v1/channels/{code}/orders", { params: { path: { code }, query: { problems: true, limit: 50 } } })),
    refetchInterval: 30_000,
  });

// Stock ------------------------------------------------------------------------------------------

export const stockOfItem = (sku: string) =>
  queryOptions({
    queryKey: ["stock", "item", sku],
    queryFn: () => allOf((cursor) => answerOf(api.GET("/v1/stock", { params: { query: { sku, limit: 1000, ...at(cursor) } } })), 5_000),
  });

export const availability = (sku: string, channel: string, at_: string) =>
  queryOptions({
    queryKey: ["stock", "availability", sku, channel, at_],
    queryFn: () => answerOf(api.GET("/v1/availability", { params: { query: { sku, ...set({ channel, at: at_ }) } } })),
    placeholderData: keepPreviousData,
  });

/** A page of an item's ledger, newest first. */
export function useLedger(sku: string, node: string) {
  return useInfiniteQuery({
    queryKey: ["stock", "ledger", sku, node],
    queryFn: ({ pageParam }) =>
      answerOf(api.GET("/v1/stock/entries", { params: { query: { sku, order: "desc", limit: 100, ...set({ node }), ...at(pageParam) } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
}

export const oneItem = (sku: string) =>
  queryOptions({
    queryKey: ["items", sku],
    queryFn: () => answerOf(api.GET("/v1/items/{sku}", { params: { path: { sku } } })),
    staleTime: 60_000,
  });


