/** Money against something else: what there is to choose from, and which choices nobody would take. */

import { useCallback } from "react";
import { Chart, type Colours } from "../../charts/Chart";
import type { ChartOption } from "../../charts/echarts";
import { useFormat } from "../../i18n/format";
import { useText, useWord, type Text } from "../../i18n/text";
import { Badge } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { front, type Measure, type Point } from "./pareto";

const SYMBOLS = { present: "rect", tried: "diamond", other: "circle" } as const;
// Where names of points that lie close together are less in each other's way.
const BESIDE = { present: "top", tried: "bottom", other: "right" } as const;
const LABELLED_MAX = 12;

export function Picture({ points, measure }: { points: readonly Point[]; measure: Measure }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const money = useCallback((minor: number) => format.number(minor / 100, 2), [format]);
  const amount = useCallback(
    (value: number) => (measure === "late" ? format.percent(value, 1) : format.number(value, measure === "days" ? 2 : 0)),
    [format, measure],
  );
  const name = word("metric", measure);
  const option = useCallback(
    (colours: Colours) => drawn(points, colours, { money, amount, paid: text("policies.paid"), name }),
    [points, money, amount, name, text],
  );
  if (points.length === 0) return <Empty icon="policies" title={text("policies.nothing_to_draw")} />;
  const best = front(points);
  return (
    <Chart
      summary={summary(points, best, text, money, (value) => `${amount(value)} ${name}`)}
      height={300}
      option={option}
      table={
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{text("policies.policy")}</th>
              <th scope="col" className="end">{text("policies.paid")}</th>
              <th scope="col" className="end">{name}</th>
              <th scope="col">{text("policies.front")}</th>
            </tr>
          </thead>
          <tbody>
            {points.map((point, i) => (
              <tr key={i}>
                <th scope="row">{point.label}</th>
                <td className="end">{money(point.paid_minor)}</td>
                <td className="end">{amount(point.value)}</td>
                <td>
                  <Badge tone={best.includes(point) ? "good" : "quiet"}>{text(best.includes(point) ? "policies.on_front" : "policies.beaten")}</Badge>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      }
    />
  );
}

function summary(points: readonly Point[], best: readonly Point[], text: Text, money: (minor: number) => string, amount: (value: number) => string): string {
  const told = points
    .filter((point) => point.role !== "other")
    .map((point) => `${point.label}: ${money(point.paid_minor)}, ${amount(point.value)}`)
    .join("; ");
  return text("policies.picture", { told, best: best.length, count: points.length });
}

interface Words {
  money: (minor: number) => string;
  amount: (value: number) => string;
  paid: string;
  name: string;
}

function drawn(points: readonly Point[], colours: Colours, { money, amount, paid, name }: Words): ChartOption {
  const label = { color: colours.soft, fontFamily: "Geist Variable, sans-serif" };
  const axis = {
    type: "value" as const,
    scale: true,
    nameLocation: "middle" as const,
    nameTextStyle: label,
    axisLine: { lineStyle: { color: colours.line } },
    splitLine: { lineStyle: { color: colours.line } },
  };
  const colour = { present: colours.ink, tried: colours.accent, other: colours.soft };
  const roles = (["other", "tried", "present"] as const).map((role) => ({
    type: "line" as const,
    lineStyle: { width: 0 },
    symbol: SYMBOLS[role],
    symbolSize: role === "other" ? 8 : 13,
    showSymbol: true,
    itemStyle: { color: colour[role] },
    label: {
      show: role !== "other" || points.length <= LABELLED_MAX,
      position: BESIDE[role],
      formatter: "{b}",
      color: colours.ink,
      fontFamily: label.fontFamily,
    },
    data: points.filter((point) => point.role === role).map((point) => ({ name: point.label, value: [point.paid_minor, point.value] })),
  }));
  return {
    animationDuration: 250,
    grid: { left: 62, right: 40, top: 28, bottom: 46 },
    xAxis: { ...axis, name: paid, nameGap: 28, axisLabel: { ...label, formatter: (value: number) => money(value), hideOverlap: true } },
    yAxis: { ...axis, name, nameGap: 46, axisLabel: { ...label, formatter: (value: number) => amount(value) } },
    tooltip: {
      backgroundColor: colours.panel,
      borderColor: colours.line,
      textStyle: { color: colours.ink, fontFamily: label.fontFamily },
      valueFormatter: (value) => {
        const [minor, other] = Array.isArray(value) ? (value as number[]) : [];
        return minor === undefined || other === undefined ? "" : `${money(minor)} · ${amount(other)}`;
      },
    },
    series: [
      {
        type: "line",
        symbol: "none",
        silent: true,
        lineStyle: { color: colours.accent, type: "dashed", width: 1.5 },
        data: front(points).map((point) => [point.paid_minor, point.value]),
      },
      ...roles,
    ],
  };
}
