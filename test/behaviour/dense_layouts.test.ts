import { describe, expect, test } from "vitest";
import type { DenseShape, Loss } from "../../src/config/dense.ts";
import type { FlowInput } from "../../src/config/flow.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import type { DenseLayout, DensePlanOptions } from "../../src/plan/dense.ts";
import { relativeError } from "../support/compare.ts";
import {
  type DenseProblem,
  denseProblem,
  deviceFlow,
  gradientBound,
  referenceGradients,
  referenceWeights,
} from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const LAYOUTS: readonly DenseLayout[] = ["rows", "tile", "matmul"];
const KEYS = ["A", "V", "W", "B"] as const;

// Sizes at and around the chunk of 4 and the quad of 16, 1, primes; every pair of scale factors; every loss and activation.
const TABLE: readonly (Partial<DenseShape> & { rows: number; loss: Loss; tied: boolean })[] = [
  {
    inputs: 1,
    width: 1,
    hidden: 1,
    outputs: 1,
    depth: 1,
    rows: 1,
    widthFactors: "paper",
    beta: 1,
    activation: "tanh",
    loss: "squared-norm",
    tied: true,
  },
  {
    inputs: 3,
    width: 4,
    hidden: 5,
    outputs: 2,
    depth: 2,
    rows: 29,
    widthFactors: "code",
    beta: 0.5,
    activation: "gelu",
    loss: "mean-square",
    tied: false,
  },
  {
    inputs: 5,
    width: 3,
    hidden: 1,
    outputs: 4,
    depth: 7,
    rows: 3,
    widthFactors: "paper",
    beta: 0.5,
    activation: "relu",
    loss: "cross-entropy",
    tied: true,
  },
  {
    inputs: 2,
    width: 5,
    hidden: 7,
    outputs: 3,
    depth: 7,
    rows: 1,
    widthFactors: "code",
    beta: 1,
    activation: "silu",
    loss: "squared-norm",
    tied: false,
  },
  {
    inputs: 7,
    width: 13,
    hidden: 4,
    outputs: 1,
    depth: 2,
    rows: 13,
    widthFactors: "paper",
    beta: 1,
    activation: "gelu-tanh",
    loss: "mean-square",
    tied: false,
  },
  {
    inputs: 4,
    width: 17,
    hidden: 3,
    outputs: 5,
    depth: 1,
    rows: 29,
    widthFactors: "code",
    beta: 0.5,
    activation: "softplus",
    loss: "cross-entropy",
    tied: true,
  },
  {
    inputs: 1,
    width: 2,
    hidden: 29,
    outputs: 3,
    depth: 7,
    rows: 5,
    widthFactors: "paper",
    beta: 0.5,
    activation: "sin",
    loss: "squared-norm",
    tied: true,
  },
  {
    inputs: 16,
    width: 16,
    hidden: 32,
    outputs: 15,
    depth: 2,
    rows: 17,
    widthFactors: "paper",
    beta: 1,
    activation: "erf",
    loss: "mean-square",
    tied: true,
  },
  {
    inputs: 6,
    width: 20,
    hidden: 9,
    outputs: 2,
    depth: 7,
    rows: 4,
    widthFactors: "paper",
    beta: 1,
    activation: "leaky-relu",
    loss: "cross-entropy",
    tied: false,
  },
  {
    inputs: 3,
    width: 7,
    hidden: 2,
    outputs: 5,
    depth: 2,
    rows: 7,
    widthFactors: "code",
    beta: 1,
    activation: "identity",
    loss: "cross-entropy",
    tied: true,
  },
];

type PassOptions = Partial<Omit<DensePlanOptions, "rows">>;

async function run(problem: DenseProblem, input: FlowInput, options: PassOptions) {
  const { stack, pass, flow, destroy } = await deviceFlow(gpu, problem, input, options);
  const { loss } = await flow.advance();
  const change = await stack.readChange();
  const output = await gpu.read(pass.output, 0, 4 * problem.data.rows * problem.shape.outputs);
  const { plan } = pass;
  destroy();
  return { loss, change, output, plan };
}

const bits = ({ change, loss }: Awaited<ReturnType<typeof run>>) => [
  loss,
  ...KEYS.map((key) => new Uint32Array(change[key].buffer, change[key].byteOffset, change[key].length)),
];

describe.each(LAYOUTS)("%s", (layout) => {
  test.each(TABLE)("one step equals float64, twice with the same bits: %o", async ({ rows, loss, tied, ...shape }) => {
    const problem = denseProblem(shape, { rows, loss, tied });
    // One Euler step of rate 1 moves every group by minus its gradient times its factor.
    const input: FlowInput = { rate: 1, stop: { steps: 1 } };
    const actual = await run(problem, input, { layout });
    expect(actual.plan.layout).toBe(layout);
    const expected = referenceGradients(problem, referenceWeights(problem));
    const bound = gradientBound(problem);
    const L = problem.shape.depth;
    expect(relativeError([actual.loss], [expected.loss])).toBeLessThan(bound);
    expect(relativeError(actual.output, expected.output)).toBeLessThan(bound);
    for (const [key, gradient, factor] of [
      ["A", expected.dA, 1],
      ["V", expected.dV, L],
      ["W", expected.dW, L],
      ["B", expected.dB, 1],
    ] as const)
      expect
        .soft(
          relativeError(
            Float64Array.from(actual.change[key], (x) => -x / factor),
            gradient,
          ),
          key,
        )
        .toBeLessThan(bound);
    expect(bits(await run(problem, input, { layout }))).toEqual(bits(actual));
  });

  // Three steps, so that every loop over layers, segments and steps runs more than once.
  test.each([
    { width: 5, hidden: 6, depth: 23, rows: 9, beta: 1 },
    { width: 3, hidden: 1, depth: 29, rows: 3, beta: 0.5 },
  ])("segmented and recomputed plans have the bits of the stored one: %o", async ({ rows, ...shape }) => {
    const problem = denseProblem(shape, { rows });
    const input: FlowInput = { rate: 0.05, stop: { steps: 3 } };
    const whole = await run(problem, input, { layout, timeBudgetMs: 1e6 });
    expect([whole.plan.segments.length, whole.plan.states]).toEqual([1, "stored"]);
    const segmented = await run(problem, input, { layout, timeBudgetMs: 4, nanosecondsPerLayer: 1e6 });
    expect(segmented.plan.segments.length).toBeGreaterThan(3);
    expect(segmented.plan.states).toBe("stored");
    expect(bits(segmented)).toEqual(bits(whole));
    const stateBytes = 4 * whole.plan.slotFloats * 9;
    const recomputed = await run(problem, input, { layout, stateBytes });
    expect(recomputed.plan.segments.length).toBeGreaterThan(2);
    expect(recomputed.plan.states).toBe("recomputed");
    expect(bits(recomputed)).toEqual(bits(whole));
  });
});

test("a forward pass planned without training gives the output of the training pass", async () => {
  const problem = denseProblem({ depth: 13 });
  const expected = referenceGradients(problem, referenceWeights(problem));
  for (const layout of LAYOUTS) {
    const stack = DenseStack.create(gpu, problem.shape, problem.initial);
    const pass = await DensePass.create(stack, problem.data, problem.loss, {
      training: false,
      layout,
      timeBudgetMs: 3,
      nanosecondsPerLayer: 1e6,
    });
    expect(pass.plan.segments.length).toBeGreaterThan(1);
    const recorder = new Recorder(gpu);
    // Twice: the second pass must begin from h_0 again.
    for (let i = 0; i < 2; i++) pass.forward(recorder);
    recorder.submit();
    const output = await gpu.read(pass.output, 0, 4 * problem.data.rows * problem.shape.outputs);
    expect(relativeError(output, expected.output)).toBeLessThan(gradientBound(problem));
    recorder.destroy();
    pass.destroy();
    stack.destroy();
  }
});
