import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/errors.ts";
import type { EnsembleInput } from "../../src/config/ode.ts";
import { EnsembleSolve } from "../../src/ode/ensemble.ts";
import type { EnsembleProblem } from "../../src/ode/ensemble_types.ts";
import type { DeviceProfile } from "../../src/plan/device_profile.ts";
import { REFERENCE_VALUES } from "../../src/reference/ode_problems.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";
import {
  BALL,
  BLOW_UP,
  type Case,
  expectSameBits,
  N1,
  pick,
  problemOf,
  reference,
  type Solved,
  SWING,
  solveCase,
} from "../support/ode_ensembles.ts";

const gpu = await openTestDevice();
const exact = /SwiftShader/.test(gpu.name);

/** Lorenz from ρ = 0 to 21: 9 to 49 steps a trajectory. */
function lorenz(n: number): Case {
  return {
    field: "lorenz",
    initial: Float32Array.from({ length: 3 * n }, (_, i) => [1, 0, 0][i % 3]),
    parameters: Float32Array.from({ length: 3 * n }, (_, i) => [10, (21 * Math.floor(i / 3)) / (n - 1), 8 / 3][i % 3]),
    start: 0,
    end: 1,
  };
}
const adaptive: EnsembleInput = { method: "tsit5", steps: { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } };
const fixed: EnsembleInput = { method: "rk4", steps: { kind: "fixed", count: 100 } };

function expectSame(a: Solved, b: Solved): void {
  for (const name of ["states", "times", "accepted", "rejected", "evaluations"] as const)
    expectSameBits(a[name], b[name]);
  expect(a.status).toEqual(b.status);
  for (const name of ["times", "states", "counts"] as const) {
    if (a.saved) expectSameBits(a.saved[name], b.saved![name]);
    if (a.events) expectSameBits(a.events[name], b.events![name]);
  }
  if (a.statistics)
    for (const name of ["minimum", "maximum", "mean", "variance"] as const)
      expectSameBits(a.statistics[name], b.statistics![name]);
}

const close = (actual: number, expected: number, tolerance: number) =>
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance);

// Reference values of 20 digits, by extrapolation. Errors of the tolerance; those of RK4 in float64 are 7e-7 and 3.4e-6.
test.each([
  ["tsit5", adaptive],
  ["dopri5", { ...adaptive, method: "dopri5" }],
  ["rk4", fixed],
] satisfies [string, EnsembleInput][])("Lorenz at t = 1 by %s", async (_, options) => {
  const { states } = await solveCase(gpu, lorenz(3), options);
  ["lorenz, ρ = 10.5", "lorenz, ρ = 21"].forEach((id, k) => {
    const { y } = REFERENCE_VALUES.find((entry) => entry.id === id)!;
    const distance = Math.hypot(...y.map((value, i) => states[3 * (k + 1) + i] - value));
    expect(distance / Math.hypot(...y)).toBeLessThan(5e-6);
  });
});

// The error estimate of a constant is 0: ten thousand steps of the greatest length. Each sum t + h rounds by up to half a
// unit of t; carried on, these would add up to a thousandth.
test("time does not drift over ten thousand adaptive steps", async () => {
  const source: Case = {
    field: "exponential",
    initial: Float32Array.of(2),
    parameters: Float32Array.of(0),
    start: 0,
    end: 10,
  };
  const { saved, accepted, states } = await solveCase(gpu, source, {
    method: "bosh3",
    steps: { kind: "adaptive", initialStep: 1e-3, maxStep: 1e-3 },
    save: { kind: "steps", every: 1000, capacity: 12 },
  });
  expect(states[0]).toBe(2);
  expect(accepted[0]).toBe(10_000);
  for (let k = 1; k < 10; k++) close(saved!.times[k - 1], k * 1000 * Math.fround(1e-3), 2 ** -20);
});

describe("bits", () => {
  const n = 37;
  const grid: EnsembleInput["save"] = { kind: "grid", times: [0, 0.25, 0.5, 0.9, 1] };

  test.each([
    ["adaptive", adaptive],
    ["adaptive with a grid", { ...adaptive, save: grid }],
    [
      "adaptive without FSAL, with statistics",
      { method: "heun", steps: { kind: "adaptive", rtol: 1e-3, atol: 1e-3 }, save: { kind: "statistics" } },
    ],
    ["fixed", fixed],
    ["fixed with every seventh step", { ...fixed, save: { kind: "steps", every: 7 } }],
  ] satisfies [string, EnsembleInput][])("do not depend on chunks: %s", async (_, options) => {
    const whole = await solveCase(gpu, lorenz(n), { ...options, chunk: { steps: 1_000_000 } });
    expect(whole.summary.counts.done).toBe(n);
    for (const steps of [7, 1]) expectSame(await solveCase(gpu, lorenz(n), { ...options, chunk: { steps } }), whole);
    expectSame(await solveCase(gpu, lorenz(n), options), whole);
  });

  test.each([
    ["adaptive", { ...adaptive, save: grid }],
    ["fixed", fixed],
  ] satisfies [string, EnsembleInput][])("do not depend on neighbours: %s", async (_, options) => {
    const alone = await solveCase(gpu, lorenz(n), options);
    const last = n - 1;
    // Permuted, within a batch of others, and twice.
    const which = [...Array(5).fill(last), ...Array.from({ length: n }, (_, j) => (17 * j) % n), ...Array(90).fill(3)];
    const embedded = await solveCase(gpu, pick(lorenz(n), which), options);
    which.forEach((j, k) => {
      expectSameBits(embedded.states.slice(3 * k, 3 * k + 3), alone.states.slice(3 * j, 3 * j + 3));
      expect(embedded.evaluations[k]).toBe(alone.evaluations[j]);
    });
  });

  test("the mean square distance to a target, of final states and of saved points", async () => {
    const solve = await EnsembleSolve.create(gpu, problemOf(lorenz(n)), { ...adaptive, save: grid });
    await solve.run();
    const [states, { states: saved }] = [await solve.states(), await solve.saved()];
    const points = saved.length / (3 * n);
    // Rows of all components of a trajectory: [n, width].
    const distances = (rows: Float32Array, width: number, target: Float32Array) =>
      Array.from(target, (y, i) => {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += (rows[j * width + i]! - y) ** 2;
        return sum / n;
      });
    for (const [of, rows, width] of [
      ["states", states, 3],
      ["saved", saved, 3 * points],
    ] as const) {
      const target = Float32Array.from({ length: width }, (_, i) => Math.sin(7 * i));
      const { values } = await solve.reduce({ kind: "mean-square", of, target });
      distances(rows, width, target).forEach((expected, i) => {
        // Numbers up to 50; mean and spread round once a trajectory.
        expect(Math.abs(values[i]! - expected)).toBeLessThanOrEqual(n * 2 ** -23 * 100 ** 2);
      });
    }
    await expect(solve.reduce({ kind: "mean-square", target: [1, 2] })).rejects.toThrow(
      "reduction.target must hold 3 numbers, got 2",
    );
    solve.destroy();
  });

  test("ranges of a batch that a binding does not hold whole give those of the whole", async () => {
    const options: EnsembleInput = { ...adaptive, save: grid };
    const source = lorenz(200);
    const create = () => EnsembleSolve.create(gpu, problemOf(source), options);
    const collect = async (solve: EnsembleSolve) => {
      await solve.run();
      const { values, counts } = await solve.reduce({ kind: "variance", of: "saved" });
      const [states, saved] = [await solve.states(), await solve.saved()];
      solve.destroy();
      return { states, times: saved.times, points: saved.states, values, counts };
    };
    const whole = await create();
    expect(whole.plan.ranges.length).toBe(1);
    const expected = await collect(whole);
    const profile = gpu.profile as { -readonly [K in keyof DeviceProfile]: DeviceProfile[K] };
    const { maxBindingBytes } = profile;
    // 18 rows of 64 trajectories; of the grid's 15 rows as many.
    profile.maxBindingBytes = 4 * 18 * 64;
    try {
      const split = await create();
      expect(split.plan.ranges.map(({ count }) => count)).toEqual([64, 64, 64, 8]);
      const parts = await collect(split);
      for (const name of ["states", "times", "points", "values", "counts"] as const)
        expectSameBits(parts[name], expected[name]);
      profile.maxBindingBytes = 4 * 16 * 64;
      await expect(create()).rejects.toThrow(/out_of_memory|more than the 4096 bytes/);
    } finally {
      profile.maxBindingBytes = maxBindingBytes;
    }
  });
});

describe("a trajectory's failure is a status of its own", () => {
  test("numbers that are not finite", async () => {
    // Away from t = 0, where steps may shrink until they are subnormal numbers, which devices may take for 0.
    const source = { ...pick(lorenz(9), [8, 8, 8, 8, 8, 8, 8]), start: 0.5, end: 1.5 };
    const bad = { ...source, initial: source.initial.slice() };
    bad.initial[3] = Number.NaN;
    bad.initial[11] = Number.POSITIVE_INFINITY;
    for (const options of [adaptive, fixed]) {
      const good = await solveCase(gpu, source, options);
      const mixed = await solveCase(gpu, bad, options);
      expect(mixed.status).toEqual(["done", "non_finite", "done", "non_finite", "done", "done", "done"]);
      expect(mixed.summary.counts).toMatchObject({ done: 5, non_finite: 2 });
      for (const j of [0, 2, 4, 5, 6]) {
        expectSameBits(mixed.states.slice(3 * j, 3 * j + 3), good.states.slice(3 * j, 3 * j + 3));
      }
      // The last good state is the first one.
      expect(mixed.times[1]).toBe(0.5);
      expect(mixed.accepted[1]).toBe(0);
      expect([...mixed.states.subarray(3, 6)]).toEqual([Number.NaN, 0, 0]);
      for (const j of [1, 3]) {
        const { evaluations, rejected } = reference(bad, j, { ...referenceOptions(options), round: Math.fround });
        expect([mixed.evaluations[j], mixed.rejected[j]]).toEqual([evaluations, rejected]);
      }
    }
  });

  // y' = y² passes the largest float32 before t = 1: fixed steps go on into infinity, adaptive ones get ever shorter.
  test("a solution that ends, by fixed and by adaptive steps, in any chunks", async () => {
    const source: Case = {
      field: BLOW_UP,
      initial: Float32Array.of(1, 0.25, 1),
      start: 0,
      end: Float32Array.of(2, 2, 0.5),
    };
    for (const options of [
      { method: "rk4", steps: { kind: "fixed", count: 50 } },
      { method: "dopri5", steps: { kind: "fixed", dt: 0.04 } },
      { method: "bosh3", steps: { kind: "adaptive", rtol: 1e-4, atol: 1e-4 } },
    ] satisfies EnsembleInput[]) {
      const result = await solveCase(gpu, source, options);
      const chunks = await solveCase(gpu, source, { ...options, chunk: { steps: 3 } });
      expectSame(chunks, result);
      expect(result.status.slice(1)).toEqual(["done", "done"]);
      for (const j of [0, 1, 2]) {
        const emulated = reference(source, j, { ...referenceOptions(options), round: Math.fround });
        expect(result.status[j]).toBe(emulated.status);
        if (exact || options.steps.kind === "fixed") {
          expect(result.evaluations[j]).toBe(emulated.evaluations);
          expect(result.accepted[j]).toBe(emulated.accepted);
        }
        if (options.steps.kind === "fixed") {
          expect(result.times[j]).toBe(emulated.t);
          if (exact) expect(result.states[j]).toBe(emulated.y[0]);
        }
      }
      expect(result.status[0]).not.toBe("done");
      expect(Number.isFinite(result.states[0])).toBe(true);
    }
  });

  test("too many steps, too short steps, no span", async () => {
    const source = lorenz(5);
    const steps = { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } as const;
    const few = await solveCase(gpu, source, { steps: { ...steps, maxSteps: 20 } });
    expect(few.status).toEqual(["done", "max_steps", "max_steps", "max_steps", "max_steps"]);
    few.accepted.forEach((accepted, j) => {
      if (j > 0) expect(accepted + few.rejected[j]).toBe(20);
    });
    const short = await solveCase(gpu, source, { steps: { ...steps, minStep: 0.01 } });
    const emulated = [0, 1, 2, 3, 4].map((j) =>
      reference(source, j, {
        ...referenceOptions({ ...adaptive }),
        steps: { ...steps, dtMin: 0.01 },
        round: Math.fround,
      }),
    );
    expect(short.status).toEqual(emulated.map(({ status }) => status));
    expect(new Set(short.status)).toEqual(new Set(["done", "dt_min"]));
    expect([...short.times]).toEqual(emulated.map(({ t }) => expect.closeTo(t, 3)));
    const nowhere = await solveCase(gpu, { ...source, end: Float32Array.of(0, 0, 1, 0, 0) }, adaptive);
    expect(nowhere.status).toEqual(Array(5).fill("done"));
    expect([...nowhere.evaluations].map((count) => count > 0)).toEqual([false, false, true, false, false]);
    expect([...nowhere.states.subarray(0, 3)]).toEqual([1, 0, 0]);
  });

  test("all options of the adaptive steps, a trajectory at a time", async () => {
    const source = pick(lorenz(5), [4, 4, 4]);
    const problem: EnsembleProblem = {
      ...problemOf(source),
      rtol: Float32Array.of(1e-3, 1e-5, 1e-4),
      atol: Float32Array.of(1e-4, 1e-3, 1e-5),
      initialStep: Float32Array.of(0, 1e-3, 0.3),
    };
    for (const controller of ["diffrax-pi", "arkode-pid", "sciml-pi"] as const) {
      const steps = { kind: "adaptive", controller, norm: "max", maxStep: 0.04 } as const;
      const solve = await EnsembleSolve.create(gpu, problem, { method: "dopri5", steps });
      await solve.run();
      const { accepted, rejected, status } = await solve.status();
      for (const j of [0, 1, 2]) {
        const [rtol, atol, dt0] = [problem.rtol![j], problem.atol![j], problem.initialStep![j]];
        const emulated = reference(source, j, {
          method: "dopri5",
          steps: { kind: "adaptive", controller, norm: "max", rtol, atol, dtMax: 0.04, ...(dt0 > 0 && { dt0 }) },
          round: Math.fround,
        });
        expect(status[j]).toBe("done");
        close(accepted[j], emulated.accepted, exact ? 0 : 2);
        close(rejected[j], emulated.rejected, exact ? 0 : 2);
      }
      solve.destroy();
    }
    // One atol a component, of which only the last is small.
    const steps = { kind: "adaptive" as const, rtol: 0, atol: [1, 1, 1e-5] };
    const { accepted } = await solveCase(gpu, source, { method: "dopri5", steps });
    const emulated = reference(source, 0, { method: "dopri5", steps, round: Math.fround });
    close(accepted[0], emulated.accepted, exact ? 0 : 2);
    expect(accepted[0]).toBeGreaterThan(
      reference(source, 0, { method: "dopri5", steps: { ...steps, atol: 1 } }).accepted,
    );
  });
});

describe("saved points", () => {
  const spans = [
    [0, 1],
    [1, 0],
    [0.5, 0.5],
    [-0.5, 1],
  ] as const;
  const source: Case = {
    field: N1,
    initial: Float32Array.from([1.1, 2.2, 1, -1, 0.5, 0.5, -1, 2]),
    start: Float32Array.from(spans, ([t0]) => t0),
    end: Float32Array.from(spans, ([, t1]) => t1),
  };
  // With the ends, twice the same time, more than one in a step, none at all.
  const times = [[0, 0.1, 0.1, 0.101, 0.5, 1], [1, 0.7, 0], [0.5], []];

  // bosh3: cubic Hermite; tsit5, dopri8: interpolants of their own; vern7: six more stages; heun: f at the end of the step.
  test.each(["bosh3", "tsit5", "vern7", "dopri8", "heun"] as const)("ragged grids by %s", async (method) => {
    for (const steps of [
      { kind: "adaptive", rtol: 1e-5, atol: 1e-5 },
      { kind: "fixed", dt: 0.3 },
    ] as const) {
      const { saved, evaluations, status } = await solveCase(gpu, source, {
        method,
        steps,
        save: { kind: "grid", times },
      });
      expect(status).toEqual(Array(4).fill("done"));
      expect([...saved!.offsets]).toEqual([0, 6, 9, 10, 10]);
      expect([...saved!.counts]).toEqual([6, 3, 1, 0]);
      expect([...saved!.times]).toEqual(times.flat().map(Math.fround));
      for (const j of [0, 1, 2, 3]) {
        const emulated = reference(source, j, {
          method,
          steps,
          save: { kind: "grid", times: times[j] },
          round: Math.fround,
        });
        // The error estimate of dopri8 is little but rounding errors here.
        close(evaluations[j], emulated.evaluations, exact && method !== "dopri8" ? 0 : 28);
        const points = [...saved!.states.subarray(2 * saved!.offsets[j], 2 * saved!.offsets[j + 1])];
        if (steps.kind === "fixed" && exact) expect(points).toEqual([...emulated.states]);
        // Otherwise steps differ a little: the interpolant's error may not be more than in float64, times four, and rounding
        // of weights that reach 1,200 with vern7.
        const [t0, x0, y0] = [spans[j][0], source.initial[2 * j], source.initial[2 * j + 1]];
        const solution = times[j].flatMap((time) => {
          const growth = Math.exp((time * time - t0 * t0) / 2);
          return [growth * (x0 + (time - t0) * y0), growth * y0];
        });
        const float64 = reference(source, j, { method, steps, save: { kind: "grid", times: times[j] } });
        const worst = Math.max(0, ...solution.map((value, i) => Math.abs(float64.states[i] - value)));
        points.forEach((value, i) => {
          close(value, solution[i], 4 * worst + (method === "vern7" ? 4000 : 400) * EPSILON * 6);
        });
      }
    }
  });

  test("a common grid of trajectories that do not all get to its end", async () => {
    const n = 5;
    const grid = Float32Array.from({ length: 11 }, (_, i) => i / 10);
    const source = lorenz(n);
    const steps = { kind: "adaptive", rtol: 1e-6, atol: 1e-6, maxSteps: 30 } as const;
    const { saved, times: reached } = await solveCase(gpu, source, {
      method: "dopri5",
      steps,
      save: { kind: "grid", times: grid },
    });
    for (let j = 0; j < n; j++) {
      const points = grid.filter((time) => time <= reached[j]).length;
      expect(saved!.counts[j]).toBe(points);
      expect(saved!.offsets[j]).toBe(11 * j);
      for (let point = 0; point < 11; point++) {
        expect(Number.isNaN(saved!.states[3 * (11 * j + point)])).toBe(point >= points);
      }
    }
    expect(Math.min(...saved!.counts)).toBeLessThan(11);
    expect(Math.max(...saved!.counts)).toBe(11);
  });

  test.each([adaptive, fixed])("every third step", async (options) => {
    const source = lorenz(4);
    const { saved, accepted } = await solveCase(gpu, source, {
      ...options,
      save: { kind: "steps", every: 3, capacity: 10 },
    });
    for (let j = 0; j < 4; j++) {
      const save = { kind: "steps", every: 3 } as const;
      const emulated = reference(source, j, { ...referenceOptions(options), save, round: Math.fround });
      expect(saved!.counts[j]).toBe(Math.floor(accepted[j] / 3));
      const kept = Math.min(10, saved!.counts[j]);
      expect(kept).toBeGreaterThan(2);
      for (let point = 0; point < 10; point++) {
        const at = saved!.offsets[j] + point;
        if (point >= kept) {
          expect([saved!.times[at], saved!.states[3 * at]]).toEqual([Number.NaN, Number.NaN]);
          continue;
        }
        const time = saved!.times[at];
        if (options === fixed) expect(time).toBe(emulated.times[point]);
        else expect(time).toBeGreaterThan(point === 0 ? 0 : saved!.times[at - 1]);
        const steps = { kind: "adaptive", rtol: 1e-11, atol: 1e-11 } as const;
        const solution = reference({ ...source, end: time }, j, { method: "dopri8", steps });
        // Up to 50 steps of tolerance 1e-6, of numbers up to 20.
        for (let i = 0; i < 3; i++) close(saved!.states[3 * at + i], solution.y[i], 1e-3);
      }
    }
  });

  // x = cos t over whole periods: mean 0, variance ½, extremes ±1.
  test("statistics over the time of a trajectory", async () => {
    const periods = [1, 2, 3];
    const source: Case = {
      field: SWING,
      initial: Float32Array.from(periods.flatMap(() => [1, 0])),
      start: 0,
      end: Float32Array.from(periods, (count) => 2 * Math.PI * count),
    };
    for (const options of [
      { method: "tsit5", steps: { kind: "adaptive", rtol: 1e-6, atol: 1e-6, maxStep: 0.2 } },
      { method: "rk4", steps: { kind: "fixed", dt: 0.1 } },
    ] satisfies EnsembleInput[]) {
      const { statistics } = await solveCase(gpu, source, { ...options, save: { kind: "statistics" } });
      // Simpson's rule errs by T h⁴/2880 · max |y⁗| and less; rounding by an ulp of a step; an extreme lies within h/4 of a point.
      for (let i = 0; i < 6; i++) {
        close(statistics!.mean[i], 0, 2e-5);
        close(statistics!.variance[i], 0.5, 2e-5);
        expect(statistics!.minimum[i]).toBeLessThan(-1 + 0.05 ** 2 / 2 + 1e-5);
        expect(statistics!.minimum[i]).toBeGreaterThan(-1 - 1e-5);
        expect(statistics!.maximum[i]).toBeGreaterThan(1 - 0.05 ** 2 / 2 - 1e-5);
        expect(statistics!.maximum[i]).toBeLessThan(1 + 1e-5);
      }
    }
  });
});

describe("events", () => {
  const ball = (n: number): Case => ({
    field: BALL,
    initial: Float32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? 10 + Math.floor(i / 2) : 0)),
    parameters: Float32Array.from({ length: n }, () => 8),
    start: 0,
    end: 4,
  });

  // From height x: t* = √(2x/g), v = −√(2 g x). Methods of order 2 and more solve the fall exactly but for rounding.
  test.each([
    { method: "tsit5", steps: { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } },
    { method: "heun", steps: { kind: "fixed", dt: 0.3 } },
    { method: "dopri5", steps: { kind: "fixed", count: 2 } },
  ] satisfies EnsembleInput[])("a ball reaches the ground: $method", async (options) => {
    const event = { terminal: true, direction: -1 } as const;
    const whole = await solveCase(gpu, ball(5), { ...options, event });
    expectSame(await solveCase(gpu, ball(5), { ...options, event, chunk: { steps: 1 } }), whole);
    const { status, times, states, events } = whole;
    for (let j = 0; j < 5; j++) {
      const height = 10 + j;
      expect(status[j]).toBe("event");
      expect(events!.counts[j]).toBe(1);
      expect(times[j]).toBe(events!.times[j]);
      const emulated = reference(ball(5), j, {
        ...referenceOptions(options),
        events: [{ ...event, value: (_t, y) => y[0] }],
        round: Math.fround,
      });
      close(times[j], emulated.t, exact && options.steps.kind === "fixed" ? 0 : 1e-5);
      // θ has 23 bits of a step of 2 at most; heights round in the 24th bit and fall with 12 to 16 a second.
      close(times[j], Math.sqrt((2 * height) / 8), 3e-6);
      close(states[2 * j], 0, 4e-5);
      close(states[2 * j + 1], -Math.sqrt(16 * height), 3e-5);
      expectSameBits(events!.states.slice(2 * j, 2 * j + 2), states.slice(2 * j, 2 * j + 2));
    }
    close(times[0], 1.5811388300841898, 3e-6);
    close(states[1], -12.649110640673518, 3e-5);
  });

  // x = cos t crosses 0 at π/2, 3π/2, …: downwards first.
  test("crossings are counted by direction, recorded up to the maximum, and end a solve at the one asked for", async () => {
    const source: Case = {
      field: SWING,
      initial: Float32Array.of(1, 0, -1, 0, 1, 0),
      start: 0,
      end: Float32Array.of(20, 20, -20),
    };
    const steps = { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } as const;
    const zeros = [0, 1, 2, 3, 4, 5].map((k) => (k + 0.5) * Math.PI);
    const all = await solveCase(gpu, source, { steps, event: { terminal: false, maximum: 4 } });
    expect(all.status).toEqual(["done", "done", "done"]);
    expect([...all.events!.counts]).toEqual([6, 6, 6]);
    for (let j = 0; j < 3; j++) {
      for (let e = 0; e < 4; e++) {
        const sign = j === 2 ? -1 : 1;
        close(all.events!.times[4 * j + e], sign * zeros[e], 1e-4);
        close(Math.abs(all.events!.states[2 * (4 * j + e) + 1]), 1, 1e-4);
      }
    }
    const up = await solveCase(gpu, source, { steps, event: { terminal: true, direction: 1, count: 2, maximum: 3 } });
    expect(up.status).toEqual(["event", "event", "event"]);
    expect([...up.events!.counts]).toEqual([2, 2, 2]);
    // −cos t rises at π/2 already.
    [zeros[3], zeros[2], -zeros[3]].forEach((time, j) => {
      close(up.times[j], time, 1e-4);
    });
    expect(Number.isNaN(up.events!.times[2])).toBe(true);
    const none = await solveCase(gpu, { ...source, end: 1 }, { steps, event: { direction: 1 } });
    expect(none.status).toEqual(["done", "done", "done"]);
    expect([...none.events!.counts]).toEqual([0, 0, 0]);
  });

  test("points of a grid are saved up to a terminal event", async () => {
    const times = [0, 0.5, 1, 1.5, 2, 3];
    const { saved } = await solveCase(gpu, ball(2), {
      method: "tsit5",
      save: { kind: "grid", times },
      event: { direction: -1 },
    });
    expect([...saved!.counts]).toEqual([4, 4]);
    for (const point of [0, 1, 2, 3]) {
      const time = times[point];
      close(saved!.states[2 * point], 10 - 4 * time * time, 2e-5);
    }
  });
});

describe("a solve", () => {
  test("reports progress, stops between chunks at a signal, and goes on to the same bits", async () => {
    const source = lorenz(130);
    const whole = await solveCase(gpu, source, adaptive);
    const solve = await EnsembleSolve.create(gpu, problemOf(source), { ...adaptive, chunk: { steps: 6 } });
    expect((await solve.status()).status).toEqual(Array(130).fill("not_finished"));
    const stop = new AbortController();
    const finished: number[] = [];
    const first = await solve.run({
      signal: stop.signal,
      onProgress: ({ status, counts }) => {
        expect(status).toBe("running");
        finished.push(counts.done);
        if (counts.done > 10) stop.abort();
      },
    });
    expect(first.status).toBe("cancelled");
    expect(first.counts.done).toBe(finished.at(-1));
    expect(first.counts.cancelled).toBe(130 - first.counts.done);
    expect((await solve.status()).status.filter((status) => status === "cancelled").length).toBe(
      first.counts.cancelled,
    );
    const times = await solve.times();
    expect(Math.min(...times)).toBeGreaterThan(0);
    expect(Math.min(...times)).toBeLessThan(1);
    // From here on fewer than half are left, and only they are dispatched.
    const second = await solve.run({ onProgress: ({ counts }) => finished.push(counts.done) });
    expect(second).toMatchObject({ status: "done", counts: { done: 130, cancelled: 0 } });
    expect(finished).toEqual([...finished].sort((a, b) => a - b));
    expect(finished.length).toBeGreaterThan(6);
    expect(second.accepted).toBe(whole.accepted.reduce((a, b) => a + b));
    expect(second.rejected).toBe(whole.rejected.reduce((a, b) => a + b));
    expectSameBits(await solve.states(), whole.states);
    solve.destroy();
    const aborted = await EnsembleSolve.create(gpu, problemOf(source), adaptive);
    expect(await aborted.run({ signal: AbortSignal.abort() })).toMatchObject({ status: "cancelled", accepted: 0 });
    aborted.destroy();
  });

  test("takes the memory of its plan and gives it back", async () => {
    const before = gpu.bytesInUse;
    const solve = await EnsembleSolve.create(gpu, problemOf(lorenz(1000)), {
      ...adaptive,
      save: { kind: "grid", times: [0.5, 1] },
    });
    await solve.run();
    const taken = gpu.bytesInUse - before;
    expect(taken).toBeGreaterThanOrEqual(solve.plan.bytes);
    // Besides: the recorder's parameters, totals, and sizes rounded up to 16.
    expect(taken).toBeLessThan(solve.plan.bytes + 256 * 4096 + 1024);
    solve.destroy();
    expect(gpu.bytesInUse).toBe(before);
  });

  test("reduces over trajectories that got to their end", async () => {
    const n = 4200;
    const source = pick(
      lorenz(21),
      Array.from({ length: n }, (_, j) => (j * 5) % 21),
    );
    const initial = source.initial.slice();
    initial[3 * 7] = Number.NaN;
    const solve = await EnsembleSolve.create(gpu, problemOf({ ...source, initial }), {
      ...adaptive,
      save: { kind: "grid", times: [0, 0.5, 1] },
    });
    await solve.run();
    const states = await solve.states();
    const saved = await solve.saved();
    const number = (of: string, point: number, i: number, j: number) =>
      of === "states" ? states[3 * j + i] : saved.states[3 * (3 * j + point) + i];
    for (const of of ["states", "saved"] as const) {
      const results = {
        mean: await solve.reduce({ kind: "mean", of }),
        variance: await solve.reduce({ kind: "variance", of }),
        minimum: await solve.reduce({ kind: "minimum", of }),
        maximum: await solve.reduce({ kind: "maximum", of }),
      };
      expectSameBits((await solve.reduce({ kind: "mean", of })).values, results.mean.values);
      const histogram = await solve.reduce({ kind: "histogram", of, bins: 5, low: -5, high: 20 });
      const points = of === "states" ? 1 : 3;
      for (let point = 0; point < points; point++) {
        expect(results.mean.counts[point]).toBe(n - 1);
        expect(histogram.counts[point]).toBe(n - 1);
        for (let i = 0; i < 3; i++) {
          const numbers = Array.from({ length: n }, (_, j) => number(of, point, i, j)).filter((_, j) => j !== 7);
          const mean = numbers.reduce((a, b) => a + b) / numbers.length;
          const square = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (numbers.length - 1);
          const at = 3 * point + i;
          const largest = Math.max(...numbers.map(Math.abs));
          // 64 additions in a slice, then two levels of at most 64 and 2.
          close(results.mean.values[at], mean, 3 * 130 * EPSILON * largest);
          close(results.variance.values[at], square, 3 * 130 * EPSILON * largest ** 2);
          expect(results.minimum.values[at]).toBe(Math.min(...numbers));
          expect(results.maximum.values[at]).toBe(Math.max(...numbers));
          const bins = Array(7).fill(0);
          for (const x of numbers) bins[x < -5 ? 5 : x > 20 ? 6 : Math.min(4, Math.floor((x + 5) / 5))]++;
          const counted = [...histogram.values.subarray(7 * at, 7 * at + 7)];
          // A number on the edge of two bins may be rounded into either.
          const edges = numbers.filter((x) => Math.abs((x + 5) / 5 - Math.round((x + 5) / 5)) < 4 * EPSILON * 5).length;
          expect(counted.reduce((a, b) => a + b)).toBe(n - 1);
          counted.forEach((count, bin) => {
            close(count, bins[bin], edges);
          });
        }
      }
    }
    solve.destroy();
  });
});

describe("a wrong problem or option is a ConfigError that names it", () => {
  const problem = problemOf(lorenz(3));
  const swing = problemOf({ field: SWING, initial: Float32Array.of(1, 0), start: 0, end: 1 });
  test.each([
    ["initial", { ...problem, initial: new Float32Array(7) }, {}],
    ["initial", { ...problem, initial: new Float32Array(0) }, {}],
    ["parameters", { ...problem, parameters: new Float32Array(4) }, {}],
    ["start", { ...problem, start: Number.NaN }, {}],
    ["end[2]", { ...problem, end: Float32Array.of(1, 1, Number.POSITIVE_INFINITY) }, {}],
    ["end", { ...problem, end: new Float32Array(2) }, {}],
    ["rtol[1]", { ...problem, rtol: Float32Array.of(1e-3, -1e-3, 0) }, {}],
    ["rtol", { ...problem, rtol: new Float32Array(3) }, fixed],
    ["field", { ...problem, field: "lorentz" as "lorenz" }, {}],
    ["field.dimension", { ...problem, field: { name: "x", dimension: 0, parameters: 0, source: "x" } }, {}],
    ["steps.rtol", problem, { steps: { kind: "adaptive", rtol: -1 } }],
    ["steps.atol", problem, { steps: { kind: "adaptive", atol: [1, 1] } }],
    ["steps.dt", problem, { steps: { kind: "fixed" } }],
    ["steps.dt", problem, { steps: { kind: "fixed", dt: 1e-9 } }],
    ["method", problem, { method: "rk4" }],
    ["save.times", problem, { save: { kind: "grid", times: [0, 2] } }],
    ["save.times", problem, { save: { kind: "grid", times: [0.5, 0.25] } }],
    ["save.times[1]", problem, { save: { kind: "grid", times: [[0.5], [-1], []] } }],
    ["save.times", problem, { save: { kind: "grid", times: [[0.5], [1]] } }],
    ["event", problem, { event: {} }],
    ["event.count", swing, { event: { count: 0 } }],
  ] satisfies [string, EnsembleProblem, EnsembleInput][])("%s", async (field, wrong, options) => {
    const created = EnsembleSolve.create(gpu, wrong, options);
    await expect(created).rejects.toBeInstanceOf(ConfigError);
    await expect(created).rejects.toMatchObject({ field });
  });

  test("results that a solve does not have", async () => {
    const solve = await EnsembleSolve.create(gpu, problem);
    await expect(solve.saved()).rejects.toMatchObject({ field: "save.kind" });
    await expect(solve.statistics()).rejects.toMatchObject({ field: "save.kind" });
    await expect(solve.events()).rejects.toMatchObject({ field: "event" });
    await expect(solve.reduce({ kind: "mean", of: "saved" })).rejects.toMatchObject({ field: "of" });
    await expect(solve.reduce({ kind: "histogram", bins: 3, low: 1, high: 1 })).rejects.toMatchObject({
      field: "reduction.high",
    });
    solve.destroy();
  });
});

/** Steps and method as the reference takes them. */
function referenceOptions({ method, steps }: EnsembleInput) {
  return { method: method!, steps: steps as Parameters<typeof reference>[2]["steps"] };
}
