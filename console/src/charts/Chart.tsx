/** A chart: drawn by a library that is loaded when the first one is shown, told in a sentence, and as a table. */

import { useEffect, useRef, type ReactNode } from "react";
import { useTheme } from "../app/theme";
import { useText } from "../i18n/text";
import type { ChartOption } from "./echarts";

export interface Colours {
  ink: string;
  soft: string;
  line: string;
  accent: string;
  good: string;
  bad: string;
  panel: string;
}

interface Props {
  /** What the chart says, in a sentence. */
  summary: string;
  option: (colours: Colours) => ChartOption;
  height: number;
  table: ReactNode;
}

export function Chart({ summary, option, height, table }: Props) {
  const text = useText();
  const { shown } = useTheme();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    let isGone = false;
    let close: (() => void) | undefined;
    void import("./echarts").then(({ init }) => {
      if (isGone) return;
      const chart = init(element);
      chart.setOption(option(coloursAt(element)));
      const watch = new ResizeObserver(() => chart.resize());
      watch.observe(element);
      close = () => {
        watch.disconnect();
        chart.dispose();
      };
    });
    return () => {
      isGone = true;
      close?.();
    };
  }, [option, shown]);
  return (
    <figure>
      <div ref={place} className="chart" style={{ height }} role="img" aria-label={summary} />
      <details className="data">
        <summary>{text("chart.table")}</summary>
        <div className="table-wrap">{table}</div>
      </details>
    </figure>
  );
}

/** The colours of the page as they are now: the library knows no names of ours. */
function coloursAt(element: HTMLElement): Colours {
  const probe = element.appendChild(document.createElement("i"));
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours: Colours = {
    ink: read("ink"), soft: read("soft"), line: read("line"), accent: read("accent"), good: read("good"), bad: read("bad"), panel: read("panel"),
  };
  probe.remove();
  return colours;
}
