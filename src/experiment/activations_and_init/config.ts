/** What `activations-and-init` trains: the synthetic set-up for every activation and every kind of initial weights. */
import { z } from "zod";
import { ACTIVATIONS, type Activation } from "../../config/dense.ts";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import {
  SYNTHETIC_TRAINED,
  type SyntheticConfig,
  syntheticData,
  syntheticFields,
  syntheticLoss,
  syntheticShape,
} from "../synthetic.ts";

export type Row = Record<string, Cell>;

const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
const { activation: _, ...fields } = syntheticFields;

/** max_k ‖X_{k+1} − X_k‖_F at t = 5 of one draw in float64: n = 100, d = q = 16, m = 32, code parametrisation, η = 0.01, tied. */
export const PUBLISHED = {
  depths: [8, 32, 128, 512],
  steps: {
    tanh: { V: [0.1295, 0.0322, 0.00805, 0.00201], W: [0.0235, 0.00559, 0.00138, 0.000343] },
    relu: { V: [0.426, 0.0964, 0.0246, 0.0062], W: [0.0662, 0.0247, 0.0104, 0.007] },
  },
} as const;
const PUBLISHED_SIZES = { parametrisation: "code", samples: 100, width: 16, hidden: 32 } as const;
const PUBLISHED_FLOW = { rate: 0.01, steps: 500 };
export const PUBLISHED_ACTIVATIONS = ["tanh", "relu"] as const;
export type PublishedActivation = (typeof PUBLISHED_ACTIVATIONS)[number];

export const activationsAndInitSchema = z.strictObject({
  ...fields,
  activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
  kernelLengths: z
    .array(z.number().min(0.02).max(10))
    .refine(distinct, "must not repeat")
    .describe("lengths of the Gaussian kernel of smooth initial weights, in units of s = k/L"),
  rate: z.number().positive().describe("η, time step of the flow"),
  steps: z.int().min(2),
  publishedDepths: z
    .array(z.literal([...PUBLISHED.depths]))
    .refine(distinct, "must not repeat")
    .describe("depths at which tanh and ReLU are trained at the sizes of the published numbers"),
});
export type ActivationsAndInitConfig = z.infer<typeof activationsAndInitSchema>;

const PAPER: ActivationsAndInitConfig = {
  parametrisation: "code",
  samples: 100,
  width: 16,
  hidden: 32,
  depths: [16, 32, 64, 128, 256, 512],
  seeds: [0, 1, 2, 3, 4],
  activations: ["gelu", "tanh", "softplus", "silu", "sin", "identity", "relu", "leaky-relu"],
  kernelLengths: [0.1, 0.5, 2],
  rate: 0.01,
  steps: 500,
  publishedDepths: [...PUBLISHED.depths],
};
export const PRESETS: Record<Preset, ActivationsAndInitConfig> = {
  paper: PAPER,
  // No length of 0.1: it needs L > 40. At L = 16 … 128 the exponent of V was −0.69 with sin, −0.82 with tanh (2026-11).
  reduced: {
    ...PAPER,
    samples: 28,
    hidden: 16,
    depths: [16, 32, 64, 128],
    kernelLengths: [0.25, 1],
    rate: 0.05,
    steps: 100,
    publishedDepths: [8, 32],
  },
  smoke: {
    ...PAPER,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [4, 8, 16],
    seeds: [0, 1],
    activations: ["gelu", "relu"],
    kernelLengths: [0.5],
    rate: 0.1,
    steps: 6,
    publishedDepths: [],
  },
};

/** C² activations, for which theory promises smooth weights from a smooth start; the others have a kink. */
export function isSmooth(activation: Activation): boolean {
  return activation !== "relu" && activation !== "leaky-relu";
}

export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];

export interface Start {
  readonly name: string;
  readonly initialisation: "tied" | "smooth" | "iid";
  readonly kernelLength?: number;
}

/** Those that are not tied stand together: they can run side by side. */
export function startsOf({ kernelLengths }: ActivationsAndInitConfig): Start[] {
  return [
    { name: "tied", initialisation: "tied" },
    ...kernelLengths.map(
      (kernelLength): Start => ({ name: `smooth ${kernelLength}`, initialisation: "smooth", kernelLength }),
    ),
    { name: "iid", initialisation: "iid" },
  ];
}

/**
 * Depths that resolve a start. Pre-activations have the standard deviation √q (1 in the paper's parametrisation), so that σ(W_k h) varies
 * over that part of the kernel's length: steps between layers further apart are those of independent ones.
 */
export function resolvedDepths(config: ActivationsAndInitConfig, { kernelLength }: Start): number[] {
  const spread = config.parametrisation === "code" ? Math.sqrt(config.width) : 1;
  return config.depths.filter((depth) => kernelLength === undefined || depth * kernelLength >= spread);
}

export interface Case {
  readonly activation: Activation;
  readonly start: Start;
  readonly depth: number;
  readonly seed: number;
}

function casesOf(config: ActivationsAndInitConfig): Case[] {
  const { activations, depths, seeds } = config;
  return activations.flatMap((activation) =>
    depths.flatMap((depth) =>
      startsOf(config).flatMap((start) => seeds.map((seed) => ({ activation, start, depth, seed }))),
    ),
  );
}

/** `published`: at the sizes of the published numbers, whatever the configuration's own. */
export interface Planned extends Case {
  readonly published: boolean;
  readonly training: StudyTraining;
}

export function plannedOf(config: ActivationsAndInitConfig): Planned[] {
  const tied: Start = { name: "tied", initialisation: "tied" };
  const published = PUBLISHED_ACTIVATIONS.flatMap((activation) =>
    config.publishedDepths.flatMap((depth) =>
      config.seeds.map((seed): Case => ({ activation, start: tied, depth, seed })),
    ),
  );
  return [
    ...casesOf(config).map((one) => ({ ...one, published: false, training: trainingOf(config, one, config, "grid") })),
    ...published.map((one) => ({
      ...one,
      published: true,
      training: trainingOf(PUBLISHED_SIZES, one, PUBLISHED_FLOW, "published"),
    })),
  ];
}

function trainingOf(
  sizes: Omit<SyntheticConfig, "activation">,
  { activation, start, depth, seed }: Case,
  { rate, steps }: { readonly rate: number; readonly steps: number },
  group: string,
): StudyTraining {
  const config: SyntheticConfig = { ...sizes, activation };
  const { initialisation, kernelLength } = start;
  const name = kernelLength === undefined ? initialisation : `${initialisation}${kernelLength}`;
  return {
    id: `${group}-${activation}-${name}-L${depth}-seed${seed}`,
    label: `${activation}, ${start.name}, L=${depth}, seed ${seed}`,
    spec: {
      shape: syntheticShape(config, depth),
      weights: { seed, initialisation, ...(kernelLength !== undefined && { kernelLength }) },
      data: syntheticData(config, seed),
      loss: syntheticLoss(config),
      flow: { rate, trained: SYNTHETIC_TRAINED, stop: { steps } },
    },
    recordSteps: [steps],
  };
}
