/** One item: what was wanted and is expected, who says so and why, and how good that was the last time. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { navigate, Link, useAddress, useParameter, withParameters } from "../../app/router";
import { useLive } from "../../api/live";
import type { Schema } from "../../api/client";
import { channels, oneItem } from "../../api/queries";
import { Chart, type Colours } from "../../charts/Chart";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Bar, Head, Panel, Select, Stat } from "../../ui/parts";
import { Empty, Failure, Loaded, Skeleton } from "../../ui/states";
import { bars, partsOf, type Parts } from "./contributions";
import { daysOf, fan, plusDays, totalOf, type Day } from "./fan";
import { contributionsOf, demandOf, forecastRun, itemForecast, seriesOf, signalsOf, type Place } from "./queries";
import "../../styles/demand.css";

type Series = Schema["ForecastList"]["data"][number];

const WATCHED = ["forecast.made"] as const;
const KEYS = [["forecasts"], ["demand"]] as const;
const BACK = [28, 56, 91, 182, 364] as const;
const BACK_USUAL = 91;
const AHEAD = [7, 14, 28, 42] as const;

/** One of the choices; what else stands in the address is taken for the usual one. */
const chosen = (value: string, of: readonly number[], usual: number) => of.find((each) => String(each) === value) ?? usual;

export default function Item({ parameters }: { parameters: Record<string, string> }) {
  const sku = parameters["sku"] ?? "";
  const text = useText();
  const address = useAddress();
  useLive(WATCHED, KEYS);
  const [node] = useParameter("node");
  const [region] = useParameter("region");
  const [channel, setChannel] = useParameter("channel");
  const [back, setBack] = useParameter("back");
  const [ahead, setAhead] = useParameter("horizon");
  const place = useMemo(() => ({ node, region, channel }), [node, region, channel]);
  const item = useQuery(oneItem(sku));
  const known = useQuery(channels);
  const series = useQuery(seriesOf(sku, channel));
  const rows = series.data?.data ?? [];
  const nodes = [...new Set([...rows.flatMap((row) => row.node ?? []), ...(node === "" ? [] : [node])])].sort();
  const regions = [...new Set([...rows.map((row) => row.region), ...(region === "" ? [] : [region])])].filter((each) => each !== "").sort();
  const here = rows.filter((row) => (node === "" || row.node === node) && (region === "" || row.region === region || row.region.startsWith(`${region}-`)));
  return (
    <Loaded query={item} lines={10}>
      {(data) => (
        <>
          <Head
            crumb={<Link to="/demand">{text("room.demand")}</Link>}
            title={
              <>
                {data.name} {data.name !== data.sku && <span className="soft">{data.sku}</span>}
              </>
            }
            beside={
              <>
                <Link className="button" to={`/planning?sku=${encodeURIComponent(sku)}`}>
                  {text("room.planning")}
                </Link>
                <Link className="button" to={`/stock/${encodeURIComponent(sku)}`}>
                  {text("room.stock")}
                </Link>
              </>
            }
          />
          <div className="filters">
            <Select
              label={text("demand.place")}
              value={node !== "" ? `node:${node}` : region !== "" ? `region:${region}` : ""}
              onChange={(value) => {
                const [kind, ...name] = value.split(":");
                navigate(withParameters(address, { node: null, region: null, ...(value === "" ? {} : { [kind ?? ""]: name.join(":") }) }));
              }}
              options={[
                ["", text("demand.any_place")],
                ...nodes.map((each) => [`node:${each}`, text("demand.at_node", { node: each })] as const),
                ...regions.map((each) => [`region:${each}`, text("demand.in_region", { region: each })] as const),
              ]}
            />
            <Select
              label={text("orders.channel")}
              value={channel}
              onChange={setChannel}
              options={[["", text("demand.any_channel")], ...(known.data?.rows ?? []).map((each) => [each.code, each.name] as const)]}
            />
            <Select
              label={text("demand.back")}
              value={String(chosen(back, BACK, BACK_USUAL))}
              onChange={(value) => setBack(value === String(BACK_USUAL) ? null : value)}
              options={BACK.map((days) => [String(days), text("demand.days_back", { count: days })] as const)}
            />
            <Select
              label={text("demand.ahead")}
              value={ahead}
              onChange={setAhead}
              options={[["", text("demand.all_ahead")], ...AHEAD.map((days) => [String(days), text("demand.days_ahead", { count: days })] as const)]}
            />
          </div>
          <Fan sku={sku} place={place} back={chosen(back, BACK, BACK_USUAL)} ahead={chosen(ahead, AHEAD, Infinity)} />
          <div className="columns even">
            <Charge rows={here} />
            <Accuracy sku={sku} place={place} />
          </div>
          <Contributions sku={sku} place={place} />
          {series.isError && <Failure error={series.error} onRetry={() => void series.refetch()} />}
          <Signals sku={sku} rows={here} />
        </>
      )}
    </Loaded>
  );
}

function Fan({ sku, place, back, ahead }: { sku: string; place: Place; back: number; ahead: number }) {
  const text = useText();
  const format = useFormat();
  const today = new Date().toISOString().slice(0, 10);
  const from = plusDays(today, -back);
  const demand = useQuery(demandOf(sku, place, from, plusDays(today, -1)));
  const forecast = useQuery(itemForecast(sku, place));
  const made = forecast.data?.forecast ?? null;
  const days = useMemo(
    () => daysOf(demand.data?.rows ?? [], made?.periods.slice(0, ahead) ?? [], from),
    [demand.data, made, ahead, from],
  );
  const words = useMemo(() => ({ demand: text("demand.wanted"), lost: text("demand.lost"), median: text("demand.median") }), [text]);
  const option = useCallback((colours: Colours) => fan(days, words, colours, format), [days, words, format]);
  const error = demand.error ?? forecast.error;
  if (error !== null) return <Failure error={error} onRetry={() => void Promise.all([demand.refetch(), forecast.refetch()])} />;
  if (demand.data === undefined || forecast.data === undefined) return <Skeleton lines={9} />;
  const wanted = totalOf(days, "demand");
  const expected = totalOf(days, "mean");
  const lost = totalOf(days, "lost");
  const periods = days.filter((day) => day.mean !== null).length;
  const short = days.filter((day) => day.isShort).length;
  const accuracy = forecast.data.accuracy;
  return (
    <>
      <div className="stats">
        <Stat label={text("demand.wanted")} value={format.number(wanted)} under={text("demand.days_back", { count: back })} />
        <Stat label={text("demand.expected")} value={made === null ? "–" : format.number(expected)} under={made === null ? text("demand.no_forecast") : text("demand.days_ahead", { count: periods })} />
        <Stat label={text("demand.lost")} value={format.number(lost)} under={text("demand.short_days", { count: short })} tone={short > 0 ? "bad" : "good"} />
        <Stat
          label={text("demand.wape")}
          value={accuracy?.forecast.wape == null ? "–" : format.percent(accuracy.forecast.wape, 1)}
          under={accuracy?.baseline.wape == null ? text("demand.not_judged") : text("demand.baseline_has", { share: format.percent(accuracy.baseline.wape, 1) })}
          tone={accuracy?.forecast.wape != null && accuracy.baseline.wape != null ? (accuracy.forecast.wape <= accuracy.baseline.wape ? "good" : "warn") : "quiet"}
        />
      </div>
      <Panel
        title={text("demand.fan")}
        beside={made !== null && <span className="small soft">{text("demand.made_of", { day: format.day(made.origin), count: made.series })}</span>}
        note={text("demand.fan_note")}
      >
        {days.length === 0 ? (
          <Empty icon="demand" title={text("demand.nothing")}>{text("demand.nothing_hint")}</Empty>
        ) : (
          <Chart
            summary={text("demand.fan_says", { wanted: format.number(wanted), back, expected: format.number(expected), ahead: periods, short })}
            height={320}
            option={option}
            table={<Table days={days} />}
          />
        )}
        {made === null && days.length > 0 && <p className="note">{text(place.channel === "" ? "demand.no_forecast_hint" : "demand.no_channels_hint")}</p>}
      </Panel>
    </>
  );
}

function Table({ days }: { days: readonly Day[] }) {
  const text = useText();
  const format = useFormat();
  const units = (value: number | null | undefined) => (value == null ? "" : format.number(value, 1));
  return (
    <table className="table dense">
      <thead>
        <tr>
          <th scope="col">{text("demand.day")}</th>
          <th scope="col" className="end">{text("demand.wanted")}</th>
          <th scope="col" className="end">{text("demand.lost")}</th>
          <th scope="col" className="end">{text("demand.mean")}</th>
          {["5 %", "25 %", "50 %", "75 %", "95 %"].map((level) => (
            <th key={level} scope="col" className="end">{level}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {days.map((day) => (
          <tr key={day.day}>
            <th scope="row" className="nowrap">{format.day(day.day)}</th>
            <td className="end">{units(day.demand)}</td>
            <td className={`end ${day.isShort ? "bad" : ""}`}>{day.isShort || day.lost > 0 ? units(day.lost) : ""}</td>
            <td className="end">{units(day.mean)}</td>
            {[day.outer?.[0], day.inner?.[0], day.median, day.inner?.[1], day.outer?.[1]].map((value, i) => (
              <td key={i} className="end">{units(value)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Who is in charge of each place, and what that was worth on the past it was chosen by. */
function Charge({ rows }: { rows: readonly Series[] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  return (
    <Panel title={text("demand.charge")} note={text("demand.charge_note")}>
      {rows.length === 0 ? (
        <Empty icon="search" title={text("demand.nobody")}>{text("demand.nobody_hint")}</Empty>
      ) : (
        <ul className="list">
          {rows.map((row) => {
            const { gain, gain_low, gain_high, loss, loss_baseline } = row.backtest;
            return (
              <li key={`${row.node} ${row.region} ${row.channel}`} className="stack tight">
                <span className="row apart">
                  <b>{row.node ?? (row.region === "" ? text("demand.nowhere") : row.region)}</b>
                  <span className="row tight">
                    <span className="small soft">{word("segment", row.segment)}</span>
                    <Badge tone={row.in_charge === "model" ? "accent" : "quiet"}>{word("in_charge", row.in_charge)}</Badge>
                  </span>
                </span>
                <span className="small soft">
                  {Object.entries(row.models).map(([name, share]) => `${name.replaceAll("_", " ")} ${format.percent(share)}`).join(" + ")}
                </span>
                <span className="small">
                  {row.in_charge === "cold_start" || gain == null || loss == null || loss_baseline == null
                    ? text("demand.no_contest")
                    : text(row.in_charge === "model" ? "demand.model_won" : "demand.baseline_stays", {
                        gain: format.percent(gain, 1),
                        low: gain_low == null ? "–" : format.percent(gain_low, 1),
                        high: gain_high == null ? "–" : format.percent(gain_high, 1),
                        loss: format.number(loss, 3),
                        baseline: format.number(loss_baseline, 3),
                      })}
                </span>
              </li>
            );
          })}
        </ul>
      )}
    </Panel>
  );
}

function Accuracy({ sku, place }: { sku: string; place: Place }) {
  const text = useText();
  const format = useFormat();
  const forecast = useQuery(itemForecast(sku, place));
  const found = forecast.data?.accuracy ?? null;
  const share = (value: number | null | undefined) => (value == null ? "–" : format.percent(value, 1));
  const plain = (value: number | null | undefined) => (value == null ? "–" : format.number(value, 2));
  return (
    <Panel
      title={text("demand.accuracy")}
      beside={found !== null && <span className="small soft">{text("demand.judged_over", { from: format.day(found.origin), to: format.day(found.to), count: found.series })}</span>}
      note={text("demand.accuracy_note")}
    >
      {found === null ? (
        <Empty icon="calm" title={text("demand.not_judged")}>{text("demand.not_judged_hint")}</Empty>
      ) : (
        <div className="table-wrap">
          <table className="table dense">
            <thead>
              <tr>
                <th scope="col"><span className="hidden-visually">{text("demand.by")}</span></th>
                {(["wape", "rmsse", "bias", "pinball", "within_half", "within_90"] as const).map((name) => (
                  <th key={name} scope="col" className="end">{text(`demand.${name}`)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {(["forecast", "baseline", "seasonal_naive"] as const).map((name) => (
                <tr key={name}>
                  <th scope="row">{text(`demand.of_${name}`)}</th>
                  <td className="end strong">{share(found[name].wape)}</td>
                  <td className="end">{plain(found[name].rmsse)}</td>
                  <td className="end">{share(found[name].bias)}</td>
                  <td className="end">{plain(found[name].pinball)}</td>
                  <td className="end">{share(found[name].coverage["0.5"])}</td>
                  <td className="end">{share(found[name].coverage["0.9"])}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

/** The forecast of a day in units: a base, and what each signal adds or takes away. */
function Contributions({ sku, place }: { sku: string; place: Place }) {
  const text = useText();
  const word = useWord();
  const found = useQuery(contributionsOf(sku, place));
  return (
    <Panel
      title={text("demand.parts")}
      beside={found.data?.explained != null && <span className="small soft">{text("demand.parts_of", { count: found.data.explained.series_by_trees, all: found.data.explained.series })}</span>}
      note={text("demand.parts_note")}
    >
      <Loaded query={found} lines={5}>
        {({ explained, reason }) =>
          explained === null ? (
            <Empty icon="calm" title={text("demand.no_parts")}>{reason === null ? null : word("no_parts", reason)}</Empty>
          ) : (
            <PartsChart parts={explained.a_day} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function PartsChart({ parts }: { parts: Parts }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const name = useCallback((part: string) => word("signal", part), [word]);
  const shown = useMemo(() => partsOf(parts), [parts]);
  const signed = (units: number) => `${units < 0 ? "−" : "+"}${format.number(Math.abs(units), 1)}`;
  const option = useCallback((colours: Colours) => bars(shown, shown.map((part) => name(part.name)), colours, format.number), [shown, name, format]);
  const says = text("demand.parts_say", {
    mean: format.number(parts.mean, 1),
    base: format.number(parts.base, 1),
    parts: shown.slice(1).map((part) => `${name(part.name)} ${signed(part.units)}`).join(", "),
  });
  return (
    <>
      <p className="inside small">{says}</p>
      <Chart
        summary={says}
        height={Math.max(110, 28 * shown.length + 36)}
        option={option}
        table={
          <table className="table dense">
            <thead>
              <tr>
                <th scope="col">{text("demand.part")}</th>
                <th scope="col" className="end">{text("demand.units_a_day")}</th>
              </tr>
            </thead>
            <tbody>
              {[...shown, { name: "mean", units: parts.mean }].map((part) => (
                <tr key={part.name}>
                  <th scope="row">{name(part.name)}</th>
                  <td className="end">{format.number(part.units, 2)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        }
      />
    </>
  );
}

/** What the forecast looks at: how much of it each thing brings, and what a signal was worth when it was tried. */
function Signals({ sku, rows }: { sku: string; rows: readonly Series[] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const told = useQuery(signalsOf(sku));
  const run_id = rows[0]?.run_id ?? "";
  const run = useQuery({ ...forecastRun(run_id), enabled: run_id !== "" });
  const parts = Object.entries(rows.find((row) => row.in_charge === "model")?.contributions ?? {});
  const trials = run.data?.signals ?? [];
  return (
    <div className="columns even">
      <Panel title={text("demand.contributions")} note={text("demand.contributions_note")}>
        {parts.length === 0 ? (
          <Empty icon="calm" title={text("demand.no_contributions")}>{text("demand.no_contributions_hint")}</Empty>
        ) : (
          <ul className="list">
            {parts.map(([name, share]) => (
              <li key={name} className="share">
                <span>{word("signal", name)}</span>
                <Bar share={share} label={`${word("signal", name)} ${format.percent(share)}`} />
                <span className="end">{format.percent(share)}</span>
              </li>
            ))}
          </ul>
        )}
      </Panel>
      <Panel title={text("demand.signals")} note={text("demand.signals_note")}>
        {run.isError && <Failure error={run.error} />}
        <Loaded query={told}>
          {({ data }) =>
            data.length + trials.length === 0 ? (
              <Empty icon="calm" title={text("demand.no_signals")}>{text("demand.no_signals_hint")}</Empty>
            ) : (
              <ul className="list">
                {trials.map((trial) => (
                  <li key={trial.signal} className="row apart">
                    <b>{word("signal", trial.signal)}</b>
                    <span className="row tight">
                      {trial.without != null && trial.with != null && (
                        <span className="small soft">{text("demand.with_without", { with: format.number(trial.with, 3), without: format.number(trial.without, 3) })}</span>
                      )}
                      <Badge tone={trial.verdict === "helps" ? "good" : "quiet"}>{word("verdict", trial.verdict)}</Badge>
                    </span>
                  </li>
                ))}
                {data.map((signal) => (
                  <li key={JSON.stringify([signal.name, signal.scope])} className="row apart">
                    <span>
                      {word("signal", signal.name)} <span className="small soft">{Object.values(signal.scope).filter(Boolean).join(" · ")}</span>
                    </span>
                    <span className="small soft">
                      {text(signal.known_ahead ? "demand.known_until" : "demand.told_until", { day: signal.last_at == null ? "–" : format.day(signal.last_at) })}
                    </span>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
