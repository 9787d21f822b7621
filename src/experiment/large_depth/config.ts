import { z } from "zod";
import { ACTIVATIONS, type DenseShape } from "../../config/dense.ts";
import { RandomStream } from "../../model/random.ts";
import type { Preset } from "../experiment.ts";
import type { TrainingSpec } from "../training.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);

export const largeDepthSchema = z
  .strictObject({
    parametrisation: z
      .enum(["code", "paper"])
      .describe("code: no width factors, loss mean over outputs; paper: 1/√m and 1/√q, loss summed over outputs"),
    activation: z.enum(ACTIVATIONS),
    samples: z.int().min(1).describe("n"),
    width: z.int().min(1).describe("d = q = d'"),
    hidden: z.int().min(1).describe("m"),
    depths: z.array(z.int().min(2)).min(1).refine(increasing, "must be increasing"),
    referenceDepth: z.int().min(2).describe("depth that stands for the limit"),
    rate: z.number().positive().describe("η: V and W move by L·η times their gradients"),
    steps: z.int().min(2).describe("iterations"),
    recordAt: z.array(z.int().min(0)).refine(increasing, "must be increasing").describe("iterations in the tables"),
    seed: z.int().min(0),
  })
  .refine(({ depths, referenceDepth }) => referenceDepth > depths.at(-1)!, {
    path: ["referenceDepth"],
    message: "must exceed every one of depths",
  })
  // The distance kernel indexes with 32 bits.
  .refine(({ depths, referenceDepth }) => depths.at(-1)! * referenceDepth < 2 ** 32, {
    path: ["referenceDepth"],
    message: "times the largest of depths must be below 2^32",
  });
export type LargeDepthConfig = z.infer<typeof largeDepthSchema>;

export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];

export const TRAINED = { A: false, Z: true, B: false } as const;
/** Recorded whatever the configuration says: the exact zeros, and the steps compared with float64. */
const ALWAYS_RECORDED = [0, 1, 2, 10];

const powersOfTwo = (from: number, to: number) =>
  Array.from({ length: Math.log2(to / from) + 1 }, (_, i) => from * 2 ** i);

export const PAPER: LargeDepthConfig = {
  parametrisation: "code",
  activation: "gelu",
  samples: 100,
  width: 16,
  hidden: 32,
  depths: powersOfTwo(2, 1024),
  referenceDepth: 16_384,
  rate: 0.01,
  steps: 500,
  recordAt: [1, 2, 10, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500],
  seed: 0,
};
export const PRESETS: Record<Preset, LargeDepthConfig> = {
  paper: PAPER,
  reduced: { ...PAPER, steps: 50, recordAt: [1, 2, 10, 20, 30, 40, 50] },
  smoke: {
    ...PAPER,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [2, 4, 8, 16],
    referenceDepth: 64,
    steps: 6,
    recordAt: [1, 2, 4, 6],
  },
};

export function allDepths({ depths, referenceDepth }: LargeDepthConfig): number[] {
  return [...depths, referenceDepth];
}

/** Iterations with a row: the asked ones, the first two, those of the float64 comparison, and the last. */
export function recordedSteps({ recordAt, steps }: LargeDepthConfig): number[] {
  return [...new Set([...ALWAYS_RECORDED, ...recordAt, steps])].filter((step) => step <= steps).sort((a, b) => a - b);
}

export function shapeOf(config: LargeDepthConfig, depth: number): DenseShape {
  const { width, hidden, activation, parametrisation } = config;
  return { inputs: width, width, hidden, outputs: width, depth, activation, widthFactors: parametrisation, beta: 1 };
}

/** The same draws at every depth: tied weights do not depend on it, and data come from streams of their own. */
export function specOf(config: LargeDepthConfig, depth: number): TrainingSpec {
  const { samples, width, seed, rate, steps, parametrisation } = config;
  const normal = (stream: string) => new RandomStream(seed, stream).fillNormal(new Float32Array(samples * width));
  return {
    shape: shapeOf(config, depth),
    weights: { seed, initialisation: "tied" },
    data: { inputs: normal("X"), targets: normal("Y"), rows: samples },
    loss: parametrisation === "code" ? "mean-square" : "squared-norm",
    flow: { rate, trained: TRAINED, stop: { steps } },
  };
}
