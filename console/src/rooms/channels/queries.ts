import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "../../api/client";
import { allOf } from "../../api/queries";

export const connectors = queryOptions({
  queryKey: ["connectors"],
  queryFn: () => answerOf(api.GET("/v1/connectors")),
  staleTime: 300_000,
});

export const oneChannel = (code: string) =>
  queryOptions({
    queryKey: ["channels", "one", code],
    queryFn: () => answerOf(api.GET("/v1/channels/{code}", { params: { path: { code } } })),
  });

export const nodeGroups = queryOptions({
  queryKey: ["network", "groups"],
  queryFn: () =>
    allOf((cursor) => answerOf(api.GET("/v1/node-groups", { params: { query: { limit: 1000, ...(cursor === undefined ? {} : { cursor }) } } })), 2_000),
  staleTime: 60_000,
});
