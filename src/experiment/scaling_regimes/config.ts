import { z } from "zod";
import { IMAGES } from "../digits/config.ts";
import type { Preset } from "../experiment.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const grid = (element: z.ZodNumber) => z.array(element).min(1).refine(increasing, "must be increasing");
const exponents = grid(z.number().min(0).max(4));
const hursts = grid(z.number().gt(0).lt(1)).describe("Hurst exponents H");
const count = z.int().min(1);

/** `res-3`: h + L^-β V relu(W h). `res-1`: h + L^-β V relu(h), that is W = I, which is not trained. */
export const MODELS = ["res-3", "res-1"] as const;
export type Model = (typeof MODELS)[number];

export const scalingRegimesSchema = z
  .strictObject({
    model: z.enum(MODELS).describe("network of the maps at initialisation"),
    width: count.describe("q = m"),
    depths: grid(z.int().min(2)).describe("L of independent and smooth weights"),
    draws: count.describe("independent draws of weights and inputs"),
    rows: count.describe("inputs of a draw; its ratio is their geometric mean"),
    iidBetas: exponents,
    rbfBetas: exponents,
    kernelLength: z.number().min(0.02).max(10).describe("length l of the rbf kernel exp(-(s-s')²/(2 l²))"),
    fractional: z
      .strictObject({ hursts, betas: exponents, depths: grid(z.int().min(2)), draws: count, rows: count })
      .describe("the maps at initialisation: weights are increments of fractional Brownian motion"),
    trained: z
      .strictObject({
        width: count,
        depth: z.int().min(2),
        betas: exponents,
        hursts,
        rates: grid(z.number().positive()).describe("learning rates of Adam; the best test accuracy counts"),
        steps: count,
        trainRows: count,
        testRows: count,
        seeds: count,
      })
      .describe("the maps after training: res-1 on the handwritten digits"),
  })
  .refine(({ trained }) => trained.trainRows + trained.testRows <= IMAGES, {
    path: ["trained", "testRows"],
    message: `must leave trainRows + testRows at most ${IMAGES}`,
  });
export type ScalingRegimesConfig = z.infer<typeof scalingRegimesSchema>;

const range = (from: number, to: number, points: number) =>
  Array.from({ length: points }, (_, i) => Number((from + ((to - from) * i) / (points - 1)).toFixed(4)));

const PAPER: ScalingRegimesConfig = {
  model: "res-3",
  width: 40,
  depths: [10, 120, 230, 340, 450, 560, 670, 780, 890, 1000],
  draws: 50,
  rows: 1,
  iidBetas: [0.25, 0.5, 1],
  rbfBetas: [0.5, 1, 2],
  kernelLength: 0.1,
  fractional: {
    hursts: range(0.05, 0.97, 51),
    betas: range(0, 1.3, 70),
    depths: [120, 450, 1000],
    draws: 10,
    rows: 5,
  },
  trained: {
    width: 30,
    depth: 1000,
    betas: range(0.1, 0.9, 10),
    hursts: range(0.1, 0.9, 10),
    rates: [1e-4, 1e-3, 1e-2, 0.1, 1],
    steps: 150,
    trainRows: 1280,
    testRows: 500,
    seeds: 3,
  },
};

export const PRESETS: Record<Preset, ScalingRegimesConfig> = {
  paper: PAPER,
  reduced: {
    ...PAPER,
    depths: [10, 120, 450, 1000],
    draws: 10,
    rows: 4,
    fractional: {
      hursts: [0.2, 0.5, 0.65, 0.8, 0.95],
      betas: [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.3],
      depths: [120, 450, 1000],
      draws: 10,
      rows: 4,
    },
    trained: {
      width: 16,
      depth: 64,
      betas: [0.1, 0.3, 0.5, 0.7, 0.9, 1.1],
      hursts: [0.2, 0.5, 0.8, 0.95],
      rates: [1e-3, 1e-2],
      steps: 40,
      trainRows: 128,
      testRows: 256,
      seeds: 3,
    },
  },
  smoke: {
    ...PAPER,
    width: 4,
    depths: [8, 100, 120],
    draws: 2,
    rows: 3,
    iidBetas: [0.5],
    rbfBetas: [1],
    fractional: { hursts: [0.5, 0.8], betas: [0.4, 1], depths: [8, 100, 120], draws: 2, rows: 3 },
    trained: {
      width: 4,
      depth: 32,
      betas: [0.4, 1],
      hursts: [0.5],
      rates: [0.01],
      steps: 3,
      trainRows: 20,
      testRows: 20,
      seeds: 2,
    },
  },
};

/** How the weights of a layer depend on those of the others; `hurst` of fractional weights only. */
export interface Process {
  readonly kind: "iid" | "rbf" | "fbm";
  readonly hurst: number | null;
}
export const IID: Process = { kind: "iid", hurst: null };
export const RBF: Process = { kind: "rbf", hurst: null };

export function processName({ kind, hurst }: Process): string {
  return hurst === null ? kind : `fbm H=${hurst}`;
}

/** The conjectured critical β of fractional weights. */
export function criticalBeta(hurst: number): number {
  return Math.max(0.5, hurst);
}

/** The β at which the sum over layers of products of two independent fractional noises is of order 1. */
export function productBeta(hurst: number): number {
  return Math.max(0.5, Number((2 * hurst - 1).toFixed(4)));
}
