/** Tables, figures and notes of `depth-penalty`. */
import type { Figure, Table } from "../record.ts";
import { MEANS } from "./claims.ts";
import { conditionsOf, type DepthPenaltyConfig, PRESETS, type Row } from "./config.ts";

const DESCRIPTIONS: Record<(typeof MEANS)[number], string> = {
  train_loss: "cross-entropy of the training rows, without the penalty",
  test_loss: "cross-entropy of the rows held out",
  gap: "test_loss − train_loss",
  test_accuracy: "share of held-out rows classified rightly",
  accuracy_gap: "train_accuracy − test_accuracy",
  lipschitz_V: "L · max_k ‖V_{k+1} − V_k‖_F",
  lipschitz_W: "L · max_k ‖W_{k+1} − W_k‖_F",
};

export function tablesOf(curves: readonly Row[], networks: readonly Row[], means: readonly Row[]): Table[] {
  const penalty = { name: "penalty", description: "λ and the form of the penalty" };
  const step = { name: "step", description: "Adam steps taken" };
  const states = [
    penalty,
    { name: "seed", description: "initial weights" },
    step,
    ...MEANS.map((name) => ({ name, description: DESCRIPTIONS[name] })),
    { name: "train_accuracy", description: "share of training rows classified rightly" },
  ];
  return [
    { name: "curves", description: "Every recorded state of every training.", columns: states, rows: [...curves] },
    { name: "networks", description: "The last state of every training.", columns: states, rows: [...networks] },
    {
      name: "means",
      description: "Means over seeds of every recorded state, with 95 % intervals (Student's t).",
      columns: [
        penalty,
        step,
        { name: "seeds", description: "seeds in the mean" },
        ...MEANS.flatMap((name) => [
          { name, description: DESCRIPTIONS[name] },
          { name: `${name}_lower`, description: "lower end" },
          { name: `${name}_upper`, description: "upper end" },
        ]),
      ],
      rows: [...means],
    },
  ];
}

export function figuresOf({ depth }: DepthPenaltyConfig): Figure[] {
  const box = (name: string, title: string, field: string, label: string, caption: string): Figure => ({
    name,
    title,
    caption,
    table: "networks",
    kind: "box",
    x: { field: "penalty", label: "penalty λ", scale: "ordinal" },
    y: { field, label },
  });
  const curve = (name: string, title: string, field: string, label: string, log: boolean, caption: string): Figure => ({
    name,
    title,
    caption,
    table: "means",
    kind: "line",
    x: { field: "step", label: "Adam steps" },
    y: { field, label, ...(log && { scale: "log" }) },
    color: { field: "penalty", label: "penalty λ" },
    interval: [`${field}_lower`, `${field}_upper`],
  });
  return [
    box(
      "gap-by-penalty",
      `Generalisation gap by penalty (L=${depth})`,
      "gap",
      "test − train loss",
      "Boxes over seeds after training. The two on the right start from layers that are all equal; with λ = ∞ they stay so.",
    ),
    box(
      "accuracy-by-penalty",
      `Test accuracy by penalty (L=${depth})`,
      "test_accuracy",
      "test accuracy",
      "The same networks on the rows held out.",
    ),
    curve(
      "smoothness",
      "Lipschitz constant of W in depth, along training",
      "lipschitz_W",
      "L · max step of W",
      false,
      "L · max_k ‖W_{k+1} − W_k‖_F, mean over seeds with its 95 % interval: what the penalty is there to shrink. Shared weights stay at zero.",
    ),
    curve(
      "train-loss",
      "Training loss",
      "train_loss",
      "cross-entropy, training rows",
      true,
      "Without the penalty; mean over seeds with its 95 % interval.",
    ),
    curve(
      "gap",
      "Generalisation gap along training",
      "gap",
      "test − train loss",
      false,
      "Mean over seeds with its 95 % interval.",
    ),
  ];
}

export function notesOf(config: DepthPenaltyConfig, networks: readonly Row[]): string[] {
  const { depth, width, hidden, trainRows, testRows, seeds, rate, steps, kernelLength, hiddenScale } = config;
  const notes = [
    'After Marion, "Generalization bounds for neural ordinary differential equations and deep residual networks" (NeurIPS 2023), whose experiment is known here from its public code: the penalty λ ‖W_{1:} − W_{:−1}‖_F, ' +
      "λ in {0, 0.01, 0.1, ∞}, one-matrix layers of width 30, depth 1000, ReLU, MNIST, Adam, 50 epochs, 20 runs.",
    "The form norm is that penalty, the Frobenius norm over all layers together and not its square, on V and on W each; squared is the same of the squared norms. The loss that is shown is without it.",
    "λ = ∞ is the limit itself: every layer moves by the mean gradient over the layers, from a tied start, so that the layers share one weight exactly. The tied start without penalty beside it tells start from penalty.",
    `Here: layers of two matrices (eq. 3 of Marion, Wu, Sander and Biau), L = ${depth}, q = ${width}, m = ${hidden}, no width factors, V = 0, W ~ N(0, ${Number(hiddenScale.toPrecision(3))}²) from Gaussian processes of kernel ` +
      `length ${kernelLength}; ${trainRows} training and ${testRows} test rows of the UCI digits, one split for all seeds; Adam with rate ${rate} on the whole batch, ${steps} steps; A and B trained; ${seeds.length} seeds.`,
    "Adam's steps do not depend on the factor L of the flow: λ weighs the penalty against the loss, layer by layer. They also have a fixed size, so that a finite penalty, however large, is not the limit λ = ∞ of shared weights: " +
      "its gradient takes up a part of every step.",
    "Networks are compared after the same steps, not at the same training loss: without a penalty the loss of the training rows falls much further (figure train-loss), and the gap of the loss with it grows.",
    "--check is the float64 comparison of the gradients with a penalty in the tests; the first Adam steps are not compared here.",
  ];
  const paper = PRESETS.paper;
  if (depth < paper.depth)
    notes.push(
      `Reduced: the preset "paper" has L = ${paper.depth}, width ${paper.width}, ${paper.trainRows} training rows, ${paper.seeds.length} seeds and ${paper.steps} steps, for a GPU.`,
    );
  const wanted = seeds.length * conditionsOf(config).length;
  if (networks.length < wanted)
    notes.push(`${networks.length} of ${wanted} trainings finished; claims that need the others are not decided.`);
  return notes;
}
