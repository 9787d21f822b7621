/** One training with every choice open: what the laboratory page runs, and `deeplimit run single-training` runs again. Safe in a browser. */
import { z } from "zod";
import { ACTIVATIONS, type DenseShape, INITIALISATIONS } from "../../config/dense.ts";
import { OPTIMISERS } from "../../config/flow.ts";
import type { Digits } from "../../data/digits_text.ts";
import type { DenseData } from "../../model/dense_pass.ts";
import { RandomStream } from "../../model/random.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { CLASSES, IMAGES, PIXELS } from "../digits/config.ts";
import { splitDigits } from "../digits/split.ts";
import type { Preset } from "../experiment.ts";
import type { Verdict } from "../record.ts";
import { planTraining, type TrainingSpec } from "../training.ts";

export const DATASETS = ["gaussian", "digits"] as const;

export const singleTrainingSchema = z
  .strictObject({
    dataset: z
      .enum(DATASETS)
      .describe("gaussian: inputs and targets N(0, I), A and B the identity; digits: 8 × 8 images, A and B trained"),
    rows: z.int().min(1).describe("n, rows trained on"),
    depth: z.int().min(2).describe("L"),
    width: z.int().min(1).describe("q; d = d' = q for gaussian data"),
    hidden: z.int().min(1).describe("m"),
    activation: z.enum(ACTIVATIONS),
    initialisation: z
      .enum(INITIALISATIONS)
      .describe("of the layers over depth: one draw, independent, or smooth in s = k/L"),
    kernelLength: z.number().min(0.02).max(10).describe("length of the kernel of the smooth initialisation, in s"),
    hiddenScale: z.number().min(0).describe("standard deviation of the entries of W at the start"),
    outputScale: z.number().min(0).describe("standard deviation of the entries of V at the start; 0: V = 0"),
    beta: z.number().min(0).max(4).describe("residual scale L^-β"),
    widthFactors: z.enum(["paper", "code"]).describe("paper: 1/√m and 1/√q; code: 1"),
    optimiser: z.enum(OPTIMISERS),
    rate: z.number().positive().describe("η: time step of the flow (descent), learning rate of an optimiser"),
    seed: z.int().min(0),
    steps: z.int().min(1).describe("iterations"),
    records: z.int().min(1).describe("about how many states are recorded"),
  })
  .refine(({ dataset, rows }) => dataset !== "digits" || rows < IMAGES, {
    path: ["rows"],
    message: `must be below ${IMAGES}, the number of images`,
  });
export type SingleTrainingConfig = z.infer<typeof singleTrainingSchema>;

/** The paper's figure 1 at one depth, by the code's factors. */
const REDUCED: SingleTrainingConfig = {
  dataset: "gaussian",
  rows: 100,
  depth: 256,
  width: 16,
  hidden: 32,
  activation: "gelu",
  initialisation: "tied",
  kernelLength: 0.5,
  hiddenScale: 1,
  outputScale: 0,
  beta: 1,
  widthFactors: "code",
  optimiser: "descent",
  rate: 0.01,
  seed: 0,
  steps: 100,
  records: 20,
};
export const PRESETS: Record<Preset, SingleTrainingConfig> = {
  paper: { ...REDUCED, depth: 1024, steps: 500 },
  reduced: REDUCED,
  smoke: { ...REDUCED, rows: 12, depth: 24, width: 4, hidden: 8, steps: 6, records: 3 },
};

export function shapeOf(config: SingleTrainingConfig): DenseShape {
  const { dataset, width, hidden, depth, activation, widthFactors, beta } = config;
  const [inputs, outputs] = dataset === "digits" ? [PIXELS, CLASSES] : [width, width];
  return { inputs, width, hidden, outputs, depth, activation, widthFactors, beta };
}

/** With digits, A and B are trained too: nothing else fits 64 pixels and 10 classes to the states. */
export function trainedOf({ dataset }: SingleTrainingConfig) {
  const maps = dataset === "digits";
  return { A: maps, Z: true, B: maps };
}

/** @param digits needed with `dataset: "digits"` */
export function specOf(config: SingleTrainingConfig, digits?: Digits): TrainingSpec {
  const { widthFactors, seed, optimiser, rate, steps } = config;
  const classify = config.dataset === "digits";
  return {
    shape: shapeOf(config),
    weights: {
      seed,
      initialisation: config.initialisation,
      kernelLength: config.kernelLength,
      hiddenScale: config.hiddenScale,
      outputScale: config.outputScale,
      ...(classify && { A: "normal", B: "normal" }),
    },
    data: classify ? splitOf(config, digits!) : gaussianData(config),
    loss: classify ? "cross-entropy" : widthFactors === "code" ? "mean-square" : "squared-norm",
    flow: { optimiser, rate, trained: trainedOf(config), stop: { steps } },
  };
}

/** One row of `deeplimit plan`, and what a page asks before it builds. */
export function planOf(config: SingleTrainingConfig, profile: DeviceProfile): ReturnType<typeof planTraining> {
  return planTraining(
    `${config.activation} ${config.initialisation} L=${config.depth}`,
    {
      shape: shapeOf(config),
      tied: config.initialisation === "tied",
      rows: config.rows,
      steps: config.steps,
      trained: trainedOf(config),
    },
    profile,
  );
}

function splitOf({ rows, width, seed }: SingleTrainingConfig, digits: Digits): DenseData {
  return splitDigits(digits, { trainRows: rows, testRows: 0, width }, seed).train;
}

/** The draws of `large-depth`. */
function gaussianData({ rows, width, seed }: SingleTrainingConfig): DenseData {
  const normal = (stream: string) => new RandomStream(seed, stream).fillNormal(new Float32Array(rows * width));
  return { inputs: normal("X"), targets: normal("Y"), rows };
}

/** A roughness of at most ½(2π/20)²: waves over depth of 20 layers or more. */
export const SMOOTH_ROUGHNESS = 0.05;
/** One of at least ½(2π/10)²: waves of 10 layers or fewer (independent layers: 1, that is 4.4). */
export const ROUGH_ROUGHNESS = 0.2;

/**
 * Whether neighbouring layers are those of a smooth function of depth, by the roughness of {@link roughness}; for a wave of p layers a
 * period it is ½(2π/p)². Between the two bounds, and where no layer differs from another, the number does not decide.
 */
export function smoothnessVerdict(roughness: number | null): Verdict {
  if (roughness === null || !Number.isFinite(roughness)) return "not decided";
  return roughness <= SMOOTH_ROUGHNESS ? "holds" : roughness >= ROUGH_ROUGHNESS ? "fails" : "not decided";
}
