/** What `optimizers` trains: schema, presets and cases. */
import { z } from "zod";
import { OPTIMISERS } from "../../config/flow.ts";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { SYNTHETIC_TRAINED, syntheticData, syntheticFields, syntheticLoss, syntheticShape } from "../synthetic.ts";
import { recordSteps } from "../training.ts";

export type Row = Record<string, Cell>;

const methodSchema = z
  .strictObject({
    name: z.string().regex(/^[\w.-]+$/),
    method: z.enum(["euler", "heun", "rk4"]).default("euler"),
    optimiser: z.enum(OPTIMISERS).default("descent"),
    rate: z.number().positive().describe("time step of the flow, learning rate of an optimiser"),
    momentum: z.number().min(0).lt(1).default(0.9),
    weightDecay: z.number().min(0).default(0),
    epsilon: z.number().positive().default(1e-8),
  })
  .refine(({ method, optimiser }) => optimiser === "descent" || method === "euler", {
    path: ["method"],
    message: "must be euler with an optimiser other than descent",
  });

export type Method = z.output<typeof methodSchema>;

export const optimizersSchema = z.strictObject({
  ...syntheticFields,
  methods: z
    .array(methodSchema)
    .min(1)
    .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, "must have names of their own"),
  steps: z.int().min(2),
  records: z.int().min(1).describe("about how many states are recorded along a training"),
});

export type OptimizersConfig = z.output<typeof optimizersSchema>;

const method = (name: string, rate: number, rest: Partial<Method> = {}): Method => ({
  name,
  method: "euler",
  optimiser: "descent",
  rate,
  momentum: 0.9,
  weightDecay: 0,
  epsilon: 1e-8,
  ...rest,
});

/** Momentum 0.9 adds up ten steps, so a tenth of the rate of descent is the same clock. Adam's rate is what a weight moves in a step. */
const REDUCED: OptimizersConfig = {
  parametrisation: "code",
  activation: "gelu",
  samples: 50,
  width: 16,
  hidden: 32,
  depths: [16, 32, 64, 128, 256],
  seeds: [0, 1, 2, 3, 4],
  methods: [
    method("descent", 0.1),
    method("rk4", 0.1, { method: "rk4" }),
    method("momentum", 0.01, { optimiser: "momentum" }),
    method("adam", 0.01, { optimiser: "adam" }),
    method("adamw", 0.01, { optimiser: "adamw", weightDecay: 0.01 }),
    method("adam-large-epsilon", 0.01, { optimiser: "adam", epsilon: 0.01 }),
  ],
  steps: 30,
  records: 6,
};

export const PRESETS: Record<Preset, OptimizersConfig> = {
  paper: {
    ...REDUCED,
    samples: 100,
    depths: [16, 32, 64, 128, 256, 512, 1024],
    steps: 200,
    records: 20,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 12,
    width: 8,
    hidden: 32,
    depths: [4, 8, 16],
    seeds: [0, 1],
    methods: [
      method("descent", 0.1),
      method("momentum", 0.01, { optimiser: "momentum" }),
      method("adam", 0.01, { optimiser: "adam" }),
    ],
    steps: 6,
    records: 2,
  },
};

export const FAMILIES = ["V", "W"] as const;

export type Family = (typeof FAMILIES)[number];

/** Decay rates of Adam's moments, those of the flow's configuration. */
export const BETAS = { beta1: 0.9, beta2: 0.999 } as const;

/** W first moves in the second step: from V = 0 its first gradient is 0. */
export const EARLY = 2;

export interface Case {
  readonly method: Method;
  readonly depth: number;
  readonly seed: number;
}

export function casesOf({ methods, depths, seeds }: OptimizersConfig): Case[] {
  return depths.flatMap((depth) => methods.flatMap((each) => seeds.map((seed) => ({ method: each, depth, seed }))));
}

export function idOf({ method: { name }, depth, seed }: Case): string {
  return `${name}-L${depth}-seed${seed}`;
}

export function trainingOf(config: OptimizersConfig, one: Case): StudyTraining {
  const { steps, records } = config;
  const {
    method: { name, ...flow },
    depth,
    seed,
  } = one;
  return {
    id: idOf(one),
    label: `${name} L=${depth} seed ${seed}`,
    spec: {
      shape: syntheticShape(config, depth),
      weights: { seed, initialisation: "tied" },
      data: syntheticData(config, seed),
      loss: syntheticLoss(config),
      flow: { ...flow, ...BETAS, trained: SYNTHETIC_TRAINED, stop: { steps } },
    },
    recordSteps: [...new Set([...recordSteps(steps, records), EARLY])].sort((a, b) => a - b),
  };
}
