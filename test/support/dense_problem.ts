import type { DenseShape, Loss } from "../../src/config/dense.ts";
import { type FlowConfig, type FlowInput, flowSchema, scheduleFactor } from "../../src/config/flow.ts";
import { GradientFlow } from "../../src/flow/gradient_flow.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { type DenseData, DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import { type InitialWeights, initialWeights } from "../../src/model/initialisation.ts";
import { RandomStream } from "../../src/model/random.ts";
import { EULER, HEUN, RK4, type Tableau } from "../../src/ode/tableaus.ts";
import type { DensePlanOptions } from "../../src/plan/dense.ts";
import { type DenseWeights, denseGradients } from "../../src/reference/dense.ts";
import { optimiserState, optimiserStep } from "../../src/reference/optimisers.ts";

export interface DenseProblem {
  readonly shape: DenseShape;
  readonly initial: InitialWeights;
  readonly data: DenseData;
  readonly loss: Loss;
}

const SMALL: DenseShape = {
  inputs: 3,
  width: 5,
  hidden: 6,
  outputs: 2,
  depth: 6,
  activation: "tanh",
  widthFactors: "paper",
  beta: 1,
};

/** A stack with all weights random, and random data; every number is a function of the seed. */
export function denseProblem(
  change: Partial<DenseShape> = {},
  options: { rows?: number; loss?: Loss; tied?: boolean; seed?: number; outputScale?: number } = {},
): DenseProblem {
  const { rows = 7, loss = "squared-norm", tied = true, seed = 5, outputScale = 1 } = options;
  const shape = { ...SMALL, ...change };
  const initial = initialWeights({
    shape,
    seed,
    initialisation: tied ? "tied" : "iid",
    outputScale,
    A: "normal",
    B: "normal",
  });
  const inputs = new RandomStream(seed, "inputs").fillNormal(new Float32Array(rows * shape.inputs));
  const stream = new RandomStream(seed, "targets");
  const targets =
    loss === "cross-entropy"
      ? Uint32Array.from({ length: rows }, (_, i) => stream.uint32(i) % shape.outputs)
      : stream.fillNormal(new Float32Array(rows * shape.outputs));
  return { shape, initial, data: { inputs, targets, rows }, loss };
}

/** The initial weights in float64, tied layers repeated. */
export function referenceWeights({ shape, initial }: DenseProblem): DenseWeights {
  const layers = (x: Float32Array) =>
    Float64Array.from({ length: shape.depth * shape.width * shape.hidden }, (_, i) => x[i % x.length]);
  return {
    A: Float64Array.from(initial.A),
    V: layers(initial.V),
    W: layers(initial.W),
    B: Float64Array.from(initial.B),
  };
}

export function referenceGradients(problem: DenseProblem, weights: DenseWeights) {
  const { shape, data, loss } = problem;
  return denseGradients(shape, weights, { n: data.rows, inputs: data.inputs, targets: data.targets }, loss);
}

const KEYS = ["A", "V", "W", "B"] as const;
const groupOf = { A: "A", V: "Z", W: "Z", B: "B" } as const;

/** clip(factor · gradient) of every weight, in float64. */
function directions(problem: DenseProblem, weights: DenseWeights, { clip, layerFactors }: FlowConfig) {
  const { depth } = problem.shape;
  const { dA, dV, dW, dB, loss } = referenceGradients(problem, weights);
  const scaled = (family: "V" | "W", gradient: Float64Array) => gradient.map((x) => layerFactors[family] * depth * x);
  const u: DenseWeights = { A: dA, V: scaled("V", dV), W: scaled("W", dW), B: dB };
  if (clip.kind === "coordinate")
    for (const key of KEYS) u[key] = u[key].map((x) => Math.min(clip.bound, Math.max(-clip.bound, x)));
  if (clip.kind === "norm") {
    const project = (...parts: Float64Array[]) => {
      const norm = Math.sqrt(parts.reduce((sum, part) => part.reduce((s, x) => s + x * x, sum), 0));
      if (norm > clip.bound)
        for (const part of parts) for (let i = 0; i < part.length; i++) part[i] *= clip.bound / norm;
    };
    project(u.A);
    project(u.B);
    const elements = u.V.length / depth;
    for (let k = 0; k < depth; k++)
      project(u.V.subarray(k * elements, (k + 1) * elements), u.W.subarray(k * elements, (k + 1) * elements));
  }
  return { u, loss };
}

/** The flow in float64, by plain loops: change from the initial weights after `steps`, and the loss before each step. */
export function referenceFlow(problem: DenseProblem, input: FlowInput, steps: number) {
  const config = flowSchema.parse(input);
  const tableaus: Partial<Record<FlowConfig["method"], Tableau>> = { euler: EULER, heun: HEUN, rk4: RK4 };
  const tableau = tableaus[config.method];
  if (!tableau) throw new Error(`no reference of method ${config.method}`);
  const start = referenceWeights(problem);
  const weights = referenceWeights(problem);
  const states = Object.fromEntries(KEYS.map((key) => [key, optimiserState(weights[key].length)]));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const base = config.rate * scheduleFactor(config.schedule, step);
    const stages: DenseWeights[] = [];
    for (const row of tableau.a) {
      const at = referenceWeights(problem);
      for (const key of KEYS) {
        const rate = base * config.groupRates[groupOf[key]];
        at[key] = weights[key].map((w, i) => w - rate * row.reduce((sum, a, s) => sum + a * stages[s][key][i], 0));
        if (!config.trained[groupOf[key]]) at[key] = weights[key];
      }
      const { u, loss } = directions(problem, at, config);
      if (stages.length === 0) losses.push(loss);
      stages.push(u);
    }
    for (const key of KEYS) {
      if (!config.trained[groupOf[key]]) continue;
      const mean = weights[key].map((_, i) => tableau.b.reduce((sum, b, s) => sum + b * stages[s][key][i], 0));
      optimiserStep(config, states[key], weights[key], mean, base * config.groupRates[groupOf[key]]);
    }
  }
  const change = Object.fromEntries(KEYS.map((key) => [key, weights[key].map((w, i) => w - start[key][i])]));
  return { change: change as unknown as DenseWeights, weights, losses };
}

/** The same on the device: stack, pass and flow, and one call that frees them. */
export async function deviceFlow(
  gpu: Gpu,
  problem: DenseProblem,
  input: FlowInput,
  options: Partial<Omit<DensePlanOptions, "rows">> = {},
) {
  const stack = DenseStack.create(gpu, problem.shape, problem.initial);
  const pass = await DensePass.create(stack, problem.data, problem.loss, { training: true, ...options });
  const flow = await GradientFlow.create(stack, pass, flowSchema.parse(input));
  const destroy = () => {
    flow.destroy();
    pass.destroy();
    stack.destroy();
  };
  return { stack, pass, flow, destroy };
}

/**
 * Relative error to expect of a gradient of the device: sums of q, m and n products a layer, of which rounding enters
 * each layer once; 8 covers the chain of operations of a layer (the same bound as in golden_step.test.ts).
 */
export function gradientBound({ shape, data }: DenseProblem): number {
  return 2 ** -24 * (shape.width + shape.hidden + data.rows + shape.outputs) * 8;
}
