/** Plan a campaign: say what and when, have it assessed, look, change, and accept. What was assessed last is in the address. */

import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";
import { answerOf, api, type Schema } from "../../api/client";
import { channels } from "../../api/queries";
import { Link, navigate, useParameter } from "../../app/router";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Ask } from "../../ui/dialog";
import { Badge, Head, Panel } from "../../ui/parts";
import { Failure, Loaded, Skeleton } from "../../ui/states";
import { StopJob } from "../../ui/stop";
import { dayFrom, type Assessment } from "./assessment";
import { Picture } from "./Picture";
import { assessment, itemsLike, oneJob } from "./queries";

interface Wanted {
  items: readonly string[];
  from: string;
  to: string;
  by: "uplift" | "discount";
  percent: string;
  channels: readonly string[];
}

const TYPING_MS = 250;
const fresh = (): Wanted => ({ items: [], from: dayFrom(14), to: dayFrom(20), by: "uplift", percent: "50", channels: [] });
const wantedOf = (found: Assessment): Wanted => ({
  items: found.items,
  from: found.from,
  to: found.to,
  by: found.discount === null ? "uplift" : "discount",
  percent: String(Math.round((found.discount ?? found.uplift) * 1000) / 10),
  channels: found.channels ?? [],
});

export default function Plan() {
  const text = useText();
  const [job, setJob] = useParameter("job");
  const [wanted, setWanted] = useState<Wanted | null>(job === "" ? fresh() : null);
  const state = useQuery({ ...oneJob(job), enabled: job !== "" });
  const isDone = state.data?.state === "done";
  const found = useQuery({ ...assessment(job), enabled: isDone });
  // Whoever comes with an address goes on from what was assessed there.
  if (wanted === null && found.data !== undefined) setWanted(wantedOf(found.data));
  if (wanted === null && (state.isError || found.isError || state.data?.state === "failed" || state.data?.state === "cancelled")) setWanted(fresh());

  return (
    <>
      <Head
        crumb={<Link to="/campaigns">{text("room.campaigns")}</Link>}
        title={text("campaigns.plan")}
        beside={found.data !== undefined && <Accept key={job} job={job} found={found.data} />}
      />
      {wanted !== null && <Form wanted={wanted} onWant={setWanted} onAsked={setJob} isBusy={state.data?.state === "queued" || state.data?.state === "running"} />}
      {job !== "" && state.isPending && <Skeleton lines={10} />}
      {job !== "" && state.isError && <Failure error={state.error} onRetry={() => void state.refetch()} />}
      {state.data !== undefined && !isDone && <Progress job={state.data} />}
      {isDone && (
        <section className="stack" aria-live="polite" aria-label={text("campaigns.assess")}>
          <Loaded query={found} lines={8}>
            {(data) => (
              <>
                <h2 className={data.can_serve ? "good" : "bad"}>{text(data.can_serve ? "campaigns.can_serve" : "campaigns.cannot_serve")}</h2>
                <Picture found={data} onDates={(from, to) => setWanted({ ...wantedOf(data), from, to })} />
              </>
            )}
          </Loaded>
        </section>
      )}
    </>
  );
}

interface FormProps {
  wanted: Wanted;
  onWant: (wanted: Wanted) => void;
  onAsked: (job: string) => void;
  isBusy: boolean;
}

function Form({ wanted, onWant, onAsked, isBusy }: FormProps) {
  const text = useText();
  const known = useQuery(channels).data?.rows.filter((channel) => channel.active) ?? [];
  const share = Number(wanted.percent) / 100;
  const ask = useMutation({
    mutationFn: () =>
      answerOf(
        api.POST("/v1/campaigns/assess", {
          body: { items: [...wanted.items], from: wanted.from, to: wanted.to, [wanted.by]: share, ...(wanted.channels.length === 0 ? {} : { channels: [...wanted.channels] }) },
        }),
      ),
    onSuccess: ({ job_id }) => onAsked(job_id),
  });
  const set = (change: Partial<Wanted>) => onWant({ ...wanted, ...change });
  const isReady = wanted.items.length > 0 && wanted.from !== "" && wanted.to !== "" && share > 0;
  const today = dayFrom(0);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        ask.mutate();
      }}
    >
      <Panel title={text("campaigns.items")} note={text("campaigns.assess_hint")}>
        <div className="inside stack">
          <Items chosen={wanted.items} onChoose={(items) => set({ items })} />
          <div className="fields">
            <label className="field">
              <span>{text("campaigns.from")}</span>
              <input className="input" type="date" required min={today} max={dayFrom(91)} value={wanted.from} onChange={(event) => set({ from: event.target.value })} />
            </label>
            <label className="field">
              <span>{text("campaigns.to")}</span>
              <input className="input" type="date" required min={wanted.from} max={dayFrom(91)} value={wanted.to} onChange={(event) => set({ to: event.target.value })} />
            </label>
            <label className="field">
              <span>{text("campaigns.by")}</span>
              <select className="select" value={wanted.by} onChange={(event) => set({ by: event.target.value as Wanted["by"] })}>
                <option value="uplift">{text("campaigns.by_uplift")}</option>
                <option value="discount">{text("campaigns.by_discount")}</option>
              </select>
            </label>
            <label className="field">
              <span>{text("campaigns.percent")}</span>
              <input
                className="input" type="number" required min={0.1} step={0.1} max={wanted.by === "discount" ? 90 : 5000}
                value={wanted.percent} onChange={(event) => set({ percent: event.target.value })}
              />
            </label>
          </div>
          {wanted.by === "discount" && <p className="small soft">{text("campaigns.by_discount_hint")}</p>}
          {known.length > 1 && (
            <fieldset>
              <legend>{text("campaigns.channels")}</legend>
              <div className="row">
                {known.map(({ code, name }) => (
                  <label key={code} className="check">
                    <input
                      type="checkbox"
                      checked={wanted.channels.includes(code)}
                      onChange={(event) => set({ channels: event.target.checked ? [...wanted.channels, code] : wanted.channels.filter((each) => each !== code) })}
                    />
                    {name}
                  </label>
                ))}
              </div>
              <p className="small soft">{text("campaigns.channel_hint")}</p>
            </fieldset>
          )}
          {ask.isError && <Failure error={ask.error} />}
          <div>
            <button type="submit" className="button main" disabled={!isReady || ask.isPending || isBusy}>
              {text(ask.isPending ? "action.busy" : "campaigns.assess")}
            </button>
          </div>
        </div>
      </Panel>
    </form>
  );
}

function Items({ chosen, onChoose }: { chosen: readonly string[]; onChoose: (items: string[]) => void }) {
  const text = useText();
  const [typed, setTyped] = useState("");
  const [query, setQuery] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setQuery(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const found = useQuery(itemsLike(query));
  const id = useId();
  const offered = query === "" ? [] : (found.data?.data.filter((item) => !chosen.includes(item.sku)) ?? []);
  const add = (sku: string) => {
    onChoose([...chosen, sku]);
    setTyped("");
    setQuery("");
  };
  return (
    <div className="stack tight">
      {chosen.length > 0 && (
        <ul className="row tight">
          {chosen.map((sku) => (
            <li key={sku}>
              <button type="button" className="button" aria-label={text("campaigns.remove", { sku })} onClick={() => onChoose(chosen.filter((each) => each !== sku))}>
                {sku} <span aria-hidden="true">×</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="field">
        <label htmlFor={id}>{text("campaigns.search")}</label>
        <input
          id={id}
          className="input"
          type="search"
          autoComplete="off"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            const [first] = offered;
            if (first !== undefined) add(first.sku);
          }}
        />
      </div>
      <ul className="row tight" aria-live="polite">
        {offered.map((item) => (
          <li key={item.sku}>
            <button type="button" className="button quiet" onClick={() => add(item.sku)}>
              + {item.sku} <span className="soft">{item.name}</span>
            </button>
          </li>
        ))}
        {query !== "" && found.isSuccess && !found.isPlaceholderData && found.data.data.length === 0 && <li className="soft">{text("campaigns.nothing_like")}</li>}
      </ul>
      {found.isError && <Failure error={found.error} />}
    </div>
  );
}

function Progress({ job }: { job: Schema["JobOut"] }) {
  const text = useText();
  const word = useWord();
  const { stage, done, total } = job.progress;
  if (job.state === "cancelled") return <p className="soft">{text("campaigns.was_stopped")}</p>;
  if (job.state === "failed") {
    return (
      <div className="failure" role="alert">
        <strong>{text("campaigns.failed")}</strong>
        <p className="breaks">{job.error?.message}</p>
      </div>
    );
  }
  return (
    <Panel title={text("campaigns.assessing")} beside={<Badge tone="accent">{word("job", job.state)}</Badge>}>
      <div className="inside row apart">
        <div className="stack tight" role="status">
          <progress aria-label={text("campaigns.assessing")} {...(total > 0 ? { value: done, max: total } : {})} />
          <span className="small soft">{job.state === "queued" ? text("campaigns.waits") : text("campaigns.stage", { stage: word("stage", stage ?? ""), done, total })}</span>
        </div>
        <StopJob job_id={job.job_id} what={word("jobs", job.kind)} />
      </div>
    </Panel>
  );
}

function Accept({ job, found }: { job: string; found: Assessment }) {
  const text = useText();
  const [isAsked, setAsked] = useState(false);
  const [name, setName] = useState("");
  const action = useAction({
    call: async () => {
      const made = await answerOf(api.POST("/v1/campaigns", { body: { job_id: job, name: name.trim() } }));
      navigate(`/campaigns/${made.campaign_id}`);
      return made;
    },
    done: (made) => text("campaigns.was_accepted", { name: made.name }),
    changes: [["campaigns"], ["capacity"]],
  });
  return (
    <>
      <button type="button" className="button main" onClick={() => setAsked(true)}>
        {text("campaigns.accept")}
      </button>
      {isAsked && (
        <Ask
          title={text("campaigns.accept_title")}
          what={
            <>
              <p>{text("campaigns.accept_what")}</p>
              {!found.can_serve && <p className="bad">{text("campaigns.accept_late")}</p>}
            </>
          }
          confirm={text("campaigns.accept")}
          isBusy={action.isPending}
          isReady={name.trim() !== ""}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        >
          <label className="field">
            <span>{text("campaigns.name")}</span>
            <input className="input" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} autoFocus />
          </label>
        </Ask>
      )}
    </>
  );
}
