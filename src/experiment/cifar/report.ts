/** Tables, figures and notes of `cifar`. */
import { IMAGE_DATASETS } from "../../data/image_datasets.ts";
import type { Column, Figure, Table } from "../record.ts";
import { accuracyRows, CURVES, curveRows, smoothnessRows } from "./claims.ts";
import { allCases, type CifarConfig, PRESETS, SYNTHETIC } from "./config.ts";
import type { Collected } from "./training.ts";

const CASE_COLUMNS: readonly Column[] = [
  { name: "activation", description: "σ" },
  {
    name: "initialisation",
    description: "residual layers at the start: tied (one draw for all) or iid (a draw for each)",
  },
];
const CASE_NAME: Column = { name: "case", description: "activation and initialisation" };
const SEED: Column = {
  name: "seed",
  description: "of the initial weights, the order of the images, crops and mirrorings",
};
const SEEDS: Column = { name: "seeds", description: "trainings that contribute" };
const CONVOLUTION: Column = { name: "convolution", description: "first or second of a residual layer" };
const STEP = "mean_k ‖conv_{k+1} − conv_k‖_F";
const ROUGHNESS =
  "½ Σ_k ‖X_{k+1} − X_k‖² / Σ_k ‖X_k − X̄‖²: 1 for independent layers, O(1/L²) for a Lipschitz function of k/L; empty where no layer differs";

export function tablesOf(config: CifarConfig, collected: Collected): Table[] {
  return [
    {
      name: "accuracy",
      description: `Accuracies after ${config.epochs} epochs, medians and quartiles over seeds, beside the paper's (180 epochs, L = 256, 5 seeds; its range is the interquartile one).`,
      columns: [
        CASE_NAME,
        ...CASE_COLUMNS,
        SEEDS,
        ...["train", "test"].flatMap((split) => [
          { name: `${split}_median`, unit: "%", description: `${split} accuracy, median` },
          { name: `${split}_lower`, unit: "%", description: `${split} accuracy, lower quartile` },
          { name: `${split}_upper`, unit: "%", description: `${split} accuracy, upper quartile` },
        ]),
        { name: "paper_train", unit: "%", description: "the paper's train accuracy" },
        { name: "paper_train_range", unit: "%", description: "its range" },
        { name: "paper_test", unit: "%", description: "the paper's test accuracy" },
        { name: "paper_test_range", unit: "%", description: "its range" },
        { name: "paper_smooth", description: "the paper's trained weights are smooth, by eye" },
        { name: "source", description: "of the paper's numbers" },
      ],
      rows: accuracyRows(config, collected),
    },
    {
      name: "epochs",
      description: "Every epoch of every training; epoch 0 is before training.",
      columns: [
        ...CASE_COLUMNS,
        SEED,
        { name: "epoch", description: "epochs done" },
        { name: "rate", description: "learning rate in the epoch" },
        {
          name: "train_loss",
          description:
            "cross-entropy, mean over the batches of the epoch while training, on cropped and mirrored images",
        },
        { name: "train_accuracy", description: "share classified rightly, in the same way" },
        { name: "test_loss", description: "cross-entropy on the test images with running moments" },
        { name: "test_accuracy", description: "share of the test images classified rightly" },
        ...[1, 2].flatMap((i) => [
          { name: `mean_step_${i}`, unit: "‖·‖_F", description: `${STEP} of convolution ${i}` },
          { name: `relative_step_${i}`, description: `mean_step_${i} over mean_k ‖conv_k‖_F` },
          { name: `roughness_${i}`, description: `${ROUGHNESS}; of convolution ${i}` },
        ]),
      ],
      rows: collected.epochs,
    },
    {
      name: "smoothness",
      description: "Differences of neighbouring layers after training.",
      columns: [
        CASE_NAME,
        ...CASE_COLUMNS,
        SEED,
        CONVOLUTION,
        { name: "mean_step", unit: "‖·‖_F", description: STEP },
        { name: "relative_step", description: "mean_step over mean_k ‖conv_k‖_F" },
        { name: "roughness", description: ROUGHNESS },
      ],
      rows: smoothnessRows(config, collected),
    },
    {
      name: "weights-by-depth",
      description: `The centre of the first kernel of both convolutions in every layer, before and after training, seed ${config.seeds[0]}.`,
      columns: [
        ...CASE_COLUMNS,
        SEED,
        CONVOLUTION,
        { name: "layer", description: "k = 1 … L" },
        { name: "s", description: "position k/L" },
        { name: "state", description: "before or after training" },
        { name: "entry", description: "of the kernel from the first to the first channel, its centre" },
      ],
      rows: collected.entries,
    },
    {
      name: "curves",
      description: "Medians and quartiles over seeds after every epoch.",
      columns: [
        CASE_NAME,
        ...CASE_COLUMNS,
        { name: "epoch", description: "epochs done" },
        SEEDS,
        ...CURVES.flatMap((name) => [
          { name, description: `median of ${name} in the table epochs` },
          { name: `${name}_lower`, description: `lower quartile of ${name}` },
          { name: `${name}_upper`, description: `upper quartile of ${name}` },
        ]),
      ],
      rows: curveRows(config, collected),
    },
  ];
}

export function figuresOf(config: CifarConfig): Figure[] {
  const { depth, seeds, initialisations } = config;
  const activation = { field: "activation", label: "activation" };
  const start = { field: "initialisation", label: "start" };
  const convolution = { field: "convolution", label: "convolution" };
  const over = seeds.length === 1 ? "one seed" : `${seeds.length} seeds`;
  const box = (field: string, name: string, title: string, label: string, caption: string): Figure => ({
    name,
    title,
    caption: `${caption} Boxes from quartile to quartile over ${over}, with the median; whiskers to the least and the largest, and a point for each.`,
    table: "smoothness",
    kind: "box",
    x: { ...activation, scale: "ordinal" },
    y: { field, label, scale: "log" },
    color: start,
    columnFacet: convolution,
  });
  const curve = (name: (typeof CURVES)[number], title: string, label: string, log: boolean): Figure => ({
    name: name.replaceAll("_", "-"),
    title: `${title} along training (L=${depth})`,
    caption: `Median over ${over}, with the band between the quartiles.`,
    table: "curves",
    kind: "line",
    x: { field: "epoch", label: "epoch" },
    y: { field: name, label, ...(log && { scale: "log" }) },
    color: start,
    columnFacet: activation,
    interval: [`${name}_lower`, `${name}_upper`],
  });
  return [
    box(
      "mean_step",
      "mean-step",
      `Mean step between neighbouring layers, after training (L=${depth})`,
      "mean step after training",
      `${STEP} of both convolutions: figure 4 of the paper, where GELU from a tied start lies near 0.07 and 0.10, from an iid start between 0.8 and 0.95.`,
    ),
    box(
      "relative_step",
      "relative-step",
      `Mean step relative to the mean norm, after training (L=${depth})`,
      "mean step / mean norm",
      "The same over mean_k ‖conv_k‖_F: weight decay and a batch normalisation behind a convolution let its norm drift.",
    ),
    box(
      "roughness",
      "roughness",
      `Roughness in depth, after training (L=${depth})`,
      "roughness",
      "1 for independent layers; O(1/L²) where the weights are a function of depth.",
    ),
    ...initialisations.map(
      (initialisation): Figure => ({
        name: `weights-${initialisation}`,
        title: `One entry of the convolutions against depth, ${initialisation} start (L=${depth})`,
        caption: `Centre of the first kernel for every layer, seed ${seeds[0]}: figure 3 of the paper. A curve means that the trained network discretises a neural ODE; noise means that it does not. Where only one line is seen, the other lies under it.`,
        table: "weights-by-depth",
        kind: "line",
        x: { field: "s", label: "position in depth, k/L" },
        y: { field: "entry", label: "entry" },
        color: { field: "state", label: "training" },
        columnFacet: activation,
        rowFacet: convolution,
        where: { initialisation },
      }),
    ),
    curve("train_loss", "Training loss", "cross-entropy, training", true),
    curve("test_loss", "Test loss", "cross-entropy, test", true),
    curve("train_accuracy", "Training accuracy", "training accuracy", false),
    curve("test_accuracy", "Test accuracy", "test accuracy", false),
    curve("mean_step_1", "Mean step of the first convolution", "mean step", true),
    curve("mean_step_2", "Mean step of the second convolution", "mean step", true),
  ];
}

export function notesOf(config: CifarConfig, { finished }: Collected): string[] {
  const {
    dataset,
    trainImages,
    testImages,
    depth,
    channels,
    normalisation,
    batch,
    epochs,
    rate,
    momentum,
    weightDecay,
    seeds,
  } = config;
  const images = `${trainImages} training and ${testImages} test images`;
  const network = {
    batch: "h_{k+1} = h_k + norm2(conv2 ∗ σ(norm1(conv1 ∗ h_k))) / L",
    layer: "h_{k+1} = h_k + norm2(conv2 ∗ σ(norm1(conv1 ∗ h_k))) / L with moments of an image instead of the batch",
    none: "h_{k+1} = h_k + conv2 ∗ σ(conv1 ∗ h_k) / L without normalisation (conv2 0 at the start, conv1 of Glorot's variance with a gain of 1e-4)",
  }[normalisation];
  const notes = [
    dataset === "synthetic"
      ? `Data: ${images} that were made, gratings of ${SYNTHETIC.height} × ${SYNTHETIC.width} pixels under noise in ${SYNTHETIC.classes} classes. They try the machinery; their accuracies mean nothing.`
      : `Data: the first ${images} of ${IMAGE_DATASETS[dataset].title}.`,
    `Network: ${network}, L = ${depth}, ${channels} channels, as the paper's code has it: stem of stride 3 (its text says 2, which would ` +
      "give the head 144 inputs, not 64), residual layers of stride 1, convolutions uniform in ±1/√(fan in) (its text says Gaussian), the last scale of a layer 0 at the start.",
    `Training: SGD, rate ${rate} on a cosine over ${epochs} epochs, momentum ${momentum}, weight decay ${weightDecay} on everything, batches of ${batch}; no factor L on any rate. ` +
      "Training accuracy is that of the running epoch on cropped and mirrored images with the moments of the batch, as in the paper's code. Each seed has other weights, orders and crops; the code draws without a fixed seed.",
    "checkpoints/ID-trained.safetensors holds each trained network by PyTorch's names; examples/load_in_pytorch.py loads it and compares logits.",
  ];
  const paper = PRESETS.paper;
  const reduced = (
    ["dataset", "trainImages", "testImages", "depth", "channels", "normalisation", "batch", "epochs"] as const
  )
    .filter((key) => config[key] !== paper[key])
    .map((key) => `${key} ${config[key]} (${paper[key]})`);
  if (seeds.length < paper.seeds.length) reduced.push(`${seeds.length} seeds (${paper.seeds.length})`);
  if (reduced.length > 0)
    notes.push(
      `Reduced; in brackets the paper's: ${reduced.join(", ")}. Its accuracies are not to be compared with the paper's.`,
    );
  const wanted = allCases(config).length;
  if (finished.size < wanted)
    notes.push(`${finished.size} of ${wanted} trainings finished; claims that need the others are not decided.`);
  return notes;
}
