/** A policy tried on the orders of the past: asked for, watched, and what came of it against the one that decides. */

import { useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useParameter } from "../../app/router";
import { answerOf, api, type Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Badge, Bar, Panel, Select } from "../../ui/parts";
import { Empty, Failure, Loaded } from "../../ui/states";
import { StopJob } from "../../ui/stop";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import { Picture } from "./Picture";
import { compared, MEASURES, swept, type Measure } from "./pareto";
import { policyJobs, simulated, type Brief, type Difference, type Job, type Report } from "./queries";

const DAY_MS = 86_400_000;
const DAYS = 28;
const OTHERS = 8;
const EDITED = "edited";

interface Props {
  policy: Schema["PolicyOut"];
  version: Brief;
  edited: string | undefined;
}

export function Simulations({ policy, version, edited }: Props) {
  const text = useText();
  const jobs = useQuery(policyJobs(policy.name, "policy.simulate"));
  const [asked, setJob] = useParameter("job");
  return (
    <>
      <Form policy={policy} version={version} edited={edited} onAsked={(job) => setJob(job, { replace: true })} />
      <Loaded
        query={jobs}
        isEmpty={(data) => data.length === 0}
        empty={
          <section className="panel">
            <Empty icon="policies" title={text("policies.no_simulations")}>{text("policies.no_simulations_hint")}</Empty>
          </section>
        }
      >
        {(data) => {
          const shown = data.find((job) => job.job_id === asked) ?? data.find((job) => job.state === "done");
          const done = data.filter((job) => job.state === "done" && job.job_id !== shown?.job_id).slice(0, OTHERS);
          return (
            <>
              <Panel title={text("policies.simulations")}>
                <ul className="list">
                  {data.slice(0, 12).map((job) => (
                    <Row key={job.job_id} job={job} isShown={job.job_id === shown?.job_id} onShow={() => setJob(job.job_id)} />
                  ))}
                </ul>
              </Panel>
              {shown?.state === "done" && <Result key={shown.job_id} job_id={shown.job_id} others={done.map((job) => job.job_id)} />}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Form({ policy, version, edited, onAsked }: Props & { onAsked: (job_id: string) => void }) {
  const text = useText();
  const word = useWord();
  const [tried, setTried] = useState(edited === undefined ? String(version.version) : EDITED);
  const [from, setFrom] = useState(() => new Date(Date.now() - DAYS * DAY_MS).toISOString().slice(0, 10));
  const [to, setTo] = useState(() => new Date().toISOString().slice(0, 10));
  const [isPriced, setPriced] = useState(false);
  const action = useAction({
    call: () =>
      answerOf(
        api.POST("/v1/policies/{name}/simulate", {
          params: { path: { name: policy.name } },
          body: {
            from: `${from}T00:00:00Z`,
            // The last day is in it.
            to: new Date(Date.parse(`${to}T00:00:00Z`) + DAY_MS).toISOString(),
            ...(tried === EDITED && edited !== undefined ? { policy: edited } : { version: Number(tried) }),
            pareto: isPriced,
            seed: 0,
          },
        }),
      ),
    done: () => text("policies.simulation_asked"),
    changes: [["jobs"]],
  });
  return (
    <Panel title={text("policies.simulate")} note={text("policies.simulate_note")}>
      {action.isError && <Failure error={action.error} />}
      <form
        className="inside filters"
        onSubmit={(event) => {
          event.preventDefault();
          action.mutate(undefined, { onSuccess: ({ job_id }) => onAsked(job_id) });
        }}
      >
        <Select
          label={text("policies.tried")}
          value={tried}
          onChange={setTried}
          options={[
            ...(edited === undefined ? [] : [[EDITED, text("policies.edited")] as const]),
            ...policy.versions.map(
              (each) => [String(each.version), `${text("policies.version", { no: String(each.version) })} · ${word("policy", each.state)}`] as const,
            ),
          ]}
        />
        <label className="row small">
          {text("policies.from")}
          <input className="input day" type="date" required max={to} value={from} onChange={(event) => setFrom(event.target.value)} />
        </label>
        <label className="row small">
          {text("policies.until")}
          <input className="input day" type="date" required min={from} value={to} onChange={(event) => setTo(event.target.value)} />
        </label>
        <label className="check small">
          <input type="checkbox" checked={isPriced} onChange={(event) => setPriced(event.target.checked)} />
          {text("policies.priced")}
        </label>
        <button type="submit" className="button main" disabled={action.isPending}>
          {text(action.isPending ? "action.busy" : "policies.simulate_do")}
        </button>
      </form>
    </Panel>
  );
}

function Row({ job, isShown, onShow }: { job: Job; isShown: boolean; onShow: () => void }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const { request, progress } = job;
  const what = typeof request["version"] === "number" ? text("policies.version", { no: String(request["version"]) }) : text("policies.text_tried");
  const period = [request["begins"], request["ends"]].map((each) => format.day(String(each))).join(" – ");
  const isAtWork = job.state === "queued" || job.state === "running";
  return (
    <li className={`row apart ${isShown ? "chosen" : ""}`}>
      <span className="grows">
        <b>{what}</b> <span className="soft">{period}</span> <Badge tone={toneOf(job.state)}>{word("job", job.state)}</Badge>
        <br />
        <span className="small soft breaks">
          {format.ago(job.created_at)}
          {progress.stage !== null && isAtWork && ` · ${progress.stage}`}
          {job.error !== null && ` · ${job.error.message}`}
        </span>
        {job.state === "running" && progress.total > 0 && (
          <Bar share={progress.done / progress.total} label={text("policies.progress", { share: format.percent(progress.done / progress.total) })} />
        )}
      </span>
      {job.state === "done" && (
        <button type="button" className="button" aria-pressed={isShown} onClick={onShow}>
          {text("policies.show")}
          <span className="hidden-visually"> {what} {period}</span>
        </button>
      )}
      {isAtWork && <StopJob job_id={job.job_id} what={`${what} ${period}`} />}
    </li>
  );
}

function Result({ job_id, others }: { job_id: string; others: readonly string[] }) {
  const report = useQuery(simulated(job_id));
  const found = useQueries({ queries: others.map(simulated) });
  return (
    <Loaded query={report} lines={10}>
      {(data) => <Shown report={data} others={found.flatMap((each) => (each.data === undefined ? [] : [each.data]))} />}
    </Loaded>
  );
}

function Shown({ report, others }: { report: Report; others: readonly Report[] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [asked, setMeasure] = useParameter("measure");
  const measure: Measure = MEASURES.find((each) => each === asked) ?? "days";
  const prices = swept(report, measure);
  return (
    <>
      <Panel
        title={text("policies.against", { tried: report.candidate.version, present: report.baseline.version })}
        beside={<span className="small soft">{text("policies.orders", { count: report.period.orders })}</span>}
        note={text("policies.against_note", { share: format.percent(report.method.confidence) })}
      >
        <Differences report={report} />
      </Panel>
      <Panel
        title={text("policies.choices")}
        beside={
          <Select label={text("policies.measure")} value={measure} onChange={setMeasure} options={MEASURES.map((each) => [each, word("metric", each)] as const)} />
        }
        note={text("policies.choices_note")}
      >
        <Picture points={compared(report, others, measure)} measure={measure} />
      </Panel>
      {prices.length > 0 && (
        <Panel title={text("policies.prices")} note={text("policies.prices_note", { count: report.pareto?.orders ?? 0, version: report.candidate.version })}>
          <Picture points={prices} measure={measure} />
        </Panel>
      )}
    </>
  );
}

function Differences({ report }: { report: Report }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const [isAll, setAll] = useState(false);
  const say = ({ unit }: Difference, value: number | null): string => {
    if (value === null) return "–";
    if (unit === "money") return format.number(value / 100, 2);
    if (unit === "%") return format.percent(value, 2);
    return format.number(value, unit === "g" || Math.abs(value) >= 100 ? 0 : 2);
  };
  // Terms are weighed at each policy's own prices and do not say which is better: after what does.
  const rows = report.differences.filter((row) => isAll || !(row.metric.startsWith("term_") || row.metric === "cost_minor"));
  return (
    <>
      <Table
        columns={[
          [text("policies.measure")],
          [report.baseline.version, "end"],
          [report.candidate.version, "end"],
          [text("policies.difference"), "end"],
          [text("policies.interval"), "end"],
          [text("policies.verdict")],
        ]}
      >
        {rows.map((row) => (
          <tr key={row.metric}>
            <th scope="row">{named(word("metric", row.metric), row)}</th>
            <td className="end">{say(row, row.baseline)}</td>
            <td className="end">{say(row, row.candidate)}</td>
            <td className="end strong">{say(row, row.difference)}</td>
            <td className="end soft nowrap">{row.low === null || row.high === null ? "–" : `${say(row, row.low)} … ${say(row, row.high)}`}</td>
            <td>
              <Badge tone={row.verdict === "better" ? "good" : row.verdict === "worse" ? "bad" : "quiet"}>{word("verdict", row.verdict)}</Badge>
              {row.is_suspicious && <span className="small soft"> {text("policies.suspicious")}</span>}
            </td>
          </tr>
        ))}
      </Table>
      <p className="note">
        <button type="button" className="button quiet" onClick={() => setAll(!isAll)}>
          {text(isAll ? "action.fewer" : "policies.all_terms")}
        </button>
      </p>
    </>
  );
}

/** A cost term of one's own has no message: the server's words. */
const named = (translated: string, row: Difference): string => (translated === row.metric.replaceAll("_", " ") ? row.name : translated);
