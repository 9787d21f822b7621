/** What `long-time` trains: two set-ups, each over seeds. */
import { z } from "zod";
import { ACTIVATIONS, type DenseShape } from "../../config/dense.ts";
import { RandomStream } from "../../model/random.ts";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import { CHECK_STEPS } from "../reference_steps.ts";
import type { StudyTraining } from "../study.ts";
import { recordSteps, type TrainingSpec } from "../training.ts";

const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

const setupSchema = z.strictObject({
  samples: z.int().min(1).describe("n"),
  width: z.int().min(1).describe("d = q = d'"),
  hidden: z.int().min(1).describe("m"),
  depth: z.int().min(2).describe("L"),
  rate: z.number().positive().describe("η: V and W move by L·η times their gradients"),
  steps: z.int().min(16).describe("iterations"),
  seeds: z.array(z.int().min(0)).min(1).refine(distinct, "must not repeat").describe("one draw of W, X and Y each"),
});
export type Setup = z.infer<typeof setupSchema>;

export const longTimeSchema = z.strictObject({
  activation: z.enum(ACTIVATIONS),
  figure2: setupSchema.describe("the sizes of the paper's figure 2"),
  small: setupSchema.describe("a smaller stack, which comes to rest within minutes"),
  records: z.int().min(16).describe("about how many states are recorded along a training"),
});
export type LongTimeConfig = z.infer<typeof longTimeSchema>;

export const SETUPS = ["figure2", "small"] as const;
export type SetupName = (typeof SETUPS)[number];
export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];
export type Row = Record<string, Cell>;

export const TRAINED = { A: false, Z: true, B: false } as const;
/** States of which the weights are kept: the distance to the last state is taken between these. */
const KEPT_STATES = 16;

const FIGURE_2: Setup = { samples: 50, width: 16, hidden: 64, depth: 64, rate: 0.005, steps: 80_000, seeds: [0, 1, 2] };
const SMALL: Setup = { samples: 8, width: 8, hidden: 16, depth: 32, rate: 0.02, steps: 7500, seeds: [0, 1, 2, 3, 4] };

/**
 * The curvature grows along training, and where it passes 2/η the steps oscillate and no longer follow the flow: with the sizes of figure 2 the
 * Polyak–Łojasiewicz ratio at t = 50 was 34, 37, 49 at η = 0.02 and 0.06, 11, 19 at 0.01 instead of 0.05, though the loss fell as before (2026-11).
 */
export const PRESETS: Record<Preset, LongTimeConfig> = {
  paper: { activation: "gelu", figure2: FIGURE_2, small: SMALL, records: 80 },
  reduced: {
    activation: "gelu",
    figure2: { ...FIGURE_2, depth: 32, steps: 10_000 },
    small: SMALL,
    records: 40,
  },
  smoke: {
    activation: "gelu",
    figure2: { samples: 6, width: 4, hidden: 8, depth: 8, rate: 0.02, steps: 64, seeds: [0, 1] },
    small: { samples: 6, width: 4, hidden: 8, depth: 4, rate: 0.02, steps: 192, seeds: [0, 1] },
    records: 16,
  },
};

export function trainingId(setup: SetupName, seed: number): string {
  return `${setup}-seed${seed}`;
}

/** Iterations with a row: evenly spread, doubling ones at the start, and those of the float64 comparison. */
export function recordedSteps(config: LongTimeConfig, name: SetupName): number[] {
  const { steps } = config[name];
  const all = new Set<number>([...recordSteps(steps, config.records), ...CHECK_STEPS]);
  for (let step = 4; step < steps / config.records; step *= 2) all.add(step);
  return [...all].filter((step) => step <= steps).sort((a, b) => a - b);
}

/** Iterations whose weights are kept: a subset of {@link recordedSteps}. */
export function keptSteps(config: LongTimeConfig, name: SetupName): number[] {
  const { steps } = config[name];
  const recorded = recordSteps(steps, config.records);
  const nearest = (wanted: number) =>
    recorded.reduce((best, step) => (Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best));
  const all = Array.from({ length: KEPT_STATES + 1 }, (_, i) => nearest((i * steps) / KEPT_STATES));
  return [...new Set(all)];
}

function shapeOf({ activation, ...config }: LongTimeConfig, name: SetupName): DenseShape {
  const { width, hidden, depth } = config[name];
  return { inputs: width, width, hidden, outputs: width, depth, activation, widthFactors: "code", beta: 1 };
}

export function specOf(config: LongTimeConfig, name: SetupName, seed: number): TrainingSpec {
  const { samples, width, rate, steps } = config[name];
  const normal = (stream: string) => new RandomStream(seed, stream).fillNormal(new Float32Array(samples * width));
  return {
    shape: shapeOf(config, name),
    weights: { seed, initialisation: "tied" },
    data: { inputs: normal("X"), targets: normal("Y"), rows: samples },
    loss: "mean-square",
    flow: { rate, trained: TRAINED, stop: { steps } },
  };
}

export function trainingsOf(config: LongTimeConfig): StudyTraining[] {
  return SETUPS.flatMap((name) =>
    config[name].seeds.map((seed) => ({
      id: trainingId(name, seed),
      label: `${name} L=${config[name].depth} seed ${seed}`,
      spec: specOf(config, name, seed),
      recordSteps: recordedSteps(config, name),
    })),
  );
}
