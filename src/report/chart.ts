/** A figure's description and its table → a Vega-Lite specification → SVG, without a browser. */
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Axis, Cell, Figure, Table } from "../experiment/record.ts";
import { isLog, linearTicks, logTicks, symlogTicks, type Ticks } from "./axis_ticks.ts";
import { formatCell } from "./format.ts";
import { groupMarks, type Mark, maximum, minimum, numbers } from "./marks.ts";
import { overlaysOf, roofExtent } from "./overlays.ts";
import {
  CATEGORICAL,
  CHART_CONFIG,
  EMPTY_CELL,
  FACET_HEIGHT,
  FIGURE_WIDTH,
  LINE_VIRIDIS_EXTENT,
  PANEL_HEIGHT,
  sequentialColors,
  textWidth,
  wrapText,
} from "./theme.ts";

/** A Vega-Lite v6 specification: plain JSON with its data inside. */
export type ChartSpec = Readonly<Record<string, unknown>>;
type Json = Record<string, unknown>;

/** Series with at most this many points show each of them. */
const FEW_POINTS = 24;
/** Lines longer than this are thinned to the extremes of each pixel column, which looks the same. */
const MAX_LINE_POINTS = 1600;
/** Ordered series up to this many get one legend entry each; more share a colour bar. */
const MAX_LEGEND_ENTRIES = 12;
const PANEL_SPACING = 32;
const BOX_WIDTH = 18;
/** Width that Vega without a canvas gives each character, in units of the font size: text that it believes too long moves what is around it. */
const LAYOUT_EM = 0.8;
/** Of a stroke in a legend: its length is the square root, enough to tell dash patterns apart. */
const SYMBOL_SIZE = 500;

interface Drawn {
  readonly marks: readonly Mark[];
  readonly missing: number;
  readonly nonPositive: number;
  /** Labels of a heat map's columns and rows, in order, also of those whose every cell is missing. */
  readonly columns: readonly string[];
  readonly rows: readonly string[];
}

/**
 * What to draw, as a Vega-Lite specification in the house theme, {@link FIGURE_WIDTH} pixels wide.
 * Rows whose x, y or colour is missing, not finite, or not positive on a logarithmic scale are left out and counted in the subtitle; without any row
 * left the figure says "no data".
 * @throws RangeError when the figure names a column the table lacks, or asks for guides, a roof or labels on axes that are not logarithmic
 */
export function chartSpec(figure: Figure, table: Table): ChartSpec {
  checkFields(figure, table);
  const drawn = selectMarks(figure, table);
  if (drawn.marks.length === 0) return noDataSpec(figure, drawn);
  const layers =
    figure.kind === "heatmap" ? heatmapLayers(figure, table, drawn) : seriesLayers(figure, table, drawn.marks);
  const base: Json = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: figure.title,
    title: titleOf(figure, drawn),
    config: CHART_CONFIG,
    data: { values: layers.marks.map((mark) => titled(figure, mark)) },
  };
  const inner: Json = { layer: layers.layer };
  if (layers.background !== undefined) inner.view = { fill: layers.background };
  const panels = panelLayout(figure, layers);
  if (panels === undefined) {
    return {
      ...base,
      ...inner,
      width: FIGURE_WIDTH,
      height: layers.height + layers.legendHeight,
      autosize: { type: "fit", contains: "padding" },
    };
  }
  return {
    ...base,
    ...panels.facet,
    spacing: PANEL_SPACING,
    spec: { ...inner, width: panels.width, height: panels.height },
  };
}

/**
 * Renders a specification to SVG text. Needs no browser, canvas or font.
 * @throws what Vega throws on a specification it cannot parse
 */
export async function renderSvg(spec: ChartSpec): Promise<string> {
  const view = new View(parse(compile(spec as unknown as TopLevelSpec).spec), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    // Cells that touch would show the ground through the anti-aliasing of their shared edge.
    return svg.replaceAll(
      '<g class="mark-rect role-mark',
      '<g shape-rendering="crispEdges" class="mark-rect role-mark',
    );
  } finally {
    view.finalize();
  }
}

// ---------------------------------------------------------------------------------------------------------------- rows to marks

function checkFields(figure: Figure, table: Table): void {
  const known = new Set(table.columns.map((column) => column.name));
  const axes = [figure.x, figure.y, figure.color, figure.dash, figure.columnFacet, figure.rowFacet];
  const asked = axes.flatMap((axis) => (axis === undefined ? [] : [axis.field]));
  const labelled = figure.pointLabel === undefined ? [] : [figure.pointLabel];
  for (const field of [...asked, ...(figure.interval ?? []), ...labelled, ...Object.keys(figure.where ?? {})]) {
    if (!known.has(field))
      throw new RangeError(`figure ${figure.name}: table ${table.name} has no column ${JSON.stringify(field)}`);
  }
  const logarithmic = isLog(figure.x.scale) && isLog(figure.y.scale);
  if (figure.guides !== undefined && figure.guides.length > 0 && !logarithmic)
    throw new RangeError(`figure ${figure.name}: guides of a given slope need logarithmic x and y`);
  if (figure.roof !== undefined) {
    if (!logarithmic) throw new RangeError(`figure ${figure.name}: a roof needs logarithmic x and y`);
    const bad = [...figure.roof.rising, ...figure.roof.level].find(({ value }) => !(value > 0 && value < Infinity));
    if (bad !== undefined)
      throw new RangeError(
        `figure ${figure.name}: the roof ${bad.label} must be positive and finite, got ${bad.value}`,
      );
  }
  if (figure.pointLabel !== undefined && !(logarithmic && figure.kind === "point"))
    throw new RangeError(`figure ${figure.name}: labels of points need kind point, logarithmic x and y`);
  if (figure.kind === "heatmap" && figure.color === undefined) {
    throw new RangeError(`figure ${figure.name}: a heat map needs a column that gives the colour`);
  }
}

function selectMarks(figure: Figure, table: Table): Drawn {
  const rows = table.rows.filter((row) =>
    Object.entries(figure.where ?? {}).every(([field, value]) => row[field] === value),
  );
  const continuousColor = figure.kind === "heatmap" || colorIsContinuous(figure, rows);
  const heat = figure.kind === "heatmap";
  const marks: Mark[] = [];
  let missing = 0;
  let nonPositive = 0;
  for (const row of rows) {
    const x = channel(row[figure.x.field], heat ? "ordinal" : figure.x.scale);
    const y = channel(row[figure.y.field], heat ? "ordinal" : figure.y.scale);
    const colored =
      figure.color === undefined
        ? ""
        : channel(row[figure.color.field], continuousColor ? figure.color.scale : "ordinal");
    const bad = [x, y, colored].filter((value) => value === MISSING || value === NON_POSITIVE);
    if (bad.length > 0) {
      if (bad.includes(MISSING)) missing += 1;
      else nonPositive += 1;
      continue;
    }
    const [low, high] = figure.interval === undefined ? [] : figure.interval.map((field) => row[field]);
    marks.push({
      x: x as number | string,
      y: y as number | string,
      ...(figure.color !== undefined && { color: colored as number | string }),
      ...(figure.dash !== undefined && { dash: formatCell(row[figure.dash.field] ?? null) }),
      ...(figure.columnFacet !== undefined && { column: formatCell(row[figure.columnFacet.field] ?? null) }),
      ...(figure.rowFacet !== undefined && { row: formatCell(row[figure.rowFacet.field] ?? null) }),
      ...(finite(low) && finite(high) && { lower: low, upper: high }),
      ...(figure.pointLabel !== undefined && { label: formatCell(row[figure.pointLabel] ?? null) }),
    });
  }
  const labels = (axis: Axis): string[] =>
    heat ? orderedLabels(rows.map((row) => formatCell(row[axis.field] ?? null))) : [];
  return { marks, missing, nonPositive, columns: labels(figure.x), rows: labels(figure.y) };
}

const MISSING = Symbol("missing");
const NON_POSITIVE = Symbol("non-positive");

function channel(cell: Cell | undefined, scale: Axis["scale"]): number | string | typeof MISSING | typeof NON_POSITIVE {
  if (cell === undefined || cell === null || (typeof cell === "number" && !Number.isFinite(cell))) return MISSING;
  if (scale === "ordinal") return formatCell(cell);
  if (typeof cell !== "number") return MISSING;
  return isLog(scale) && cell <= 0 ? NON_POSITIVE : cell;
}

function finite(cell: Cell | undefined): cell is number {
  return typeof cell === "number" && Number.isFinite(cell);
}

/** Many ordered series share a colour bar; few, or ones that are not numbers, have a legend entry each. */
function colorIsContinuous(figure: Figure, rows: readonly Record<string, Cell>[]): boolean {
  if (figure.color?.sequential !== true || figure.color.scale === "ordinal") return false;
  const values = new Set(rows.map((row) => row[figure.color!.field]));
  return values.size > MAX_LEGEND_ENTRIES && [...values].every((value) => typeof value === "number" || value === null);
}

/** Labels in the order of the numbers they stand for, or of first appearance when they are words. */
function orderedLabels(labels: Iterable<string>): string[] {
  const distinct = [...new Set(labels)];
  return distinct.every((label) => Number.isFinite(Number(label)))
    ? distinct.sort((a, b) => Number(a) - Number(b))
    : distinct;
}

function labelsOf(marks: readonly Mark[], key: "x" | "y" | "color" | "dash" | "column" | "row"): string[] {
  return orderedLabels(marks.flatMap((mark) => (mark[key] === undefined ? [] : [String(mark[key])])));
}

// ---------------------------------------------------------------------------------------------------------------- lines and points

interface Layers {
  readonly marks: readonly Mark[];
  readonly layer: readonly Json[];
  readonly height: number;
  /** Pixels below a single panel for a legend that does not fit beside it. */
  readonly legendHeight: number;
  /** Pixels that the vertical axis takes left of the panels. */
  readonly besideWidth: number;
  readonly background?: string;
}

function seriesLayers(figure: Figure, table: Table, marks: readonly Mark[]): Layers {
  const faceted = figure.columnFacet !== undefined || figure.rowFacet !== undefined;
  const panelHeight = faceted ? FACET_HEIGHT : PANEL_HEIGHT - 110;
  const legendWidth = faceted
    ? 0
    : Math.max(besideLegend(figure.color, table, marks, "color"), besideLegend(figure.dash, table, marks, "dash"));
  const panelWidth = (FIGURE_WIDTH - 90 - legendWidth) / panelsAcross(figure, marks);
  const shown = roofExtent(figure, marks);
  const x = continuousAxis(figure.x, table, [...numbers(marks, ["x"]), ...shown.x], marks, "x", panelWidth);
  const y = continuousAxis(
    figure.y,
    table,
    [...numbers(marks, ["y", "lower", "upper"]), ...shown.y],
    marks,
    "y",
    panelWidth,
    panelHeight,
  );
  const color = seriesColor(figure, table, marks);
  const dash = seriesDash(figure, table, marks);
  const data: Json[] = [{ filter: "!isValid(datum.role)" }];
  const place = { x: x.encoding, y: y.encoding };
  const bounds = { y: { ...y.encoding, field: "lower" }, y2: { field: "upper" } };
  const hasInterval = marks.some((mark) => mark.lower !== undefined);
  const series = groupMarks(marks, ["color", "dash", "column", "row"]);
  const longest = Math.max(...series.map((points) => points.length));
  const layer: Json[] = [];

  // A continuous colour or a dash does not split a line by itself in every layer; detail does.
  const detail = ["color", "dash"]
    .filter((key) => marks.some((mark) => key in mark))
    .map((field) => ({ field, type: "nominal" }));
  const ink: Json = { ...color, ...(detail.length > 0 && { detail }) };
  const plain = color.color === undefined ? { color: CATEGORICAL[0] } : {};

  if (figure.kind === "line") {
    if (hasInterval) {
      layer.push({
        transform: [...data, { filter: "isValid(datum.lower)" }],
        mark: { type: "area", opacity: 0.16, clip: true, ...plain },
        encoding: { ...place, ...bounds, ...withoutLegend(ink) },
      });
    }
    const width = series.length > 12 ? 1.3 : 1.9;
    layer.push({
      transform: data,
      mark: { type: "line", strokeWidth: width, clip: true, strokeJoin: "round", ...plain },
      encoding: { ...place, ...ink, ...(dash === undefined ? {} : { strokeDash: dash }) },
    });
    if (longest <= FEW_POINTS) {
      layer.push({
        transform: data,
        mark: { type: "point", filled: true, opacity: 1, size: series.length > 12 ? 18 : 34, ...plain },
        encoding: { ...place, ...withoutLegend(ink) },
      });
    }
  } else if (figure.kind === "box") {
    const series = { scale: { domain: labelsOf(marks, "color") }, field: "color" };
    const beside = color.color === undefined ? {} : { xOffset: series };
    const parts = { rule: { strokeWidth: 1.4 }, box: { opacity: 0.7 }, ticks: { size: BOX_WIDTH / 2 } };
    const median = { color: "#24292f", strokeWidth: 2 };
    layer.push({
      transform: data,
      mark: { type: "boxplot", extent: "min-max", size: BOX_WIDTH, ...parts, median, ...plain },
      encoding: { ...place, ...beside, ...withoutLegend(color) },
    });
    // Also where a box has no height, its colour is to be seen.
    layer.push({
      transform: data,
      mark: { type: "point", filled: true, opacity: 1, size: 24, stroke: "#ffffff", strokeWidth: 0.8, ...plain },
      encoding: { ...place, ...beside, ...color },
    });
  } else {
    if (hasInterval) {
      layer.push({
        transform: [...data, { filter: "isValid(datum.lower)" }],
        mark: { type: "rule", strokeWidth: 1.4, opacity: 0.75, clip: true, ...plain },
        encoding: { ...place, ...bounds, ...withoutLegend(ink) },
      });
    }
    const size = marks.length > 400 ? 14 : 44;
    layer.push({
      transform: data,
      mark: { type: "point", filled: true, opacity: marks.length > 400 ? 0.6 : 0.95, size, ...plain },
      encoding: { ...place, ...ink, ...(dash === undefined ? {} : { shape: dash }) },
    });
  }

  const kept = figure.kind === "line" ? series.flatMap((points) => thin(points, figure.x.scale)) : marks;
  const clamped = isLog(figure.y.scale) ? kept.map((mark) => clampInterval(mark, y.domain![0])) : kept;
  const panel = { width: panelWidth, height: panelHeight, xDomain: x.domain, yDomain: y.domain };
  const overlays = overlaysOf(figure, marks, panel, place);
  return {
    marks: [...clamped, ...overlays.marks],
    layer: [...overlays.under, ...layer, ...overlays.over],
    height: PANEL_HEIGHT,
    legendHeight: legendHeight(color.color) + legendHeight(dash),
    besideWidth: besideWidth(y.encoding),
  };
}

/** First, last, lowest and highest point of each of many narrow columns of x: what a line of that width can show. */
function thin(points: readonly Mark[], scale: Axis["scale"]): readonly Mark[] {
  if (points.length <= MAX_LINE_POINTS || typeof points[0]!.x !== "number" || typeof points[0]!.y !== "number")
    return points;
  const position = (mark: Mark): number => (isLog(scale) ? Math.log(mark.x as number) : (mark.x as number));
  const sorted = points.toSorted((a, b) => (a.x as number) - (b.x as number));
  const low = position(sorted[0]!);
  const span = position(sorted.at(-1)!) - low || 1;
  const columns = new Map<number, Mark[]>();
  for (const mark of sorted) {
    const column = Math.floor(((position(mark) - low) / span) * (MAX_LINE_POINTS / 4));
    const held = columns.get(column);
    if (held === undefined) columns.set(column, [mark]);
    else held.push(mark);
  }
  return [...columns.values()].flatMap((held) => {
    const lowest = held.reduce((a, b) => ((b.y as number) < (a.y as number) ? b : a));
    const highest = held.reduce((a, b) => ((b.y as number) > (a.y as number) ? b : a));
    return [...new Set([held[0]!, lowest, highest, held.at(-1)!])];
  });
}

/** A lower bound at or below zero has no place on a logarithmic axis: the band runs off its bottom edge instead. */
function clampInterval(mark: Mark, bottom: number): Mark {
  if (mark.lower === undefined || mark.upper === undefined || mark.lower >= bottom) return mark;
  return { ...mark, lower: bottom, upper: Math.max(mark.upper, bottom) };
}

// ---------------------------------------------------------------------------------------------------------------- channels

interface Encoded {
  readonly encoding: Json;
  /** Of a logarithmic axis, where the specification states it. */
  readonly domain?: readonly [number, number];
}

function continuousAxis(
  axis: Axis,
  table: Table,
  values: readonly number[],
  marks: readonly Mark[],
  key: "x" | "y",
  panelWidth: number,
  panelHeight = 0,
): Encoded {
  const title = key === "y" ? verticalTitle(axis, table, panelHeight) : axisTitle(axis, table);
  if (axis.scale === "ordinal") {
    const labels = labelsOf(marks, key);
    const order = key === "y" ? labels.toReversed() : labels;
    const shown = thinLabels(order, key === "x" ? panelWidth : PANEL_HEIGHT, key);
    const place = key === "y" ? titlePlace(shown, title.length) : {};
    const scale = { domain: order };
    const ordinalAxis = { values: shown, labelAngle: 0, labelOverlap: false, grid: true, ...place };
    return { encoding: { field: key, type: "ordinal", title, scale, axis: ordinalAxis } };
  }
  const { scale, ticks } = tickedScale(axis, values, key === "x" && panelWidth < 400 ? 6 : undefined);
  const place =
    key === "y"
      ? titlePlace(
          ticks.labelled.map(({ label }) => label),
          title.length,
        )
      : {};
  const encoding = { field: key, type: "quantitative", title, scale, axis: { ...tickAxis(ticks), ...place } };
  return isLog(axis.scale) ? { encoding, domain: ticks.domain } : { encoding };
}

function tickedScale(axis: Axis, values: readonly number[], maxLabels?: number): { scale: Json; ticks: Ticks } {
  if (isLog(axis.scale)) {
    const positive = values.filter((value) => value > 0);
    const base = axis.scale === "log2" ? 2 : 10;
    const ticks = logTicks(minimum(positive), maximum(positive), base, maxLabels ?? (base === 2 ? 12 : 9));
    return { scale: { type: "log", base, domain: ticks.domain, nice: false }, ticks };
  }
  if (axis.scale === "symlog") {
    const ticks = symlogTicks(values);
    return { scale: { type: "symlog", constant: ticks.constant, domain: ticks.domain, nice: false }, ticks };
  }
  const ticks = linearTicks(minimum(values), maximum(values), maxLabels);
  return { scale: { domain: ticks.domain, nice: false, zero: false }, ticks };
}

/** An axis title in lines that Vega believes to fit beside a panel. */
function verticalTitle(axis: Axis, table: Table, height: number): string[] {
  const size = CHART_CONFIG.axis.titleFontSize;
  const characters = Math.max(12, Math.floor(height / (LAYOUT_EM * size)));
  return wrapText(axisTitle(axis, table), (line) => line.length <= characters);
}

function besideWidth(encoding: Json): number {
  const { titleX } = encoding.axis as { readonly titleX: number };
  return Math.ceil(-titleX + CHART_CONFIG.axis.titleFontSize + 2);
}

/** Room of a vertical axis beside its line: tick, gap, labels, gap. */
function titlePlace(labels: readonly string[], titleLines: number): Json {
  const widest = Math.max(0, ...labels.map((label) => textWidth(label, CHART_CONFIG.axis.labelFontSize)));
  const { axis } = CHART_CONFIG;
  const titleHeight = (titleLines - 1) * (axis.titleFontSize + 2);
  return { titleX: -(widest + axis.tickSize + axis.labelPadding + axis.titlePadding + titleHeight) };
}

function tickAxis(ticks: Ticks): Json {
  const lookup = labelLookup(ticks);
  const isMinor = `!isDefined(${lookup}[datum.value])`;
  return {
    values: [...ticks.labelled.map(({ value }) => value), ...ticks.minor],
    labelExpr: `${lookup}[datum.value] || ''`,
    labelOverlap: false,
    gridColor: { condition: { test: isMinor, value: "#f2f4f6" }, value: CHART_CONFIG.axis.gridColor },
    tickSize: { condition: { test: isMinor, value: 3 }, value: CHART_CONFIG.axis.tickSize },
  };
}

/** A Vega expression that maps a tick's value to its label. */
function labelLookup(ticks: Ticks): string {
  return `({${ticks.labelled.map(({ value, label }) => `${JSON.stringify(String(value))}: ${JSON.stringify(label)}`).join(", ")}})`;
}

function seriesColor(figure: Figure, table: Table, marks: readonly Mark[]): { color?: Json } {
  const axis = figure.color;
  if (axis === undefined) return {};
  const title = axisTitle(axis, table);
  if (marks.some((mark) => typeof mark.color === "number")) {
    const values = marks.map((mark) => mark.color as number);
    return {
      color: { field: "color", type: "quantitative", title, ...colorBar(axis, values, LINE_VIRIDIS_EXTENT, false) },
    };
  }
  const domain = labelsOf(marks, "color");
  const ordered = axis.sequential === true || (domain.length > CATEGORICAL.length && !hasRounds(figure, domain));
  const range = ordered
    ? sequentialColors(domain.length)
    : hasRounds(figure, domain)
      ? domain.map((_, i) => CATEGORICAL[i % ROUND]!)
      : CATEGORICAL.slice(0, domain.length);
  const legend = {
    ...legendPlace(figure, domain, title),
    ...(figure.kind === "line" && { symbolType: "stroke", symbolSize: SYMBOL_SIZE }),
  };
  return { color: { field: "color", type: "nominal", title, scale: { domain, range }, legend } };
}

/** More series than colours, none of them ordered: each further round through the colours has another dash pattern or shape. */
function hasRounds(figure: Figure, domain: readonly string[]): boolean {
  const { color, dash, kind } = figure;
  if (color === undefined || color.sequential === true || dash !== undefined) return false;
  const most = ROUND * (kind === "line" ? DASHES : SHAPES).length;
  return domain.length > CATEGORICAL.length && domain.length <= most;
}

function seriesDash(figure: Figure, table: Table, marks: readonly Mark[]): Json | undefined {
  const axis = figure.dash;
  if (axis === undefined) {
    const { color } = seriesColor(figure, table, marks);
    const domain = labelsOf(marks, "color");
    if (color === undefined || !hasRounds(figure, domain)) return undefined;
    const styles = figure.kind === "line" ? DASHES : SHAPES;
    // The same field, title and legend: Vega-Lite makes one legend of both.
    return { ...color, scale: { domain, range: domain.map((_, i) => styles[Math.floor(i / ROUND)]) } };
  }
  const domain = labelsOf(marks, "dash");
  const title = axisTitle(axis, table);
  const scale = figure.kind === "line" ? { domain, range: DASHES.slice(0, Math.max(1, domain.length)) } : { domain };
  const symbol =
    figure.kind === "line"
      ? { symbolType: "stroke", symbolSize: SYMBOL_SIZE, symbolStrokeColor: "#424a53" }
      : { symbolFillColor: "#424a53" };
  return { field: "dash", type: "nominal", title, scale, legend: { ...legendPlace(figure, domain, title), ...symbol } };
}

/** Colours of a round: yellow is too weak to stand for a series when others are many. */
const ROUND = CATEGORICAL.length - 1;
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"];
const DASHES = [
  [1, 0],
  [7, 3],
  [2, 3],
  [9, 3, 2, 3],
  [4, 2],
  [1, 2],
];

/** Scale and legend of a continuous colour. */
function colorBar(
  axis: Axis,
  values: readonly number[],
  extent: readonly [number, number],
  horizontal: boolean,
  height = PANEL_HEIGHT,
): Json {
  const low = minimum(values);
  const high = maximum(values);
  const bar = horizontal
    ? { orient: "bottom", direction: "horizontal", gradientLength: 320 }
    : { orient: "right", gradientLength: Math.min(220, height - 110) };
  const viridis = { name: "viridis", extent };
  if (isLog(axis.scale)) {
    const ticks = logTicks(low, high, axis.scale === "log2" ? 2 : 10, 8, 0);
    const domain = high > low ? [low, high] : ticks.domain;
    return {
      scale: { type: "log", base: axis.scale === "log2" ? 2 : 10, domain, scheme: viridis, nice: false },
      legend: {
        ...bar,
        values: ticks.labelled.map(({ value }) => value),
        labelExpr: `${labelLookup(ticks)}[datum.value] || ''`,
        labelOverlap: true,
      },
    };
  }
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const format = largest > 0 && (largest < 1e-3 || largest >= 1e6) ? { format: ".2~e" } : {};
  const scale = axis.scale === "symlog" ? { type: "symlog", constant: symlogTicks(values).constant } : {};
  return {
    scale: { ...scale, domain: [low, high], scheme: viridis, nice: false, zero: false },
    legend: { ...bar, tickCount: 5, ...format },
  };
}

function withoutLegend(encoding: Json): Json {
  const color = encoding.color as Json | undefined;
  return color === undefined ? encoding : { ...encoding, color: { ...color, legend: undefined } };
}

/** Beside the plot when there is one panel and short labels; otherwise in rows below it. */
function legendPlace(figure: Figure, labels: readonly string[], title: string): Json {
  const widest = Math.max(...labels.map((label) => textWidth(label, 11)));
  const single = figure.columnFacet === undefined && figure.rowFacet === undefined;
  if (single && widest <= 170 && textWidth(title, 11, true) <= 190 && labels.length <= 18) return { orient: "right" };
  return {
    orient: "bottom",
    direction: "horizontal",
    labelLimit: FIGURE_WIDTH - 80,
    columns: Math.max(1, Math.min(labels.length, Math.floor(700 / (widest + 40)))),
  };
}

/** Pixels that Vega gives a legend right of the plot. */
function besideLegend(axis: Axis | undefined, table: Table, marks: readonly Mark[], key: "color" | "dash"): number {
  if (axis === undefined) return 0;
  const texts = [axisTitle(axis, table), ...labelsOf(marks, key).map((label) => `${label}   `)];
  return CHART_CONFIG.legend.offset + Math.max(...texts.map((text) => LAYOUT_EM * 11 * text.length));
}

function legendHeight(encoding: Json | undefined): number {
  const legend = (encoding?.legend ?? {}) as { readonly orient?: string; readonly columns?: number };
  const scale = (encoding?.scale ?? {}) as { readonly domain?: readonly unknown[] };
  if (legend.orient !== "bottom" || legend.columns === undefined) return 0;
  return Math.ceil(30 + Math.ceil((scale.domain?.length ?? 0) / legend.columns) * (Math.sqrt(SYMBOL_SIZE) + 4));
}

function axisTitle(axis: Axis, table: Table): string {
  const unit = table.columns.find((column) => column.name === axis.field)?.unit;
  return unit === undefined || unit === "" || axis.label.includes(unit) ? axis.label : `${axis.label} [${unit}]`;
}

// ---------------------------------------------------------------------------------------------------------------- heat maps

function heatmapLayers(figure: Figure, table: Table, { marks, columns, rows: upwards }: Drawn): Layers {
  // Upwards, as on any other axis; Vega-Lite lists ordinal values downwards.
  const rows = upwards.toReversed();
  const faceted = figure.columnFacet !== undefined || figure.rowFacet !== undefined;
  const height = Math.min(faceted ? FACET_HEIGHT : 420, Math.max(faceted ? 90 : 200, rows.length * 34));
  const xLabels = thinLabels(columns, 560 / panelsAcross(figure, marks), "x");
  const yLabels = thinLabels(rows, height, "y");
  const plain = { labelAngle: 0, labelOverlap: false, grid: false };
  // Of numbers every n-th says what the others are; words that do not fit are turned.
  const turned = xLabels.length < columns.length && columns.some((label) => !Number.isFinite(Number(label)));
  const xAxis = turned ? { labelAngle: -40, labelAlign: "right", values: columns } : { values: xLabels };
  const yTitle = verticalTitle(figure.y, table, height);
  const color = figure.color!;
  const values = marks.map((mark) => mark.color as number);
  const fill = {
    field: "color",
    type: "quantitative",
    title: axisTitle(color, table),
    ...colorBar(color, values, [0, 1], faceted, height),
  };
  const many = columns.length > 40 || rows.length > 30;
  const layer: Json[] = [
    {
      mark: { type: "rect", ...(!many && { stroke: "#ffffff", strokeWidth: 1 }) },
      encoding: {
        x: {
          field: "x",
          type: "ordinal",
          title: axisTitle(figure.x, table),
          scale: { domain: columns },
          axis: { ...plain, ...xAxis },
        },
        y: {
          field: "y",
          type: "ordinal",
          title: yTitle,
          scale: { domain: rows },
          axis: { ...plain, values: yLabels, ...titlePlace(yLabels, yTitle.length) },
        },
        color: fill,
      },
    },
  ];
  return {
    marks,
    layer,
    height,
    legendHeight: 0,
    besideWidth: besideWidth({ axis: titlePlace(yLabels, yTitle.length) }),
    background: EMPTY_CELL,
  };
}

/** Every n-th label from the lowest, n a round number for which they fit into `room` pixels. */
function thinLabels(labels: readonly string[], room: number, key: "x" | "y"): string[] {
  const widest = Math.max(...labels.map((label) => textWidth(label, 11)));
  const each = key === "x" ? widest + 10 : 16;
  const needed = (labels.length * each) / room;
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((steps) => steps >= needed) ?? Math.ceil(needed);
  const start = key === "x" ? 0 : (labels.length - 1) % step;
  return labels.filter((_, i) => i >= start && (i - start) % step === 0);
}

// ---------------------------------------------------------------------------------------------------------------- panels and titles

/** How many panels stand side by side. */
function panelsAcross(figure: Figure, marks: readonly Mark[]): number {
  const columns = labelsOf(marks, "column").length;
  if (figure.rowFacet !== undefined || columns <= 3) return Math.max(1, columns);
  return columns === 4 ? 2 : 3;
}

function panelLayout(figure: Figure, layers: Layers): { facet: Json; width: number; height: number } | undefined {
  const { columnFacet, rowFacet } = figure;
  if (columnFacet === undefined && rowFacet === undefined) return undefined;
  const { marks } = layers;
  const across = panelsAcross(figure, marks);
  const beside = layers.besideWidth + (rowFacet === undefined ? 0 : 26) + 2 * CHART_CONFIG.padding;
  const width = Math.floor((FIGURE_WIDTH - beside - PANEL_SPACING * (across - 1)) / across);
  const field = (axis: Axis, key: "column" | "row", header: Json = {}): Json => {
    const sort = labelsOf(marks, key).map((label) => panelTitle(axis, label));
    return { field: key, type: "nominal", sort, header: { title: null, ...header } };
  };
  const rowTitles = rowFacet === undefined ? [] : labelsOf(marks, "row").map((label) => panelTitle(rowFacet, label));
  const rowTitle = Math.max(
    0,
    ...rowTitles.map((title) => LAYOUT_EM * CHART_CONFIG.header.labelFontSize * title.length),
  );
  const height = Math.max(
    rowTitle,
    Math.min(layers.height, rowFacet === undefined && across <= 3 ? 260 : FACET_HEIGHT),
  );
  if (columnFacet !== undefined && rowFacet === undefined && across < labelsOf(marks, "column").length) {
    return { facet: { facet: field(columnFacet, "column"), columns: across }, width, height };
  }
  const facet: Json = {};
  if (columnFacet !== undefined) facet.column = field(columnFacet, "column");
  if (rowFacet !== undefined) facet.row = field(rowFacet, "row", { labelOrient: "right" });
  return { facet: { facet }, width, height };
}

function panelTitle(axis: Axis, label: string): string {
  return Number.isFinite(Number(label)) ? `${axis.label} = ${label}` : `${axis.label}: ${label}`;
}

/** Marks whose facet labels read as panel titles: "depth L = 64", "activation: tanh". */
function titled(figure: Figure, mark: Mark): Mark {
  return {
    ...mark,
    ...(mark.column !== undefined && { column: panelTitle(figure.columnFacet!, mark.column) }),
    ...(mark.row !== undefined && { row: panelTitle(figure.rowFacet!, mark.row) }),
  };
}

function titleOf(figure: Figure, drawn: Drawn): Json {
  const lines = (text: string, size: number): string[] =>
    wrapText(text, (line) => LAYOUT_EM * size * line.length <= FIGURE_WIDTH - 2 * CHART_CONFIG.padding);
  const text = lines(figure.title, CHART_CONFIG.title.fontSize);
  const omitted = omittedText(figure, drawn);
  return omitted === undefined ? { text } : { text, subtitle: lines(omitted, CHART_CONFIG.title.subtitleFontSize) };
}

function omittedText(figure: Figure, { missing, nonPositive }: Drawn): string | undefined {
  const total = missing + nonPositive;
  if (total === 0) return undefined;
  const what = figure.kind === "heatmap" ? (total === 1 ? "cell" : "cells") : total === 1 ? "point" : "points";
  const each = [missing, nonPositive];
  const reasons = ["without a finite value", "not positive on a logarithmic scale"].flatMap((reason, i) => {
    if (each[i] === 0) return [];
    return each[i] === total ? [reason] : [`${each[i]} ${reason}`];
  });
  return `${total} ${what} not drawn${figure.kind === "heatmap" ? " (grey)" : ""}: ${reasons.join(", ")}`;
}

function noDataSpec(figure: Figure, drawn: Drawn): ChartSpec {
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: figure.title,
    title: titleOf(figure, drawn),
    config: CHART_CONFIG,
    width: FIGURE_WIDTH,
    height: 140,
    autosize: { type: "fit", contains: "padding" },
    view: { fill: "#f6f8fa" },
    data: { values: [{ text: "no data" }] },
    mark: { type: "text", fontSize: 16, color: "#57606a" },
    encoding: { text: { field: "text", type: "nominal" } },
  };
}
