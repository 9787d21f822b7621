/** What `mean-field` trains: schema, presets, networks and their weights. */
import { z } from "zod";
import type { DenseData } from "../../model/dense_pass.ts";
import { RandomStream } from "../../model/random.ts";
import type { Preset } from "../experiment.ts";
import { LazyWeights } from "../lazy_weights.ts";
import type { StudyTraining } from "../study.ts";
import type { TrainingSpec } from "../training.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const count = z.int().min(1);
const sizes = z.array(count).min(1).refine(increasing, "must be increasing");

export const meanFieldSchema = z
  .strictObject({
    inputs: count,
    outputs: count,
    samples: count,
    depth: count.describe("L where M or D varies"),
    hidden: count.describe("M where L or D varies"),
    width: count.describe("D where L or M varies"),
    depths: sizes,
    hiddens: sizes,
    widths: sizes,
    referenceDepth: count.describe("L of the limit that depths are compared with"),
    referenceHidden: count.describe("M of the limits that hidden and state widths are compared with"),
    rate: z.number().positive().describe("η: u and v move by η L M D times their gradients"),
    steps: count,
    seeds: z.array(z.int().min(0)).min(1),
  })
  .refine(({ depths, referenceDepth }) => referenceDepth > depths.at(-1)!, {
    path: ["referenceDepth"],
    message: "must exceed every one of depths",
  })
  .refine(({ hiddens, hidden, referenceHidden }) => referenceHidden > Math.max(hidden, hiddens.at(-1)!), {
    path: ["referenceHidden"],
    message: "must exceed hidden and every one of hiddens",
  });
export type MeanFieldConfig = z.infer<typeof meanFieldSchema>;

/** `points` integers from `from` to `to`, equally far apart in the logarithm up to rounding, without repetitions. */
function logSpaced(from: number, to: number, points: number): number[] {
  const values = Array.from({ length: points }, (_, i) => Math.round(from * (to / from) ** (i / (points - 1))));
  return [...new Set(values)];
}

const PAPER: MeanFieldConfig = {
  inputs: 5,
  outputs: 5,
  samples: 10,
  depth: 50,
  hidden: 50,
  width: 50,
  depths: logSpaced(1, 1000, 20),
  hiddens: logSpaced(1, 1000, 20),
  widths: logSpaced(1, 1000, 20),
  referenceDepth: 2000,
  referenceHidden: 2000,
  rate: 1,
  steps: 15,
  seeds: [0, 1, 2, 3, 4],
};
export const PRESETS: Record<Preset, MeanFieldConfig> = {
  paper: PAPER,
  reduced: {
    ...PAPER,
    depth: 32,
    hidden: 16,
    width: 16,
    depths: [4, 8, 16, 32, 64],
    hiddens: [2, 4, 8, 16, 32],
    widths: [8, 16, 32, 64],
    referenceDepth: 1024,
    referenceHidden: 512,
    seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  },
  smoke: {
    ...PAPER,
    samples: 4,
    depth: 4,
    hidden: 8,
    width: 4,
    depths: [2, 4],
    hiddens: [4, 8],
    widths: [4, 8],
    referenceDepth: 16,
    referenceHidden: 32,
    steps: 2,
    seeds: [0, 1],
  },
};

/** A network of depth L, hidden width M and state width D. */
export interface Size {
  readonly L: number;
  readonly M: number;
  readonly D: number;
}

export const SCANS = ["L", "M", "D"] as const;
export type Scan = (typeof SCANS)[number];

export interface Point {
  readonly scan: Scan;
  readonly size: Size;
  readonly reference: Size;
}

/** Networks with the one that stands for their limit: larger in what makes the error small, equal in the rest. */
export function pointsOf(config: MeanFieldConfig): Point[] {
  const { depth: L, hidden: M, width: D, depths, hiddens, widths, referenceDepth, referenceHidden } = config;
  return [
    ...depths.map((l): Point => ({ scan: "L", size: { L: l, M, D }, reference: { L: referenceDepth, M, D } })),
    ...hiddens.map((m): Point => ({ scan: "M", size: { L, M: m, D }, reference: { L, M: referenceHidden, D } })),
    ...widths.map((d): Point => ({ scan: "D", size: { L, M, D: d }, reference: { L, M: referenceHidden, D: d } })),
  ];
}

/** Unique for a size and a file stem. */
export function sizeId({ L, M, D }: Size, seed: number): string {
  return `L${L}-M${M}-D${D}-seed${seed}`;
}

/** Samples of a seed: standard normal inputs and targets. */
export function dataOf({ inputs, outputs, samples }: MeanFieldConfig, seed: number): DenseData {
  const normal = (stream: string, floats: number) =>
    new RandomStream(seed, stream).fillNormal(new Float32Array(floats));
  return { inputs: normal("X", samples * inputs), targets: normal("Y", samples * outputs), rows: samples };
}

/**
 * Chizat's network h_l = h_{l−1} + 1/(LM) Σ_j v_jl tanh(u_jl · h_{l−1} / D), entries of u and v N(0, D), as a stack
 * h + (1/L) V tanh(W h): W = u/D, V = v/M, entries N(0, 1/D) and N(0, D/M²).
 *
 * His gradient descent moves u and v by −η L M D times their gradients. With ∂ℓ/∂u = (1/D) ∂ℓ/∂W and ∂ℓ/∂v = (1/M) ∂ℓ/∂V,
 *   δW = δu/D = −η L M D · (1/D²) ∂ℓ/∂W = −η · (M/D) · L ∂ℓ/∂W,   δV = δv/M = −η L M D · (1/M²) ∂ℓ/∂V = −η · (D/M) · L ∂ℓ/∂V:
 * the flow's own L ∂ℓ/∂Z, with the factors M/D on W and D/M on V.
 *
 * A = N(0, 1/d) and B = N(0, 1)/D are not trained, and equal for all L and M.
 */
export function specOf(
  config: MeanFieldConfig,
  { L, M, D }: Size,
  seed: number,
  data: DenseData,
  lazy: LazyWeights,
): TrainingSpec {
  const { inputs, outputs, rate, steps } = config;
  const id = sizeId({ L, M, D }, seed);
  // A stream for each size: networks of one seed share their ends alone, so that errors are independent.
  const layers = (name: string, scale: number) =>
    new RandomStream(seed, `${name} ${id}`).fillNormal(new Float32Array(L * M * D), 0, scale);
  const ends = (name: string, floats: number, scale: number) =>
    new RandomStream(seed, name).fillNormal(new Float32Array(floats), 0, scale);
  const maps = { A: ends("A", D * inputs, 1 / Math.sqrt(inputs)), B: ends("B", outputs * D, 1 / D) };
  return {
    shape: { inputs, width: D, hidden: M, outputs, depth: L, activation: "tanh", widthFactors: "code", beta: 1 },
    weights: lazy.weights(maps, id, () => ({
      V: layers("V", Math.sqrt(D) / M),
      W: layers("W", 1 / Math.sqrt(D)),
    })),
    data,
    loss: "mean-square",
    flow: {
      rate,
      trained: { A: false, Z: true, B: false },
      layerFactors: { V: D / M, W: M / D },
      stop: { steps },
    },
  };
}

export interface Case extends StudyTraining {
  readonly size: Size;
  readonly seed: number;
}

/** Every network once, seeds of a size together. */
export function casesOf(config: MeanFieldConfig): Case[] {
  const sizes = new Map<string, Size>();
  for (const { size, reference } of pointsOf(config))
    for (const one of [size, reference]) sizes.set(sizeId(one, 0), one);
  const lazy = new LazyWeights();
  const data = new Map(config.seeds.map((seed) => [seed, dataOf(config, seed)]));
  return [...sizes.values()].flatMap((size) =>
    config.seeds.map((seed) => ({
      id: sizeId(size, seed),
      label: `L=${size.L} M=${size.M} D=${size.D} seed ${seed}`,
      spec: specOf(config, size, seed, data.get(seed)!, lazy),
      recordSteps: [0, config.steps],
      size,
      seed,
    })),
  );
}
