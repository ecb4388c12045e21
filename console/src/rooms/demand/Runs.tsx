/** Runs of forecasts: what came of each, the next one at once or every day. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLive } from "../../api/live";
import { answerOf, api, type Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Panel } from "../../ui/parts";
import { Progress } from "../../ui/progress";
import { Empty, Failure, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import { forecastRuns, isAtWork, schedule } from "./queries";

const WATCHED = ["forecast.made"] as const;
const KEYS = [["forecasts"]] as const;
const HORIZON_MAX = 366;

export function Runs() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const runs = useQuery(forecastRuns);
  const kept = useQuery(schedule);
  const [asked, setAsked] = useState<"run" | "schedule" | null>(null);
  const share = (value: number | null | undefined) => (value == null ? "–" : format.percent(value, 1));
  return (
    <Panel
      title={text("demand.runs")}
      beside={
        <>
          <button type="button" className="button" disabled={kept.data === undefined} onClick={() => setAsked("schedule")}>
            {text("demand.schedule")}
          </button>
          <button type="button" className="button main" onClick={() => setAsked("run")}>
            {text("demand.run")}
          </button>
        </>
      }
      note={text("demand.runs_note")}
    >
      <p className="inside small soft">
        {kept.data?.next_at != null && kept.data.active
          ? text("demand.scheduled", { hour: `${String(kept.data.hour).padStart(2, "0")}:00`, periods: kept.data.horizon, next: format.moment(kept.data.next_at) })
          : text(kept.data?.by == null ? "demand.no_schedule" : "demand.schedule_off")}
      </p>
      {kept.isError && <Failure error={kept.error} />}
      <Loaded
        query={runs}
        isEmpty={(data) => data.data.length === 0}
        empty={<Empty icon="demand" title={text("demand.no_runs")}>{text("demand.no_runs_hint")}</Empty>}
      >
        {(data) => (
          <Table
            columns={[
              [text("demand.origin")],
              [text("demand.state")],
              [text("demand.series"), "end"],
              [text("demand.gain"), "end"],
              [text("demand.bias"), "end"],
              [text("demand.coverage"), "end"],
            ]}
            look="dense"
          >
            {data.data.map((run) => (
              <tr key={run.run_id}>
                <th scope="row" className="nowrap">
                  {format.day(run.origin)} <span className="small soft">{text(run.freq === "D" ? "demand.days" : "demand.weeks", { count: run.horizon })}</span>
                </th>
                <td>{isAtWork(run.state) ? <Progress job={run.job_id} /> : <Badge tone={toneOf(run.state)}>{word("run", run.state)}</Badge>}</td>
                <td className="end">{format.number(run.series)}</td>
                <td className={`end ${(run.realised?.low ?? 0) > 0 ? "good" : (run.realised?.high ?? 0) < 0 ? "bad" : ""}`}>{share(run.realised?.gain)}</td>
                <td className="end">{share(run.realised?.bias)}</td>
                <td className="end">{share(run.realised?.coverage["0.9"])}</td>
              </tr>
            ))}
          </Table>
        )}
      </Loaded>
      {asked === "run" && <RunNow onClose={() => setAsked(null)} />}
      {asked === "schedule" && kept.data !== undefined && <EveryDay kept={kept.data} onClose={() => setAsked(null)} />}
    </Panel>
  );
}

function RunNow({ onClose }: { onClose: () => void }) {
  const text = useText();
  const [horizon, setHorizon] = useState("42");
  const [byChannel, setByChannel] = useState(false);
  const [learn, setLearn] = useState(false);
  const periods = Number(horizon);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/forecasts/run", { body: { horizon: periods, by_channel: byChannel, learn } })),
    done: () => text("demand.was_asked"),
    changes: [["forecasts"]],
    after: onClose,
  });
  return (
    <Ask
      title={text("demand.run_title")}
      what={<p>{text("demand.run_what")}</p>}
      confirm={text("demand.run")}
      isBusy={action.isPending}
      isReady={isHorizon(periods)}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <label className="field">
        <span>{text("demand.horizon_days")}</span>
        <input className="input" type="number" min={1} max={HORIZON_MAX} required value={horizon} onChange={(event) => setHorizon(event.target.value)} />
      </label>
      <Check label={text("demand.by_channel")} value={byChannel} onChange={setByChannel} />
      <Check label={text("demand.learn")} value={learn} onChange={setLearn} />
    </Ask>
  );
}

const isHorizon = (periods: number) => Number.isInteger(periods) && periods >= 1 && periods <= HORIZON_MAX;

function EveryDay({ kept, onClose }: { kept: Schema["ForecastScheduleOut"]; onClose: () => void }) {
  const text = useText();
  const [hour, setHour] = useState(String(kept.hour));
  const [horizon, setHorizon] = useState(String(kept.horizon));
  const [isActive, setActive] = useState(kept.by === null || kept.active);
  const at = Number(hour);
  const periods = Number(horizon);
  const action = useAction({
    // What else was set by a script stays as it is.
    call: () =>
      answerOf(
        api.PUT("/v1/forecasts/schedule", {
          body: {
            hour: at, active: isActive, horizon: periods,
            freq: kept.freq, levels: kept.levels, by_channel: kept.by_channel, ablate: kept.ablate, learn: kept.learn, seed: kept.seed,
          },
        }),
      ),
    done: (now) => text(now.active ? "demand.was_scheduled" : "demand.was_stopped"),
    changes: [["forecasts", "schedule"]],
    after: onClose,
  });
  return (
    <Ask
      title={text("demand.schedule_title")}
      what={<p>{text("demand.schedule_what")}</p>}
      confirm={text("action.save")}
      isBusy={action.isPending}
      isReady={hour !== "" && Number.isInteger(at) && at >= 0 && at <= 23 && isHorizon(periods)}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <div className="limits">
        <label className="field">
          <span>{text("demand.hour")}</span>
          <input className="input" type="number" min={0} max={23} required value={hour} onChange={(event) => setHour(event.target.value)} />
        </label>
        <label className="field">
          <span>{text(kept.freq === "W" ? "demand.horizon_weeks" : "demand.horizon_days")}</span>
          <input className="input" type="number" min={1} max={HORIZON_MAX} required value={horizon} onChange={(event) => setHorizon(event.target.value)} />
        </label>
      </div>
      <Check label={text("demand.every_day")} value={isActive} onChange={setActive} />
    </Ask>
  );
}

function Check({ label, value, onChange }: { label: string; value: boolean; onChange: (value: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={value} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </label>
  );
}
