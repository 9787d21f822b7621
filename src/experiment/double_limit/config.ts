/** What `double-limit` trains: two variants of the flow, several depths and a deep reference, over seeds. */
import { z } from "zod";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import { CHECK_STEPS } from "../reference_steps.ts";
import type { StudyTraining } from "../study.ts";
import { THEOREM_ACTIVATIONS, theoremData, theoremShape } from "../theorem_setting.ts";
import { recordSteps, type TrainingSpec } from "../training.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

const flowFields = z.strictObject({
  rate: z.number().positive().describe("η, Euler step of the flow"),
  steps: z.int().min(16).describe("iterations"),
});

export const doubleLimitSchema = z
  .strictObject({
    activation: z.enum(THEOREM_ACTIVATIONS),
    samples: z.int().min(1).describe("n"),
    width: z.int().min(2).multipleOf(2).describe("q = 2d = 2d'"),
    hidden: z.int().min(1).describe("m"),
    depths: z.array(z.int().min(2)).min(2).refine(increasing, "must be increasing"),
    referenceDepth: z.int().min(2).describe("depth that stands for L → ∞ at every t"),
    all: flowFields.describe("A, Z and B trained, as in Theorem 6"),
    layers: flowFields.describe("only Z trained: all fitting is left to the layers"),
    records: z.int().min(8).describe("about how many states are recorded along a training"),
    fresh: z.int().min(1).describe("points that are not trained on"),
    seeds: z.array(z.int().min(0)).min(1).refine(distinct, "must not repeat").describe("one draw of W, X and Y each"),
  })
  .refine(({ depths }) => depths.every((depth, i) => i === 0 || depth === 2 * depths[i - 1]!), {
    path: ["depths"],
    message: "must double: neighbours are extrapolated to L → ∞",
  })
  .refine(({ depths, referenceDepth }) => referenceDepth >= 4 * depths.at(-1)!, {
    path: ["referenceDepth"],
    message: "must be at least 4 times the largest of depths",
  })
  .refine(({ samples, hidden }) => hidden >= samples, {
    path: ["hidden"],
    message: "must be at least samples: below, the condition of Proposition 5 fails",
  });
export type DoubleLimitConfig = z.infer<typeof doubleLimitSchema>;

export const VARIANTS = ["all", "layers"] as const;
export type Variant = (typeof VARIANTS)[number];
export type Row = Record<string, Cell>;

/**
 * n < d keeps the linear part of σ and of A and B well conditioned, so that zero loss is a few hundred steps away: with n = 12, d = 4 the smallest
 * eigenvalue of the start is 1e-5 of the largest (float64, 2026-11). With η = 2 and only Z trained, the curvature of two seeds of three passed 2/η near zero loss,
 * and their steps oscillated back up to a loss of 5e-3 (2026-11).
 */
const REDUCED: DoubleLimitConfig = {
  activation: "tanh",
  samples: 8,
  width: 32,
  hidden: 32,
  depths: [4, 8, 16, 32],
  referenceDepth: 256,
  all: { rate: 0.01, steps: 320 },
  layers: { rate: 0.5, steps: 480 },
  records: 16,
  fresh: 16,
  seeds: [0, 1, 2],
};
export const PRESETS: Record<Preset, DoubleLimitConfig> = {
  paper: { ...REDUCED, depths: [16, 32, 64, 128, 256], referenceDepth: 4096, seeds: [0, 1, 2, 3, 4], records: 20 },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 3,
    width: 8,
    hidden: 8,
    depths: [2, 4],
    referenceDepth: 16,
    all: { rate: 0.02, steps: 24 },
    layers: { rate: 0.5, steps: 24 },
    records: 8,
    fresh: 4,
    seeds: [0],
  },
};

export function allDepths({ depths, referenceDepth }: DoubleLimitConfig): number[] {
  return [...depths, referenceDepth];
}

export function recordedSteps(config: DoubleLimitConfig, variant: Variant): number[] {
  const { steps } = config[variant];
  const all = new Set([...recordSteps(steps, config.records), ...CHECK_STEPS]);
  return [...all].filter((step) => step <= steps).sort((a, b) => a - b);
}

export function trainingId(variant: Variant, depth: number, seed: number): string {
  return `${variant}-L${depth}-seed${seed}`;
}

export function specOf(config: DoubleLimitConfig, variant: Variant, depth: number, seed: number): TrainingSpec {
  const { rate, steps } = config[variant];
  const maps = variant === "all";
  return {
    shape: theoremShape(config, depth),
    weights: { seed, initialisation: "tied" },
    data: theoremData(config, seed),
    loss: "squared-norm",
    flow: { rate, trained: { A: maps, Z: true, B: maps }, stop: { steps } },
  };
}

/** Equal shapes stand together. */
export function trainingsOf(config: DoubleLimitConfig): (StudyTraining & { readonly variant: Variant })[] {
  return VARIANTS.flatMap((variant) =>
    allDepths(config).flatMap((depth) =>
      config.seeds.map((seed) => ({
        variant,
        id: trainingId(variant, depth, seed),
        label: `${variant} L=${depth} seed ${seed}`,
        spec: specOf(config, variant, depth, seed),
        recordSteps: recordedSteps(config, variant),
      })),
    ),
  );
}
