import { z } from "zod";
import { ACTIVATIONS, type DenseShape } from "../../config/dense.ts";
import { type NeuralShape, type NeuralSolver, neuralSolverSchema } from "../../config/neural.ts";
import { RandomStream } from "../../model/random.ts";
import { neededStages } from "../../ode/neural_ode.ts";
import type { Preset } from "../experiment.ts";
import type { TrainingSpec } from "../training.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);

export const limitDynamicsSchema = z
  .strictObject({
    parametrisation: z
      .enum(["code", "paper"])
      .describe("code: no width factors, loss mean over outputs; paper: 1/√m and 1/√q, loss summed over outputs"),
    activation: z.enum(ACTIVATIONS),
    samples: z.int().min(1).describe("n"),
    width: z.int().min(1).describe("d = q = d'"),
    hidden: z.int().min(1).describe("m"),
    depths: z.array(z.int().min(2)).min(1).refine(increasing, "must be increasing"),
    limit: neuralSolverSchema.check(z.describe("discretisation of the limiting dynamics over depth")),
    finer: neuralSolverSchema.check(z.describe("another one: the distance between the two measures their error")),
    stackDepth: z.int().min(2).describe("depth of the stack that would stand for the limit"),
    stackSteps: z.int().min(2).describe("iterations of that stack"),
    rate: z.number().positive().describe("η: time step of the flow, for all alike"),
    steps: z.int().min(2).describe("iterations"),
    recordAt: z.array(z.int().min(0)).refine(increasing, "must be increasing").describe("iterations in the tables"),
    seed: z.int().min(0),
  })
  .refine(({ depths, stackDepth }) => stackDepth > depths.at(-1)!, {
    path: ["stackDepth"],
    message: "must exceed every one of depths",
  })
  .refine(({ steps, stackSteps }) => stackSteps <= steps, {
    path: ["stackSteps"],
    message: "must be at most steps",
  });
export type LimitDynamicsConfig = z.infer<typeof limitDynamicsSchema>;

export const FAMILIES = ["V", "W"] as const;
export type Family = (typeof FAMILIES)[number];

export const TRAINED = { A: false, Z: true, B: false } as const;

const powersOfTwo = (from: number, to: number) =>
  Array.from({ length: Math.log2(to / from) + 1 }, (_, i) => from * 2 ** i);

/**
 * Polynomials are the best basis for as long as the weights are smooth: after 50 iterations ten are within 5e-7 (V) of a finer
 * limit. By 500 their coefficients fall by no more than a third from one to the next, and straight lines between 129 knots are
 * nearer than 24 polynomials: 2e-5 and 3e-5 from 257 knots (SwiftShader, 2026-11).
 */
export const PAPER: LimitDynamicsConfig = {
  parametrisation: "code",
  activation: "gelu",
  samples: 100,
  width: 16,
  hidden: 32,
  depths: powersOfTwo(8, 1024),
  limit: { basis: { kind: "linear", count: 129 }, method: "rk4", steps: 128 },
  finer: { basis: { kind: "linear", count: 257 }, method: "rk4", steps: 256 },
  stackDepth: 16_384,
  stackSteps: 500,
  rate: 0.01,
  steps: 500,
  recordAt: [10, 50, 100, 200, 350, 500],
  seed: 0,
};
export const PRESETS: Record<Preset, LimitDynamicsConfig> = {
  paper: PAPER,
  reduced: {
    ...PAPER,
    limit: { basis: { kind: "chebyshev", count: 10 }, method: "dopri5", steps: 32 },
    finer: { basis: { kind: "chebyshev", count: 12 }, method: "dopri5", steps: 64 },
    stackSteps: 10,
    steps: 50,
    recordAt: [2, 10, 20, 30, 40, 50],
  },
  smoke: {
    ...PAPER,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [16, 32, 64],
    limit: { basis: { kind: "chebyshev", count: 6 }, method: "rk4", steps: 16 },
    finer: { basis: { kind: "chebyshev", count: 8 }, method: "rk4", steps: 32 },
    stackDepth: 1024,
    stackSteps: 4,
    rate: 0.05,
    steps: 24,
    recordAt: [2, 4, 12, 24],
  },
};

/** Iterations with a row: the asked ones, the last of the deepest stack, and the last. */
export function recordedSteps({ recordAt, stackSteps, steps }: LimitDynamicsConfig): number[] {
  return [...new Set([...recordAt, stackSteps, steps])].filter((step) => step <= steps).sort((a, b) => a - b);
}

export function shapeOf(config: LimitDynamicsConfig, depth: number): DenseShape {
  const { width, hidden, activation, parametrisation } = config;
  return { inputs: width, width, hidden, outputs: width, depth, activation, widthFactors: parametrisation, beta: 1 };
}

/** The right-hand side of the neural ODE that stacks of this shape discretise. */
export function fieldOf({ depth: _depth, beta: _beta, ...field }: DenseShape): NeuralShape {
  return field;
}

/** The same draws at every depth: tied weights do not depend on it, and data come from streams of their own. */
export function specOf(config: LimitDynamicsConfig, depth: number): TrainingSpec {
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

/** One discretisation over depth of the one training: a stack of that many layers, or the limit as a neural ODE. */
export interface Discretisation {
  /** Name of the cell and in the tables. */
  readonly name: string;
  readonly kind: "stack" | "limit" | "finer";
  /** Layers of a stack, coefficients of a limit. */
  readonly depth: number;
  /** Evaluations of the right-hand side in a forward pass: layers, or steps times stages. */
  readonly stages: number;
  readonly solver?: NeuralSolver;
  readonly records: readonly number[];
}

/** In the order of their trainings: the limit first, because the others are compared with it. */
export function discretisations(config: LimitDynamicsConfig): Discretisation[] {
  const { depths, stackDepth, stackSteps } = config;
  const records = recordedSteps(config);
  const limit = (kind: "limit" | "finer"): Discretisation => {
    const solver = config[kind];
    const { basis, method, steps } = solver;
    return {
      name: `${kind}: ${basis.kind} ${basis.count}, ${method}, ${steps} steps`,
      kind,
      depth: basis.count,
      stages: steps * neededStages(method).b.length,
      solver,
      records,
    };
  };
  const stack = (depth: number): Discretisation => ({
    name: `L=${depth}`,
    kind: "stack",
    depth,
    stages: depth,
    records: depth === stackDepth ? records.filter((step) => step <= stackSteps) : records,
  });
  return [limit("limit"), limit("finer"), ...depths.map(stack), stack(stackDepth)];
}
