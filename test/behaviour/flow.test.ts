import { describe, expect, test } from "vitest";
import { type FlowInput, OPTIMISERS } from "../../src/config/flow.ts";
import { GradientFlow } from "../../src/flow/gradient_flow.ts";
import type { CanonicalWeights, DenseStack } from "../../src/model/dense_stack.ts";
import { relativeError } from "../support/compare.ts";
import {
  type DenseProblem,
  denseProblem,
  deviceFlow,
  gradientBound,
  referenceFlow,
  referenceGradients,
  referenceWeights,
} from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const KEYS = ["A", "V", "W", "B"] as const;
const problem = denseProblem();
const bits = (x: Float32Array) => [...new Uint32Array(x.buffer, x.byteOffset, x.length)];
const allBits = (weights: CanonicalWeights) => KEYS.map((key) => bits(weights[key]));
const bound = gradientBound(problem);

/** Steps of a configuration on the device: change, weights, and the loss before each step. */
async function run(of: DenseProblem, input: FlowInput) {
  const { stack, flow, destroy } = await deviceFlow(gpu, of, input);
  const losses: number[] = [];
  for (let step = 0; step < input.stop.steps && flow.state.status === "running"; step++)
    losses.push((await flow.advance({ steps: 1 })).loss);
  const change = await stack.readChange();
  const weights = await stack.readWeights();
  const { state } = flow;
  destroy();
  return { change, weights, losses, state };
}

/** The device's change and losses against the float64 reference of the same method; `amplified` times the gradient's error. */
async function expectReference(input: FlowInput, amplified = 1) {
  const { steps } = input.stop;
  const actual = await run(problem, input);
  const expected = referenceFlow(problem, input, steps);
  const tolerance = bound * amplified;
  expect(relativeError(actual.losses, expected.losses)).toBeLessThan(tolerance);
  for (const key of KEYS)
    expect.soft(relativeError(actual.change[key], expected.change[key]), key).toBeLessThan(tolerance);
  return { actual, expected };
}

async function expectConsistent(stack: DenseStack) {
  const [change, weights] = [await stack.readChange(), await stack.readWeights()];
  for (const key of KEYS) {
    expect(weights[key].every(Number.isFinite)).toBe(true);
    weights[key].forEach((value, i) => {
      expect(value).toBe(Math.fround(stack.initial[key][i] + change[key][i]));
    });
  }
}

describe("tied W and V = 0", () => {
  const tied = denseProblem({ depth: 7 }, { outputScale: 0 });
  const { depth } = tied.shape;
  const rows = (x: Float32Array) =>
    Array.from({ length: depth }, (_, k) => bits(x.slice((k * x.length) / depth, ((k + 1) * x.length) / depth)));
  const differences = (x: Float32Array) =>
    rows(x).filter((row, k, all) => k > 0 && `${row}` !== `${all[k - 1]}`).length;
  const input = (steps: number): FlowInput => ({ rate: 0.1, stop: { steps } });

  test("after 0 steps nothing moved, after 1 step all layers moved alike and W not at all, after 2 they differ", async () => {
    const zero = await run(tied, input(0));
    for (const key of KEYS) expect(zero.change[key].every((value) => value === 0)).toBe(true);
    const one = await run(tied, input(1));
    expect(one.change.V.some((value) => value !== 0)).toBe(true);
    expect(differences(one.change.V)).toBe(0);
    expect(one.change.W.every((value) => value === 0)).toBe(true);
    const two = await run(tied, input(2));
    expect(differences(two.change.V)).toBe(depth - 1);
    expect(differences(two.change.W)).toBe(depth - 1);
  });
});

// App. D of Marion et al. (ICLR 2024) freezes V = 1, which a trained group Z = (V, W) cannot: the paper's numbers are
// checked on the float64 reference (test/pure/reference_dense.test.ts), the structure behind them here.
test("ReLU: layers that start dead never move, the others move alike and drift away from them", async () => {
  const halves = 4;
  const depth = 2 * halves;
  const ones = Float32Array.of(1);
  const relu: DenseProblem = {
    shape: { inputs: 1, width: 1, hidden: 1, outputs: 1, depth, activation: "relu", widthFactors: "code", beta: 1 },
    initial: {
      A: ones,
      B: ones,
      V: new Float32Array(depth).fill(1),
      W: Float32Array.from({ length: depth }, (_, k) => (k % 2 === 0 ? -1 : 1) / depth),
      tied: false,
    },
    data: { inputs: ones, targets: Float32Array.of(2), rows: 1 },
    loss: "squared-norm",
  };
  const input: FlowInput = { rate: 0.02, stop: { steps: 60 }, trained: { A: false, Z: true, B: false } };
  const { change, weights, losses } = await run(relu, input);
  expect(losses.at(-1)! / losses[0]).toBeLessThan(1e-2);
  const expected = referenceFlow(relu, input, 60);
  for (let k = 0; k < depth; k += 2) {
    expect([change.W[k], change.V[k]]).toEqual([0, 0]);
    expect(Math.abs(change.W[k + 1] - change.W[1])).toBeLessThan(60 * 2 ** -23);
    expect(Math.abs(weights.W[k + 1] - expected.weights.W[k + 1])).toBeLessThan(60 * 2 ** -23);
    expect(weights.W[k + 1] - weights.W[k]).toBeGreaterThan(0.4);
  }
});

test("energy identity: dℓ/dt = −(‖∂A‖² + L Σ‖∂Z_k‖² + ‖∂B‖²)", async () => {
  const { depth } = problem.shape;
  const slope = async (rate: number) => {
    const { losses } = await run(problem, { rate, stop: { steps: 2 } });
    return (losses[1] - losses[0]) / rate;
  };
  const rate = 1 / 64;
  const { change } = await run(problem, { rate, stop: { steps: 1 } });
  const square = (x: Float32Array) => x.reduce((sum, value) => sum + (value / rate) ** 2, 0);
  const energy = square(change.A) + (square(change.V) + square(change.W)) / depth + square(change.B);
  // Two difference quotients at h and h/2 cancel the first order; what remains is O(h²) and the rounding of ℓ over h.
  const quotient = 2 * (await slope(rate / 2)) - (await slope(rate));
  expect(energy).toBeGreaterThan(0.1);
  expect(Math.abs(quotient / -energy - 1)).toBeLessThan(0.01);
  const { dA, dV, dW, dB } = referenceGradients(problem, referenceWeights(problem));
  const exact = [dA, dV, dW, dB].map((x, i) => (i === 1 || i === 2 ? depth : 1) * x.reduce((sum, v) => sum + v * v, 0));
  expect(Math.abs(energy / exact.reduce((a, b) => a + b) - 1)).toBeLessThan(2 * bound);
});

describe("methods in training time", () => {
  const time = 0.25;
  // RK4 with 128 steps in float64 stands for the exact flow: its own error is near 1e-9 here.
  const fine = referenceFlow(problem, { method: "rk4", rate: time / 128, stop: { steps: 128 } }, 128);
  const distance = (change: CanonicalWeights) =>
    Math.max(...KEYS.map((key) => Math.max(...change[key].map((value, i) => Math.abs(value - fine.change[key][i])))));

  test("the fine reference is converged", () => {
    const coarser = referenceFlow(problem, { method: "rk4", rate: time / 64, stop: { steps: 64 } }, 64);
    expect(Math.max(...KEYS.map((key) => relativeError(coarser.change[key], fine.change[key])))).toBeLessThan(1e-7);
  });

  test.each([
    ["euler", 1, [8, 16, 32]],
    ["heun", 2, [8, 16, 32]],
    ["rk4", 4, [4, 8, 16]],
  ] as const)("%s has order %d", async (method, order, counts) => {
    const errors: number[] = [];
    for (const steps of counts) {
      const input: FlowInput = { method, rate: time / steps, stop: { steps } };
      const { actual } = await expectReference(input, 4);
      errors.push(distance(actual.change));
    }
    const slopes = errors.slice(1).map((error, i) => Math.log2(errors[i] / error));
    expect(slopes.at(-1)!).toBeGreaterThan(order - 0.35);
    expect(slopes.at(-1)!).toBeLessThan(order + 0.6);
  });

  test.each([1e-3, 1e-4])("adaptive reaches t within its tolerance, rtol %d", async (rtol) => {
    const input: FlowInput = { method: "adaptive", rate: 2, rtol, atol: rtol / 100, stop: { steps: 1000, time } };
    const { change, state } = await run(problem, input);
    expect(state.status).toBe("done");
    expect(state.time).toBe(time);
    // The first step, the whole time at once, is refused; the count says so.
    expect(state.rejected).toBeGreaterThan(0);
    const largest = Math.max(...KEYS.map((key) => Math.max(...change[key].map(Math.abs))));
    // Errors of accepted steps add up: at most one tolerance a step.
    expect(distance(change)).toBeLessThan(state.step * rtol * largest);
    expect(state.step).toBeLessThan(40);
  });

  test("a tighter tolerance is nearer", async () => {
    const error = async (rtol: number) => {
      const input: FlowInput = { method: "adaptive", rate: 0.1, rtol, atol: rtol / 100, stop: { steps: 1000, time } };
      return distance((await run(problem, input)).change);
    };
    expect(await error(1e-5)).toBeLessThan(0.2 * (await error(1e-2)));
  });
});

describe("clipping", () => {
  const rate = 0.25;

  test.each(["euler", "heun"] as const)("coordinate, %s: the change of a step is bounded exactly", async (method) => {
    const clip = { kind: "coordinate", bound: 0.125 } as const;
    const { change } = await run(problem, { method, rate, clip, stop: { steps: 1 } });
    const values = KEYS.flatMap((key) => [...change[key]]);
    // bound · rate is a power of two: no rounding.
    expect(Math.max(...values.map(Math.abs))).toBe(rate * clip.bound);
    expect(values.filter((value) => Math.abs(value) < rate * clip.bound).length).toBeGreaterThan(10);
    await expectReference({ method, rate, clip, stop: { steps: 3 } }, 4);
  });

  test.each(["euler", "heun"] as const)("norm, %s: every layer, A and B are projected", async (method) => {
    const clip = { kind: "norm", bound: 0.5 } as const;
    const { change } = await run(problem, { method, rate, clip, stop: { steps: 1 } });
    const { depth } = problem.shape;
    const elements = change.V.length / depth;
    const norms = Array.from({ length: depth }, (_, k) =>
      Math.hypot(
        ...change.V.slice(k * elements, (k + 1) * elements),
        ...change.W.slice(k * elements, (k + 1) * elements),
      ),
    );
    for (const norm of [...norms, Math.hypot(...change.A), Math.hypot(...change.B)])
      expect(norm).toBeLessThanOrEqual(rate * clip.bound * (1 + 1e-6));
    if (method === "euler") expect(norms[0]).toBeGreaterThan(rate * clip.bound * (1 - 1e-6));
    await expectReference({ method, rate, clip, stop: { steps: 3 } }, 4);
  });

  test("norm with an optimiser: the moments see the projected direction", async () => {
    await expectReference(
      { optimiser: "momentum", rate: 0.1, clip: { kind: "norm", bound: 0.5 }, weightDecay: 0.1, stop: { steps: 4 } },
      8,
    );
  });
});

describe("rates, schedules and groups", () => {
  test.each([
    ["group rates", { groupRates: { A: 0.5, Z: 2, B: 0.25 } }],
    ["a step schedule", { schedule: { kind: "step", every: 2, factor: 0.5 } }],
    ["a cosine schedule", { schedule: { kind: "cosine", total: 8 } }],
    ["only Z trained", { trained: { A: false, Z: true, B: false } }],
    ["only A trained", { trained: { A: true, Z: false, B: false } }],
    ["heun with group rates", { method: "heun", groupRates: { A: 0, Z: 1, B: 2 } }],
    ["V frozen", { layerFactors: { V: 0, W: 2 } }],
    ["factors before clipping", { layerFactors: { V: 3, W: 0.5 }, clip: { kind: "norm", bound: 0.5 } }],
    ["heun with W frozen", { method: "heun", layerFactors: { V: 2, W: 0 } }],
    ["adam with V frozen", { optimiser: "adam", rate: 0.01, layerFactors: { V: 0, W: 1 } }],
  ] satisfies [string, Partial<FlowInput>][])("%s", async (_, partial) => {
    const input: FlowInput = { rate: 0.1, stop: { steps: 10 }, ...partial };
    const { actual } = await expectReference(input, 10);
    for (const key of KEYS) {
      const moves =
        (input.trained?.[key === "V" || key === "W" ? "Z" : key] ?? true) &&
        !(key === "A" && input.groupRates?.A === 0) &&
        !((key === "V" || key === "W") && input.layerFactors?.[key] === 0);
      expect(actual.change[key].some((value) => value !== 0)).toBe(moves);
    }
  });

  test("training time is the sum of the rates", async () => {
    const constant = await run(problem, { rate: 0.1, stop: { steps: 7 } });
    expect(constant.state.time).toBe(7 * 0.1);
    const stepped = await run(problem, {
      rate: 0.5,
      schedule: { kind: "step", every: 2, factor: 0.5 },
      stop: { steps: 5 },
    });
    expect(stepped.state.time).toBe(0.5 + 0.5 + 0.25 + 0.25 + 0.125);
  });
});

describe.each(OPTIMISERS)("%s", (optimiser) => {
  // ε bounds what Adam makes of the rounding error of a small gradient: |u| / ε.
  const base: FlowInput = { optimiser, rate: 0.02, epsilon: 0.05, beta2: 0.9, stop: { steps: 10 } };

  test.each([0, 0.1])("10 steps equal float64, weight decay %d", async (weightDecay) => {
    await expectReference({ ...base, weightDecay: optimiser === "descent" ? 0 : weightDecay }, 40);
  });

  test("a snapshot continues in a new stack and flow with the same bits", async () => {
    const whole = await run(problem, base);
    const first = await deviceFlow(gpu, problem, base);
    await first.flow.advance({ steps: 4 });
    const snapshot = await first.flow.snapshot();
    const state = await first.stack.readState();
    first.destroy();
    const second = await deviceFlow(gpu, problem, base);
    second.stack.writeState(state);
    second.flow.restore(snapshot);
    const end = await second.flow.advance();
    expect(end.step).toBe(10);
    expect(end.time).toBe(whole.state.time);
    expect(end.loss).toBe(whole.state.loss);
    expect(allBits(await second.stack.readChange())).toEqual(allBits(whole.change));
    expect(allBits(await second.stack.readWeights())).toEqual(allBits(whole.weights));
    second.destroy();
  });
});

test.each(["rk4", "adaptive"] as const)("a snapshot of %s continues with the same bits", async (method) => {
  const input: FlowInput = { method, rate: 0.05, rtol: 1e-3, stop: { steps: 8 } };
  const whole = await run(problem, input);
  const first = await deviceFlow(gpu, problem, input);
  await first.flow.advance({ steps: 3 });
  const snapshot = await first.flow.snapshot();
  const state = await first.stack.readState();
  first.destroy();
  const second = await deviceFlow(gpu, problem, input);
  second.stack.writeState(state);
  second.flow.restore(snapshot);
  const end = await second.flow.advance();
  expect(end.time).toBe(whole.state.time);
  expect(allBits(await second.stack.readChange())).toEqual(allBits(whole.change));
  second.destroy();
});

describe("stopping", () => {
  test.each([
    ["euler", 1e12],
    ["rk4", 1e9],
  ] as const)("%s with a huge rate diverges, and the last good state returns", async (method, rate) => {
    const { stack, flow, destroy } = await deviceFlow(gpu, problem, { method, rate, stop: { steps: 50 } });
    const state = await flow.advance();
    expect(state.status).toBe("diverged");
    expect(Number.isFinite(state.divergedAt!.loss)).toBe(false);
    expect(state.divergedAt!.step).toBeGreaterThan(0);
    expect(state.step).toBeLessThan(state.divergedAt!.step);
    await expectConsistent(stack);
    // A diverged run stays so.
    expect((await flow.advance()).status).toBe("diverged");
    destroy();
  });

  test("a loss above the limit counts as divergence; the first state itself returns when it is the bad one", async () => {
    const { stack, flow, destroy } = await deviceFlow(gpu, problem, { rate: 0.1, stop: { steps: 5, lossAbove: 1e-3 } });
    const state = await flow.advance();
    expect(state.status).toBe("diverged");
    expect(state.divergedAt!.step).toBe(0);
    expect(state.step).toBe(0);
    await expectConsistent(stack);
    const change = await stack.readChange();
    for (const key of KEYS) expect(change[key].every((value) => value === 0)).toBe(true);
    destroy();
  });

  test("after divergence later in a run the state is one that the run had", async () => {
    // The rate rises by 8 each step until the loss overflows.
    const input: FlowInput = {
      rate: 0.01,
      schedule: { kind: "step", every: 1, factor: 8 },
      stop: { steps: 100, lossAbove: 1e6 },
    };
    const { stack, flow, destroy } = await deviceFlow(gpu, problem, input);
    const state = await flow.advance();
    expect(state.status).toBe("diverged");
    expect(state.step).toBeGreaterThan(0);
    const change = await stack.readChange();
    destroy();
    const again = await run(problem, { ...input, stop: { steps: state.step } });
    expect(allBits(change)).toEqual(allBits(again.change));
    expect(state.time).toBeCloseTo(again.state.time, 12);
  });

  test("loss below a bound ends the run", async () => {
    const input: FlowInput = { rate: 0.1, stop: { steps: 10_000, lossBelow: 0.5 } };
    const { flow, destroy } = await deviceFlow(gpu, problem, input);
    const state = await flow.advance();
    expect(state.status).toBe("done");
    expect(state.step).toBeLessThan(10_000);
    const { losses } = referenceFlow(problem, input, state.step);
    expect(losses[0]).toBeGreaterThan(0.5);
    expect(losses.at(-1)!).toBeLessThan(0.5);
    expect(losses.at(-2)!).toBeGreaterThanOrEqual(0.5);
    destroy();
  });

  test("time ends the run at the step that reaches it", async () => {
    const { state } = await run(problem, { rate: 0.1, stop: { steps: 100, time: 0.65 } });
    expect([state.status, state.step]).toEqual(["done", 7]);
    const exact = await run(problem, { rate: 0.1, stop: { steps: 100, time: 0.7 } });
    expect([exact.state.status, exact.state.step]).toEqual(["done", 7]);
  });

  test("an AbortSignal cancels between batches, and the run continues to the same bits", async () => {
    const input: FlowInput = { optimiser: "adam", rate: 0.01, stop: { steps: 40 } };
    const whole = await run(problem, input);
    const { stack, flow, destroy } = await deviceFlow(gpu, problem, input);
    const controller = new AbortController();
    const cancelled = await flow.advance({ signal: controller.signal, onProgress: () => controller.abort() });
    expect(cancelled.status).toBe("cancelled");
    expect(cancelled.step).toBeGreaterThan(0);
    expect(cancelled.step).toBeLessThan(40);
    const done = await flow.advance();
    expect([done.status, done.step]).toEqual(["done", 40]);
    expect(allBits(await stack.readChange())).toEqual(allBits(whole.change));
    destroy();
  });
});

test("a second flow on the stack and pass of a destroyed one trains on from there", async () => {
  const input: FlowInput = { rate: 0.05, stop: { steps: 2 } };
  const { stack, pass, flow, destroy } = await deviceFlow(gpu, problem, input);
  await flow.advance();
  flow.destroy();
  const second = await GradientFlow.create(stack, pass, flow.config);
  await second.advance();
  const change = await stack.readChange();
  second.destroy();
  destroy();
  const whole = await run(problem, { ...input, stop: { steps: 4 } });
  expect(allBits(change)).toEqual(allBits(whole.change));
});
