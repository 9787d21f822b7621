/** What `digits` trains: schema, presets, cases and their shapes. */
import { z } from "zod";
import {
  ACTIVATIONS,
  type Activation,
  type DenseShape,
  INITIALISATIONS,
  type Initialisation,
} from "../../config/dense.ts";
import type { DenseData } from "../../model/dense_pass.ts";
import type { ExperimentContext, Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import { recordSteps, type TrainingSpec } from "../training.ts";

/** Sizes of the dataset; its reader, which only Node can load, checks the same numbers. */
export const IMAGES = 1797;
export const PIXELS = 64;
export const CLASSES = 10;

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

export const digitsSchema = z
  .strictObject({
    activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
    initialisations: z.array(z.enum(INITIALISATIONS)).min(1).refine(distinct, "must not repeat"),
    depths: z.array(z.int().min(2)).min(1).refine(increasing, "must be increasing"),
    seeds: z
      .array(z.int().min(0))
      .min(1)
      .refine(distinct, "must not repeat")
      .describe("one repetition each: another split and other initial weights"),
    trainRows: z.int().min(1),
    testRows: z.int().min(1),
    width: z.int().min(1).describe("q"),
    hidden: z.int().min(1).describe("m"),
    widthFactors: z.enum(["paper", "code"]).describe("paper: 1/√m and 1/√q in the network; code: 1"),
    hiddenScale: z.number().positive().describe("standard deviation of the entries of W at the start"),
    rate: z.number().positive().describe("η, the time step of the flow"),
    steps: z.int().min(2),
    records: z.int().min(1).describe("about how many states are recorded along a training"),
  })
  .refine(({ trainRows, testRows }) => trainRows + testRows <= IMAGES, {
    path: ["testRows"],
    message: `must leave trainRows + testRows at most ${IMAGES}`,
  });
export type DigitsConfig = z.infer<typeof digitsSchema>;

export type Row = Record<string, Cell>;
export type Context = ExperimentContext<DigitsConfig>;

export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];
export const TRAINED = { A: true, Z: true, B: true } as const;
export const CONFIDENCE = 0.95;
export const KINKED: readonly Activation[] = ["relu", "leaky-relu"];

/** Tolerance around the exponent −1 of Propositions 3 and 8: at these depths the next order in 1/L still shows. */
export const INVERSE_DEPTH = { min: -1.25, max: -0.8 };
/** An exponent above this is no decay that a limit could hide in: 0 is that of independent layers. */
export const NO_DECAY = { min: -0.5 };

/**
 * `code` width factors with W ~ N(0, 1/q): the function and the start of the paper's text (its W ~ N(0, 1) with 1/√q), on the
 * layer clock of its code. With `paper` factors the gradients of V and W carry 1/√m and 1/√q, and at q = 16 the maps A and B fit these
 * digits before the layers have moved: L·max‖W_{k+1} − W_k‖ was 0.006 at t = 600 (GELU, tied, 112 rows; 2026-11).
 * W ~ N(0, 1) with `code` factors, z of variance ‖h‖², fits as fast but generalises worse (test 0.80 against 0.87) and diverged at η = 0.1.
 */
const REDUCED: DigitsConfig = {
  activations: ["gelu", "relu"],
  initialisations: ["tied", "iid"],
  depths: [16, 32, 64, 128, 256],
  seeds: [0, 1, 2],
  trainRows: 112,
  testRows: 504,
  width: 16,
  hidden: 32,
  widthFactors: "code",
  hiddenScale: 0.25,
  rate: 0.2,
  steps: 100,
  records: 10,
};
export const PRESETS: Record<Preset, DigitsConfig> = {
  paper: {
    ...REDUCED,
    depths: [16, 64, 256, 1024],
    seeds: [0, 1, 2, 3, 4],
    trainRows: 1400,
    testRows: 397,
    steps: 1000,
    records: 40,
  },
  reduced: REDUCED,
  smoke: { ...REDUCED, depths: [4, 8, 16], seeds: [0, 1], trainRows: 28, testRows: 56, steps: 20, records: 4 },
};

/** One training run. */
export interface Case {
  readonly activation: Activation;
  readonly initialisation: Initialisation;
  readonly depth: number;
  readonly seed: number;
}

/** Seed by seed, shallow first: what an interrupted run leaves is whole repetitions and the shallow end of one more. */
export function allCases(config: DigitsConfig): Case[] {
  const { seeds, depths, activations, initialisations } = config;
  return seeds.flatMap((seed) =>
    depths.flatMap((depth) =>
      activations.flatMap((activation) =>
        initialisations.map((initialisation) => ({ activation, initialisation, depth, seed })),
      ),
    ),
  );
}

export function cellId({ activation, initialisation, depth, seed }: Case): string {
  return `${activation}-${initialisation}-L${depth}-seed${seed}`;
}

export function labelOf({ activation, initialisation, depth, seed }: Case): string {
  return `${activation} ${initialisation} L=${depth} seed ${seed}`;
}

export function shapeOf(config: DigitsConfig, activation: Activation, depth: number): DenseShape {
  const { width, hidden, widthFactors } = config;
  return { inputs: PIXELS, width, hidden, outputs: CLASSES, depth, activation, widthFactors, beta: 1 };
}

export function specOf(config: DigitsConfig, { activation, initialisation, depth, seed }: Case, data: DenseData) {
  const { hiddenScale, rate, steps } = config;
  return {
    shape: shapeOf(config, activation, depth),
    // A ~ N(0, 1/q) keeps E‖A x‖² = ‖x‖².
    weights: { seed, initialisation, hiddenScale, A: "normal", B: "normal" },
    data,
    loss: "cross-entropy",
    flow: { rate, trained: TRAINED, stop: { steps } },
  } satisfies TrainingSpec;
}

/** States with a row: also the two ends of the first and of the last step, for the energy identity. */
export function recordedSteps({ steps, records }: DigitsConfig): number[] {
  return [...new Set([...recordSteps(steps, records), steps - 1])].sort((a, b) => a - b);
}

export function layerStepsOf(config: DigitsConfig): number {
  return config.steps * allCases(config).reduce((sum, { depth }) => sum + depth, 0);
}
