import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import type { Claim, Figure, RunRecord, Table } from "../../src/experiment/record.ts";
import { linearTicks, logTicks, symlogTicks } from "../../src/report/axis_ticks.ts";
import { renderBenchmarkPage } from "../../src/report/benchmark_page.ts";
import { chartSpec, renderSvg } from "../../src/report/chart.ts";
import { formatMeasured, formatNumber, formatRange, formatSeconds } from "../../src/report/format.ts";
import { escapeHtml, renderHtml } from "../../src/report/html.ts";
import { renderPng } from "../../src/report/png.ts";
import { tableCsv, tableJsonLines, tablesJson } from "../../src/report/table.ts";
import { claimsText } from "../../src/report/text.ts";
import { readRecord, readRecordFile, writeBenchmarkPage, writeReport } from "../../src/report/write.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "deeplimit-report-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

// Vega-Lite complains about a questionable specification on the console: here that fails the test.
beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation((...words) => {
    throw new Error(words.join(" "));
  });
});
afterEach(() => vi.restoreAllMocks());

const DEPTHS = [2, 4, 8, 16, 32, 64];
const curves: Table = {
  name: "curves",
  description: "distance against depth",
  columns: [
    { name: "depth", description: "number of layers" },
    { name: "iteration", description: "training iteration" },
    { name: "distance", unit: "‖·‖", description: "distance" },
    { name: "low", description: "lower end" },
    { name: "high", description: "upper end" },
    { name: "weights", description: "V or W" },
    { name: "seed", description: "seed" },
  ],
  rows: [0, 1].flatMap((seed) =>
    ["V", "W"].flatMap((weights) =>
      [10, 100].flatMap((iteration) =>
        DEPTHS.map((depth) => {
          const distance = ((weights === "V" ? 1 : 0.1) * iteration) / depth;
          return { depth, iteration, distance, low: distance * 0.8, high: distance * 1.2, weights, seed };
        }),
      ),
    ),
  ),
};
const line: Figure = {
  name: "distance",
  title: "Distance falls with depth",
  caption: "Distance to the limit.",
  table: "curves",
  kind: "line",
  x: { field: "depth", label: "depth of the network", scale: "log2" },
  y: { field: "distance", label: "distance to the limit", scale: "log" },
  color: { field: "iteration", label: "training iteration", sequential: true },
  dash: { field: "weights", label: "kind of weights" },
  interval: ["low", "high"],
  guides: [{ slope: -1, label: "slope minus one" }],
  where: { seed: 0 },
};
const FIGURES: Record<string, Figure> = {
  line,
  point: { ...line, name: "points", kind: "point" },
  "rising guide": { ...line, name: "rising", guides: [{ slope: 1, label: "slope one" }] },
  linear: {
    name: "linear",
    title: "Linear axes",
    caption: "",
    table: "curves",
    kind: "line",
    x: { field: "depth", label: "depth of the network" },
    y: { field: "distance", label: "distance to the limit" },
    where: { seed: 0, weights: "V", iteration: 10 },
  },
  symlog: {
    name: "symlog",
    title: "Symmetric log",
    caption: "",
    table: "curves",
    kind: "point",
    x: { field: "depth", label: "depth of the network" },
    y: { field: "distance", label: "distance to the limit", scale: "symlog" },
  },
  ordinal: {
    name: "ordinal",
    title: "Ordinal axis",
    caption: "",
    table: "curves",
    kind: "point",
    x: { field: "weights", label: "depth of the network", scale: "ordinal" },
    y: { field: "distance", label: "distance to the limit", scale: "log" },
  },
  box: {
    name: "box",
    title: "Boxes side by side",
    caption: "",
    table: "curves",
    kind: "box",
    x: { field: "depth", label: "depth of the network", scale: "ordinal" },
    y: { field: "distance", label: "distance to the limit", scale: "log" },
    color: { field: "weights", label: "weights" },
  },
  heatmap: {
    name: "heat",
    title: "Heat",
    caption: "",
    table: "curves",
    kind: "heatmap",
    x: { field: "depth", label: "depth of the network" },
    y: { field: "iteration", label: "distance to the limit" },
    color: { field: "distance", label: "colour of the cell", scale: "log" },
    where: { seed: 0, weights: "V" },
  },
  facets: {
    name: "facets",
    title: "Facets",
    caption: "",
    table: "curves",
    kind: "line",
    x: { field: "depth", label: "depth of the network", scale: "log" },
    y: { field: "distance", label: "distance to the limit", scale: "log" },
    color: { field: "iteration", label: "training iteration" },
    columnFacet: { field: "weights", label: "weights" },
    rowFacet: { field: "seed", label: "seed" },
    guides: [{ slope: -1, label: "slope minus one" }],
  },
};

/** Rises as 4 x up to 100 where x = 25, on both sides of the data. */
const roofline: Figure = {
  name: "roofline",
  title: "Points under a roof",
  caption: "",
  table: "curves",
  kind: "point",
  x: { field: "depth", label: "depth of the network", scale: "log" },
  y: { field: "distance", label: "distance to the limit", scale: "log" },
  color: { field: "weights", label: "weights" },
  where: { seed: 0, iteration: 10 },
  roof: { rising: [{ value: 4, label: "copy" }], level: [{ value: 100, label: "multiply-add" }] },
};
FIGURES.roofline = roofline;

/** Text as a reader sees it: the contents of the SVG's text elements. */
function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>([\s\S]*?)<\/text>/g)].map((match) =>
    match[1]!
      .replace(/<[^>]*>/g, " ")
      .replace(/\s+/g, " ")
      .trim(),
  );
}

/** Distinct bytes of the decompressed scan lines: an image of one colour has next to none. */
function inkOf(png: Uint8Array): { width: number; height: number; distinct: number } {
  const bytes = Buffer.from(png);
  expect(bytes.subarray(1, 4).toString("latin1")).toBe("PNG");
  const parts: Buffer[] = [];
  for (let at = 8; at < bytes.length; ) {
    const size = bytes.readUInt32BE(at);
    if (bytes.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + size));
    at += size + 12;
  }
  return {
    width: bytes.readUInt32BE(16),
    height: bytes.readUInt32BE(20),
    distinct: new Set(inflateSync(Buffer.concat(parts))).size,
  };
}

describe("tables", () => {
  const odd: Table = {
    name: "odd",
    description: "cells that need care",
    columns: [
      { name: "a,b", description: "a comma" },
      { name: "text", unit: "s", description: "text" },
    ],
    rows: [
      { "a,b": 1.5, text: 'say "hi"' },
      { "a,b": null, text: "two\nlines" },
      { "a,b": Number.NaN, text: true },
      { "a,b": -Infinity, text: "plain" },
      { text: "no first cell" },
    ],
  };

  it("become CSV that is quoted only where RFC 4180 asks", () => {
    expect(tableCsv(odd)).toBe('"a,b",text\n1.5,"say ""hi"""\n,"two\nlines"\nNaN,true\n-inf,plain\n,no first cell\n');
  });

  it("become JSON lines without numbers that JSON lacks", () => {
    const rows = tableJsonLines(odd)
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text) as unknown);
    expect(rows).toEqual([
      { "a,b": 1.5, text: 'say "hi"' },
      { "a,b": null, text: "two\nlines" },
      { "a,b": null, text: true },
      { "a,b": null, text: "plain" },
      { "a,b": null, text: "no first cell" },
    ]);
    expect(tablesJson([odd])).toEqual([{ name: "odd", description: odd.description, rows: 5, columns: odd.columns }]);
  });
});

describe("ticks", () => {
  const labels = (ticks: { labelled: readonly { label: string }[] }): string[] =>
    ticks.labelled.map(({ label }) => label);
  it.each([
    ["decades, plain", logTicks(0.001, 10, 10), ["0.001", "0.01", "0.1", "1", "10"]],
    ["decades, powers", logTicks(1e-7, 1e-5, 10), ["10⁻⁷", "10⁻⁶", "10⁻⁵"]],
    ["many decades, every second", logTicks(1e-12, 1, 10), ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]],
    ["one decade", logTicks(0.9, 11, 10), ["1", "2", "5", "10"]],
    ["part of a decade", logTicks(2, 3, 10), ["2", "2.5", "3"]],
    ["powers of two", logTicks(2, 64, 2), ["2", "4", "8", "16", "32", "64"]],
    ["halves", logTicks(0.25, 1, 2), ["2⁻²", "2⁻¹", "2⁰"]],
    ["linear", linearTicks(0, 80_000), ["0", "20,000", "40,000", "60,000", "80,000"]],
    ["linear, negative fractions", linearTicks(-0.1, 0.1), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]],
    ["linear, one value", linearTicks(3, 3, 4), ["1", "2", "3", "4", "5"]],
    ["linear, tiny", linearTicks(0, 4e-7, 3), ["0", "2·10⁻⁷", "4·10⁻⁷"]],
    ["both signs", symlogTicks([-0.1, 0, 1]), ["-10⁻¹", "0", "10⁻¹", "10⁰"]],
  ])("%s", (_, ticks, expected) => {
    expect(labels(ticks)).toEqual(expected);
    for (const { value } of ticks.labelled) {
      expect(value).toBeGreaterThanOrEqual(ticks.domain[0]);
      expect(value).toBeLessThanOrEqual(ticks.domain[1]);
    }
  });
});

describe("figures", () => {
  it.each(Object.entries(FIGURES))("%s: SVG with axis titles, PNG with ink", async (kind, figure) => {
    const svg = await renderSvg(chartSpec(figure, curves));
    const texts = textsOf(svg);
    expect(texts.join("\n")).toContain(figure.title);
    expect(texts.filter((text) => text === figure.x.label).length).toBe(kind === "facets" ? 2 : 1);
    const unit = figure.y.field === "distance" ? " [‖·‖]" : "";
    expect(texts.filter((text) => text === figure.y.label + unit).length).toBe(kind === "facets" ? 2 : 1);
    if (figure.color !== undefined) expect(texts.some((text) => text.startsWith(figure.color!.label))).toBe(true);
    for (const { label } of figure.guides ?? []) expect(texts).toContain(label);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);

    const width = Number(/<svg[^>]* width="([\d.]+)"/.exec(svg)![1]);
    expect(width).toBeGreaterThan(700);
    expect(width).toBeLessThanOrEqual(800);
    const ink = inkOf(renderPng(svg));
    expect(ink.width).toBeCloseTo(2 * width, -1);
    expect(ink.distinct).toBeGreaterThan(50);
  });

  it("names the panels of facets", async () => {
    const texts = textsOf(await renderSvg(chartSpec(FIGURES.facets!, curves)));
    for (const title of ["weights: V", "weights: W", "seed = 0", "seed = 1"]) expect(texts).toContain(title);
  });

  it("draws text from fonts of its own: without the text the picture differs", async () => {
    const svg = await renderSvg(chartSpec(line, curves));
    const silent = svg.replace(/<text[\s\S]*?<\/text>/g, "");
    expect(Buffer.from(renderPng(svg)).equals(Buffer.from(renderPng(silent)))).toBe(false);
  });

  it("leaves out what has no place on a logarithmic axis, and counts it", async () => {
    const rows = [1, 0, -2, Number.NaN, null, 4].map((distance, i) => ({ depth: i + 1, distance }));
    const figure: Figure = { ...FIGURES.linear!, y: { field: "distance", label: "d", scale: "log" }, where: {} };
    const table: Table = { ...curves, rows };
    const texts = textsOf(await renderSvg(chartSpec(figure, table))).join("\n");
    expect(texts).toContain("4 points not drawn: 2 without a finite value, 2 not positive on a logarithmic scale");
    expect((chartSpec(figure, table).data as { values: unknown[] }).values.length).toBe(2);
  });

  it("says no data when nothing is left", async () => {
    const texts = textsOf(await renderSvg(chartSpec({ ...line, where: { seed: 99 } }, curves)));
    expect(texts).toContain("no data");
    expect(texts).toContain(line.title);
  });

  it("thins a long line but keeps its ends and extremes", () => {
    const rows = Array.from({ length: 20_000 }, (_, depth) => ({
      depth,
      distance: depth === 7777 ? 50 : Math.sin(depth),
    }));
    const figure: Figure = { ...FIGURES.linear!, where: {} };
    const { values } = chartSpec(figure, { ...curves, rows }).data as { values: { x: number; y: number }[] };
    expect(values.length).toBeLessThan(2000);
    expect(values[0]!.x).toBe(0);
    expect(values.at(-1)!.x).toBe(19_999);
    expect(values.some(({ x, y }) => x === 7777 && y === 50)).toBe(true);
  });

  it("keeps an interval that reaches zero on a logarithmic axis", async () => {
    const rows = DEPTHS.map((depth) => ({
      depth,
      iteration: 1,
      weights: "V",
      distance: 1 / depth,
      low: -1,
      high: 2 / depth,
      seed: 0,
    }));
    const svg = await renderSvg(chartSpec(line, { ...curves, rows }));
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it("draws a roof up to where its lines meet, in view whatever the data", async () => {
    type Drawn = { x: number; y: number; role?: string; label?: string };
    const { values } = chartSpec(roofline, curves).data as { values: Drawn[] };
    const ends = (label: string) => values.filter((mark) => mark.role === "roof" && mark.label === label);
    const [low, ridge] = ends("copy");
    expect(low!.y / low!.x).toBeCloseTo(4);
    expect([ridge!.x, ridge!.y]).toEqual([25, 100]);
    const [corner, end] = ends("multiply-add");
    expect([corner!.x, corner!.y]).toEqual([25, 100]);
    // Past the deepest point of the data, and past twice the ridge.
    expect(end!.x).toBeGreaterThanOrEqual(64);
    expect(end!.y).toBe(100);
    // The data end at 5: the axis reaches above the roof.
    const layers = (chartSpec(roofline, curves) as { layer: { encoding: { y: { scale: { domain: number[] } } } }[] })
      .layer;
    expect(layers[0]!.encoding.y.scale.domain[1]).toBeGreaterThan(100);
    const texts = textsOf(await renderSvg(chartSpec(roofline, curves)));
    expect(texts).toContain("copy");
    expect(texts).toContain("multiply-add");
  });

  it("ends a lower roof at the steepest rise and a second rise at the highest roof", () => {
    const roof = {
      rising: [
        { value: 1, label: "slow" },
        { value: 10, label: "fast" },
      ],
      level: [
        { value: 20, label: "low" },
        { value: 40, label: "high" },
      ],
    };
    const { values } = chartSpec({ ...roofline, roof }, curves).data as {
      values: { x: number; y: number; role?: string; label?: string }[];
    };
    const ends = (label: string) => values.filter((mark) => mark.role === "roof" && mark.label === label);
    expect(ends("slow")[1]).toMatchObject({ x: 40, y: 40 });
    expect(ends("fast")[1]).toMatchObject({ x: 4, y: 40 });
    expect(ends("low")[0]).toMatchObject({ x: 2, y: 20 });
    expect(ends("high")[0]).toMatchObject({ x: 4, y: 40 });
  });

  it("labels points as far as there is room, none over another", () => {
    const names = Array.from({ length: 60 }, (_, i) => `a point with number ${i}`);
    const columns = [...curves.columns, { name: "name", description: "name" }];
    const labelled = (points: readonly (readonly [number, number])[]) => {
      const rows = points.map(([depth, distance], i) => ({ depth, distance, weights: "V", name: names[i]! }));
      const figure: Figure = { ...roofline, pointLabel: "name", where: {} };
      const { values } = chartSpec(figure, { ...curves, columns, rows }).data as {
        values: { role?: string; label?: string }[];
      };
      return values.filter(({ role }) => role?.startsWith("label ")).map(({ label }) => label);
    };
    const apart = [0.3, 1, 3, 9].map((depth) => [depth, depth / 10] as const);
    expect(labelled(apart).sort()).toEqual(names.slice(0, 4));
    const crowd = names.map((_, i) => [1 + i / 1000, 1] as const);
    const few = labelled(crowd).length;
    expect(few).toBeGreaterThan(0);
    expect(few).toBeLessThan(10);
  });

  it("tells more series than colours apart by dashes, in one legend", async () => {
    const rows = Array.from({ length: 11 }, (_, i) =>
      DEPTHS.map((depth) => ({ depth, distance: (i + 1) * depth, weights: `peer ${i}` })),
    ).flat();
    const figure: Figure = { ...roofline, kind: "line", where: {} };
    const { roof: _roof, ...plain } = figure;
    const spec = chartSpec(plain, { ...curves, rows });
    const drawn = (spec as { layer: { encoding: Record<string, { scale?: { range: unknown[] } }> }[] }).layer.find(
      ({ encoding }) => encoding.strokeDash !== undefined,
    )!.encoding;
    const styles = drawn.color!.scale!.range.map((color, i) =>
      JSON.stringify([color, drawn.strokeDash!.scale!.range[i]]),
    );
    expect(new Set(styles).size).toBe(11);
    const texts = textsOf(await renderSvg(spec));
    expect(texts.filter((text) => text === "peer 10")).toHaveLength(1);
  });

  it("refuses a roof on linear axes or of no height, and labels on lines", () => {
    expect(() => chartSpec({ ...roofline, x: { field: "depth", label: "x" } }, curves)).toThrow(
      "figure roofline: a roof needs logarithmic x and y",
    );
    const roof = { rising: [{ value: 0, label: "copy" }], level: [] };
    expect(() => chartSpec({ ...roofline, roof }, curves)).toThrow("the roof copy must be positive and finite, got 0");
    expect(() => chartSpec({ ...line, pointLabel: "weights" }, curves)).toThrow("labels of points need kind point");
    expect(() => chartSpec({ ...roofline, pointLabel: "none" }, curves)).toThrow('has no column "none"');
  });

  it("refuses a column that is not there, and guides on linear axes", () => {
    const wrong: Figure = { ...line, x: { field: "dept", label: "x" } };
    expect(() => chartSpec(wrong, curves)).toThrow('figure distance: table curves has no column "dept"');
    const flat: Figure = { ...line, x: { field: "depth", label: "x" } };
    expect(() => chartSpec(flat, curves)).toThrow("guides of a given slope need logarithmic x and y");
  });
});

const claims: Claim[] = [
  {
    id: "first",
    statement: "The slope is minus one <script>alert(1)</script>.",
    source: "Proposition 3 & 4",
    measured: -1.003,
    interval: [-1.015, -0.991],
    confidence: 0.95,
    passes: { min: -1.1, max: -0.9 },
    verdict: "holds",
    note: "Three seeds.",
  },
  {
    id: "second",
    statement: "The loss falls.",
    source: "measured for this project",
    measured: 2,
    passes: { max: 1 },
    verdict: "fails",
  },
  {
    id: "third",
    statement: "One seed decides nothing.",
    source: "measured for this project",
    measured: 0.5,
    interval: [-Infinity, Infinity],
    confidence: 0.95,
    passes: { min: 0 },
    verdict: "not decided",
  },
];
const record: RunRecord = {
  experiment: "sample",
  title: 'Title with "quotes" <script>alert(2)</script>',
  summary: "What was done & why.",
  preset: "quick",
  status: "diverged",
  statusDetail: "loss 1e30 at step <7>",
  config: { model: { depth: [2, 4], width: 16 }, clip: null, name: "<b>" },
  environment: { adapter: "test adapter", commit: "0123abc" },
  tables: [curves],
  figures: [line, FIGURES.heatmap!],
  claims,
  notes: ["Smaller than the paper's <run>."],
  seconds: 75.4,
  command: "deeplimit run sample --name '<x>'",
};

describe("page", () => {
  it("holds the claims, with verdicts as words, and escapes all text", () => {
    const html = renderHtml(record, new Map());
    expect(html).not.toContain("<script");
    expect(html).toContain("minus one &lt;script&gt;alert(1)&lt;/script&gt;.");
    expect(html).toContain("<title>Title with &quot;quotes&quot; &lt;script&gt;");
    expect(html).toContain("Proposition 3 &amp; 4");
    expect(html).toMatch(/class="verdict holds">.*holds<\/span>/);
    expect(html).toMatch(/class="verdict fails">.*fails<\/span>/);
    expect(html).toMatch(/class="verdict open">.*not decided<\/span>/);
    expect(html).toContain("−1.003 ± 0.012");
    expect(html).toContain("−1.1 to −0.9");
    expect(html).toContain("loss 1e30 at step &lt;7&gt;");
    expect(html).toContain("model.depth");
    expect(html).toContain("deeplimit run sample --name &#39;&lt;x&gt;&#39;");
    expect(html.indexOf('id="claims"')).toBeLessThan(html.indexOf('id="figures"'));
    expect(escapeHtml(`&<>"'`)).toBe("&amp;&lt;&gt;&quot;&#39;");
  });

  it("asks for nothing from elsewhere", async () => {
    const svg = await renderSvg(chartSpec(line, curves));
    const html = renderHtml(record, new Map([["distance", svg]]));
    expect(html).toContain("<svg role=");
    expect(html).not.toMatch(/(?:src|href)="(?:[a-z]+:)?\/\//i);
    expect(html).not.toMatch(/@import|url\((?!#)|<link|<iframe|<img|<object/i);
    expect(html).toContain("default-src 'none'");
  });

  it("gives the figures of one page ids of their own", () => {
    const svg = '<svg><defs><clipPath id="clip0"/></defs><g clip-path="url(#clip0)"/></svg>';
    const html = renderHtml(
      record,
      new Map([
        ["distance", svg],
        ["heat", svg],
      ]),
    );
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    expect(html).toContain('id="figure-1-clip0"');
    expect(html).toContain('clip-path="url(#figure-2-clip0)"');
  });
});

describe("page of a benchmark", () => {
  const wide: Table = {
    name: "peers",
    description: "Times & <ratios>",
    columns: [
      { name: "peer", description: "library" },
      { name: "median", unit: "ms", description: "of a step" },
      { name: "reason", description: "why there is none" },
      { name: "note", description: "longer text" },
    ],
    rows: [
      { peer: "first", median: 1234.56, reason: null, note: "a sentence that is too long for a narrow cell" },
      { peer: "<second>", median: null, reason: null, note: "" },
    ],
  };
  const benchmark: RunRecord = {
    ...record,
    experiment: "bench",
    status: "failed",
    statusDetail: "kernels failed: no <reason>",
    environment: { stamp: { adapter: "card <1>" }, cores: 2 },
    tables: [curves, wide, { ...wide, name: "step-curves" }],
    figures: [roofline, line],
    sections: [
      { name: "kernels", title: "Kernels", tables: ["curves"], figures: ["roofline"], notes: ["Not & ever."] },
      { name: "peers", title: "Peers", tables: ["peers", "step-curves"], figures: ["distance"], notes: [] },
    ],
  };

  it("has a section a suite with its figures, tables and notes, and links to no file", async () => {
    const path = join(dir, "bench.html");
    expect(await writeBenchmarkPage(path, benchmark)).toEqual([]);
    const page = readFileSync(path, "utf8");
    const [kernels, peers] = [page.indexOf('<section id="kernels">'), page.indexOf('<section id="peers">')];
    expect(kernels).toBeGreaterThan(0);
    expect(peers).toBeGreaterThan(kernels);
    const between = page.slice(kernels, peers);
    expect(between).toContain("<strong>Figure 1.</strong>");
    expect(between).toContain('id="table-curves"');
    expect(between).toContain("Not &amp; ever.");
    expect(page.slice(peers)).toContain("<strong>Figure 2.</strong>");
    expect(page.match(/<svg role=/g)).toHaveLength(2);
    expect(page).toContain("card &lt;1&gt;");
    expect(page).toContain("kernels failed: no &lt;reason&gt;");
    const targets = [...page.matchAll(/href="([^"]+)"/g)].map((match) => match[1]!);
    const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]!));
    expect(targets.length).toBeGreaterThan(1);
    for (const target of targets) expect(ids).toContain(target.replace("#", ""));
    expect(page).not.toMatch(/<script|<img|@import|url\((?!#)/);
  });

  it("aligns numbers right, wraps long text, leaves out empty columns and folds tables made for figures", () => {
    const page = renderBenchmarkPage(benchmark, new Map());
    const block = page.slice(
      page.indexOf('id="table-peers"'),
      page.indexOf('<details class="folded"><summary>step-curves'),
    );
    expect(block).toContain('<th scope="col" class="number" title="of a step">median<br><small>ms</small></th>');
    expect(block).toContain('<td class="number">1235</td>');
    expect(block).toContain('<td class="number"><span class="empty">–</span></td>');
    expect(block).toContain('<td class="long">a sentence');
    expect(block).toContain("&lt;second&gt;");
    expect(block).not.toContain("reason");
    expect(page).toContain("This figure could not be drawn");
  });

  it("draws what can be drawn, and reads back from its record", async () => {
    const broken: RunRecord = {
      ...benchmark,
      figures: [{ ...roofline, x: { field: "nothing", label: "x", scale: "log" } }, line],
    };
    const problems = await writeBenchmarkPage(join(dir, "broken.html"), broken);
    expect(problems).toEqual(['roofline is not drawn: figure roofline: table curves has no column "nothing"']);
    expect(readFileSync(join(dir, "broken.html"), "utf8").match(/<svg role=/g)).toHaveLength(1);
    const path = join(dir, "bench.json");
    writeFileSync(path, JSON.stringify(benchmark));
    expect(await readRecordFile(path)).toEqual(benchmark);
  });
});

describe("writeReport and readRecord", () => {
  it("write every file, whole, and read the record back", async () => {
    const out = join(dir, "run");
    const files = await writeReport(out, record);
    const found = readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(out.length + 1)
          .replaceAll("\\", "/"),
      );
    expect(found.sort()).toEqual([...files].sort());
    for (const file of [
      "record.json",
      "config.json",
      "environment.json",
      "claims.json",
      "tables/curves.csv",
      "tables/curves.jsonl",
      "tables/tables.json",
      "figures/distance.svg",
      "figures/heat.png",
      "report.html",
    ]) {
      expect(files).toContain(file);
    }
    const back = await readRecord(out);
    expect(back).toEqual(record);
    const page = readFileSync(join(out, "report.html"), "utf8");
    const svgs = new Map(
      back.figures.map(({ name }) => [name, readFileSync(join(out, "figures", `${name}.svg`), "utf8")]),
    );
    expect(renderHtml(back, svgs)).toBe(page);
  });

  it("links only to files that were written", async () => {
    const out = join(dir, "links");
    const files = await writeReport(out, record);
    const links = [...readFileSync(join(out, "report.html"), "utf8").matchAll(/<a href="([^"]+)"/g)].map(
      (match) => match[1]!,
    );
    expect(links.length).toBeGreaterThan(8);
    for (const link of links) expect(files).toContain(link);
  });

  it("names what is wrong with a record on disk", async () => {
    await expect(readRecord(join(dir, "nowhere"))).rejects.toThrow(DataError);
    const path = join(dir, "record.json");
    writeFileSync(path, "{");
    await expect(readRecord(dir)).rejects.toThrow("must be JSON");
    writeFileSync(path, JSON.stringify({ ...record, claims: [{ ...claims[1], verdict: "maybe" }] }));
    await expect(readRecord(dir)).rejects.toThrow(/record\.json: claims\.0\.verdict: /);
  });

  it("refuses names that are not file stems, before writing anything", async () => {
    const out = join(dir, "refused");
    const bad: RunRecord = { ...record, tables: [{ ...curves, name: "../curves" }], figures: [] };
    await expect(writeReport(out, bad)).rejects.toThrow('table name must be a kebab-case file stem, got "../curves"');
    await expect(writeReport(out, { ...record, figures: [line, line] })).rejects.toThrow(
      'figure name must be used once, got "distance" twice',
    );
    await expect(writeReport(out, { ...record, tables: [] })).rejects.toThrow(
      'figure distance: the record has no table "curves"',
    );
    expect(readdirSync(dir)).not.toContain("refused");
  });

  it("leaves no temporary file where it cannot write", async () => {
    const blocked = join(dir, "blocked");
    writeFileSync(blocked, "a file, not a directory");
    await expect(writeReport(blocked, record)).rejects.toThrow(DataError);
    expect(readFileSync(blocked, "utf8")).toBe("a file, not a directory");
  });
});

describe("terminal text", () => {
  it("wraps to the width and has no escape sequence unless asked", () => {
    const plain = claimsText(claims, { width: 60, color: false });
    for (const row of plain.split("\n")) expect([...row].length).toBeLessThanOrEqual(60);
    expect(plain).not.toContain("\x1b");
    expect(plain).toContain("holds        -1.003 ± 0.012 (95 %)");
    expect(plain).toContain("passes -1.1 to -0.9");
    const painted = claimsText(claims, { width: 60, color: true });
    for (const verdict of ["holds", "fails", "not decided"]) expect(painted).toContain(`m${verdict}\x1b[0m`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is taken out.
    expect(painted.replace(/\x1b\[\d+m/g, "")).toBe(plain);
  });

  it("cuts a word longer than the line", () => {
    const long = claimsText([{ ...claims[1]!, statement: "x".repeat(200) }], { width: 40, color: false });
    for (const row of long.split("\n")) expect(row.length).toBeLessThanOrEqual(40);
    expect(long.replace(/[^x]/g, "").length).toBe(200);
  });

  it.each([
    [formatNumber(16384), "16384"],
    [formatNumber(1.5e-7), "1.5e-7"],
    [formatNumber(0.123456), "0.1235"],
    [formatNumber(1e6), "1e6"],
    [formatNumber(1.1e20), "1.1e20"],
    [formatMeasured(-1, [-1.01, -0.99]), "-1 ± 0.01"],
    [formatMeasured(1, [0.9, 1.3]), "1 [0.9, 1.3]"],
    [formatMeasured(1.5e-7, [1.4e-7, 1.6e-7]), "1.5e-7 ± 1e-8"],
    [formatMeasured(0.5, [-Infinity, Infinity]), "0.5 [-∞, ∞]"],
    [formatMeasured(null), "no number"],
    [formatRange({ min: 0, max: 0 }), "exactly 0"],
    [formatRange({ min: 0.5 }), "at least 0.5"],
    [formatSeconds(0.44), "0.4 s"],
    [formatSeconds(75.4), "1 min 15 s"],
    [formatSeconds(3660), "1 h 1 min"],
  ])("%s is %s", (got, expected) => {
    expect(got).toBe(expected);
  });
});
