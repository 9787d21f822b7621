import { describe, expect, test } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { DOPRI5, EULER, MIDPOINT, RK4 } from "../../src/ode/tableaus.ts";
import { type DenseLayout, planDense } from "../../src/plan/dense.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { adjointStages, checkSolver, forwardStages, packBlend, transposed } from "../../src/plan/stages.ts";
import { blendWork, stageWork } from "../../src/plan/work.ts";

const shape: DenseShape = {
  ...{ inputs: 3, width: 5, hidden: 7, outputs: 2, depth: 5 },
  ...{ activation: "tanh", widthFactors: "code", beta: 1 },
};

describe("constants of the sweeps", () => {
  test("Euler's are those of the shaders, which are the residual network", () => {
    const solver = { steps: 1, ...EULER };
    expect(forwardStages(solver)).toEqual({ STAGES: 1, COMBINE: [1] });
    expect(adjointStages(solver)).toEqual({ STAGES: 1, COMBINE: [1], SHARE: [1], LAST_SHARE: 1 });
  });

  // The sweeps' recursions by plain loops on dy/ds = λ_s y: linear, so the adjoint of a step is the step itself.
  test.each([MIDPOINT, RK4, DOPRI5])("forward and adjoint recursions of $name are transposes", (tableau) => {
    const solver = { steps: 1, a: tableau.a, b: tableau.b };
    const { b } = tableau;
    const rates = b.map((_, s) => 0.3 + 0.1 * s);
    const forward = forwardStages(solver);
    const slopes: number[] = [];
    let y = 1;
    for (let s = 0; s < b.length; s++) {
      slopes.push(rates[s] * y);
      y = slopes.reduce((sum, k, r) => sum + forward.COMBINE[s * b.length + r] * k, 1);
    }
    const adjoint = adjointStages(solver);
    let p = adjoint.LAST_SHARE;
    const kept = b.map(() => 0);
    for (let s = b.length - 1; s >= 0; s--) {
      kept[s] = rates[s] * p;
      p = kept.reduce((sum, value, r) => sum + adjoint.COMBINE[s * b.length + r] * value, adjoint.SHARE[s]);
    }
    expect(p).toBeCloseTo(y, 14);
    expect(y).toBeGreaterThan(1.2);
  });
});

describe("the plan", () => {
  const solver = { steps: 30, a: RK4.a, b: RK4.b };
  const blend = { toStages: new Float64Array(120 * 5), metric: new Float64Array(25) };

  test.each([
    [SOFTWARE_PROFILE, "rows"],
    [DEFAULT_PROFILE, "tile"],
    [DEFAULT_PROFILE, "matmul"],
  ] as const)("segments and batches are whole steps, states are counted by stages: %o %s", (profile, layout) => {
    const options = { rows: 9, training: true, layout: layout as DenseLayout, solver: { ...solver, blend } };
    const stored = planDense(shape, profile, options);
    expect([stored.layers, stored.stages, stored.slots]).toEqual([120, 4, 121]);
    expect(stored.scales).toEqual({ outer: 1 / 30, inner: 1 });
    expect(stored.tensors.stageWeights).toBe(4 * 120 * stored.layerFloats);
    expect(stored.tensors.blended).toBe(4 * 5 * stored.layerFloats);
    expect(stored.tensors.direction).toBe(stored.tensors.blended);
    expect((stored.products?.layers ?? 4) % 4).toBe(0);
    const short = planDense(shape, profile, { ...options, timeBudgetMs: 7, nanosecondsPerLayer: 1e6 });
    expect(short.segments.map(({ first }) => first % 4)).toEqual(short.segments.map(() => 0));
    expect(short.segments.reduce((sum, { count }) => sum + count, 0)).toBe(120);
    expect(short.segments.length).toBeGreaterThan(3);
  });

  test("a solver that does not fit is refused", () => {
    const { a, b } = RK4;
    const refused = (solver: Parameters<typeof checkSolver>[0]) => expect(() => checkSolver(solver, 5));
    refused({ steps: 0, a, b, blend }).toThrow(ConfigError);
    refused({ steps: 30, a: [...a.slice(0, 3), [0, 0, 1, 1]], b, blend }).toThrow(/strictly lower triangular/);
    refused({ steps: 30, a: a.slice(1), b, blend }).toThrow(/a row for each/);
    refused({ steps: 30, a, b }).toThrow(/must make 5 stages/);
    refused({ steps: 29, a, b, blend }).toThrow(/toStages must hold 116 × 5 numbers, got 600/);
    refused({ steps: 30, a, b, blend: { ...blend, metric: new Float64Array(5) } }).toThrow(/metric must hold 5 × 5/);
  });
});

test("a blend is packed in blocks of four rows with the columns that they need", () => {
  const rows = [
    [0, 1, 0],
    [0, 0, 2],
    [0, 0, 0],
    [0, 3, 0],
    [4, 0, 0],
  ];
  const { matrix, bands } = packBlend(rows.flat(), 5, 3);
  expect([...bands]).toEqual([1, 3, 0, 1]);
  expect([...matrix]).toEqual([[0, 0, 0, 0], [1, 0, 0, 3], [0, 2, 0, 0], [4, 0, 0, 0], Array(8).fill(0)].flat());
  expect([...packBlend([0, 0], 1, 2).bands]).toEqual([0, 0]);
  expect([...transposed(Float64Array.of(1, 2, 3, 4, 5, 6), 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
});

test("work of blends and of a stage", () => {
  // y_i = Σ_j m_ij (x_0j + x_1j + x_2j) with 7 of 2 × 4 entries, 8 numbers a layer: 2 sums of groups a column, 2 operations an entry.
  const { flops, bytes } = blendWork({ rows: 2, columns: 4, nonzeros: 7 }, 3, 8);
  expect(flops).toBe(8 * (4 * 2 + 7 * 2));
  expect(bytes).toBe(4 * (7 + 8 * (3 * 4 + 2)));
  // Product and sum for each of 4 slopes, a product with the base; base is read and replaced, y is written.
  expect(stageWork(10, 4)).toEqual({ flops: 10 * 9, bytes: 4 * 10 * (4 + 3), sequential: 0 });
});
