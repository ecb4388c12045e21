import { Link, useParameter } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Bar, Panel, Select } from "../../ui/parts";
import { Paged } from "../../ui/paged";
import { Empty } from "../../ui/states";
import { StopJob } from "../../ui/stop";
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
                    {isAtWork && <StopJob job_id={job.job_id} what={word("jobs", job.kind)} />}
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
