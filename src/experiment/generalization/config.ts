/** What `generalization` trains: schema, presets, starts, cases. */
import { z } from "zod";
import { ACTIVATIONS, type Activation, type DenseShape } from "../../config/dense.ts";
import type { DenseData } from "../../model/dense_pass.ts";
import type { InitialWeightsOptions } from "../../model/initialisation.ts";
import { CLASSES, IMAGES, PIXELS } from "../digits/config.ts";
import type { ExperimentContext, Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { recordSteps } from "../training.ts";

const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
const decreasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value < list[i - 1]!);

/** `trained`: A and B move with the layers; `frozen`: they stay random. */
export const MAPS = ["trained", "frozen"] as const;
export type Maps = (typeof MAPS)[number];

export const generalizationSchema = z
  .strictObject({
    activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
    maps: z.array(z.enum(MAPS)).min(1).refine(distinct, "must not repeat").describe("whether A and B are trained"),
    kernelLengths: z
      .array(z.number().positive())
      .refine(decreasing, "must be decreasing")
      .describe("lengths of the Gaussian-process starts, between the tied and the iid one"),
    depth: z.int().min(2).describe("L"),
    seeds: z
      .array(z.int().min(0))
      .min(1)
      .refine(distinct, "must not repeat")
      .describe("initial weights; the split of the data is that of seed 0"),
    trainRows: z.int().min(1),
    testRows: z.int().min(1),
    width: z.int().min(1).describe("q"),
    hidden: z.int().min(1).describe("m"),
    hiddenScale: z.number().positive().describe("standard deviation of the entries of W at the start"),
    rate: z.number().positive().describe("η, the time step of the flow"),
    steps: z.int().min(2),
    records: z.int().min(1).describe("about how many states are recorded along a training"),
  })
  .refine(({ trainRows, testRows }) => trainRows + testRows <= IMAGES, {
    path: ["testRows"],
    message: `must leave trainRows + testRows at most ${IMAGES}`,
  });
export type GeneralizationConfig = z.infer<typeof generalizationSchema>;
export type Context = ExperimentContext<GeneralizationConfig>;
export type Row = Record<string, Cell>;

/** The bandwidth of the published starts. */
export const PUBLISHED_LENGTH = 0.1;

/** At rate 0.2 some trainings with frozen A and B oscillate instead of following the flow (train loss 20 after 80 steps; 2026-11). */
const REDUCED: GeneralizationConfig = {
  activations: ["relu"],
  maps: ["trained", "frozen"],
  kernelLengths: [0.5, 0.2, PUBLISHED_LENGTH, 0.05],
  depth: 32,
  seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  trainRows: 112,
  testRows: 504,
  width: 16,
  hidden: 32,
  hiddenScale: 0.25,
  rate: 0.1,
  steps: 160,
  records: 4,
};
export const PRESETS: Record<Preset, GeneralizationConfig> = {
  paper: {
    ...REDUCED,
    depth: 1000,
    trainRows: 1400,
    testRows: 397,
    width: 30,
    hidden: 30,
    hiddenScale: 1 / Math.sqrt(30),
    steps: 2000,
    records: 20,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    maps: ["trained"],
    kernelLengths: [0.1],
    depth: 6,
    seeds: [0, 1, 2],
    trainRows: 28,
    testRows: 56,
    steps: 12,
    records: 2,
  },
};

/** How W begins: one draw for all layers, a function of k/L whose Gaussian process has this kernel length, or a draw for each. */
export interface Start {
  readonly name: string;
  readonly weights: Pick<InitialWeightsOptions, "initialisation" | "kernelLength">;
}

/** From the smoothest to the roughest. */
export function startsOf({ kernelLengths }: GeneralizationConfig): Start[] {
  return [
    { name: "tied", weights: { initialisation: "tied" } },
    ...kernelLengths.map(
      (kernelLength): Start => ({
        name: `smooth ${kernelLength}`,
        weights: { initialisation: "smooth", kernelLength },
      }),
    ),
    { name: "iid", weights: { initialisation: "iid" } },
  ];
}

export interface Case {
  readonly activation: Activation;
  readonly maps: Maps;
  readonly start: string;
  readonly seed: number;
}

/** Trainings of one shape and start stand together. */
export function allCases(config: GeneralizationConfig): Case[] {
  const { activations, maps, seeds } = config;
  return activations.flatMap((activation) =>
    maps.flatMap((each) =>
      startsOf(config).flatMap(({ name }) => seeds.map((seed) => ({ activation, maps: each, start: name, seed }))),
    ),
  );
}

export function cellId({ activation, maps, start, seed }: Case): string {
  return `${activation}-${maps}-${start.replace(" ", "-")}-seed${seed}`;
}

function shapeOf({ width, hidden, depth }: GeneralizationConfig, activation: Activation): DenseShape {
  return { inputs: PIXELS, width, hidden, outputs: CLASSES, depth, activation, widthFactors: "code", beta: 1 };
}

export function trainingOf(
  config: GeneralizationConfig,
  one: Case,
  data: { readonly train: DenseData; readonly test: DenseData },
): StudyTraining {
  const { hiddenScale, rate, steps, records } = config;
  const moving = one.maps === "trained";
  const start = startsOf(config).find(({ name }) => name === one.start)!;
  return {
    id: cellId(one),
    label: `${one.activation} ${one.start}, A and B ${one.maps}, seed ${one.seed}`,
    recordSteps: recordSteps(steps, records),
    heldOut: data.test,
    spec: {
      shape: shapeOf(config, one.activation),
      weights: { ...start.weights, seed: one.seed, hiddenScale, A: "normal", B: "normal" },
      data: data.train,
      loss: "cross-entropy",
      flow: { rate, trained: { A: moving, Z: true, B: moving }, stop: { steps } },
    },
  };
}
