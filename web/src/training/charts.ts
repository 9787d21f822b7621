import { html, nothing } from "lit";
import uPlot from "uplot";
import type { ChartSeries } from "../live_chart.ts";
import "../live_chart.ts";
import { FAMILIES, type Family, type Frame } from "./protocol.ts";
import { NAMES, type Shown } from "./shown.ts";

const TIME = "training time t";
/** Where the largest number of a chart is this many times the smallest, a logarithmic axis shows both. */
const LOG_RATIO = 30;

/** The weights over depth, each network by itself, and what changes over training time, all networks together. */
export function charts(shown: readonly Shown[]) {
  const networks = shown.map((_, slot) => slot);
  const byFamily = networks.flatMap((slot) =>
    FAMILIES.map(
      (family): ChartSeries => ({ ...line(slot), label: `${NAMES[slot]}: ${family}`, dash: family === "W" }),
    ),
  );
  const losses = overTime(shown, [({ loss }) => loss]);
  const steps = overTime(shown, [({ lipschitz }) => lipschitz.V, ({ lipschitz }) => lipschitz.W]);
  const distances = overTime(shown, [({ distance }) => distance?.V, ({ distance }) => distance?.W]);
  return html`<div class="charts">
    ${FAMILIES.map((family) =>
      shown.map((each, slot) =>
        chart(
          `First entry of ${family}_k over depth, network ${NAMES[slot]}`,
          "s = k/L",
          [
            { label: "start", color: "--quiet", faint: true },
            { ...line(slot), label: `${NAMES[slot]} now` },
          ],
          weights(each, family),
          false,
        ),
      ),
    )}
    ${chart("Loss", TIME, networks.map(line), losses, spread(losses, smallest) > LOG_RATIO)}
    ${chart("L · largest step over depth, ‖·‖_F", TIME, byFamily, steps, spread(steps, largest) > LOG_RATIO)}
    ${
      shown.some(({ now }) => now?.distance)
        ? chart(
            "Distance to the deep reference, root mean square over depth",
            TIME,
            byFamily,
            distances,
            spread(distances, largest) > LOG_RATIO,
          )
        : nothing
    }
  </div>`;
}

function line(slot: number): ChartSeries {
  return { label: NAMES[slot]!, color: slot === 0 ? "--a" : "--b" };
}

function chart(heading: string, xLabel: string, series: readonly ChartSeries[], data: uPlot.AlignedData, log: boolean) {
  return html`<live-chart
    .heading=${heading}
    .xLabel=${xLabel}
    .series=${remembered(series)}
    .data=${log ? positive(data) : data}
    .log=${log}
  ></live-chart>`;
}

function weights({ start, now }: Shown, family: Family): uPlot.AlignedData {
  return joined(start && now ? [start, now].map(({ depths, entries }) => [depths, entries[family]]) : []);
}

function overTime(
  shown: readonly Shown[],
  columns: readonly ((frame: Frame) => number | undefined)[],
): uPlot.AlignedData {
  return joined(
    shown.map(({ history: { frames } }): uPlot.AlignedData => {
      const numbers = columns.map((column) => frames.map((frame) => finite(column(frame))));
      return [frames.map(({ time }) => time), ...numbers];
    }),
  );
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

/** Lines over one x axis. */
function joined(tables: uPlot.AlignedData[]): uPlot.AlignedData {
  return tables.length > 0 ? (uPlot.join(tables) as uPlot.AlignedData) : [[]];
}

type Column = uPlot.AlignedData[number];
const smallest = (column: Column) => positives(column).reduce((least, value) => Math.min(least, value), Infinity);
const largest = (column: Column) => positives(column).reduce((most, value) => Math.max(most, value), 0);

/** The largest number of all lines over the least of what `low` says of each. */
function spread([, ...columns]: uPlot.AlignedData, low: (column: Column) => number): number {
  const lines = columns.filter((column) => largest(column) > 0);
  return lines.length > 0 ? Math.max(...lines.map(largest)) / Math.min(...lines.map(low)) : 1;
}

function positives(column: Column): number[] {
  return [...(column as ArrayLike<number | null> & Iterable<number | null>)].filter(
    (value) => value !== null && value !== undefined && value > 0,
  ) as number[];
}

/** A logarithm has no place for the zeros of the start. */
function positive([x, ...columns]: uPlot.AlignedData): uPlot.AlignedData {
  const above = (column: Column) =>
    Array.from(column as ArrayLike<number | null | undefined>, (value) => (value && value > 0 ? value : null));
  return [x, ...columns.map(above)];
}

/** The same list for the same lines: a chart is made anew only when they change. */
const lists = new Map<string, readonly ChartSeries[]>();
function remembered(series: readonly ChartSeries[]): readonly ChartSeries[] {
  const key = JSON.stringify(series);
  const known = lists.get(key) ?? series;
  lists.set(key, known);
  return known;
}
