/** What `depth-penalty` trains: schema, presets, conditions. */
import { z } from "zod";
import { ACTIVATIONS } from "../../config/dense.ts";
import type { FlowInput } from "../../config/flow.ts";
import type { DenseData } from "../../model/dense_pass.ts";
import type { InitialWeightsOptions } from "../../model/initialisation.ts";
import { CLASSES, IMAGES, PIXELS } from "../digits/config.ts";
import type { ExperimentContext, Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { recordSteps } from "../training.ts";

const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);

/** `norm`: λ (‖V_{2:} − V_{:L−1}‖_F + ‖W_{2:} − W_{:L−1}‖_F), as published; `squared`: the same of the squares. */
export const FORMS = ["norm", "squared"] as const;

export const depthPenaltyExperimentSchema = z
  .strictObject({
    activation: z.enum(ACTIVATIONS),
    forms: z.array(z.enum(FORMS)).min(1).refine(distinct, "must not repeat"),
    weights: z
      .array(z.number().positive())
      .min(1)
      .refine(increasing, "must be increasing")
      .describe("λ, besides 0 and ∞"),
    kernelLength: z.number().positive().describe("length of the Gaussian-process start"),
    depth: z.int().min(2).describe("L"),
    seeds: z.array(z.int().min(0)).min(1).refine(distinct, "must not repeat").describe("initial weights"),
    trainRows: z.int().min(1),
    testRows: z.int().min(1),
    width: z.int().min(1).describe("q"),
    hidden: z.int().min(1).describe("m"),
    hiddenScale: z.number().positive().describe("standard deviation of the entries of W at the start"),
    rate: z.number().positive().describe("learning rate of Adam"),
    steps: z.int().min(2),
    records: z.int().min(1).describe("about how many states are recorded along a training"),
  })
  .refine(({ trainRows, testRows }) => trainRows + testRows <= IMAGES, {
    path: ["testRows"],
    message: `must leave trainRows + testRows at most ${IMAGES}`,
  });
export type DepthPenaltyConfig = z.infer<typeof depthPenaltyExperimentSchema>;
export type Context = ExperimentContext<DepthPenaltyConfig>;
export type Row = Record<string, Cell>;

const REDUCED: DepthPenaltyConfig = {
  activation: "relu",
  forms: ["norm", "squared"],
  weights: [0.01, 0.1],
  kernelLength: 0.1,
  depth: 32,
  seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  trainRows: 112,
  testRows: 504,
  width: 16,
  hidden: 32,
  hiddenScale: 0.25,
  rate: 0.02,
  steps: 100,
  records: 10,
};
export const PRESETS: Record<Preset, DepthPenaltyConfig> = {
  paper: {
    ...REDUCED,
    depth: 1000,
    seeds: Array.from({ length: 20 }, (_, i) => i),
    trainRows: 1400,
    testRows: 397,
    width: 30,
    hidden: 30,
    hiddenScale: 1 / Math.sqrt(30),
    steps: 2000,
    records: 40,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    weights: [0.1],
    depth: 6,
    seeds: [0, 1],
    trainRows: 28,
    testRows: 56,
    steps: 10,
    records: 2,
  },
};

export interface Condition {
  /** As it stands in tables and figures. */
  readonly name: string;
  readonly id: string;
  readonly start: "smooth" | "tied";
  readonly penalty: NonNullable<FlowInput["depthPenalty"]>;
}

export const NONE = "0";
export const NONE_TIED = "0, tied start";
export const SHARED = "∞ (shared)";

/** From no penalty to shared weights; the tied start without a penalty tells what of the last one is the start's. */
export function conditionsOf({ forms, weights }: DepthPenaltyConfig): Condition[] {
  return [
    { name: NONE, id: "none", start: "smooth", penalty: { kind: "none" } },
    ...forms.flatMap((kind) =>
      weights.map(
        (weight): Condition => ({
          name: `${weight} ${kind}`,
          id: `${kind}-${weight}`,
          start: "smooth",
          penalty: { kind, weight },
        }),
      ),
    ),
    { name: NONE_TIED, id: "none-tied", start: "tied", penalty: { kind: "none" } },
    { name: SHARED, id: "shared", start: "tied", penalty: { kind: "tied" } },
  ];
}

export function trainingOf(
  config: DepthPenaltyConfig,
  { name, id, start, penalty }: Condition,
  seed: number,
  data: { readonly train: DenseData; readonly test: DenseData },
): StudyTraining {
  const { activation, width, hidden, depth, kernelLength, hiddenScale, rate, steps, records } = config;
  const weights: Pick<InitialWeightsOptions, "initialisation" | "kernelLength"> =
    start === "smooth" ? { initialisation: "smooth", kernelLength } : { initialisation: "tied" };
  return {
    id: `${id}-seed${seed}`,
    label: `λ = ${name}, seed ${seed}`,
    recordSteps: recordSteps(steps, records),
    heldOut: data.test,
    spec: {
      shape: { inputs: PIXELS, width, hidden, outputs: CLASSES, depth, activation, widthFactors: "code", beta: 1 },
      weights: { ...weights, seed, hiddenScale, A: "normal", B: "normal" },
      data: data.train,
      loss: "cross-entropy",
      flow: { optimiser: "adam", rate, depthPenalty: penalty, stop: { steps } },
    },
  };
}

export function allTrainings(
  config: DepthPenaltyConfig,
  data: { readonly train: DenseData; readonly test: DenseData },
) {
  return conditionsOf(config).flatMap((condition) =>
    config.seeds.map((seed) => ({ condition, seed, training: trainingOf(config, condition, seed, data) })),
  );
}
