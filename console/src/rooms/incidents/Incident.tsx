/** One incident: what it rests on, what is done about it step by step, and what that came to. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import { answerOf, api, type Schema } from "../../api/client";
import { incidentRuns, oneIncident } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord, type Message } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Facts, Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { addressOf } from "./subjects";

type Detail = Schema["IncidentWithFindingsOut"];
type Run = Schema["RunOut"];
type Arm = Schema["ArmOut"];

const WATCHED = ["incident.*"] as const;
const KEYS = [["incidents", "one"], ["incidents", "runs"]] as const;
const SHOWN = 20;

export default function Incident({ parameters }: { parameters: Record<string, string> }) {
  const id = parameters["incident"] ?? "";
  const incident = useQuery(oneIncident(id));
  useLive(WATCHED, KEYS, id);
  return <Loaded query={incident} lines={12}>{(data) => <Page incident={data} />}</Loaded>;
}

function Page({ incident }: { incident: Detail }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const runs = useQuery(incidentRuns(incident.incident_id));
  return (
    <>
      <Head
        crumb={<Link to="/incidents">{text("room.incidents")}</Link>}
        title={
          <span className="row">
            {word("incident", incident.kind)}
            <Badge tone={toneOf(incident.status)}>{word("incident_status", incident.status)}</Badge>
          </span>
        }
        beside={<Decisions incident={incident} runs={runs.data?.data ?? []} />}
      />
      <div className="columns two-one">
        <div className="stack">
          <Panel title={text("incident.runs")}>
            <Loaded
              query={runs}
              isEmpty={(data) => data.data.length === 0}
              empty={<Empty icon="calm" title={text("incident.no_runs")}>{text("incident.no_runs_hint")}</Empty>}
            >
              {(data) => (
                <>
                  {data.data.map((run) => (
                    <RunView key={run.run_id} run={run} currency={incident.currency} booked={incident.money.booked} />
                  ))}
                </>
              )}
            </Loaded>
          </Panel>
          <Evidence incident={incident} />
        </div>
        <div className="stack">
          <Money incident={incident} />
          <Panel title={text("incident.facts")}>
            <div className="inside">
              <Facts
                rows={[
                  [text("incidents.at_risk"), <b key="r">{format.money(incident.risk_minor, incident.currency)}</b>],
                  [text("incident.loss"), format.money(incident.loss_minor, incident.currency)],
                  [text("incidents.confidence"), format.percent(incident.confidence)],
                  [text("incidents.cause"), <Subject key="c" subject={incident.cause} />],
                  [text("incident.since"), format.moment(incident.since)],
                  [text("incidents.opened"), format.moment(incident.opened_at)],
                  [text("incident.seen"), format.ago(incident.seen_at)],
                  ...(incident.closed_at === null ? [] : [[text("incident.closed"), format.moment(incident.closed_at)] as const]),
                  ...(incident.reason === null ? [] : [[text("order.reason"), incident.reason] as const]),
                  ...(incident.merged_in === null
                    ? []
                    : [[text("incident.merged"), <Link key="m" to={`/incidents/${incident.merged_in}`}>{text("incident.wider")}</Link>] as const]),
                ]}
              />
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

/** What was at risk, what was spent on it, and what came of it; what nobody knows is said to be unknown. */
function Money({ incident: { money, currency, risk_minor } }: { incident: Detail }) {
  const text = useText();
  const format = useFormat();
  const minor = (value: number | null | undefined) => (value == null ? text("incident.not_known") : format.money(value, currency));
  const arm = (of: Arm) => (of.judged === 0 ? text("incident.not_yet", { count: of.things }) : text("incident.lost_of", {
    lost: format.money(of.lost_minor ?? 0, currency), stake: format.money(of.judged_stake_minor, currency), judged: of.judged, count: of.things,
  }));
  return (
    <Panel title={text("incident.money")} note={text("incident.money_note")}>
      <div className="inside">
        <Facts
          rows={[
            [text("incidents.at_risk"), format.money(risk_minor, currency)],
            [text("incident.booked"), format.money(money.booked_minor, currency)],
            [text("incident.saved"), <b key="s">{minor(money.saved_minor)}</b>],
            ...(money.acted == null ? [] : [[text("incident.acted"), arm(money.acted)] as const]),
            ...(money.held_out == null ? [] : [[text("incident.held_out"), arm(money.held_out)] as const]),
            [text("incident.failures"), money.failures_minor == null ? text("incident.not_known") : text("incident.failures_of", { money: format.money(money.failures_minor, currency), count: money.orders })],
            ...(money.next_judged_at == null ? [] : [[text("incident.next_judged"), format.moment(money.next_judged_at)] as const]),
          ]}
        />
      </div>
    </Panel>
  );
}

function Subject({ subject }: { subject: Schema["SubjectOut"] }) {
  const word = useWord();
  const to = addressOf(subject);
  const name = `${word("what", subject.what)} ${subject.key.join(" · ")}`;
  return to === null ? <span className="breaks">{name}</span> : <Link className="breaks" to={to}>{name}</Link>;
}

function RunView({ run, currency, booked }: { run: Run; currency: string; booked: readonly Schema["BookedOut"][] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const isOver = ["done", "undone", "standing"].includes(run.status);
  return (
    <>
      <div className="inside row apart">
        <span className="row">
          <b>{run.playbook}</b>
          <span className="small soft">{text("incident.version", { count: run.version })}</span>
          <Badge tone={toneOf(run.status)}>{word("run", run.status)}</Badge>
        </span>
        <span className="small soft">
          {text("incident.touched", { orders: run.orders, units: run.units, money: format.money(run.cost_minor, currency) })}
        </span>
      </div>
      {(run.why ?? run.error) !== null && <p className={`inside small ${run.error === null ? "soft" : "bad"}`} style={{ paddingTop: 0 }}>{run.error ?? run.why}</p>}
      <ol className="steps">
        {run.steps.map((name, i) => {
          const parts = run.parts.filter((part) => part.step === i + 1);
          const isNow = !isOver && run.step === i + 1;
          const last = parts.at(-1);
          const own = booked.find((each) => each.run_id === run.run_id && each.step === i + 1);
          return (
            <li key={i}>
              <span className={`number ${parts.length > 0 && !isNow ? "done" : isNow ? "now" : ""}`}>{i + 1}</span>
              <div>
                <b>{word("step", name)}</b>
                {parts.map((part) => (
                  <div key={part.part} className="small soft breaks">
                    {part.why ?? Object.entries(part.result).map(([key, value]) => `${key.replaceAll("_", " ")}: ${shown(value)}`).join(" · ")}
                    {part.undone_at !== null && ` · ${text("incident.undone_at", { time: format.moment(part.undone_at) })}`}
                  </div>
                ))}
                {isNow && run.status === "needs_approval" && <div className="small warn">{text("incident.waits_for_you")}</div>}
              </div>
              <span className="end">
                {last !== undefined && <Badge tone={toneOf(last.undone_at === null ? last.outcome : "undone")}>{word("outcome", last.undone_at === null ? last.outcome : "undone")}</Badge>}
                {last !== undefined && parts.some((part) => part.cost_minor !== 0) && (
                  <div className="small soft">{format.money(parts.reduce((sum, part) => sum + part.cost_minor, 0), currency)}</div>
                )}
                {own !== undefined && <div className="small soft">{text("incident.booked_by", { money: format.money(own.minor, currency) })}</div>}
              </span>
            </li>
          );
        })}
      </ol>
    </>
  );
}

const shown = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value));

function Evidence({ incident }: { incident: Detail }) {
  const text = useText();
  const format = useFormat();
  const [isAll, setAll] = useState(false);
  const rows = isAll ? incident.evidence : incident.evidence.slice(0, SHOWN);
  return (
    <Panel title={text("incident.evidence", { count: incident.evidence.length })}>
      {rows.length === 0 ? (
        <Empty icon="search" title={text("incident.no_evidence")} />
      ) : (
        <ul className="list">
          {rows.map((finding, i) => (
            <li key={i} className="stack tight">
              <div className="row apart">
                <span>{finding.sentence}</span>
                <span className="strong nowrap">{format.money(finding.risk_minor, incident.currency)}</span>
              </div>
              <div className="small soft">
                <Subject subject={finding.subject} /> · {format.percent(finding.confidence)} ·{" "}
                {Object.entries(finding.numbers)
                  .filter(([, value]) => value !== null)
                  .map(([name, value]) => `${name.replaceAll("_", " ")} ${format.number(value ?? 0, 2)}`)
                  .join(" · ")}
              </div>
            </li>
          ))}
        </ul>
      )}
      {incident.evidence.length > SHOWN && (
        <p className="note">
          <button type="button" className="button quiet" onClick={() => setAll(!isAll)}>
            {isAll ? text("action.fewer") : text("incident.all_evidence", { count: incident.evidence.length })}
          </button>
        </p>
      )}
    </Panel>
  );
}

type Decision = "approve" | "undo" | "dismiss";

function Decisions({ incident, runs }: { incident: Detail; runs: readonly Run[] }) {
  const text = useText();
  const [asked, setAsked] = useState<Decision | null>(null);
  const can: Record<Decision, boolean> = {
    approve: runs.some((run) => run.status === "needs_approval"),
    undo: runs.some((run) => run.status !== "undoing" && run.parts.some((part) => part.outcome === "done" && part.undone_at === null)),
    dismiss: incident.status === "open",
  };
  return (
    <>
      {can.approve && (
        <button type="button" className="button main" onClick={() => setAsked("approve")}>
          {text("incident.approve")}
        </button>
      )}
      {can.undo && (
        <button type="button" className="button" onClick={() => setAsked("undo")}>
          {text("incident.undo")}
        </button>
      )}
      {can.dismiss && (
        <button type="button" className="button" onClick={() => setAsked("dismiss")}>
          {text("incident.dismiss")}
        </button>
      )}
      {asked !== null && <Decide key={asked} decision={asked} incident={incident} runs={runs} onClose={() => setAsked(null)} />}
    </>
  );
}

function Decide({ decision, incident, runs, onClose }: { decision: Decision; incident: Detail; runs: readonly Run[]; onClose: () => void }) {
  const text = useText();
  const word = useWord();
  const [reason, setReason] = useState("");
  const path = { params: { path: { incident_id: incident.incident_id } } };
  const body = reason.trim() === "" ? {} : { reason: reason.trim() };
  const action = useAction({
    call: async (): Promise<unknown> => {
      if (decision === "approve") return answerOf(api.POST("/v1/incidents/{incident_id}/approve", { ...path, body }));
      if (decision === "undo") return answerOf(api.POST("/v1/incidents/{incident_id}/undo", { ...path, body }));
      return answerOf(api.POST("/v1/incidents/{incident_id}/dismiss", { ...path, body }));
    },
    done: () => text(`incident.${decision}_done` as Message),
    changes: [["incidents"]],
    after: onClose,
  });
  const steps = decision === "approve"
    ? runs.filter((run) => run.status === "needs_approval").map((run) => word("step", run.steps[run.step - 1] ?? ""))
    : runs.flatMap((run) => run.parts.filter((part) => part.outcome === "done" && part.undone_at === null).map((part) => word("step", part.name)));
  return (
    <Ask
      title={text(`incident.${decision}_title` as Message)}
      what={
        <>
          <p>{text(`incident.${decision}_what` as Message)}</p>
          {decision !== "dismiss" && steps.length > 0 && <p className="strong">{[...new Set(steps)].join(", ")}</p>}
        </>
      }
      confirm={text(`incident.${decision}` as Message)}
      danger={decision === "undo"}
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("incident.reason")}</span>
        <input className="input" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} />
      </label>
    </Ask>
  );
}
