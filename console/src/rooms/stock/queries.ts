import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "../../api/client";
import { PAGE, withTotal, type Measure } from "./cells";

/** A page of the grid. Kept for half a minute after it was seen, so that memory does not grow with what is scrolled by. */
export const gridPage = (measure: Measure, part: string, page: number) =>
  queryOptions({
    queryKey: ["stock", "grid", measure, part, page],
    queryFn: async () => {
      const query = { measure, first: page * PAGE, count: PAGE, ...(part === "" ? {} : { q: part }) };
      const found = await answerOf(api.GET("/v1/stock/grid", { params: { query } }));
      return { ...found, rows: found.rows.map(withTotal) };
    },
    gcTime: 30_000,
    refetchInterval: 15_000,
  });
