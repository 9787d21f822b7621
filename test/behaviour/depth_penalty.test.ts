/** Training with a penalty on the differences of neighbouring layers, against float64. */
import { describe, expect, test } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { type FlowInput, flowSchema } from "../../src/config/flow.ts";
import { GradientFlow } from "../../src/flow/gradient_flow.ts";
import { Measurements } from "../../src/flow/measurements.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import { type InitialWeights, initialWeights } from "../../src/model/initialisation.ts";
import { RandomStream } from "../../src/model/random.ts";
import { denseGradients } from "../../src/reference/dense.ts";
import { depthMean, depthPenaltyGradient } from "../../src/reference/depth_penalty.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const shape: DenseShape = {
  inputs: 3,
  width: 3,
  hidden: 5,
  outputs: 3,
  depth: 7,
  activation: "gelu",
  widthFactors: "paper",
  beta: 1,
};
const rows = 6;
const normal = (stream: string) => new RandomStream(3, stream).fillNormal(new Float32Array(rows * shape.inputs));
const data = { inputs: normal("X"), targets: normal("Y"), rows };
const iid = (seed: number) => initialWeights({ shape, seed, initialisation: "iid", outputScale: 0.5 });
const RATE = 0.03;

async function train(
  weights: InitialWeights | readonly InitialWeights[],
  flow: Omit<FlowInput, "rate" | "stop">,
  steps: number,
) {
  const stack = DenseStack.create(gpu, shape, weights);
  // One row a workgroup, so that replicas and single stacks sum in one order.
  const choice = { layout: "rows", rows: 1 } as const;
  const pass = await DensePass.create(stack, data, "squared-norm", { training: true, choice });
  const config = flowSchema.parse({ rate: RATE, stop: { steps }, ...flow });
  const training = await GradientFlow.create(stack, pass, config);
  const state = await training.advance();
  const measure = await Measurements.create(stack);
  const norms = await measure.depths(training.recorder);
  const changes = await Promise.all(Array.from({ length: stack.replicas }, (_, r) => stack.readChange(r)));
  measure.destroy();
  training.destroy();
  pass.destroy();
  stack.destroy();
  return { state, norms, changes };
}

/** dZ_k/dt = −L (∂ℓ/∂Z_k + ∂P/∂Z_k), one Euler step in float64. */
function expectedChange(
  weights: InitialWeights,
  direction: (family: "V" | "W", gradient: Float64Array, layers: Float64Array) => Float64Array,
) {
  const exact = {
    A: Float64Array.from(weights.A),
    V: Float64Array.from(weights.V),
    W: Float64Array.from(weights.W),
    B: Float64Array.from(weights.B),
  };
  const gradients = denseGradients(
    shape,
    exact,
    { n: rows, inputs: data.inputs, targets: data.targets },
    "squared-norm",
  );
  const change = (family: "V" | "W", gradient: Float64Array) =>
    direction(family, gradient, exact[family]).map((value) => -RATE * shape.depth * value);
  return { V: change("V", gradients.dV), W: change("W", gradients.dW) };
}

function expectClose(actual: ArrayLike<number>, exact: Float64Array) {
  const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // Two evaluations' worth of roundings, 2⁻²⁴ · 8 (q + m), as in the golden steps.
  const tolerance = 2 * 2 ** -24 * 8 * (shape.width + shape.hidden) * largest;
  exact.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(tolerance);
  });
}

describe("one Euler step", () => {
  test.each(["norm", "squared"] as const)("%s", async (kind) => {
    const weight = 0.4;
    const { changes } = await train(iid(0), { depthPenalty: { kind, weight } }, 1);
    const exact = expectedChange(iid(0), (_, gradient, layers) => {
      const penalty = depthPenaltyGradient(kind, weight, layers, shape.depth);
      return gradient.map((value, i) => value + penalty[i]!);
    });
    expectClose(changes[0]!.V, exact.V);
    expectClose(changes[0]!.W, exact.W);
  });

  test("tied moves every layer by the mean gradient", async () => {
    const { changes } = await train(iid(0), { depthPenalty: { kind: "tied" } }, 1);
    const exact = expectedChange(iid(0), (_, gradient) =>
      gradient.map((_, i) => depthMean(gradient, shape.depth, i).value),
    );
    expectClose(changes[0]!.V, exact.V);
    expectClose(changes[0]!.W, exact.W);
  });
});

test("tied layers stay equal to the last bit, with Adam too, where a training without penalty tells them apart", async () => {
  const tied = initialWeights({ shape, seed: 0, initialisation: "tied" });
  for (const flow of [{}, { optimiser: "adam" }, { method: "rk4" }] as const) {
    const { norms } = await train(tied, { ...flow, depthPenalty: { kind: "tied" } }, 5);
    expect([norms[0]!.V.maxStep, norms[0]!.W.maxStep]).toEqual([0, 0]);
    expect(norms[0]!.V.maxNorm).toBeGreaterThan(0);
  }
  const { norms } = await train(tied, {}, 5);
  expect(norms[0]!.V.maxStep).toBeGreaterThan(0);
});

test("a penalty smooths: the more weight, the smaller the differences", async () => {
  const steps = [0, 0.02, 0.2].map(async (weight) => {
    const depthPenalty = weight === 0 ? ({ kind: "none" } as const) : ({ kind: "squared", weight } as const);
    const { norms } = await train(iid(0), { depthPenalty }, 20);
    return norms[0]!.W.sumSquaredSteps;
  });
  const [none, some, much] = await Promise.all(steps);
  expect(some).toBeLessThan(none!);
  expect(much).toBeLessThan(some!);
});

test.each(["norm", "tied"] as const)("replicas side by side have the bits of each alone: %s", async (kind) => {
  const depthPenalty = kind === "norm" ? ({ kind, weight: 0.1 } as const) : ({ kind } as const);
  const together = await train([iid(0), iid(1)], { depthPenalty }, 4);
  for (const seed of [0, 1]) {
    const alone = await train(iid(seed), { depthPenalty }, 4);
    expect(together.changes[seed]).toEqual(alone.changes[0]);
    expect(together.state.replicas[seed]!.loss).toBe(alone.state.loss);
  }
});

test("a penalty on frozen layers does nothing, and one without weight is refused", async () => {
  const flow = { trained: { A: true, Z: false, B: true } };
  const { changes } = await train(iid(0), { ...flow, depthPenalty: { kind: "squared", weight: 1 } }, 2);
  expect(changes[0]!.W.every((value) => value === 0)).toBe(true);
  expect(flowSchema.safeParse({ rate: 1, stop: { steps: 1 }, depthPenalty: { kind: "norm", weight: 0 } }).success).toBe(
    false,
  );
});
