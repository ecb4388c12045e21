/** One item: where it is, why it is told to channels as it is, now or at any moment, and its ledger. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useState } from "react";
import { Chart, type Colours } from "../../charts/Chart";
import type { ChartOption } from "../../charts/echarts";
import { Link, useParameter } from "../../app/router";
import { useLive } from "../../api/live";
import type { Schema } from "../../api/client";
import { availability, channels, oneItem, stockOfItem } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Head, Panel, Select } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Count } from "./Count";
import { Ledger } from "./Ledger";
import { gathered, stepsOf, type Step, type Term } from "./waterfall";

type Availability = Schema["Availability"];

const WATCHED = ["stock.changed"] as const;
const KEYS = [["stock", "item"], ["stock", "availability"], ["stock", "ledger"]] as const;
const BARS = 8;

export default function Item({ parameters }: { parameters: Record<string, string> }) {
  const sku = parameters["sku"] ?? "";
  const text = useText();
  const format = useFormat();
  useLive(WATCHED, KEYS, sku);
  const item = useQuery(oneItem(sku));
  const stock = useQuery(stockOfItem(sku));
  const [isCounting, setCounting] = useState(false);
  return (
    <Loaded query={item} lines={10}>
      {(data) => (
        <>
          <Head
            crumb={<Link to="/stock">{text("room.stock")}</Link>}
            title={
              <>
                {data.name} {data.name !== data.sku && <span className="soft">{data.sku}</span>}
              </>
            }
            beside={
              (data.components ?? []).length === 0 && (
                <button type="button" className="button main" onClick={() => setCounting(true)}>
                  {text("stock.count")}
                </button>
              )
            }
          />
          <div className="columns even">
            <Why sku={sku} />
            <Panel title={text("stock.where")}>
              <Loaded
                query={stock}
                isEmpty={(found) => found.rows.length === 0}
                empty={<Empty icon="stock" title={text("stock.nowhere")}>{text("stock.nowhere_hint")}</Empty>}
              >
                {({ rows }) => (
                  <div className="table-wrap">
                    <table className="table dense">
                      <thead>
                        <tr>
                          <th scope="col">{text("capacity.node")}</th>
                          {(["on_hand", "unavailable", "allocated", "available", "inbound", "safety_stock"] as const).map((each) => (
                            <th key={each} scope="col" className="end">{text(`measure.${each}`)}</th>
                          ))}
                        </tr>
                      </thead>
                      <tbody>
                        {rows.map((row) => (
                          <tr key={row.node}>
                            <th scope="row">
                              {row.node}
                              {row.oversold > 0 && <span className="bad small"> {text("stock.oversold", { count: row.oversold })}</span>}
                            </th>
                            {[row.on_hand, row.unavailable, row.allocated, row.available, row.inbound, row.safety_stock].map((units, i) => (
                              <td key={i} className={`end ${i === 3 ? "strong" : units === 0 ? "soft" : ""}`}>{format.number(units)}</td>
                            ))}
                          </tr>
                        ))}
                      </tbody>
                    </table>
                  </div>
                )}
              </Loaded>
            </Panel>
          </div>
          <Ledger sku={sku} />
          {isCounting && <Count sku={sku} positions={stock.data?.rows ?? []} onClose={() => setCounting(false)} />}
        </>
      )}
    </Loaded>
  );
}

function Why({ sku }: { sku: string }) {
  const text = useText();
  const [channel, setChannel] = useParameter("channel");
  const [at, setAt] = useParameter("at");
  const known = useQuery(channels);
  const found = useQuery(availability(sku, channel, at));
  return (
    <Panel
      title={found.data === undefined ? text("stock.why") : text("stock.why_ats", { count: found.data.ats })}
      beside={
        <>
          <Select
            label={text("orders.channel")}
            value={channel}
            onChange={setChannel}
            options={[["", text("stock.all_nodes")], ...(known.data?.rows ?? []).map((each) => [each.code, each.name] as const)]}
          />
          <input
            type="datetime-local"
            className="input moment"
            aria-label={text("stock.at")}
            title={text("stock.at")}
            value={at === "" ? "" : localOf(at)}
            onChange={(event) => setAt(event.target.value === "" ? null : new Date(event.target.value).toISOString())}
          />
        </>
      }
    >
      <Loaded query={found} lines={7}>{(data) => <Waterfall found={data} />}</Loaded>
    </Panel>
  );
}

/** A moment as the field of the browser takes it: local, without seconds. */
function localOf(iso: string): string {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function Waterfall({ found }: { found: Availability }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const terms: Term[] = found.terms.map(({ term, units, node }) => ({ term, units, node: typeof node === "string" ? node : undefined }));
  const steps = stepsOf(gathered(terms, BARS));
  const label = (step: Pick<Step, "term" | "node">) => [word("ats_term", step.term), step.node].filter(Boolean).join(" ");
  const names = [...steps.map(label), text("stock.ats")];
  const says = `${text("stock.why_ats", { count: found.ats })} ${steps.map((step) => `${label(step)} ${format.number(step.units)}`).join(", ")}`;
  const key = JSON.stringify([steps, found.ats, names]);
  const option = useCallback(
    (colours: Colours) => {
      const [ownSteps, ats, ownNames] = JSON.parse(key) as [Step[], number, string[]];
      return waterfall(ownSteps, ats, ownNames, colours, format.number);
    },
    [key, format],
  );
  if (found.terms.length === 0) {
    return <Empty icon="stock" title={text("stock.no_terms")}>{text("stock.no_terms_hint")}</Empty>;
  }
  return (
    <Chart
      summary={says}
      height={Math.max(150, 30 * names.length + 40)}
      option={option}
      table={
        <table className="table">
          <tbody>
            {found.terms.map((term, i) => (
              <tr key={i}>
                <th scope="row">{word("ats_term", term.term)}</th>
                <td>{typeof term["node"] === "string" ? term["node"] : ""}</td>
                <td className="end">{format.number(term.units)}</td>
              </tr>
            ))}
            <tr>
              <th scope="row">{text("stock.ats")}</th>
              <td />
              <td className="end strong">{format.number(found.ats)}</td>
            </tr>
          </tbody>
        </table>
      }
    />
  );
}

function waterfall(steps: readonly Step[], ats: number, names: string[], colours: Colours, number: (units: number) => string): ChartOption {
  const bars = [...steps.map((step) => ({ low: Math.min(step.from, step.to), units: step.units })), { low: 0, units: ats }];
  const label = { color: colours.ink, fontFamily: "Geist Variable, sans-serif" };
  return {
    animationDuration: 250,
    grid: { left: 8, right: 56, top: 10, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { show: false },
    xAxis: { type: "value", splitLine: { lineStyle: { color: colours.line } }, axisLabel: { ...label, color: colours.soft, formatter: (units: number) => number(units) } },
    yAxis: {
      type: "category", inverse: true, data: names, axisTick: { show: false }, axisLine: { show: false },
      axisLabel: { ...label, width: 150, overflow: "truncate" },
    },
    series: [
      { type: "bar", stack: "units", silent: true, itemStyle: { color: "transparent" }, data: bars.map((bar) => bar.low) },
      {
        type: "bar", stack: "units", barMaxWidth: 18,
        data: bars.map((bar, i) => ({
          value: Math.abs(bar.units),
          itemStyle: { color: i === bars.length - 1 ? colours.accent : bar.units < 0 ? colours.bad : colours.good, borderRadius: 3 },
          label: { show: true, position: "right", ...label, formatter: (bar.units > 0 && i < bars.length - 1 ? "+" : "") + number(bar.units) },
        })),
      },
    ],
  };
}

