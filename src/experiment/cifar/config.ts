/** What `cifar` trains: schema, presets, cases and their shapes. */
import { z } from "zod";
import {
  CONV_INITIALISATIONS,
  type ConvShape,
  normalisationSchema,
  PAPER_CONV_SHAPE,
  PAPER_CONV_TRAINING,
} from "../../config/conv.ts";
import { ACTIVATIONS, type Activation } from "../../config/dense.ts";
import { IMAGE_DATASET_NAMES, IMAGE_DATASETS } from "../../data/image_datasets.ts";
import { convBackwardFlops, convForwardFlops } from "../../plan/conv_work.ts";
import type { ExperimentContext, Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";

/** Images that are made, not read: sizes that the stem reduces to 5 × 5 pixels. */
export const SYNTHETIC = { channels: 3, height: 16, width: 16, classes: 4 } as const;
export const DATASETS = ["synthetic", ...IMAGE_DATASET_NAMES] as const;
export type Dataset = (typeof DATASETS)[number];
export const NORMALISATIONS = ["batch", "layer", "none"] as const;

const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
const { batch, epochs, rate, momentum, weightDecay, cropPadding, flip } = PAPER_CONV_TRAINING;

export const cifarSchema = z.strictObject({
  dataset: z.enum(DATASETS).describe("synthetic images are made from the first seed and need no files"),
  data: z.string().describe("directory of the dataset's files"),
  trainImages: z.int().min(1).describe("the first images of the training set, the same for every seed"),
  testImages: z.int().min(1).describe("the first images of the test set"),
  activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
  initialisations: z.array(z.enum(CONV_INITIALISATIONS)).min(1).refine(distinct, "must not repeat"),
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .refine(distinct, "must not repeat")
    .describe("one repetition each: other initial weights, order of the images, crops and mirrorings"),
  depth: z.int().min(3).describe("L"),
  channels: z.int().min(1),
  normalisation: z
    .enum(NORMALISATIONS)
    .describe(
      "of the residual layers; all but batch leave images apart, and a GPU carries an image through many layers",
    ),
  batch: z.int().min(1).describe("images of a training step"),
  testBatch: z.int().min(1).describe("images of an evaluation step"),
  epochs: z.int().min(1).describe("and length of the cosine schedule"),
  rate: z.number().positive().describe("learning rate at the start"),
  momentum: z.number().min(0).lt(1),
  weightDecay: z.number().min(0),
  cropPadding: z.int().min(0).describe("zeros around an image before a random crop of its own size; 0: no crop"),
  flip: z.boolean().describe("a random half of the training images is mirrored; not for digits"),
});
export type CifarConfig = z.infer<typeof cifarSchema>;

export type Row = Record<string, Cell>;
export type Context = ExperimentContext<CifarConfig>;
export const CONFIDENCE = 0.95;
export const KINKED: readonly Activation[] = ["relu", "leaky-relu"];
/** The two convolutions of a residual layer. */
export const CONVOLUTIONS = [1, 2] as const;
export type Convolution = (typeof CONVOLUTIONS)[number];

const PAPER: CifarConfig = {
  dataset: "cifar-10",
  data: "",
  trainImages: 50_000,
  testImages: 10_000,
  activations: ["identity", "gelu", "relu"],
  initialisations: ["tied", "iid"],
  seeds: [0, 1, 2, 3, 4],
  depth: PAPER_CONV_SHAPE.depth,
  channels: PAPER_CONV_SHAPE.channels,
  normalisation: "batch",
  batch,
  testBatch: 100,
  epochs,
  rate,
  momentum,
  weightDecay,
  cropPadding,
  flip,
};
/**
 * 128 steps of each training: enough to try everything on real images, too few to move the convolutions, whose gradients carry 1/L and
 * the last scale of the layer, 0 at the start (mean step 1e-5 from a tied start). 8 min of processor time on SwiftShader, 9 min 34 s
 * on two cores beside other work (2026-11).
 */
const REDUCED: CifarConfig = {
  ...PAPER,
  trainImages: 512,
  testImages: 300,
  activations: ["gelu", "relu"],
  seeds: [0, 1, 2],
  depth: 16,
  channels: 8,
  batch: 32,
  epochs: 8,
};
/**
 * `gpu-hour`: all images and all six cases at a quarter of the depth, a sixth of the epochs and three of the five seeds. 5.2e15
 * floating-point operations, 44 minutes at 2e12 a second, a tenth of the float32 peak of a GPU of 20 TFLOP/s: an estimate, not
 * measured (2026-11).
 */
export const PRESETS: Readonly<Record<Preset | "gpu-hour", CifarConfig>> = {
  paper: PAPER,
  "gpu-hour": { ...PAPER, seeds: [0, 1, 2], depth: 64, epochs: 30 },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    dataset: "synthetic",
    trainImages: 64,
    testImages: 40,
    seeds: [0, 1],
    depth: 6,
    channels: 4,
    batch: 16,
    testBatch: 40,
    epochs: 3,
    cropPadding: 2,
  },
};

/** One training run. */
export interface Case {
  readonly activation: Activation;
  readonly initialisation: (typeof CONV_INITIALISATIONS)[number];
  readonly seed: number;
}
export type Combination = Omit<Case, "seed">;

export function combinationsOf({ activations, initialisations }: CifarConfig): Combination[] {
  return activations.flatMap((activation) => initialisations.map((initialisation) => ({ activation, initialisation })));
}

/** Seed by seed: what an interrupted run leaves is whole repetitions and a part of one more. */
export function allCases(config: CifarConfig): Case[] {
  return config.seeds.flatMap((seed) => combinationsOf(config).map((combination) => ({ ...combination, seed })));
}

export function cellId({ activation, initialisation, seed }: Case): string {
  return `${activation}-${initialisation}-seed${seed}`;
}

export function labelOf({ activation, initialisation, seed }: Case, { depth }: CifarConfig): string {
  return `${activation} ${initialisation} L=${depth} seed ${seed}`;
}

export function nameOf({ activation, initialisation }: Combination): string {
  return `${activation}, ${initialisation}`;
}

function imageSizes(dataset: Dataset) {
  if (dataset === "synthetic") return SYNTHETIC;
  const { format, height, width, classes } = IMAGE_DATASETS[dataset];
  return { channels: format === "idx" ? 1 : 3, height, width, classes };
}

/** The paper's network on images of the dataset's size. */
export function shapeOf(config: CifarConfig, activation: Activation): ConvShape {
  const { dataset, depth, channels } = config;
  const { channels: channelsIn, height, width, classes } = imageSizes(dataset);
  const paper = PAPER_CONV_SHAPE.normalisation;
  const normalisation = normalisationSchema.parse(
    config.normalisation === "batch" ? paper : { kind: config.normalisation },
  );
  return { ...PAPER_CONV_SHAPE, channelsIn, height, width, classes, depth, channels, activation, normalisation };
}

export function stepsPerEpoch({ trainImages, batch: images }: CifarConfig): number {
  return Math.ceil(trainImages / images);
}

export function layerStepsOf(config: CifarConfig): number {
  return allCases(config).length * config.epochs * stepsPerEpoch(config) * config.depth;
}

/** Floating-point operations of one training with its evaluations. */
export function trainingFlops(config: CifarConfig): number {
  const shape = shapeOf(config, config.activations[0]!);
  const forward = convForwardFlops(shape, 1).total;
  const step = forward + convBackwardFlops(shape, 1).total;
  return config.epochs * (config.trainImages * step + config.testImages * forward);
}
