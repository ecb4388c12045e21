import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "./client";

/** A job, looked at again soon while it is at work. */
export const oneJob = (job_id: string) =>
  queryOptions({
    queryKey: ["jobs", job_id],
    queryFn: () => answerOf(api.GET("/v1/jobs/{job_id}", { params: { path: { job_id } } })),
    refetchInterval: (query) => (["queued", "running", undefined].includes(query.state.data?.state) ? 1_500 : false),
  });
