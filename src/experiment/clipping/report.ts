/** Tables and figures of `clipping`. */
import type { Figure, Table } from "../record.ts";
import { GEOMETRIC_MEAN_COLUMNS, geometricMeanColumns } from "../synthetic.ts";
import { type ClippingConfig, LARGEST_MOVE, type Row } from "./config.ts";

/** Geometric mean over seeds of the largest step over layers and time, with the interval of the mean logarithm. */
function stepsByDepth({ depths, rate }: ClippingConfig, ends: readonly Row[]): Row[] {
  const names = [...new Set(ends.map((row) => row.case as string))];
  return names.flatMap((name) =>
    depths.flatMap((depth): Row[] => {
      const rows = ends.filter(
        (row) => row.case === name && row.depth === depth && row.rate === rate && row.status === "done",
      );
      const columns = geometricMeanColumns(rows.map((row) => row.largest_step as number));
      return columns ? [{ case: name, clip: rows[0]!.clip!, depth, ...columns }] : [];
    }),
  );
}

export function tablesOf(
  config: ClippingConfig,
  states: readonly Row[],
  ends: readonly Row[],
  differences: readonly Row[],
): Table[] {
  const clip = { name: "clip", description: "projection: none, coordinate or norm" };
  const bound = { name: "bound", description: "C; empty without clipping" };
  const depth = { name: "depth", description: "number of layers L" };
  const seed = { name: "seed", description: "of weights and data" };
  const name = { name: "case", description: "projection and C" };
  const columns = [name, clip, bound, { name: "rate", description: "step size η" }, depth, seed];
  const moved = {
    name: "moved",
    description:
      "distance from the start: largest coordinate, or largest norm of A, a Z_k or B where the projection is by norm or none",
  };
  const norm = { name: "largest_norm", description: "largest of ‖A‖_F, ‖B‖_F, ‖V_k‖_F and ‖W_k‖_F" };
  return [
    {
      name: "training",
      description: "Every recorded state of every training.",
      columns: [
        ...columns,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t" },
        { name: "loss", description: "training loss" },
        { name: "max_step", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖ or ‖W_{k+1} − W_k‖, the larger" },
        norm,
        moved,
      ],
      rows: [...states],
    },
    {
      name: "trainings",
      description: "Every training: extremes over its recorded states.",
      columns: [
        ...columns,
        { name: "status", description: "done or diverged" },
        { name: "detail", description: "where it diverged" },
        { name: "loss", description: "at the end" },
        { name: "largest_step", unit: "‖·‖_F", description: "largest max_step" },
        norm,
        moved,
      ],
      rows: [...ends],
    },
    {
      name: "steps-by-depth",
      description: `Geometric mean over seeds of the largest step over layers and recorded times, η = ${config.rate}.`,
      columns: [name, clip, depth, ...GEOMETRIC_MEAN_COLUMNS],
      rows: stepsByDepth(config, ends),
    },
    {
      name: "differences",
      description:
        "What clipping changes at the largest depth: largest relative difference of the loss to that of the plain flow over the recorded times.",
      columns: [clip, bound, depth, seed, { name: "difference", description: "max_t |ℓ_C(t) / ℓ(t) − 1|" }],
      rows: [...differences],
    },
  ];
}

export function figuresOf({ depths, seeds, rate, largeRates, largeRateDepth, steps }: ClippingConfig): Figure[] {
  const color = { field: "case", label: "clipping" };
  const clip = { field: "clip", label: "clipping" };
  const figures: Figure[] = [
    {
      name: "max-step",
      title: "Largest step between neighbouring layers, clipped and not",
      caption:
        "max over layers and recorded times of ‖Z_{k+1} − Z_k‖, geometric mean over seeds with its 95 % interval.",
      table: "steps-by-depth",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "max_step", label: "max step", scale: "log" },
      color,
      columnFacet: clip,
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
    },
    {
      name: "loss",
      title: `Loss along training (L = ${depths.at(-1)}, seed ${seeds[0]})`,
      caption: "A small C slows the flow down; a large one leaves it as it is.",
      table: "training",
      kind: "line",
      x: { field: "time", label: "training time t" },
      y: { field: "loss", label: "loss" },
      color,
      columnFacet: clip,
      where: { depth: depths.at(-1)!, seed: seeds[0]!, rate },
    },
    {
      name: "difference",
      title: "Clipping with growing C approaches the plain flow",
      caption:
        "Largest relative difference of the loss to that of the plain flow. Where it is exactly 0, no point can be drawn on this axis.",
      table: "differences",
      kind: "point",
      x: { field: "bound", label: "C", scale: "log" },
      y: { field: "difference", label: "relative difference of the loss", scale: "log" },
      color: { field: "seed", label: "seed" },
      columnFacet: clip,
    },
  ];
  if (largeRates.length > 1)
    figures.push({
      name: "large-rates",
      title: `Loss after ${steps} steps of large size (L = ${largeRateDepth}, seed ${seeds[0]})`,
      caption: `Loss at the end against the step size η; trainings that diverged have none. Clipped trainings are run where η C <= ${LARGEST_MOVE}.`,
      table: "trainings",
      kind: "line",
      x: { field: "rate", label: "step size η", scale: "log" },
      y: { field: "loss", label: "loss at the end", scale: "log" },
      color,
      columnFacet: clip,
      where: { depth: largeRateDepth, seed: seeds[0]! },
    });
  return figures;
}
