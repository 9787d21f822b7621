/** Tables, figures and notes of `generalization`. */
import type { Figure, Table } from "../record.ts";
import { allCases, type GeneralizationConfig, PRESETS, type Row } from "./config.ts";

const ACTIVATION = { name: "activation", description: "σ" };
const MAPS = { name: "maps", description: "whether A and B are trained or frozen" };
const START = { name: "start", description: "how W begins: tied, smooth with this kernel length, iid" };
const SEED = { name: "seed", description: "initial weights" };
const LOSSES = [
  { name: "train_loss", description: "cross-entropy of the training rows" },
  { name: "test_loss", description: "cross-entropy of the rows held out" },
  { name: "gap", description: "test_loss − train_loss" },
];
const LIPSCHITZ = { name: "lipschitz_2", unit: "‖·‖_F", description: "L · max_k ‖W_{k+1} − W_k‖ (2-max)" };

export function tablesOf(
  curves: readonly Row[],
  networks: readonly Row[],
  correlations: readonly Row[],
  means: readonly Row[],
): Table[] {
  const states = [
    ACTIVATION,
    MAPS,
    START,
    SEED,
    { name: "step", description: "Euler steps taken" },
    { name: "time", description: "training time t" },
    ...LOSSES,
    { name: "train_accuracy", description: "share of training rows classified rightly" },
    { name: "test_accuracy", description: "share of held-out rows classified rightly" },
    { name: "accuracy_gap", description: "train_accuracy − test_accuracy" },
    LIPSCHITZ,
    { name: "lipschitz_max", description: "L · max_k max_ij |W_{k+1} − W_k|_ij (max-max); after the last step only" },
    {
      name: "lipschitz_signed",
      description: "L · max_k max_ij (W_{k+1} − W_k)_ij without the absolute value; after the last step only",
    },
    { name: "lipschitz_2_V", unit: "‖·‖_F", description: "L · max_k ‖V_{k+1} − V_k‖" },
  ];
  return [
    { name: "curves", description: "Every recorded state of every training.", columns: states, rows: [...curves] },
    {
      name: "networks",
      description: "The trained networks: the last state of each training.",
      columns: states,
      rows: [...networks],
    },
    {
      name: "correlations",
      description:
        "Spearman's rank correlation of a gap with a Lipschitz constant of W in depth, over the trained networks.",
      columns: [
        ACTIVATION,
        MAPS,
        { name: "norm", description: "2-max: lipschitz_2; max-max: lipschitz_max" },
        { name: "gap", description: "gap or accuracy_gap" },
        { name: "across", description: "what varies: starts (one seed) or seeds (one start)" },
        { name: "within", description: "the seed or the start that is fixed" },
        { name: "points", description: "networks" },
        { name: "rho", description: "Spearman's ρ; empty where one of the two does not vary" },
        { name: "lower", description: "lower end of the 95 % interval by Fisher's z, over points as if independent" },
        { name: "upper", description: "upper end" },
      ],
      rows: [...correlations],
    },
    {
      name: "starts",
      description: "Means over seeds at each start.",
      columns: [
        ACTIVATION,
        MAPS,
        START,
        { name: "seeds", description: "seeds in the mean" },
        ...LOSSES,
        { name: "gap_lower", description: "lower end of the 95 % interval of the mean gap" },
        { name: "gap_upper", description: "upper end" },
        { name: "test_accuracy", description: "share of held-out rows classified rightly" },
        { name: "accuracy_gap", description: "train_accuracy − test_accuracy" },
        LIPSCHITZ,
      ],
      rows: [...means],
    },
  ];
}

export function figuresOf({ depth }: GeneralizationConfig): Figure[] {
  const panels = {
    columnFacet: { field: "activation", label: "activation" },
    rowFacet: { field: "maps", label: "A and B" },
  };
  const scatter = (name: string, field: string, label: string, y: "gap" | "accuracy_gap", caption: string): Figure => ({
    name,
    title: `${y === "gap" ? "Generalisation gap" : "Gap of accuracy"} against smoothness in depth (L=${depth})`,
    caption,
    table: "networks",
    kind: "point",
    x: { field, label, scale: "log" },
    y: { field: y, label: y === "gap" ? "test − train loss" : "train − test accuracy" },
    color: { field: "start", label: "start" },
    ...panels,
  });
  return [
    scatter(
      "gap",
      "lipschitz_2",
      "L · max_k ‖W_{k+1} − W_k‖",
      "gap",
      "Every point is a trained network, one a seed and start. Tied starts lie far to the left: their layers differ by what training made of them.",
    ),
    scatter(
      "gap-max-max",
      "lipschitz_max",
      "L · max_k max_ij |W_{k+1} − W_k|",
      "gap",
      "The same with the largest entry of the differences in place of their Euclidean norm.",
    ),
    scatter(
      "accuracy-gap",
      "lipschitz_2",
      "L · max_k ‖W_{k+1} − W_k‖",
      "accuracy_gap",
      "Accuracy on the training rows minus accuracy on the rows held out.",
    ),
    {
      name: "gap-by-start",
      title: "Generalisation gap by start",
      caption:
        "From the smoothest start to the roughest; boxes over seeds from quartile to quartile, whiskers to the least and the largest.",
      table: "networks",
      kind: "box",
      x: { field: "start", label: "start", scale: "ordinal" },
      y: { field: "gap", label: "test − train loss" },
      ...panels,
    },
    {
      name: "train-loss-by-start",
      title: "Training loss by start, after the same training time",
      caption: "Starts also differ in how fast they fit: a gap between networks is not one at equal training loss.",
      table: "networks",
      kind: "box",
      x: { field: "start", label: "start", scale: "ordinal" },
      y: { field: "train_loss", label: "training loss", scale: "log" },
      ...panels,
    },
  ];
}

export function notesOf(config: GeneralizationConfig, networks: readonly Row[]): string[] {
  const { depth, width, hidden, trainRows, testRows, seeds, rate, steps, kernelLengths, hiddenScale } = config;
  const notes = [
    'After Marion, "Generalization bounds for neural ordinary differential equations and deep residual networks" (NeurIPS 2023), whose experiment is known here from its public code: ' +
      "one-matrix layers h + V_k σ(h)/L of width 30, depth 1000, ReLU, MNIST, Adam with rate 0.02, Gaussian-process starts of bandwidth 0.1, 10 runs; the constant is the largest entry, with its sign, of " +
      "W_{k+1} − W_k. Here the layers have two matrices (eq. 3 of Marion, Wu, Sander and Biau), the data are the UCI digits, training is the gradient flow (Euler), and the starts vary as well as the seeds.",
    "The norms: max-max is the largest absolute entry over all layers; 2-max the largest Frobenius norm of a difference, which is our reading of the name; the signed largest entry is in the table.",
    `L = ${depth}, q = ${width}, m = ${hidden}, no width factors, V = 0, W ~ N(0, ${Number(hiddenScale.toPrecision(3))}²), kernel lengths ${kernelLengths.join(", ")}; ` +
      `${trainRows} training and ${testRows} test rows; η = ${rate}, ${steps} steps; ${seeds.length} seeds.`,
    "All trainings share one split of the data, as the published ones share MNIST's: seeds draw weights alone, and the intervals do not speak of other splits. Across starts a correlation is taken " +
      "within each seed and averaged over seeds; across seeds at one start it is the published design.",
    "A correlation across starts is not a cause: the starts differ in more than their Lipschitz constant, and in how far they have fitted after the same time (figure train-loss-by-start).",
  ];
  const paper = PRESETS.paper;
  if (depth < paper.depth)
    notes.push(
      `Reduced: the preset "paper" has L = ${paper.depth}, width ${paper.width}, ${paper.trainRows} training rows, ${paper.seeds.length} seeds and ${paper.steps} steps, for a GPU.`,
    );
  const wanted = allCases(config).length;
  if (networks.length < wanted)
    notes.push(`${networks.length} of ${wanted} trainings finished; claims that need the others are not decided.`);
  return notes;
}
