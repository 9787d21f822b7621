/** What `clipping` trains: schema, presets and cases. */
import { z } from "zod";
import type { FlowInput } from "../../config/flow.ts";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { syntheticData, syntheticFields, syntheticLoss, syntheticShape } from "../synthetic.ts";
import { recordSteps } from "../training.ts";

export type Row = Record<string, Cell>;

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);

const boundsSchema = z.array(z.number().positive()).refine(increasing, "must be increasing");

export const clippingSchema = z.strictObject({
  ...syntheticFields,
  coordinateBounds: boundsSchema.describe("C of the projection of every coordinate on [−C, C]"),
  normBounds: boundsSchema.describe("C of the projection of A, every Z_k and B on the Euclidean ball of radius C"),
  rate: z.number().positive().describe("η, time step of the flow"),
  largeRates: z
    .array(z.number().positive())
    .refine(increasing, "must be increasing")
    .describe("η of the runs that look for blow-up"),
  largeRateDepth: z.int().min(2),
  steps: z.int().min(2),
  records: z.int().min(1).describe("about how many states are recorded along a training"),
});

export type ClippingConfig = z.infer<typeof clippingSchema>;

const REDUCED: ClippingConfig = {
  parametrisation: "code",
  activation: "gelu",
  samples: 50,
  width: 16,
  hidden: 32,
  depths: [16, 32, 64, 128, 256],
  seeds: [0, 1, 2],
  coordinateBounds: [0.001, 0.01, 0.1, 10],
  normBounds: [0.03, 0.3, 10],
  rate: 0.1,
  largeRates: [1, 4, 16],
  largeRateDepth: 32,
  steps: 30,
  records: 5,
};

export const PRESETS: Record<Preset, ClippingConfig> = {
  paper: {
    ...REDUCED,
    samples: 100,
    depths: [16, 32, 64, 128, 256, 512, 1024],
    seeds: [0, 1, 2, 3, 4],
    rate: 0.01,
    steps: 500,
    records: 10,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [4, 8, 16],
    seeds: [0, 1],
    coordinateBounds: [0.1, 10],
    normBounds: [0.3],
    largeRates: [4, 16],
    largeRateDepth: 4,
    steps: 6,
    records: 1,
  },
};

/** Most that a step of large size may move a weight: beyond the size of the weights themselves, C no longer restrains it. */
export const LARGEST_MOVE = 1;

export interface Clip {
  readonly clip: "none" | "coordinate" | "norm";
  /** C; null without clipping. */
  readonly bound: number | null;
}

export interface Case extends Clip {
  readonly rate: number;
  readonly depth: number;
  readonly seed: number;
}

export function clipsOf({ coordinateBounds, normBounds }: ClippingConfig): Clip[] {
  return [
    { clip: "none", bound: null },
    ...coordinateBounds.map((bound): Clip => ({ clip: "coordinate", bound })),
    ...normBounds.map((bound): Clip => ({ clip: "norm", bound })),
  ];
}

/** The study over depth, then the large step sizes at one depth. */
export function casesOf(config: ClippingConfig): Case[] {
  const { depths, seeds, rate, largeRates, largeRateDepth } = config;
  const at = (depth: number, rates: readonly number[]) =>
    clipsOf(config).flatMap((clip) =>
      rates
        .filter((each) => each === rate || clip.bound === null || clip.bound * each <= LARGEST_MOVE)
        .flatMap((each) => seeds.map((seed): Case => ({ ...clip, rate: each, depth, seed }))),
    );
  return [...depths.flatMap((depth) => at(depth, [rate])), ...at(largeRateDepth, largeRates)].filter(
    (one, i, all) => all.findIndex((other) => idOf(other) === idOf(one)) === i,
  );
}

export function nameOf({ clip, bound }: Clip): string {
  return clip === "none" ? "none" : `${clip} ${bound}`;
}

export function idOf({ clip, bound, rate, depth, seed }: Case): string {
  return `${clip}${bound === null ? "" : `-${bound}`}-rate${rate}-L${depth}-seed${seed}`;
}

export function trainingOf(config: ClippingConfig, one: Case): StudyTraining {
  const { steps, records } = config;
  const { clip, bound, rate, depth, seed } = one;
  const input: FlowInput = {
    rate,
    ...(clip !== "none" && { clip: { kind: clip, bound: bound! } }),
    stop: { steps },
  };
  return {
    id: idOf(one),
    label: `clip ${nameOf(one)} η=${rate} L=${depth} seed ${seed}`,
    spec: {
      shape: syntheticShape(config, depth),
      weights: { seed, initialisation: "tied" },
      data: syntheticData(config, seed),
      loss: syntheticLoss(config),
      flow: input,
    },
    recordSteps: recordSteps(steps, records),
  };
}
