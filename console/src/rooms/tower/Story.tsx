/** What a simulated world tells of itself while it plays a scenario: chapter by chapter, at the speed one likes. */

import { queryOptions, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "../../app/router";
import { answerOf, api, type Schema } from "../../api/client";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { useAction } from "../../ui/action";
import { Badge, Panel } from "../../ui/parts";
import { toneOf } from "../../ui/words";
import "../../styles/story.css";

type Told = Schema["StoryIn"];
type Chapter = Schema["StoryChapter"];

const SPEEDS = [1, 10, 60, 120, 300, 600] as const;

/** Null on a server that serves no simulated world: then it is asked for once. */
export const story = queryOptions({
  queryKey: ["story"],
  queryFn: async () => (await answerOf(api.GET("/v1/story"))).story,
  refetchInterval: (query) => (query.state.data == null ? false : 1_000),
});

export function Story() {
  const told = useQuery(story).data;
  return told == null ? null : <StoryPanel told={told} />;
}

function StoryPanel({ told }: { told: Told }) {
  const text = useText();
  const format = useFormat();
  // A chapter that somebody looks back at; else the one that is told now.
  const [looked, setLooked] = useState<number | null>(null);
  const at = looked ?? told.chapter;
  const chapter = told.chapters[at];
  return (
    <Panel
      id="story"
      title={text("story.title", { name: told.name.replaceAll("_", " ") })}
      beside={<Controls told={told} onNext={() => setLooked(null)} />}
    >
      <div className="story">
        <nav aria-label={text("story.chapters")}>
          <p className="small soft">{text("story.day", { day: format.number(told.day, 1), days: told.days })}</p>
          <ol>
            {told.chapters.map((each, number) => (
              <li key={number}>
                <button
                  type="button"
                  className={each.state}
                  aria-current={number === at ? "step" : undefined}
                  disabled={each.state === "to_come"}
                  onClick={() => setLooked(number === told.chapter ? null : number)}
                >
                  {each.state === "to_come" ? text("story.begins_on", { day: each.from_day }) : each.title}
                </button>
              </li>
            ))}
          </ol>
        </nav>
        {chapter !== undefined && <OneChapter chapter={chapter} />}
      </div>
    </Panel>
  );
}

function Controls({ told, onNext }: { told: Told; onNext: () => void }) {
  const text = useText();
  const action = useAction({
    call: (body: Schema["StoryPaceIn"]) => answerOf(api.PUT("/v1/story/pace", { body })),
    done: () => text("story.wished"),
    changes: [["story"]],
  });
  // What it went on with before somebody paused it.
  const [usual, setUsual] = useState(told.speed || 60);
  const next = told.chapter + 1;
  const isPaused = told.speed === 0;
  const speeds = SPEEDS.includes(told.speed as (typeof SPEEDS)[number]) || isPaused ? SPEEDS : [...SPEEDS, told.speed];
  return (
    <>
      <select
        className="select"
        aria-label={text("story.speed")}
        value={isPaused ? usual : told.speed}
        onChange={(event) => {
          setUsual(Number(event.target.value));
          action.mutate({ speed: Number(event.target.value) });
        }}
      >
        {speeds.map((speed) => (
          <option key={speed} value={speed}>
            {text("story.speed_of", { speed })}
          </option>
        ))}
      </select>
      <button
        type="button"
        className="button"
        disabled={action.isPending}
        onClick={() => {
          if (!isPaused) setUsual(told.speed);
          action.mutate({ speed: isPaused ? usual : 0 });
        }}
      >
        {text(isPaused ? "story.go_on" : "story.pause")}
      </button>
      <button
        type="button"
        className="button main"
        disabled={action.isPending || next >= told.chapters.length}
        onClick={() => {
          onNext();
          action.mutate({ chapter: next });
        }}
      >
        {text("story.next")}
      </button>
    </>
  );
}

function OneChapter({ chapter }: { chapter: Chapter }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const runs = chapter.incidents.flatMap((incident) => incident.runs.map((run) => ({ incident, run })));
  const figures = chapter.figures.filter((figure) => figure.value > 0);
  return (
    <article>
      <h3>{text("story.chapter", { day: chapter.from_day, title: chapter.title })}</h3>
      <div className="parts">
        <section>
          <h4>{text("story.happened")}</h4>
          <p>{chapter.text}</p>
          {chapter.about.length > 0 && (
            <p className="row wraps">
              {chapter.about.slice(0, 6).map((each) => (
                <About key={`${each.what} ${each.key}`} about={each} />
              ))}
            </p>
          )}
        </section>
        <section>
          <h4>{text("story.seen")}</h4>
          {chapter.incidents.length === 0 ? (
            <p className="soft">{text("story.seen_nothing")}</p>
          ) : (
            <ul>
              {chapter.incidents.map((incident) => (
                <li key={incident.incident_id}>
                  <Link to={`/incidents/${incident.incident_id}`}>{word("incident", incident.kind)}</Link>{" "}
                  <span className="breaks">{incident.cause.join(" · ")}</span>{" "}
                  <span className="small soft">
                    {text("story.at_risk", { money: format.roundMoney(incident.risk_minor, incident.currency) })}
                  </span>{" "}
                  <Badge tone={toneOf(incident.status)}>{word("incident_status", incident.status)}</Badge>
                </li>
              ))}
            </ul>
          )}
        </section>
        <section>
          <h4>{text("story.done")}</h4>
          {runs.length === 0 ? (
            <p className="soft">{text("story.done_nothing")}</p>
          ) : (
            <ul>
              {runs.map(({ incident, run }, number) => (
                <li key={number}>
                  <Link to={`/incidents/${incident.incident_id}`}>{run.playbook}</Link>{" "}
                  <Badge tone={toneOf(run.status)}>{word("run", run.status)}</Badge>
                  <span className="small soft"> {run.steps.map((step) => word("step", step)).join(", ")}</span>
                </li>
              ))}
            </ul>
          )}
        </section>
        <section>
          <h4>{text("story.came")}</h4>
          <ul>
            {figures.map((figure) => (
              <li key={figure.name}>
                <b>{format.number(figure.value)}</b> {word("story_figure", figure.name)}
              </li>
            ))}
          </ul>
          <p>
            <Link to="/orders">{text("story.orders")}</Link>
          </p>
        </section>
      </div>
    </article>
  );
}

function About({ about }: { about: Schema["StoryAbout"] }) {
  if (about.what === "item") return <Link to={`/stock/${encodeURIComponent(about.key)}`}>{about.key}</Link>;
  if (about.what === "channel") return <Link to={`/channels/${encodeURIComponent(about.key)}`}>{about.key}</Link>;
  if (about.what === "node") return <Link to={`/orders?node=${encodeURIComponent(about.key)}`}>{about.key}</Link>;
  return <span>{about.key}</span>;
}
