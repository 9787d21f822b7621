/** What `prolongation` trains: schema, presets, the ladder of depths and its trainings. */
import { z } from "zod";
import { ACTIVATIONS, type DenseShape } from "../../config/dense.ts";
import { PROLONGATIONS, type Prolongation } from "../../model/depth_prolongation.ts";
import type { InitialWeights } from "../../model/initialisation.ts";
import { RandomStream } from "../../model/random.ts";
import type { ExperimentContext, Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { recordSteps } from "../training.ts";

const doubling = (list: readonly number[]) => list.every((value, i) => i === 0 || value === 2 * list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

export const prolongationSchema = z
  .strictObject({
    activation: z.enum(ACTIVATIONS),
    samples: z.int().min(1).describe("n"),
    width: z.int().min(1).describe("d = q = d'"),
    hidden: z.int().min(1).describe("m"),
    depths: z.array(z.int().min(2)).min(2).refine(doubling, "each must be twice the one before").describe("the ladder"),
    levelSteps: z.array(z.int().min(1)).describe("Euler steps that the prolonged training takes at each of depths"),
    rate: z.number().positive().describe("η, the time step of the flow"),
    seeds: z
      .array(z.int().min(0))
      .min(1)
      .refine(distinct, "must not repeat")
      .describe("weights and data of one draw each"),
    records: z.int().min(1).describe("about how many states are recorded along a training"),
  })
  .refine(({ depths, levelSteps }) => depths.length === levelSteps.length, {
    path: ["levelSteps"],
    message: "must hold one number for each of depths",
  });
export type ProlongationConfig = z.infer<typeof prolongationSchema>;
export type Context = ExperimentContext<ProlongationConfig>;
export type Row = Record<string, Cell>;

export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];
export const METHODS = PROLONGATIONS;

/** Half of all steps at the smallest depth, then ever fewer: a step at depth L costs L layer-steps. */
const REDUCED: ProlongationConfig = {
  activation: "gelu",
  samples: 50,
  width: 16,
  hidden: 32,
  depths: [16, 32, 64, 128, 256],
  levelSteps: [100, 40, 30, 15, 15],
  rate: 0.02,
  seeds: [0, 1, 2, 3, 4],
  records: 20,
};
export const PRESETS: Record<Preset, ProlongationConfig> = {
  paper: {
    ...REDUCED,
    samples: 100,
    depths: [16, 32, 64, 128, 256, 512, 1024],
    levelSteps: [250, 100, 50, 40, 30, 20, 10],
    rate: 0.01,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [4, 8, 16],
    levelSteps: [6, 4, 2],
    rate: 0.05,
    seeds: [0, 1],
    records: 3,
  },
};

export function totalSteps({ levelSteps }: ProlongationConfig): number {
  return levelSteps.reduce((sum, steps) => sum + steps, 0);
}

/** Steps taken before each level begins. */
export function levelStarts({ levelSteps }: ProlongationConfig): number[] {
  return levelSteps.map((_, i) => levelSteps.slice(0, i).reduce((sum, steps) => sum + steps, 0));
}

/** Layer-steps of the prolonged training when `step` steps are taken. */
export function prolongedCost(config: ProlongationConfig, step: number): number {
  const starts = levelStarts(config);
  return config.depths.reduce(
    (sum, depth, i) => sum + depth * Math.max(0, Math.min(config.levelSteps[i]!, step - starts[i]!)),
    0,
  );
}

export function shapeOf({ width, hidden, activation }: ProlongationConfig, depth: number): DenseShape {
  return { inputs: width, width, hidden, outputs: width, depth, activation, widthFactors: "code", beta: 1 };
}

/** A training of figure 1's kind at one depth: from the tied start, or from weights given. */
function training(
  config: ProlongationConfig,
  id: string,
  label: string,
  depth: number,
  seed: number,
  recordAt: readonly number[],
  weights?: InitialWeights,
): StudyTraining {
  const { samples, width, rate } = config;
  const normal = (stream: string) => new RandomStream(seed, stream).fillNormal(new Float32Array(samples * width));
  return {
    id,
    label,
    recordSteps: recordAt,
    spec: {
      shape: shapeOf(config, depth),
      weights: weights ?? { seed, initialisation: "tied" },
      data: { inputs: normal("X"), targets: normal("Y"), rows: samples },
      loss: "mean-square",
      flow: { rate, trained: { A: false, Z: true, B: false }, stop: { steps: recordAt.at(-1)! } },
    },
  };
}

export function fromStart(config: ProlongationConfig, depth: number, seed: number): StudyTraining {
  // The smallest depth is also the first level of both prolonged trainings.
  const steps = [...new Set([...recordSteps(totalSteps(config), config.records), ...levelStarts(config)])];
  return training(
    config,
    `start-L${depth}-seed${seed}`,
    `L=${depth} from the start, seed ${seed}`,
    depth,
    seed,
    steps.sort((a, b) => a - b),
  );
}

/** One level after the first, from the weights of the level before, prolonged. */
export function level(
  config: ProlongationConfig,
  method: Prolongation,
  depth: number,
  seed: number,
  weights?: InitialWeights,
): StudyTraining {
  const steps = config.levelSteps[config.depths.indexOf(depth)]!;
  const records = Math.max(2, Math.round((config.records * steps) / totalSteps(config)));
  return training(
    config,
    `level-${method}-L${depth}-seed${seed}`,
    `${method} prolongation to L=${depth}, seed ${seed}`,
    depth,
    seed,
    recordSteps(steps, records),
    weights,
  );
}

/** No step at all: the loss and the smoothness of weights of half this depth right after prolongation. */
export function jump(
  config: ProlongationConfig,
  method: Prolongation,
  depth: number,
  seed: number,
  weights?: InitialWeights,
): StudyTraining {
  const id = `jump-${method}-L${depth}-seed${seed}`;
  return training(config, id, `jump to L=${depth} (${method}), seed ${seed}`, depth, seed, [0], weights);
}

/** Every training of a run, without the weights that only the run itself makes. */
export function allTrainings(config: ProlongationConfig): StudyTraining[] {
  const { depths, seeds } = config;
  // The weights of a prolonged network differ from layer to layer, which is all that a plan asks of them.
  const untied = (one: StudyTraining): StudyTraining => ({
    ...one,
    spec: { ...one.spec, weights: { seed: 0, initialisation: "iid" } },
  });
  return [
    ...depths.flatMap((depth) => seeds.map((seed) => fromStart(config, depth, seed))),
    ...METHODS.flatMap((method) =>
      depths.slice(1).flatMap((depth) => seeds.map((seed) => untied(level(config, method, depth, seed)))),
    ),
    ...METHODS.flatMap((method) =>
      depths.flatMap((depth) => seeds.map((seed) => untied(jump(config, method, 2 * depth, seed)))),
    ),
  ];
}
