/** The parts of ECharts that charts here are made of. A chunk of its own. */

import { BarChart, HeatmapChart, LineChart, type BarSeriesOption, type HeatmapSeriesOption, type LineSeriesOption } from "echarts/charts";
import {
  GridComponent, TooltipComponent, VisualMapComponent, type GridComponentOption, type TooltipComponentOption, type VisualMapComponentOption,
} from "echarts/components";
import { init as create, use as register, type ComposeOption, type ECharts } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

register([BarChart, HeatmapChart, LineChart, GridComponent, TooltipComponent, VisualMapComponent, CanvasRenderer]);

export type ChartOption = ComposeOption<
  BarSeriesOption | HeatmapSeriesOption | LineSeriesOption | GridComponentOption | TooltipComponentOption | VisualMapComponentOption
>;

export const init = (element: HTMLElement): ECharts => create(element, undefined, { renderer: "canvas" });
