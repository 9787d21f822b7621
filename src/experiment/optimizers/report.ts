/** Tables and figures of `optimizers`. */
import type { Figure, Table } from "../record.ts";
import { GEOMETRIC_MEAN_COLUMNS, geometricMeanColumns } from "../synthetic.ts";
import { EARLY, FAMILIES, type OptimizersConfig, type Row } from "./config.ts";

/** Geometric mean over seeds of the largest step after training, with the interval of the mean logarithm. */
function stepsByDepth({ methods, depths, steps }: OptimizersConfig, states: readonly Row[]): Row[] {
  return methods.flatMap(({ name }) =>
    FAMILIES.flatMap((family) =>
      depths.flatMap((depth): Row[] => {
        const columns = geometricMeanColumns(
          states
            .filter((row) => row.method === name && row.depth === depth && row.step === steps)
            .map((row) => row[`max_step_${family}`] as number),
        );
        return columns ? [{ method: name, family, depth, ...columns }] : [];
      }),
    ),
  );
}

export function tablesOf(
  config: OptimizersConfig,
  states: readonly Row[],
  moved: readonly Row[],
  entries: readonly Row[],
): Table[] {
  const columns = [
    { name: "method", description: "name of the method in the configuration" },
    { name: "depth", description: "number of layers L" },
    { name: "seed", description: "of weights and data" },
  ];
  const family = { name: "family", description: "weights meant: V or W" };
  return [
    {
      name: "training",
      description: "Every recorded state of every training.",
      columns: [
        ...columns,
        { name: "step", description: "steps taken" },
        { name: "loss", description: "training loss" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
      ],
      rows: [...states],
    },
    {
      name: "moved",
      description: "Every finished training.",
      columns: [...columns, { name: "moved", description: "largest change of an entry of V or W from the start" }],
      rows: [...moved],
    },
    {
      name: "steps-by-depth",
      description: `Geometric mean over seeds of the largest step after ${config.steps} steps.`,
      columns: [columns[0]!, family, columns[1]!, ...GEOMETRIC_MEAN_COLUMNS],
      rows: stepsByDepth(config, states),
    },
    {
      name: "entries",
      description: `The entry of V and of W with the largest step between neighbouring layers, at L = ${config.depths.at(-1)}, seed ${config.seeds[0]}, after training.`,
      columns: [
        ...columns,
        family,
        { name: "entry", description: "its place in the row-major matrix" },
        { name: "layer", description: "k = 1 … L" },
        { name: "s", description: "position k/L" },
        { name: "change", description: "its change from the start" },
        { name: "scaled", description: "that over its largest size along depth" },
      ],
      rows: [...entries],
    },
  ];
}

export function figuresOf({ depths, seeds }: OptimizersConfig): Figure[] {
  const color = { field: "method", label: "method" };
  const family = { field: "family", label: "weights" };
  return [
    {
      name: "max-step",
      title: "Largest step between neighbouring layers, after training",
      caption: "max_k ‖X_{k+1} − X_k‖ for X = V and W, geometric mean over seeds with its 95 % interval.",
      table: "steps-by-depth",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "max_step", label: "max step after training", scale: "log" },
      color,
      columnFacet: family,
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
    },
    {
      name: "max-step-early",
      title: `Largest step of W between neighbouring layers after ${EARLY} steps`,
      caption:
        "max_k ‖W_{k+1} − W_k‖ for every seed when W has moved once. Adam with a small ε moves every entry by the same amount, one way or the other: a step that does not fall with L.",
      table: "training",
      kind: "point",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "max_step_W", label: "max step of W", scale: "log" },
      color,
      guides: [{ slope: -1, label: "slope −1" }],
      where: { step: EARLY },
    },
    {
      name: "loss",
      title: `Loss along training (L = ${depths.at(-1)}, seed ${seeds[0]})`,
      caption: "Steps of different methods are not steps of one time: only the shape of a curve is comparable.",
      table: "training",
      kind: "line",
      x: { field: "step", label: "step" },
      y: { field: "loss", label: "loss", scale: "log" },
      color,
      where: { depth: depths.at(-1)!, seed: seeds[0]! },
    },
    {
      name: "entries",
      title: `Entry with the largest step (L = ${depths.at(-1)}, seed ${seeds[0]})`,
      caption:
        "Change of one entry of V_k and W_k from the start, over its largest size along depth. Adam turns steeply where the gradient of an entry changed sign.",
      table: "entries",
      kind: "line",
      x: { field: "s", label: "position in depth, k/L" },
      y: { field: "scaled", label: "scaled change" },
      color,
      columnFacet: family,
    },
  ];
}
