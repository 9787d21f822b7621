import { describe, expect, test } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { planDense } from "../../src/plan/dense.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import {
  combineWork,
  denseAdjointWork,
  denseBackwardWork,
  denseForwardWork,
  denseGradientWork,
  denseStepWork,
  depthDistanceWork,
  lossWork,
  matmulWork,
  updateWork,
} from "../../src/plan/work.ts";

const shape: DenseShape = {
  inputs: 3,
  width: 5,
  hidden: 7,
  outputs: 2,
  depth: 11,
  activation: "gelu",
  widthFactors: "paper",
  beta: 1,
};
const { width: q, hidden: m, depth: L, outputs } = shape;
const n = 13;
/** Bytes of numbers of four bytes. */
const floats = (...counts: number[]) => 4 * counts.reduce((a, b) => a + b);

/** The operations of one row of one layer, counted in plain loops. */
function countLayer() {
  const count = { forward: 0, adjoint: 0, gradient: 0 };
  for (let j = 0; j < m; j++) {
    for (let i = 0; i < q; i++) {
      count.forward += 2; // z_j += W_ji h_i
      count.adjoint += 2; // u_j += V_ij p_i
    }
    count.forward += 1; // σ(z_j)
    count.adjoint += 2; // σ'(z_j), times u_j
    for (let i = 0; i < q; i++) {
      count.forward += 2; // sum_i += V_ij a_j
      count.adjoint += 2; // sum_i += W_ji g_j
      count.gradient += 2 + 2; // dW_ji += g_j h_i, dV_ij += p_i a_j
    }
  }
  for (let i = 0; i < q; i++) {
    count.forward += 2; // h_i += scale · sum_i
    count.adjoint += 2; // p_i += scale · sum_i
  }
  return count;
}

describe("sweeps", () => {
  test("operations are those of the plain loops", () => {
    const layer = countLayer();
    expect(denseForwardWork(shape, n, L, true).flops).toBe(L * n * layer.forward);
    expect(denseAdjointWork(shape, n, L, true).flops).toBe(L * n * layer.adjoint);
    expect(denseGradientWork(shape, n, L).flops).toBe(L * n * layer.gradient);
    expect(denseBackwardWork(shape, n, L).flops).toBe(L * n * (layer.adjoint + layer.gradient));
  });

  test("bytes are those of the tensors", () => {
    const [state, weights] = [n * q, 2 * q * m];
    expect(denseForwardWork(shape, n, L, true).bytes).toBe(floats(L * weights, (L + 1) * state));
    expect(denseForwardWork(shape, n, L, false).bytes).toBe(floats(L * weights, 2 * state));
    expect(denseAdjointWork(shape, n, L, true).bytes).toBe(floats(L * weights, L * state, (L + 1) * state));
    expect(denseGradientWork(shape, n, L).bytes).toBe(floats(2 * L * weights, 2 * L * state));
    expect(denseBackwardWork(shape, n, L).bytes).toBe(floats(2 * L * weights, L * state, 2 * state));
  });

  test("the chain of a layer: a dot over q, the activation, a dot over m, the step", () => {
    expect(denseForwardWork(shape, n, L, true).sequential).toBe(L * (q + 1 + m + 1));
    expect(denseForwardWork(shape, 100 * n, L, true).sequential).toBe(L * (q + 1 + m + 1));
    expect(denseBackwardWork(shape, n, L).sequential).toBe(L * (q + 1 + m + 1));
  });
});

describe("a step", () => {
  const wide = { ...shape, width: 64, hidden: 64 };
  const plans = (["rows", "tile", "matmul"] as const).map((layout) =>
    planDense(wide, layout === "rows" ? SOFTWARE_PROFILE : DEFAULT_PROFILE, { rows: n, training: true, layout }),
  );

  test("is the same whatever the layout", () => {
    expect(new Set(plans.map((plan) => plan.layout)).size).toBe(3);
    for (const plan of plans) expect(denseStepWork(plan)).toEqual(denseStepWork(plans[0]));
  });

  test("does not count states computed again", () => {
    const options = { rows: n, training: true } as const;
    const stored = planDense(shape, DEFAULT_PROFILE, options);
    const recomputed = planDense(shape, DEFAULT_PROFILE, { ...options, stateBytes: 6 * 4 * stored.slotFloats });
    expect([stored.states, recomputed.states]).toEqual(["stored", "recomputed"]);
    expect(denseStepWork(recomputed)).toEqual(denseStepWork(stored));
  });

  test("adds up sweeps, ends and update, without a gradient in memory", () => {
    const layer = countLayer();
    const numbers = 2 * q * m * L;
    const work = denseStepWork(planDense(shape, DEFAULT_PROFILE, { rows: n, training: true }));
    const ends = n * outputs * (2 * q + 4 + 2 * q);
    expect(work.flops).toBe(L * n * (layer.forward + layer.adjoint + layer.gradient) + ends + 4 * numbers);
    // Weights: read twice, written; change: read, written. States written and read; first and last adjoint, first state.
    const layers = floats(5 * numbers, 2 * q * m, 2 * L * n * q, 3 * n * q);
    // F and ∂ℓ/∂F written and read, targets, two numbers of loss a row, B twice, h_L read and p_L written.
    const endBytes = floats(5 * n * outputs, 2 * n, 2 * q * outputs, 2 * n * q);
    expect(work.bytes).toBe(layers + endBytes);
    expect(work.sequential).toBe(2 * L * (q + m + 2));
  });

  test("grows in proportion to depth", () => {
    const at = (depth: number) =>
      denseStepWork(planDense({ ...shape, depth }, DEFAULT_PROFILE, { rows: n, training: true }));
    for (const field of ["flops", "bytes", "sequential"] as const)
      expect(at(300)[field] - at(200)[field]).toBe(at(200)[field] - at(100)[field]);
  });
});

describe("the other dispatches", () => {
  test("a matrix product and its epilogues", () => {
    expect(matmulWork(2, 3, 5)).toEqual({ flops: 60, bytes: floats(10, 15, 6), sequential: 5 });
    expect(matmulWork(2, 3, 5, 2)).toEqual({ flops: 72, bytes: floats(10, 15, 12), sequential: 5 });
    expect(matmulWork(2, 3, 5, 4).bytes).toBe(floats(10, 15, 12));
  });

  test("the update reads what its optimiser needs", () => {
    const size = { numbers: 100, initial: 10, groups: 3 };
    const bytes = (optimiser: "descent" | "momentum" | "adam") => updateWork({ ...size, optimiser }).bytes;
    expect(bytes("descent")).toBe(floats(300, 200, 100, 10));
    expect(bytes("momentum")).toBe(floats(300, 200, 200, 200, 10));
    expect(bytes("adam")).toBe(floats(300, 200, 200, 400, 10));
  });

  test("labels are one number a row, targets one an output", () => {
    expect(lossWork("squared-norm", 6, 4).bytes - lossWork("cross-entropy", 6, 4).bytes).toBe(floats(6 * 3));
  });

  test("stages of a Runge–Kutta method are read once each", () => {
    expect(combineWork(10, 10, 4).bytes - combineWork(10, 10, 3).bytes).toBe(floats(10));
  });

  test("a distance to a deeper stack reads its own layers once", () => {
    expect(depthDistanceWork(64, 16, 64, 8).bytes).toBe(floats(16 * 8, 64 * 8, 2 * 8, 4 * 64));
  });
});
