/** Tables, figures and notes of `digits`. */

import type { Column, Figure, Table } from "../record.ts";
import { CURVES, stepsByDepth } from "./claims.ts";
import { allCases, CLASSES, type DigitsConfig, type Family, IMAGES, PIXELS, PRESETS, type Row } from "./config.ts";
import type { Collected } from "./training.ts";

const CASE_COLUMNS: readonly Column[] = [
  { name: "activation", description: "σ" },
  { name: "initialisation", description: "W at the start: tied (one draw for all layers) or iid (a draw for each)" },
  { name: "depth", description: "number of layers L" },
  { name: "seed", description: "of the split and of the initial weights" },
];
const FAMILY_COLUMN: Column = { name: "family", description: "weights meant: V or W" };
const CASE_NAME_COLUMN: Column = { name: "case", description: "activation and initialisation" };
const SEEDS_COLUMN: Column = { name: "seeds", description: "seeds that contribute" };

export function tablesOf(
  config: DigitsConfig,
  collected: Collected,
  slopes: readonly Row[],
  curves: readonly Row[],
): Table[] {
  const [activation, initialisation, depth] = CASE_COLUMNS as [Column, Column, Column];
  return [
    {
      name: "training",
      description: "Every recorded state of every training.",
      columns: [
        ...CASE_COLUMNS,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t = step · η" },
        { name: "loss", description: "cross-entropy on the training rows, natural logarithm" },
        { name: "accuracy", description: "share of the training rows classified rightly" },
        { name: "test_loss", description: "cross-entropy on the test rows" },
        { name: "test_accuracy", description: "share of the test rows classified rightly" },
        { name: "pl_ratio", description: "energy_rate / loss, the Polyak–Łojasiewicz ratio of Definition 1" },
        { name: "energy_rate", description: "‖∂ℓ/∂A‖² + L Σ_k ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖² = −dℓ/dt" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
        { name: "mean_step_V", unit: "‖·‖_F", description: "mean_k ‖V_{k+1} − V_k‖" },
        { name: "mean_step_W", unit: "‖·‖_F", description: "mean_k ‖W_{k+1} − W_k‖" },
        { name: "max_norm_V", unit: "‖·‖_F", description: "max_k ‖V_k‖" },
        { name: "max_norm_W", unit: "‖·‖_F", description: "max_k ‖W_k‖" },
      ],
      rows: collected.training,
    },
    {
      name: "weights-by-depth",
      description: `The first entry of V_k and of W_k in every layer, before and after training, at L = ${config.depths.at(-1)}, seed ${config.seeds[0]}.`,
      columns: [
        ...CASE_COLUMNS,
        { name: "layer", description: "k = 1 … L" },
        { name: "s", description: "position k/L" },
        { name: "state", description: "before or after training" },
        { name: "V", description: "first row, first column of V_k" },
        { name: "W", description: "first row, first column of W_k" },
      ],
      rows: collected.layers,
    },
    {
      name: "smoothness",
      description: "Differences of neighbouring layers in every finished training.",
      columns: [
        ...CASE_COLUMNS,
        FAMILY_COLUMN,
        { name: "max_step_initial", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖ before training" },
        { name: "max_step_final", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖ after training" },
        { name: "scaled_final", unit: "‖·‖_F", description: "L · max_step_final, a Lipschitz constant in s = k/L" },
        { name: "ratio", description: "max_step_final / max_step_initial; empty where all layers start equal" },
        {
          name: "roughness",
          description:
            "½ Σ_k ‖X_{k+1} − X_k‖² / Σ_k ‖X_k − X̄‖² after training: 1 for independent layers, O(1/L²) for a Lipschitz function of k/L",
        },
      ],
      rows: collected.smoothness,
    },
    {
      name: "smoothness-by-depth",
      description: "Geometric mean over seeds of the final max step at every depth.",
      columns: [
        CASE_NAME_COLUMN,
        activation,
        initialisation,
        FAMILY_COLUMN,
        depth,
        SEEDS_COLUMN,
        { name: "max_step", unit: "‖·‖_F", description: "geometric mean of max_k ‖X_{k+1} − X_k‖ after training" },
        { name: "lower", unit: "‖·‖_F", description: "lower end of its 95 % interval (Student's t on logarithms)" },
        { name: "upper", unit: "‖·‖_F", description: "upper end of its 95 % interval" },
      ],
      rows: stepsByDepth(config, collected),
    },
    {
      name: "slopes",
      description:
        "Exponent p of max_k ‖X_{k+1} − X_k‖ ≈ C·L^p after training: a least-squares line for each seed, averaged.",
      columns: [
        activation,
        initialisation,
        FAMILY_COLUMN,
        { name: "slope", description: "p" },
        { name: "lower", description: "lower end of its 95 % interval" },
        { name: "upper", description: "upper end of its 95 % interval" },
        {
          name: "interval_from",
          description: "seeds: Student's t over seeds; regression: scatter about the line of a single seed",
        },
        SEEDS_COLUMN,
      ],
      rows: [...slopes],
    },
    {
      name: "curves",
      description: "Mean, least and largest over seeds along training.",
      columns: [
        CASE_NAME_COLUMN,
        activation,
        initialisation,
        depth,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t" },
        SEEDS_COLUMN,
        ...CURVES.flatMap((name) => [
          { name, description: `mean over seeds of ${name} in the table training` },
          { name: `${name}_low`, description: `least over seeds of ${name}` },
          { name: `${name}_high`, description: `largest over seeds of ${name}` },
        ]),
      ],
      rows: [...curves],
    },
  ];
}

export function figuresOf(config: DigitsConfig, { training }: Collected): Figure[] {
  // A run that was stopped shows the deepest networks it has.
  const deepest = training.reduce((most, row) => Math.max(most, row.depth as number), 0) || config.depths.at(-1)!;
  const activation = { field: "activation", label: "activation" };
  const start = { field: "initialisation", label: "start" };
  const byCase = { field: "case", label: "activation, start" };
  const time = { field: "time", label: "training time t" };
  const entries = (family: Family, sentence: string): Figure => ({
    name: `weights-${family.toLowerCase()}`,
    title: `One entry of ${family}_k against depth (L=${config.depths.at(-1)})`,
    caption:
      `The first entry of ${family}_k for every layer k, seed ${config.seeds[0]}. A curve means that the trained network discretises a neural ODE; ` +
      `noise means that it does not. ${sentence}`,
    table: "weights-by-depth",
    kind: "line",
    x: { field: "s", label: "position in depth, k/L" },
    y: { field: family, label: `entry of ${family}_k` },
    color: { field: "state", label: "training" },
    columnFacet: activation,
    rowFacet: start,
  });
  const curve = (name: (typeof CURVES)[number], title: string, label: string, log: boolean): Figure => ({
    name: name.replaceAll("_", "-"),
    title: `${title} along training (L=${deepest})`,
    caption:
      `Mean over seeds; the band runs from the least to the largest of ${config.seeds.length} ${config.seeds.length === 1 ? "seed" : "seeds"}. ` +
      "Where only one line is seen, the other lies under it.",
    table: "curves",
    kind: "line",
    x: time,
    y: { field: name, label, ...(log && { scale: "log" }) },
    color: start,
    columnFacet: activation,
    interval: [`${name}_low`, `${name}_high`],
    where: { depth: deepest },
  });
  return [
    {
      name: "max-step",
      title: "Largest step between neighbouring layers, after training",
      caption:
        "max_k ‖X_{k+1} − X_k‖_F for X = V and W, geometric mean over seeds with its 95 % interval. Weights that are samples of a Lipschitz function of " +
        "k/L follow the guide of slope −1; independent layers stay level. Where only one of two cases is seen, the other lies under it.",
      table: "smoothness-by-depth",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "max_step", label: "max step after training", scale: "log" },
      color: byCase,
      columnFacet: { field: "family", label: "weights" },
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
    },
    entries("W", "Panels share the axis: the tied start is shown on a scale of its own below."),
    ...(config.initialisations.includes("tied")
      ? [
          {
            ...entries("W", ""),
            name: "weights-w-tied",
            title: `One entry of W_k against depth, tied start (L=${config.depths.at(-1)})`,
            caption: `The first entry of W_k for every layer k, seed ${config.seeds[0]}; before training all layers are equal.`,
            rowFacet: undefined,
            where: { initialisation: "tied" },
          },
        ].map(({ rowFacet: _, ...figure }): Figure => figure)
      : []),
    entries("V", "Before training V = 0."),
    curve("loss", "Training loss", "cross-entropy, training rows", true),
    curve("test_accuracy", "Test accuracy", "test accuracy", false),
    curve("pl_ratio", "Polyak–Łojasiewicz ratio", "−(dℓ/dt) / ℓ", true),
  ];
}

export function notesOf(config: DigitsConfig, { finished }: Collected): string[] {
  const { trainRows, testRows, depths, seeds, width, hidden, widthFactors, hiddenScale, rate, steps } = config;
  const notes = [
    `Data: ${trainRows} training and ${testRows} test rows of the ${IMAGES} images of 8 × 8 pixels in the UCI set "Optical Recognition of Handwritten Digits" ` +
      "(Alpaydin and Kaynak, doi 10.24432/C50P49), split anew for each seed; writers are shared by both sides, so the accuracies are not " +
      "comparable with those on the set's own split. Images are centred by the mean of the training rows and scaled to ‖x‖ = √q.",
    `Network: q = ${width}, m = ${hidden}, width factors of the paper's ${widthFactors === "code" ? "code (none)" : "text (1/√m, 1/√q)"}, W ~ N(0, ${hiddenScale}²), ` +
      `V = 0, A and B ~ N(0, 1/q), all trained; Euler with η = ${rate}, ${steps} steps, t = ${Number((rate * steps).toPrecision(6))}; depths ${depths.join(", ")}; ${seeds.length} seeds.`,
    "Not the setting of the proofs in full: the flow is not clipped (Proposition 3), GELU is not bounded, and the loss is the cross-entropy, not the squared norm.",
  ];
  if (width < PIXELS + CLASSES)
    notes.push(
      `q = ${width} is below d + d' = ${PIXELS + CLASSES}, which Proposition 5 asks for: A projects the images, and no Polyak–Łojasiewicz constant is promised.`,
    );
  const paper = PRESETS.paper;
  if (depths.at(-1)! < paper.depths.at(-1)! || trainRows < paper.trainRows || seeds.length < paper.seeds.length)
    notes.push(
      `Reduced: the preset "paper" takes depths up to ${paper.depths.at(-1)}, ${paper.trainRows} training rows, ${paper.seeds.length} seeds and ${paper.steps} steps, for a GPU. ` +
        "The paper itself trains convolutional networks on CIFAR-10.",
    );
  const wanted = allCases(config).length;
  if (finished.size < wanted)
    notes.push(`${finished.size} of ${wanted} trainings finished; claims that need the others are not decided.`);
  return notes;
}
