import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/errors.ts";
import { type FlowInput, flowSchema } from "../../src/config/flow.ts";
import type { NeuralShape, NeuralSolver } from "../../src/config/neural.ts";
import { GradientFlow } from "../../src/flow/gradient_flow.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import { NeuralOde, type NeuralPassOptions, neededStages } from "../../src/ode/neural_ode.ts";
import { basisMatrix, inverseMass, stageBasis } from "../../src/plan/basis.ts";
import { type DenseLayout, type DensePlanOptions, dispatchesPerStep } from "../../src/plan/dense.ts";
import {
  type NeuralFlow,
  type NeuralWeights,
  neuralFlowStep,
  neuralGradients,
} from "../../src/reference/neural_ode.ts";
import { relativeError } from "../support/compare.ts";
import { type DenseProblem, denseProblem, gradientBound } from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const KEYS = ["A", "V", "W", "B"] as const;

/** Weights independent over the K coefficients, random data, tanh. */
function problemOf({ basis }: NeuralSolver, rows = 7): DenseProblem {
  return denseProblem({ depth: basis.count }, { rows, tied: false, outputScale: 1.5 });
}

function shapeOf({ shape: { depth: _, beta: __, ...shape } }: DenseProblem): NeuralShape {
  return shape;
}

function reference(problem: DenseProblem, { basis, method, steps }: NeuralSolver) {
  const { a, b, c } = neededStages(method);
  const { data, loss, initial } = problem;
  const weights = Object.fromEntries(KEYS.map((key) => [key, Float64Array.from(initial[key])]));
  const flow: NeuralFlow = {
    shape: shapeOf(problem),
    mesh: { steps, tableau: { a, b }, basis: stageBasis(basis, steps, c) },
    inverseMass: inverseMass(basis),
    data: { n: data.rows, inputs: data.inputs, targets: data.targets },
    loss,
    trained: { A: true, V: true, W: true, B: true },
  };
  return { flow, weights: weights as unknown as NeuralWeights };
}

/**
 * The rounding of a stage, as of a layer (`gradientBound`), enters what follows times at most the coefficients of the method,
 * and weights are K numbers times the basis functions, added up.
 */
function boundOf(problem: DenseProblem, { basis, method }: NeuralSolver): number {
  const { a, b } = neededStages(method);
  const size = (row: ArrayLike<number>) => Array.from(row).reduce((sum, value) => sum + Math.abs(value), 0);
  const coefficients = Math.max(...[...a, b].map(size));
  const functions = size(basisMatrix(basis, [0.3]));
  return gradientBound(problem) * coefficients * functions * (1 + basis.count / 8);
}

async function train(
  ode: NeuralOde,
  problem: DenseProblem,
  input: FlowInput,
  options: Partial<NeuralPassOptions> = {},
) {
  const pass = await ode.pass(problem.data, problem.loss, { training: true, ...options });
  const flow = await GradientFlow.create(ode.coefficients, pass, flowSchema.parse(input));
  const before = flow.recorder.dispatches;
  const { loss, step } = await flow.advance();
  const dispatches = (flow.recorder.dispatches - before) / step;
  if (flow.config.method === "euler") expect(dispatches).toBe(dispatchesPerStep(pass.plan, flow.config.trained));
  const change = await ode.coefficients.readChange();
  const output = await gpu.read(pass.output, 0, 4 * problem.data.rows * problem.shape.outputs);
  const { plan } = pass;
  for (const part of [flow, pass, ode]) part.destroy();
  return { loss, change, output, plan };
}

function createOde(problem: DenseProblem, solver: NeuralSolver): NeuralOde {
  return NeuralOde.create(gpu, shapeOf(problem), solver, problem.initial);
}

const bits = ({ change, output, loss }: Awaited<ReturnType<typeof train>>) => [
  loss,
  new Uint32Array(output.buffer),
  ...KEYS.map((key) => new Uint32Array(change[key].slice().buffer)),
];

const CASES: readonly (NeuralSolver & { layout: DenseLayout; rows: number })[] = [
  { layout: "rows", rows: 7, method: "euler", steps: 5, basis: { kind: "chebyshev", count: 3 } },
  { layout: "rows", rows: 13, method: "heun", steps: 3, basis: { kind: "linear", count: 4 } },
  { layout: "rows", rows: 1, method: "rk4", steps: 3, basis: { kind: "constant", count: 3 } },
  { layout: "rows", rows: 5, method: "dopri5", steps: 2, basis: { kind: "fourier", count: 3 } },
  { layout: "tile", rows: 5, method: "euler", steps: 3, basis: { kind: "linear", count: 2 } },
  { layout: "tile", rows: 3, method: "heun", steps: 4, basis: { kind: "constant", count: 2 } },
  { layout: "tile", rows: 9, method: "rk4", steps: 2, basis: { kind: "fourier", count: 5 } },
  { layout: "tile", rows: 1, method: "tsit5", steps: 3, basis: { kind: "chebyshev", count: 4 } },
  { layout: "matmul", rows: 5, method: "euler", steps: 3, basis: { kind: "fourier", count: 3 } },
  { layout: "matmul", rows: 7, method: "dopri5", steps: 2, basis: { kind: "linear", count: 3 } },
];

test.each(CASES)("loss, output and gradients equal float64, twice with the same bits: %o", async (options) => {
  const { layout, rows, ...solver } = options;
  const problem = problemOf(solver, rows);
  // One Euler step of rate 1 moves A and B by minus their gradients, coefficients by minus K times theirs.
  const run = () =>
    train(
      createOde(problem, solver),
      problem,
      { rate: 1, stop: { steps: 1 } },
      { layout, metric: "coefficients", timeBudgetMs: 1e6 },
    );
  const actual = await run();
  const { flow, weights } = reference(problem, solver);
  const expected = neuralGradients(flow.shape, weights, flow.mesh, flow.data, problem.loss);
  const bound = boundOf(problem, solver);
  expect(actual.plan.layout).toBe(layout);
  expect(actual.plan.layers).toBe(solver.steps * neededStages(solver.method).b.length);
  expect(relativeError([actual.loss], [expected.loss])).toBeLessThan(bound);
  expect(relativeError(actual.output, expected.output)).toBeLessThan(bound);
  for (const [key, gradient, factor] of [
    ["A", expected.dA, 1],
    ["V", expected.dV, solver.basis.count],
    ["W", expected.dW, solver.basis.count],
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
  expect(bits(await run())).toEqual(bits(actual));
});

test.each([
  { layout: "rows", method: "heun" },
  { layout: "tile", method: "rk4" },
  { layout: "matmul", method: "rk4" },
] as const)("segments hold whole steps, recomputed plans have the bits of the stored one: %o", async (options) => {
  const { layout, method } = options;
  const solver: NeuralSolver = { method, steps: 11, basis: { kind: "linear", count: 3 } };
  const problem = problemOf(solver);
  const run = (plan: Partial<NeuralPassOptions>) =>
    train(createOde(problem, solver), problem, { rate: 0.05, stop: { steps: 3 } }, { layout, ...plan });
  const whole = await run({ timeBudgetMs: 1e6 });
  expect([whole.plan.segments.length, whole.plan.states]).toEqual([1, "stored"]);
  // So slow a guess that no measurement of the device shortens the segments.
  const short = { timeBudgetMs: 5e3, nanosecondsPerLayer: 1e9 };
  const segmented = await run(short);
  expect(segmented.plan.segments.length).toBeGreaterThan(3);
  for (const { first } of segmented.plan.segments) expect(first % segmented.plan.stages).toBe(0);
  const [bound, ...others] = [boundOf(problem, solver), ...bits(segmented)];
  // A coefficient's gradient is a sum over stages, which the segments take from the last to the first.
  for (const key of ["V", "W"] as const)
    expect(relativeError(segmented.change[key], whole.change[key])).toBeLessThan(bound);
  const recomputed = await run({ ...short, stateBytes: 4 * whole.plan.slotFloats * 9 });
  expect(recomputed.plan.states).toBe("recomputed");
  expect(recomputed.plan.segments).toEqual(segmented.plan.segments);
  expect(bits(recomputed)).toEqual(others);
});

describe("Euler's method with a cell a step is the residual network", () => {
  const problem = denseProblem({ depth: 6 }, { tied: false });
  const solver: NeuralSolver = { method: "euler", steps: 6, basis: { kind: "constant", count: 6 } };
  const input: FlowInput = { rate: 0.05, stop: { steps: 3 } };

  async function network(options: Partial<DensePlanOptions> = {}) {
    const stack = DenseStack.create(gpu, problem.shape, problem.initial);
    const pass = await DensePass.create(stack, problem.data, problem.loss, { training: true, ...options });
    const flow = await GradientFlow.create(stack, pass, flowSchema.parse(input));
    const { loss } = await flow.advance();
    const change = await stack.readChange();
    const output = await gpu.read(pass.output, 0, 4 * problem.data.rows * problem.shape.outputs);
    const { plan } = pass;
    for (const part of [flow, pass, stack]) part.destroy();
    return { loss, change, output, plan };
  }

  test("bit for bit, after three steps of training", async () => {
    expect(bits(await train(createOde(problem, solver), problem, input))).toEqual(bits(await network()));
  });

  test("bit for bit also where weights and gradients go through the basis", async () => {
    const middles = Array.from({ length: 6 }, (_, k) => (k + 0.5) / 6);
    const identity = basisMatrix(solver.basis, middles);
    const { a, b } = neededStages("euler");
    const blended = await network({ solver: { steps: 6, a, b, blend: { toStages: identity } } });
    expect(blended.plan.tensors.stageWeights).toBeGreaterThan(0);
    expect(bits(blended)).toEqual(bits(await network()));
  });

  test("read as an equation, it is solved by other methods and numbers of steps", async () => {
    const { initial, shape, data, loss } = problem;
    const ode = NeuralOde.fromStack(gpu, shape, initial, { kind: "constant", method: "euler", steps: 6 });
    const stack = DenseStack.create(gpu, shape, initial);
    const recorder = new Recorder(gpu);
    const outputOf = async (pass: DensePass) => {
      pass.forward(recorder);
      recorder.submit();
      const output = await gpu.read(pass.output, 0, 4 * data.rows * shape.outputs);
      pass.destroy();
      return output;
    };
    const training = false;
    const own = await outputOf(await DensePass.create(stack, data, loss, { training }));
    expect(await outputOf(await ode.pass(data, loss, { training }))).toEqual(own);
    const finer: NeuralSolver = { ...solver, method: "heun", steps: 12 };
    const { flow, weights } = reference(problem, finer);
    const expected = neuralGradients(flow.shape, weights, flow.mesh, flow.data, loss).output;
    const { method, steps } = finer;
    const actual = await outputOf(await ode.pass(data, loss, { training, method, steps }));
    expect(relativeError(actual, expected)).toBeLessThan(boundOf(problem, finer));
    for (const part of [recorder, ode, stack]) part.destroy();
  });
});

test("a network scaled by L^-β is the equation with V scaled by L^(1-β); linear reads interpolate its layers", async () => {
  const { shape, initial } = denseProblem({ depth: 5, beta: 0.5 }, { tied: false });
  const ode = NeuralOde.fromStack(gpu, shape, initial, { kind: "linear", method: "heun", steps: 5 });
  const { V, W } = await ode.weightsAt([0, 0.25, 0.375, 1]);
  ode.destroy();
  const size = shape.width * shape.hidden;
  const layer = (x: ArrayLike<number>, k: number, factor: number) =>
    Array.from({ length: size }, (_, i) => factor * x[k * size + i]);
  for (const [actual, weights, factor] of [
    [V, initial.V, Math.sqrt(5)],
    [W, initial.W, 1],
  ] as const) {
    const [first, second, third, last] = [0, 1, 2, 4].map((k) => layer(weights, k, factor));
    const middle = second.map((value, i) => (value + third[i]) / 2);
    expect(relativeError(actual, [first, second, middle, last].flat())).toBeLessThan(2 ** -23);
  }
});

test("dH/ds = w(s) H with w piecewise linear: H(1) = exp ∫ w, and its derivatives by the knots", async () => {
  const ones = new Float32Array(5).fill(1);
  const w = Float32Array.of(0.3, -0.4, 1.1, 0.6, -0.2);
  const problem: DenseProblem = {
    shape: {
      ...{ inputs: 1, width: 1, hidden: 1, outputs: 1, depth: 5 },
      ...{ activation: "identity", widthFactors: "paper", beta: 1 },
    },
    initial: { A: ones.slice(0, 1), V: ones, W: w, B: ones.slice(0, 1), tied: false },
    data: { inputs: Float32Array.of(1), targets: new Float32Array(1), rows: 1 },
    loss: "squared-norm",
  };
  const ode = createOde(problem, { method: "rk4", steps: 20, basis: { kind: "linear", count: 5 } });
  const { output, change } = await train(ode, problem, { rate: 1, stop: { steps: 1 } }, { metric: "coefficients" });
  const integrals = Array.from(w, (_, j) => (j === 0 || j === 4 ? 1 / 8 : 1 / 4));
  const end = Math.exp(integrals.reduce((sum, integral, j) => sum + w[j] * integral, 0));
  // RK4 is within 20 (1/20)^5 of the limit, a stage adds a rounding of its numbers times 1/20.
  const bound = 20 ** -4 + 80 * 2 ** -24;
  expect(relativeError(output, [end])).toBeLessThan(bound);
  // ℓ = H(1)²: ∂ℓ/∂w_j = 2 H(1)² ∫ φ_j; times K = 5.
  const expected = integrals.map((integral) => -5 * 2 * end * end * integral);
  expect(relativeError(change.W, expected)).toBeLessThan(2 * bound);
});

test.each([
  { basis: { kind: "chebyshev", count: 3 }, method: "rk4", by: "euler" },
  { basis: { kind: "linear", count: 4 }, method: "heun", by: "heun" },
] as const)("the gradient flow in L² follows float64: %o", async ({ basis, method, by }) => {
  const solver: NeuralSolver = { basis, method, steps: 4 };
  const problem = problemOf(solver);
  const input: FlowInput = { method: by, rate: 0.05, stop: { steps: 3 } };
  const { change, loss } = await train(createOde(problem, solver), problem, input);
  const { flow, weights } = reference(problem, solver);
  const losses = [1, 2, 3].map(() => neuralFlowStep(flow, weights, neededStages(by), 0.05));
  // M⁻¹ of these bases magnifies an error of ∂ℓ/∂θ, relative to the result, by no more than the condition of M, 3.8 for both.
  const bound = 3.8 * boundOf(problem, solver);
  expect(relativeError([loss], [losses[2]])).toBeLessThan(bound);
  for (const key of KEYS) {
    const expected = weights[key].map((value, i) => value - problem.initial[key][i]);
    expect.soft(relativeError(change[key], expected), key).toBeLessThan(bound);
  }
});

test("weights tied over depth are one function, whatever the basis", async () => {
  const problem = denseProblem({ depth: 1 });
  for (const kind of ["fourier", "linear"] as const) {
    const solver: NeuralSolver = { basis: { kind, count: 3 }, method: "rk4", steps: 2 };
    const ode = NeuralOde.create(gpu, shapeOf(problem), solver, { ...problem.initial, tied: true });
    const { V } = await ode.weightsAt([0, 0.7]);
    ode.destroy();
    expect(V).toEqual(Float64Array.from([...problem.initial.V, ...problem.initial.V]));
  }
});

test("refuses a solver and weights that do not fit", async () => {
  const solver: NeuralSolver = { method: "rk4", steps: 4, basis: { kind: "linear", count: 3 } };
  const problem = problemOf(solver);
  expect(() => createOde(problem, { ...solver, steps: 0 })).toThrow(ConfigError);
  expect(() => createOde(problem, { ...solver, basis: { kind: "linear", count: 1 } })).toThrow(/basis\.count/);
  expect(() => createOde(problem, { ...solver, basis: { kind: "linear", count: 4 } })).toThrow(/V must hold 120/);
  const ode = createOde(problem, solver);
  const { data, loss } = problem;
  await expect(ode.pass(data, loss, { training: true, steps: 1.5 })).rejects.toThrow(/steps must be an integer/);
  ode.destroy();
});
