/** What is drawn over and under the data on log–log axes: guide lines, a roof, labels of points. */
import type { Figure } from "../experiment/record.ts";
import { groupMarks, type Mark, maximum, minimum, numbers } from "./marks.ts";
import { GUIDE_COLOR, textWidth } from "./theme.ts";

type Json = Record<string, unknown>;

const LABEL_GAP = 6;
const LABEL_SIZE = 11;
const GUIDE = "guide";
const FALLING_LABEL = "falling guide label";
const RISING_LABEL = "rising guide label";
const ROOF = "roof";
/** Where the label of a point stands relative to it: preferred first. */
const POINT_LABELS = {
  "label right": { align: "left", baseline: "middle", dx: 6, dy: 0 },
  "label left": { align: "right", baseline: "middle", dx: -6, dy: 0 },
  "label above": { align: "center", baseline: "bottom", dx: 0, dy: -5 },
  "label below": { align: "center", baseline: "top", dx: 0, dy: 6 },
} as const;
const POINT_LABEL_SIZE = 9.5;
const POINT_RADIUS = 4;

export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly xDomain: readonly [number, number] | undefined;
  readonly yDomain: readonly [number, number] | undefined;
}

export interface Overlays {
  readonly marks: readonly Mark[];
  readonly under: readonly Json[];
  readonly over: readonly Json[];
}

/** Marks and layers of a figure's guides, roof and point labels; `place` holds the encodings of x and y. */
export function overlaysOf(
  figure: Figure,
  marks: readonly Mark[],
  panel: Panel,
  place: { x: Json; y: Json },
): Overlays {
  const { xDomain, yDomain } = panel;
  if (xDomain === undefined || yDomain === undefined) return { marks: [], under: [], over: [] };
  const inside = { ...panel, xDomain, yDomain };
  const guides = guideMarks(figure, marks, inside);
  const roof = roofMarks(figure, marks, inside);
  const labels = pointLabelMarks(figure, marks, roof, inside);
  return {
    marks: [...guides, ...roof, ...labels],
    under: roof.length > 0 ? [lineLayer(ROOF, place, { strokeWidth: 1.8 })] : [],
    over: [
      ...(guides.length > 0 ? [lineLayer(GUIDE, place, { strokeDash: [6, 4], strokeWidth: 1.4 })] : []),
      ...(guides.length + roof.length > 0 ? guideLabelLayers(place) : []),
      ...(labels.length > 0 ? pointLabelLayers(place) : []),
    ],
  };
}

/** Ends of each guide in each panel, cut to the axes, and where its label goes. */
function guideMarks(figure: Figure, marks: readonly Mark[], panel: LogPanel): Mark[] {
  const { xDomain, yDomain } = panel;
  if (figure.guides === undefined) return [];
  const guides: Mark[] = [];
  for (const drawn of groupMarks(marks, ["column", "row"])) {
    const first = drawn.reduce((a, b) => ((b.x as number) < (a.x as number) ? b : a));
    const place = {
      ...(first.column !== undefined && { column: first.column }),
      ...(first.row !== undefined && { row: first.row }),
    };
    const x0 = first.x as number;
    const y0 = first.y as number;
    const occupied = groupMarks(drawn, ["color", "dash"]).flatMap((series) => pixelsAlong(series, panel));
    for (const { slope, label } of figure.guides) {
      const edge = slope < 0 ? yDomain[0] : yDomain[1];
      const reach = slope === 0 ? xDomain[1] : Math.min(xDomain[1], x0 * (edge / y0) ** (1 / slope));
      const at = (x: number): Mark => ({ x, y: y0 * (x / x0) ** slope, ...place, label });
      const role = slope > 0 ? RISING_LABEL : FALLING_LABEL;
      const width = textWidth(label, LABEL_SIZE) + 2 * LABEL_GAP;
      guides.push({ ...at(x0), role: GUIDE }, { ...at(reach), role: GUIDE });
      guides.push({ ...at(labelPlace(at, [x0, reach], slope > 0 ? -width : width, occupied, panel)), role });
    }
  }
  return guides;
}

/** What the axes must span beside the data for a roof to be read: its levels, air for their labels, and both sides of the ridges. */
export function roofExtent(
  figure: Figure,
  marks: readonly Mark[],
): { readonly x: readonly number[]; readonly y: readonly number[] } {
  if (figure.roof === undefined) return { x: [], y: [] };
  const levels = figure.roof.level.map(({ value }) => value);
  const ridges = levels.flatMap((level) => figure.roof!.rising.map(({ value }) => level / value));
  const top = maximum(levels);
  const air = (top / minimum([top, ...numbers(marks, ["y", "lower"]).filter((value) => value > 0)])) ** 0.08;
  return {
    x: ridges.flatMap((ridge) => [ridge / 2, ridge * 2]),
    y: levels.length === 0 ? [] : [...levels, top * Math.max(air, 1.2)],
  };
}

/** Ends of every line of the roof in each panel, and where its label goes. */
function roofMarks(figure: Figure, marks: readonly Mark[], panel: LogPanel): Mark[] {
  const { xDomain, yDomain } = panel;
  if (figure.roof === undefined) return [];
  const { rising, level } = figure.roof;
  const top = minimum([yDomain[1], maximum(level.map(({ value }) => value))].filter((value) => value > 0));
  const steepest = maximum(rising.map(({ value }) => value));
  const lines = [
    ...rising.map(({ value, label }) => ({
      ...{ label, slope: 1, at: (x: number) => value * x },
      ends: [Math.max(xDomain[0], yDomain[0] / value), Math.min(xDomain[1], top / value)] as const,
    })),
    ...level.map(({ value, label }) => ({
      ...{ label, slope: 0, at: () => value },
      ends: [rising.length === 0 ? xDomain[0] : Math.max(xDomain[0], value / steepest), xDomain[1]] as const,
    })),
  ];
  return groupMarks(marks, ["column", "row"]).flatMap((drawn) => {
    const { column, row } = drawn[0]!;
    const place = { ...(column !== undefined && { column }), ...(row !== undefined && { row }) };
    const occupied = drawn.map((mark) => pixelOf(mark, panel));
    return lines.flatMap(({ label, slope, at, ends }) => {
      const mark = (x: number): Mark => ({ x, y: at(x), ...place, label });
      const width = textWidth(label, LABEL_SIZE) + 2 * LABEL_GAP;
      const labelX = labelPlace(mark, ends, slope > 0 ? -width : width, occupied, panel);
      const [left, base] = pixelOf(mark(labelX), panel);
      // The next label keeps away from this one.
      for (let step = 0; step <= 10; step++)
        occupied.push([left + ((slope > 0 ? -width : width) * step) / 10, base + 9]);
      return [
        ...ends.map((x): Mark => ({ ...mark(x), role: ROOF })),
        { ...mark(labelX), role: slope > 0 ? RISING_LABEL : FALLING_LABEL },
      ];
    });
  });
}

/** The text of each point where it has room beside the points, the labels of the roof and the texts before it; the others go without. */
function pointLabelMarks(figure: Figure, marks: readonly Mark[], roof: readonly Mark[], panel: LogPanel): Mark[] {
  if (figure.pointLabel === undefined) return [];
  return groupMarks(marks, ["column", "row"]).flatMap((drawn) => {
    const here = roof.filter(({ column, row }) => column === drawn[0]!.column && row === drawn[0]!.row);
    const taken = [
      ...drawn.map((mark) => pointBox(pixelOf(mark, panel))),
      ...here.flatMap((mark) => guideLabelBox(mark, panel)),
      ...roofBoxes(here, panel),
    ];
    // From the top: the highest points are those that a reader looks for first.
    return drawn
      .toSorted((a, b) => (b.y as number) - (a.y as number))
      .flatMap((mark): Mark[] => {
        const { x, y, column, row, label } = mark;
        for (const role of Object.keys(POINT_LABELS) as (keyof typeof POINT_LABELS)[]) {
          const box = pointLabelBox(pixelOf(mark, panel), label!, role);
          if (!within(box, panel) || taken.some((other) => overlap(other, box))) continue;
          taken.push(box);
          return [
            { x, y, ...(column !== undefined && { column }), ...(row !== undefined && { row }), label: label!, role },
          ];
        }
        return [];
      });
  });
}

/** Pixels of a panel, y upwards. */
type Box = readonly [left: number, bottom: number, right: number, top: number];

function pointBox([x, y]: Pixel): Box {
  return [x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS];
}

function pointLabelBox([x, y]: Pixel, label: string, role: keyof typeof POINT_LABELS): Box {
  const { align, baseline, dx, dy } = POINT_LABELS[role];
  const width = textWidth(label, POINT_LABEL_SIZE);
  const left = x + dx - { left: 0, center: width / 2, right: width }[align];
  const bottom = y - dy - { bottom: 0, middle: POINT_LABEL_SIZE / 2, top: POINT_LABEL_SIZE }[baseline];
  return [left, bottom, left + width, bottom + POINT_LABEL_SIZE];
}

function guideLabelBox(mark: Mark, panel: LogPanel): Box[] {
  if (mark.role !== RISING_LABEL && mark.role !== FALLING_LABEL) return [];
  const [x, y] = pixelOf(mark, panel);
  const width = textWidth(mark.label!, LABEL_SIZE) + LABEL_GAP;
  return [mark.role === RISING_LABEL ? [x - width, y, x, y + 16] : [x, y, x + width, y + 16]];
}

/** A roof's lines as small boxes along them: an axis-parallel box around a rising line would take the whole panel. */
function roofBoxes(marks: readonly Mark[], panel: LogPanel): Box[] {
  const ends = marks.filter(({ role }) => role === ROOF).map((mark) => pixelOf(mark, panel));
  const lines = ends.flatMap((end, i) => (i % 2 === 0 ? [[end, ends[i + 1]!] as const] : []));
  return lines.flatMap(([[x0, y0], [x1, y1]]) => {
    const steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 4);
    return Array.from({ length: steps + 1 }, (_, i): Box => {
      const [x, y] = [x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps];
      return [x - 2, y - 2, x + 2, y + 2];
    });
  });
}

function within([left, bottom, right, top]: Box, { width, height }: Panel): boolean {
  return left >= 0 && bottom >= 0 && right <= width && top <= height;
}

function overlap(a: Box, b: Box): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

type LogPanel = Panel & { readonly xDomain: readonly [number, number]; readonly yDomain: readonly [number, number] };
type Pixel = readonly [x: number, y: number];

/** Where a mark stands in a panel with two logarithmic axes, y upwards. */
function pixelOf(mark: Mark, { width, height, xDomain, yDomain }: LogPanel): Pixel {
  const share = (value: number, [low, high]: readonly [number, number]): number =>
    Math.log(value / low) / Math.log(high / low);
  return [width * share(mark.x as number, xDomain), height * share(mark.y as number, yDomain)];
}

/** Points of a series and between them, near enough to each other to stand for the line. */
function pixelsAlong(series: readonly Mark[], panel: LogPanel): Pixel[] {
  const points = series.map((mark) => pixelOf(mark, panel)).sort((a, b) => a[0] - b[0]);
  return points.flatMap(([x, y], i) => {
    const next = points[i + 1];
    if (next === undefined || points.length > 200) return [[x, y] as const];
    return [0, 0.25, 0.5, 0.75].map((part) => [x + part * (next[0] - x), y + part * (next[1] - y)] as const);
  });
}

/** The x on the guide from which a label of `width` pixels (negative: to the left) stays in the panel and farthest from what is drawn. */
function labelPlace(
  at: (x: number) => Mark,
  [from, to]: readonly [number, number],
  width: number,
  occupied: readonly Pixel[],
  panel: LogPanel,
): number {
  let best = from;
  let bestClearance = -Infinity;
  for (let step = 0; step <= 40; step++) {
    const x = from * (to / from) ** (step / 40);
    const [left, base] = pixelOf(at(x), panel);
    const [low, high] = width > 0 ? [left, left + width] : [left + width, left];
    if (low < 0 || high > panel.width || base + 20 > panel.height) continue;
    const gaps = occupied.map(([px, py]) =>
      Math.hypot(Math.max(low - px, 0, px - high), Math.max(base + 3 - py, 0, py - base - 15)),
    );
    // Enough is enough: beyond a line's height further right wins, where a guide is told apart from the data best.
    const clearance = Math.min(24, minimum(gaps)) + step / 40;
    if (clearance > bestClearance) [best, bestClearance] = [x, clearance];
  }
  return best;
}

function lineLayer(role: string, place: { x: Json; y: Json }, style: Json): Json {
  return {
    transform: [{ filter: `datum.role === '${role}'` }],
    mark: { type: "line", color: GUIDE_COLOR, clip: true, ...style },
    encoding: { ...place, detail: { field: "label", type: "nominal" } },
  };
}

/** Text of one role, with a halo that keeps it legible on lines. Clipped, so that Vega does not make room outside the panel for a text that it believes longer than it is. */
function textLayers(role: string, place: { x: Json; y: Json }, style: Json): Json[] {
  const transform = [{ filter: `datum.role === '${role}'` }];
  const encoding = { ...place, text: { field: "label", type: "nominal" } };
  const text = { type: "text", clip: true, ...style };
  const halo = { ...text, stroke: "#ffffff", strokeWidth: 3, strokeJoin: "round", color: "#ffffff" };
  return [
    { transform, mark: halo, encoding },
    { transform, mark: text, encoding },
  ];
}

function guideLabelLayers(place: { x: Json; y: Json }): Json[] {
  const style = { baseline: "bottom", dy: -3, fontSize: LABEL_SIZE, fontStyle: "italic", color: GUIDE_COLOR };
  return [
    ...textLayers(FALLING_LABEL, place, { ...style, align: "left", dx: LABEL_GAP }),
    ...textLayers(RISING_LABEL, place, { ...style, align: "right", dx: -LABEL_GAP }),
  ];
}

function pointLabelLayers(place: { x: Json; y: Json }): Json[] {
  return Object.entries(POINT_LABELS).flatMap(([role, where]) =>
    textLayers(role, place, { ...where, fontSize: POINT_LABEL_SIZE, color: "#424a53" }),
  );
}
