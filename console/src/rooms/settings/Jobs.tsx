import { Link, useParameter } from "../../app/router";
import { answerOf, api } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Badge, Bar, Panel, Select } from "../../ui/parts";
import { Paged } from "../../ui/paged";
import { Empty, Failure } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { useJobs } from "./queries";

const KINDS = ["policy.simulate", "policy.lanes", "plan.run", "forecast.run", "campaign.assess"] as const;
const STATES = ["queued", "running", "done", "failed", "cancelled"] as const;

export function Jobs() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [kind, setKind] = useParameter("kind");
  const [state, setState] = useParameter("state");
  const jobs = useJobs({ kind, state });
  const cancel = useAction({
    call: (job_id: string) => answerOf(api.POST("/v1/jobs/{job_id}/cancel", { params: { path: { job_id } } })),
    done: (job) => text("jobs.was_cancelled", { kind: word("jobs", job.kind) }),
    changes: [["jobs"]],
  });
  return (
    <>
      <div className="filters">
        <Select
          label={text("jobs.kind")}
          value={kind}
          onChange={setKind}
          options={[["", text("jobs.any_kind")], ...KINDS.map((each) => [each, word("jobs", each)] as const)]}
        />
        <Select
          label={text("jobs.state")}
          value={state}
          onChange={setState}
          options={[["", text("jobs.any_state")], ...STATES.map((each) => [each, word("job", each)] as const)]}
        />
      </div>
      <Panel title={text("settings.jobs")} note={text("jobs.note")}>
        {cancel.isError && <Failure error={cancel.error} />}
        <Paged query={jobs} empty={<Empty title={text("jobs.none")} />}>
          {(rows) => (
            <ul className="list">
              {rows.map((job) => {
                const { stage, done, total } = job.progress;
                const isAtWork = job.state === "queued" || job.state === "running";
                const name = job.request["name"];
                return (
                  <li key={job.job_id} className="row apart">
                    <span className="grows">
                      <b>{word("jobs", job.kind)}</b>{" "}
                      <Badge tone={toneOf(job.state)}>{word("job", job.state)}</Badge>
                      <br />
                      <span className="small soft breaks">
                        {typeof name === "string" && (
                          <>
                            {job.kind === "policy.simulate" ? (
                              <Link to={`/policies/${encodeURIComponent(name)}?tab=simulate&job=${job.job_id}`}>{name}</Link>
                            ) : (
                              name
                            )}
                            {" · "}
                          </>
                        )}
                        {format.ago(job.created_at)}, {job.by === 0 ? text("order.by_system") : text("order.by_key", { key: String(job.by) })}
                        {isAtWork && stage !== null && ` · ${stage}${total > 0 ? ` ${format.percent(done / total)}` : ""}`}
                        {job.error !== null && ` · ${job.error.message}`}
                      </span>
                      {job.state === "running" && total > 0 && <Bar share={done / total} label={`${stage ?? ""} ${format.percent(done / total)}`} />}
                    </span>
                    {isAtWork && (
                      <button type="button" className="button" disabled={cancel.isPending} onClick={() => cancel.mutate(job.job_id)}>
                        {text("jobs.cancel")}
                        <span className="hidden-visually"> {word("jobs", job.kind)}</span>
                      </button>
                    )}
                  </li>
                );
              })}
            </ul>
          )}
        </Paged>
      </Panel>
    </>
  );
}
