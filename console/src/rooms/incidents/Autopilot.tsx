/** What may be done without a person, within which limits, what came of it, and the switch that stops all of it. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLive } from "../../api/live";
import { answerOf, api, type Schema } from "../../api/client";
import { autopilot, autopilotActions, autopilotVerdicts } from "../../api/queries";
import { decimalsOf, useFormat } from "../../i18n/format";
import { useText, useWord, type Message } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Bar, Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";
import { Tabs } from "./Tabs";

type Domain = Schema["DomainOut"];
type Rails = Domain["guardrails"];

const WATCHED = ["autopilot.*", "proposal.*", "incident.*"] as const;
const KEYS = [["autopilot"]] as const;

export default function Autopilot() {
  const text = useText();
  useLive(WATCHED, KEYS);
  const state = useQuery(autopilot);
  return (
    <>
      <Head title={text("autopilot.title")} />
      <Tabs />
      <Loaded query={state} lines={10}>
        {(data) => (
          <>
            <Switch state={data.switch} />
            <Domains domains={data.domains} isStopped={data.switch.stopped} />
          </>
        )}
      </Loaded>
      <div className="columns even">
        <Actions />
        <Verdicts />
      </div>
    </>
  );
}

function Switch({ state }: { state: Schema["SwitchOut"] }) {
  const text = useText();
  const format = useFormat();
  const [isAsked, setAsked] = useState(false);
  const [reason, setReason] = useState("");
  const action = useAction({
    call: () => {
      const why = reason.trim() === "" ? {} : { headers: { "X-Reason": encodeLatin(reason.trim()) } };
      return state.stopped ? answerOf(api.POST("/v1/autopilot/resume", why)) : answerOf(api.POST("/v1/autopilot/stop", why));
    },
    done: (now) => text(now.stopped ? "autopilot.was_stopped" : "autopilot.was_resumed"),
    changes: KEYS,
    after: () => setAsked(false),
  });
  return (
    <section className="panel switch-panel">
      <div>
        <p className="row">
          <b>{text(state.stopped ? "autopilot.is_stopped" : "autopilot.runs")}</b>
          <Badge tone={state.stopped ? "bad" : "good"}>{text(state.stopped ? "autopilot.stopped" : "autopilot.on")}</Badge>
        </p>
        <p className="small soft">
          {state.stopped
            ? text("autopilot.stopped_since", { time: format.moment(state.at), reason: state.reason ?? "–" })
            : text("autopilot.runs_hint")}
        </p>
      </div>
      <button type="button" className={`button ${state.stopped ? "main" : "danger"}`} onClick={() => setAsked(true)}>
        {text(state.stopped ? "autopilot.resume" : "autopilot.stop")}
      </button>
      {isAsked && (
        <Ask
          title={text(state.stopped ? "autopilot.resume_title" : "autopilot.stop_title")}
          what={<p>{text(state.stopped ? "autopilot.resume_what" : "autopilot.stop_what")}</p>}
          confirm={text(state.stopped ? "autopilot.resume" : "autopilot.stop")}
          danger={!state.stopped}
          isBusy={action.isPending}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        >
          <label className="field">
            <span>{text("incident.reason")}</span>
            <input className="input" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} />
          </label>
        </Ask>
      )}
    </section>
  );
}

/** UTF-8 in a header: its bytes as letters, which the server reads back. */
const encodeLatin = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));

function Domains({ domains, isStopped }: { domains: readonly Domain[]; isStopped: boolean }) {
  const text = useText();
  const word = useWord();
  const [edited, setEdited] = useState<Domain | null>(null);
  return (
    <Panel title={text("autopilot.domains")} note={text("autopilot.domains_note")}>
      <Table
        columns={[
          [text("autopilot.domain")],
          [text("autopilot.mode")],
          [text("autopilot.used")],
          [text("autopilot.evidence")],
          [text("autopilot.change"), "unseen"],
        ]}
        isCards
      >
        {domains.map((domain) => (
          <tr key={domain.domain}>
            <th scope="row">
              {word("domain", domain.domain)}
              <div className="small soft">{word("domain_what", domain.domain)}</div>
            </th>
            <td>
              <Badge tone={isStopped && domain.mode === "auto" ? "quiet" : toneOf(domain.mode)}>{word("mode", domain.mode)}</Badge>
            </td>
            <td>
              <Used domain={domain} />
            </td>
            <td className="small">
              <Outcome domain={domain} />
            </td>
            <td className="end">
              <button type="button" className="button" onClick={() => setEdited(domain)}>
                {text("autopilot.change")}
                <span className="hidden-visually"> {word("domain", domain.domain)}</span>
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {edited !== null && <Edit key={edited.domain} domain={edited} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function Used({ domain: { used, guardrails: rails } }: { domain: Domain }) {
  const text = useText();
  const format = useFormat();
  const rows = [
    { name: "units", used: used.units, most: rails.units_per_hour, say: (value: number) => text("autopilot.units", { count: value }) },
    { name: "orders", used: used.orders, most: rails.orders_per_hour, say: (value: number) => text("autopilot.orders", { count: value }) },
    {
      name: "money",
      used: used.money_minor,
      most: rails.money_per_hour_minor,
      say: (value: number) => (rails.currency == null ? format.number(value) : format.money(value, rails.currency)),
    },
  ].filter((row) => row.most != null || row.used > 0);
  if (rows.length === 0) return <span className="soft small">{text("autopilot.no_limits")}</span>;
  return (
    <div className="stack tight" style={{ gap: 5, minWidth: 130 }}>
      {rows.map((row) => {
        const says = row.most == null ? row.say(row.used) : text("autopilot.of", { used: row.say(row.used), most: row.say(row.most) });
        const share = row.most == null ? 0 : row.most === 0 ? 1 : row.used / row.most;
        return (
          <div key={row.name} className="small">
            {says}
            {row.most != null && <Bar share={share} tone={share >= 1 ? "bad" : share >= 0.8 ? "warn" : ""} label={says} />}
          </div>
        );
      })}
    </div>
  );
}

function Outcome({ domain: { evidence } }: { domain: Domain }) {
  const text = useText();
  const format = useFormat();
  if (evidence === null) return <span className="soft">{text("autopilot.no_evidence")}</span>;
  return (
    <>
      {text("autopilot.saved", { saved: format.percent(evidence.saved), promised: format.percent(evidence.promised) })}
      <div className="soft">
        {text("autopilot.between", { low: format.percent(evidence.low), high: format.percent(evidence.high), acted: evidence.acted, held: evidence.held_out })}
      </div>
    </>
  );
}

type Limit = "units_per_hour" | "orders_per_hour" | "units_per_action" | "orders_per_action";
const LIMITS: readonly Limit[] = ["units_per_hour", "units_per_action", "orders_per_hour", "orders_per_action"];
const MODES = ["off", "recommend", "auto"] as const;

function Edit({ domain, onClose }: { domain: Domain; onClose: () => void }) {
  const text = useText();
  const word = useWord();
  const [mode, setMode] = useState(domain.mode);
  const [rails, setRails] = useState<Rails>(domain.guardrails);
  const places = rails.currency == null ? 2 : decimalsOf(rails.currency);
  const action = useAction({
    call: () =>
      answerOf(
        api.PUT("/v1/autopilot/domains/{domain}", { params: { path: { domain: domain.domain } }, body: { mode, guardrails: rails } }),
      ),
    done: (now) => text("autopilot.was_set", { domain: word("domain", now.domain), mode: word("mode", now.mode) }),
    changes: KEYS,
    after: onClose,
  });
  const number = (value: string): number | null => (value.trim() === "" ? null : Math.max(0, Math.round(Number(value))));
  return (
    <Ask
      title={word("domain", domain.domain)}
      what={<p>{text(`autopilot.${mode}_what` as Message)}</p>}
      confirm={text("action.save")}
      isBusy={action.isPending}
      error={action.error}
      onConfirm={() => action.mutate(undefined)}
      onClose={onClose}
    >
      <fieldset>
        <legend>{text("autopilot.mode")}</legend>
        {MODES.map((each) => (
          <label key={each} className="check">
            <input type="radio" name="mode" checked={mode === each} onChange={() => setMode(each)} />
            {word("mode", each)}
          </label>
        ))}
      </fieldset>
      <div className="limits">
        <label className="field">
          <span>{text("autopilot.currency")}</span>
          <input
            className="input"
            value={rails.currency ?? ""}
            maxLength={3}
            placeholder="EUR"
            onChange={(event) => setRails({ ...rails, currency: event.target.value === "" ? null : event.target.value.toUpperCase() })}
          />
        </label>
        <label className="field">
          <span>{text("autopilot.money_per_hour")}</span>
          <input
            className="input"
            type="number"
            min={0}
            step="any"
            value={rails.money_per_hour_minor == null ? "" : rails.money_per_hour_minor / 10 ** places}
            onChange={(event) =>
              setRails({ ...rails, money_per_hour_minor: event.target.value === "" ? null : Math.round(Number(event.target.value) * 10 ** places) })
            }
          />
        </label>
        {LIMITS.map((name) => (
          <label key={name} className="field">
            <span>{text(`autopilot.${name}` as Message)}</span>
            <input
              className="input"
              type="number"
              min={0}
              value={rails[name] ?? ""}
              onChange={(event) => setRails({ ...rails, [name]: number(event.target.value) })}
            />
          </label>
        ))}
        <label className="field">
          <span>{text("autopilot.confidence_min")}</span>
          <input
            className="input"
            type="number"
            min={0}
            max={100}
            value={Math.round((rails.confidence_min ?? 0.8) * 100)}
            onChange={(event) => setRails({ ...rails, confidence_min: Math.min(1, Number(event.target.value) / 100) })}
          />
        </label>
      </div>
    </Ask>
  );
}

function Actions() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const actions = useQuery(autopilotActions);
  return (
    <Panel title={text("autopilot.actions")}>
      <Loaded
        query={actions}
        isEmpty={(data) => data.data.length === 0}
        empty={<Empty icon="calm" title={text("autopilot.no_actions")}>{text("autopilot.no_actions_hint")}</Empty>}
      >
        {(data) => (
          <ul className="list">
            {data.data.map((action) => (
              <li key={action.action_id} className="row apart">
                <span>
                  <b>{word("domain", action.domain)}</b> <span className="breaks">{action.key.slice(1).join(" · ")}</span>
                  <br />
                  <span className="small soft">
                    {format.ago(action.at)} · {text("autopilot.sure", { share: format.percent(action.confidence) })}
                    {action.void !== null && ` · ${action.void}`}
                  </span>
                </span>
                <span className="end">
                  {action.held_out ? (
                    <Badge>{text("autopilot.held_out")}</Badge>
                  ) : (
                    action.currency !== null && <span className="strong">{format.money(action.gain_minor, action.currency, { sign: true })}</span>
                  )}
                  <br />
                  <span className="small soft">
                    {action.lost_minor === null || action.currency === null
                      ? text("autopilot.not_judged")
                      : text("autopilot.lost", { money: format.money(action.lost_minor, action.currency) })}
                  </span>
                </span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}

function Verdicts() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const verdicts = useQuery(autopilotVerdicts);
  return (
    <Panel title={text("autopilot.verdicts")}>
      <Loaded
        query={verdicts}
        isEmpty={(data) => data.data.length === 0}
        empty={<Empty icon="check" title={text("autopilot.no_verdicts")}>{text("autopilot.no_verdicts_hint")}</Empty>}
      >
        {(data) => (
          <ul className="list">
            {data.data.map((verdict, i) => (
              <li key={i} className="row apart">
                <span>
                  <b>{word("domain", verdict.domain)}</b> <span className="soft">{verdict.code.replaceAll("_", " ")}</span>
                  <br />
                  <span className="small soft breaks">{verdict.detail}</span>
                </span>
                <span className="small soft nowrap">{format.ago(verdict.at)}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
