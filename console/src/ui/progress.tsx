import { useQuery } from "@tanstack/react-query";
import { oneJob } from "../api/jobs";
import { useText, useWord } from "../i18n/text";
import { Bar } from "./parts";

/** How far a job is, until it is over. */
export function Progress({ job }: { job: string }) {
  const text = useText();
  const word = useWord();
  const { data } = useQuery(oneJob(job));
  const { stage = null, done = 0, total = 0 } = data?.progress ?? {};
  const says = stage === null ? text("demand.queued") : word("stage", stage);
  if (data?.state === "failed") return <span className="bad small breaks">{data.error?.message}</span>;
  return (
    <div className="progress" role="status">
      <span className="small soft">{says}</span>
      <Bar share={total > 0 ? done / total : 0} label={says} />
    </div>
  );
}
