import { describe, expect, test } from "vitest";
import { adaptiveStepsSchema, ensembleSchema, FIXED_STEP_METHODS, SOLVE_METHODS } from "../../src/config/ode.ts";
import { METHODS } from "../../src/ode/tableaus.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import {
  type EnsembleShape,
  planEnsemble,
  reductionRows,
  rowsGrid,
  tallyGrid,
  trajectoryGrid,
} from "../../src/plan/ode.ts";
import { implicitStepsWork, type StepSize, stepFlops } from "../../src/plan/ode_work.ts";

const shape: EnsembleShape = {
  trajectories: 1000,
  dimension: 3,
  parameters: 3,
  sharedParameters: false,
  adaptive: true,
  keepsSlope: true,
  keepsAuxiliary: false,
  atolRows: 1,
  points: 0,
  pointWords: 0,
  watched: false,
  events: 0,
  evaluations: 6,
};

describe("ranges", () => {
  test("rows do not overlap, and the bytes are those of all buffers", () => {
    const { rows, ranges, bytes } = planEnsemble(shape, SOFTWARE_PROFILE);
    expect(rows).toEqual({
      state: 18,
      problem: 3,
      parameters: 3,
      events: 0,
      time: 3,
      status: 4,
      slope: 10,
      rejected: 13,
    });
    expect(ranges).toEqual([{ first: 0, count: 1000, savedWords: 0, gridWords: 0, plane: 0 }]);
    expect(bytes).toBe(4 * 1000 * (18 + 3 + 3 + 1));
    const fixed = planEnsemble({ ...shape, adaptive: false, keepsSlope: false }, SOFTWARE_PROFILE);
    expect(fixed.rows).toMatchObject({ state: 10, problem: 4, slope: -1, rejected: -1 });
  });

  test("whole slices as large as a binding allows, over all trajectories", () => {
    const profile = { ...DEFAULT_PROFILE, maxBindingBytes: 4 * 18 * 200 };
    const { ranges } = planEnsemble(shape, profile);
    expect(ranges.map(({ first, count }) => [first, count])).toEqual([
      ...[0, 192, 384, 576, 768].map((first) => [first, 192]),
      [960, 40],
    ]);
    // 101 saved points of three words each, 8,388,608 trajectories: 10 GB in ranges of 128 MiB.
    const large = planEnsemble({ ...shape, trajectories: 8_388_608, points: 101, pointWords: 3 }, DEFAULT_PROFILE);
    expect(large.ranges.reduce((sum, { count }) => sum + count, 0)).toBe(8_388_608);
    for (const { first, count, savedWords } of large.ranges) {
      expect(first % 64).toBe(0);
      expect(savedWords).toBe(303 * count);
      expect(4 * savedWords).toBeLessThanOrEqual(DEFAULT_PROFILE.maxBindingBytes);
    }
    expect(4 * 303 * (large.ranges[0].count + 64)).toBeGreaterThan(DEFAULT_PROFILE.maxBindingBytes);
    expect(() => planEnsemble(shape, { ...profile, maxBindingBytes: 4 * 18 * 63 })).toThrow(
      /64 trajectories need more/,
    );
  });

  test("of a ragged grid by the points of their own trajectories", () => {
    // The first slice has 64 · 10 points, the others one a trajectory.
    const points = new Uint32Array(1001);
    for (let j = 0; j < 1000; j++) points[j + 1] = points[j] + (j < 64 ? 10 : 1);
    const profile = { ...DEFAULT_PROFILE, maxBindingBytes: 4 * 64 * 35 };
    const { ranges } = planEnsemble({ ...shape, points, pointWords: 3 }, profile);
    expect(ranges[0]).toEqual({ first: 0, count: 64, savedWords: 1920, gridWords: 65 + 640, plane: 640 });
    expect(ranges[1]).toEqual({ first: 64, count: 64, savedWords: 192, gridWords: 65 + 64, plane: 64 });
    // The last one and the rest fit together.
    expect(ranges.at(-1)).toMatchObject({ first: 896, count: 104 });
  });
});

test("grids cover their work within the largest number of groups", () => {
  const profile = { ...DEFAULT_PROFILE, maxGroupsPerDimension: 100 };
  for (const count of [1, 64, 65, 6400, 6401, 500_000]) {
    for (const lanes of [1, 2]) {
      const [x, y] = trajectoryGrid(count, lanes, profile);
      expect(x * y * 64 * lanes).toBeGreaterThanOrEqual(count);
      expect((x * y - y) * 64 * lanes).toBeLessThan(count);
      expect(Math.max(x, y)).toBeLessThanOrEqual(100);
    }
    const [x, y] = tallyGrid(count, profile);
    expect(x * y * 64 * 16).toBeGreaterThanOrEqual(count);
  }
  expect(rowsGrid(129, 3, profile)).toEqual([3, 3]);
  expect(rowsGrid(1, 1000, profile)).toEqual([1, 100]);
  expect(reductionRows(7, 1)).toBe(7);
  // 131,072 slices of 20 bytes: 12 rows in 32 MiB.
  expect(reductionRows(300, 131_072)).toBe(12);
  expect(reductionRows(300, 1e9)).toBe(1);
});

test("operations of a step, counted in plain loops", () => {
  // Heun's pair on a field of 5 operations in 2 components.
  let count = 0;
  const op = (x: number) => {
    count++;
    return x;
  };
  const field = () => {
    for (let i = 0; i < 5; i++) op(0);
  };
  field();
  field();
  for (let i = 0; i < 2; i++) {
    op(op(op(1 * 1) * 1) + 1); // y + h (a k)
    op(op(op(op(1 * 1) + op(1 * 1)) * 1) + 1); // y + h (b k + b k)
  }
  const step: StepSize = { dimension: 2, evaluations: 2, fieldFlops: 5, fieldDepth: 1, rows: [1, 2] };
  expect(stepFlops(step)).toBe(count);
  for (let i = 0; i < 2; i++) {
    op(op(op(1 * 1) + op(1 * 1)) * 1); // h (e k + e k)
    op(op(op(1 / op(op(1 * 1) + 1)) * 1) + 1); // scaled, squared, added
  }
  count += 2 + 3 + 8; // norm, controller, time
  expect(stepFlops({ ...step, error: 2 })).toBe(count);
});

test("operations of an implicit step are those of its formula", () => {
  const n = 3;
  let count = 0;
  for (let k = 0; k < n; k++) {
    for (let i = k + 1; i < n; i++) count += 1 + 2 * (n - 1 - k); // a factor, and a row less the factor times another
  }
  count += 2 * n * n; // I − γ h J
  const solves = 4;
  count += solves * (n * (n - 1) + n * (n - 1) + n + n); // L, U, divisions by the diagonal, and the right-hand side's factor
  const step = { dimension: n, evaluations: 2, fieldFlops: 5, fieldDepth: 1, rows: [1, 2], jacobianFlops: 7, solves };
  const { flops, bytes } = implicitStepsWork(step, 10, 100, 10, 7);
  expect(flops).toBe(100 * 10 * (count + 7 + stepFlops(step)));
  expect(bytes).toBe(4 * 100 * (2 * 10 + 7));
});

test("a second state has rows between the slope and the pace", () => {
  const { rows } = planEnsemble({ ...shape, keepsAuxiliary: true }, SOFTWARE_PROFILE);
  const without = planEnsemble(shape, SOFTWARE_PROFILE).rows;
  expect(rows.slope).toBe(without.slope);
  expect([rows.rejected, rows.state]).toEqual([without.rejected + 3, without.state + 3]);
});

test("methods that need fixed steps are those without an error estimate", () => {
  const without = SOLVE_METHODS.filter((name) => !("errorOrder" in METHODS[name]));
  expect([...FIXED_STEP_METHODS].sort()).toEqual([...without].sort());
});

test("a configuration has a default for everything, and refuses what does not go together", () => {
  const config = ensembleSchema.parse({});
  expect(config).toMatchObject({ method: "tsit5", save: { kind: "end" }, chunk: { milliseconds: 100 } });
  expect(config.steps).toEqual(adaptiveStepsSchema.parse({ kind: "adaptive" }));
  for (const wrong of [
    { method: "euler" },
    { method: "leapfrog" },
    { method: "rk5" },
    { steps: { kind: "fixed" } },
    { steps: { kind: "fixed", dt: 0.1, count: 3 } },
    { steps: { kind: "fixed", count: 20_000_000 } },
    { steps: { kind: "adaptive", rtol: -1 } },
    { save: { kind: "steps", every: 0 } },
    { event: { direction: 2 } },
    { chunk: { milliseconds: 0 } },
    { saves: 1 },
  ]) {
    expect(ensembleSchema.safeParse(wrong).success).toBe(false);
  }
  expect(ensembleSchema.safeParse({ method: "euler", steps: { kind: "fixed", dt: 0.1 } }).success).toBe(true);
});
