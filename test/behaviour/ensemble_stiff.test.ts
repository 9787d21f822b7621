import { describe, expect, test } from "vitest";
import { ConfigError, FieldError } from "../../src/config/errors.ts";
import type { EnsembleInput, SolveMethod } from "../../src/config/ode.ts";
import { EnsembleSolve } from "../../src/ode/ensemble.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { integrate } from "../../src/reference/ode.ts";
import { ROBERTSON_VALUES } from "../../src/reference/ode_problems.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";
import { type Case, expectSameBits, N1, pick, reference, SWING, solveCase } from "../support/ode_ensembles.ts";

const gpu = await openTestDevice();
/**
 * Where the device neither fuses nor reorders operations, steps of given length have the bits of the float32 emulation; with
 * adaptive ones powers in the controller differ in their last bits. Rosenbrock23 has two equal weights side by side, which
 * SwiftShader's compiler factors out: (b u_1) + (b u_2) = b (u_1 + u_2) rounds once less.
 */
const exact = /SwiftShader/.test(gpu.name);

const IMPLICIT = ["rosenbrock23", "rodas4", "rodas5p", "kvaerno3", "kvaerno5"] as const satisfies SolveMethod[];
const METHODS = [...IMPLICIT, "leapfrog", "reversible-heun"] as const;

// N1 as in ensemble_methods.test.ts; without a Jacobian, so that there are differences, and with one.
const spans = [
  [0, 1],
  [1, 0],
  [0, 0.5],
  [0.25, 0.25],
  [-1, 1],
  [0.75, -0.5],
  [0, 1],
] as const;
const differences: Case = {
  field: N1,
  initial: Float32Array.from(spans.flatMap((_, j) => [1.1 - 0.2 * j, 2.2 - 0.3 * j])),
  start: Float32Array.from(spans, ([t0]) => t0),
  end: Float32Array.from(spans, ([, t1]) => t1),
};
const withJacobian: Case = {
  ...differences,
  field: {
    ...N1,
    name: "N1 with its Jacobian",
    source: `${N1.source}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> { return array<State, DIM>(State(t, 1.0), State(0.0, t)); }`,
    system: { ...N1.system, jacobian: (t, _y, _p, matrix) => matrix.set([t, 1, 0, t]) },
  },
};
/** Shorter steps have error estimates that are rounding errors, and then step sizes are as well. */
const FIRST_STEP = 0.3;
// As there: the Lipschitz constant of the field.
const LIPSCHITZ = 2;

test.each(METHODS)("fixed steps of %s are those of the reference", async (method) => {
  const steps = { kind: "fixed", count: 11 } as const;
  const result = await solveCase(gpu, differences, { method, steps });
  spans.forEach(([t0, t1], j) => {
    const emulated = reference(differences, j, { method, steps, round: Math.fround });
    expect(result.status[j]).toBe("done");
    expect(result.times[j]).toBe(t1);
    expect(result.accepted[j]).toBe(emulated.accepted);
    if (exact) expect(result.evaluations[j]).toBe(emulated.evaluations);
    const y = [...result.states.subarray(2 * j, 2 * j + 2)];
    if (exact && method !== "rosenbrock23") expect(y).toEqual([...emulated.y]);
    // Eleven steps of at most 300 roundings of numbers up to 10, weights of up to 32; differences magnify those of f by
    // 1/√ε to 2^-11.5 in h J, which is at most 1/2 here and enters with h f.
    const bound = 11 * 300 * EPSILON * 10 * Math.exp(LIPSCHITZ * Math.abs(t1 - t0));
    y.forEach((value, i) => {
      expect(Math.abs(value - emulated.y[i])).toBeLessThanOrEqual(bound);
    });
  });
});

test.each(METHODS.filter((method) => method !== "leapfrog"))(
  "adaptive steps of %s are those of the reference",
  async (method) => {
    const [rtol, atol] = [1e-4, 1e-4];
    const steps = { kind: "adaptive", rtol, atol } as const;
    const result = await solveCase(gpu, withJacobian, { method, steps: { ...steps, initialStep: FIRST_STEP } });
    spans.forEach(([t0, t1], j) => {
      const emulated = reference(withJacobian, j, {
        method,
        steps: { ...steps, dt0: FIRST_STEP },
        round: Math.fround,
      });
      expect(result.status[j]).toBe("done");
      expect(result.times[j]).toBe(t1);
      const slack = exact ? 0 : 2;
      expect(Math.abs(result.accepted[j] - emulated.accepted)).toBeLessThanOrEqual(slack);
      expect(Math.abs(result.rejected[j] - emulated.rejected)).toBeLessThanOrEqual(slack);
      for (let i = 0; i < 2; i++) {
        // Both have an error of the tolerance in every step.
        const tolerance = (emulated.accepted + 1) * (atol + rtol * 6) * Math.exp(LIPSCHITZ * Math.abs(t1 - t0));
        expect(Math.abs(result.states[2 * j + i] - emulated.y[i])).toBeLessThanOrEqual(tolerance);
      }
    });
  },
);

describe("stiff problems", () => {
  // Its solution of 20 digits; 1e-3 is what float32 allows (the derivative of b is a difference of numbers 1e5 times as large).
  test.each(IMPLICIT)("Robertson to t = 100 by %s", async (method) => {
    const { y } = ROBERTSON_VALUES.find(({ id }) => id === "robertson, t = 100")!;
    const source: Case = { field: "robertson", initial: Float32Array.of(1, 0, 0, 1, 0, 0), start: 0, end: 100 };
    const { states, status, accepted } = await solveCase(gpu, source, {
      method,
      steps: { kind: "adaptive", rtol: 1e-5, atol: 1e-8 },
    });
    expect(status).toEqual(["done", "done"]);
    expect(accepted[0]).toBeLessThan(200);
    y.forEach((value, i) => {
      expect(Math.abs(states[i] - value)).toBeLessThanOrEqual(1e-3 * value);
    });
  });

  // On the slow manifold before and after the first jump, at t ≈ 807.
  test.each(["rosenbrock23", "rodas5p", "kvaerno5"] as const)("Van der Pol with μ = 1000 by %s", async (method) => {
    const source: Case = {
      field: "van-der-pol",
      initial: Float32Array.of(2, 0, 2, 0),
      parameters: Float32Array.of(1000, 1000),
      start: 0,
      end: Float32Array.of(500, 1200),
    };
    const { states, status, accepted } = await solveCase(gpu, source, {
      method,
      steps: { kind: "adaptive", rtol: 1e-3, atol: 1e-5 },
    });
    expect(status).toEqual(["done", "done"]);
    for (const j of [0, 1]) {
      const steps = { kind: "adaptive", rtol: 1e-9, atol: 1e-12 } as const;
      const { y } = reference(source, j, { method: "rodas5p", steps });
      expect(accepted[j]).toBeLessThan(1000);
      expect(Math.abs(states[2 * j] - y[0])).toBeLessThanOrEqual(j === 0 ? 1e-3 : 1e-2);
    }
  });

  // y' = p y with (I − γ h J) = 0 in one trajectory, γ = 1/4 and h = 1/2.
  test("a singular matrix and numbers that are not finite harm no neighbour", async () => {
    const rates = Float32Array.of(-1, 8, -2, -3);
    const source: Case = {
      field: "exponential",
      initial: Float32Array.of(1, 1, Number.NaN, 1),
      parameters: rates,
      start: 0,
      end: 1,
    };
    const steps = { kind: "fixed", count: 2 } as const;
    const { status, states, times } = await solveCase(gpu, source, { method: "rodas4", steps });
    expect(status).toEqual(["done", "non_finite", "non_finite", "done"]);
    expect([states[1], times[1]]).toEqual([1, 0]);
    for (const j of [0, 3]) {
      const { y } = integrate(FIELDS.exponential, {
        method: "rodas4",
        t0: 0,
        t1: 1,
        y0: [1],
        parameters: [rates[j]],
        steps,
        round: Math.fround,
      });
      expect(Math.abs(states[j] - y[0])).toBeLessThanOrEqual(300 * EPSILON);
    }
    const adaptive = await solveCase(gpu, source, { method: "kvaerno3", steps: { kind: "adaptive" } });
    expect(adaptive.status).toEqual(["done", "done", adaptive.status[2], "done"]);
    expect(adaptive.status[2]).toMatch(/non_finite|newton_fail/);
    for (const j of [0, 1, 3]) {
      // An error of 1e-6 of the largest number in each step.
      const tolerance = (adaptive.accepted[j] + 1) * 2e-6 * Math.max(1, Math.exp(rates[j]));
      expect(Math.abs(adaptive.states[j] - Math.exp(rates[j]))).toBeLessThanOrEqual(tolerance);
    }
  });

  test("Newton's method fails: a status with fixed steps, shorter steps otherwise", async () => {
    const source: Case = { field: "lorenz", initial: Float32Array.of(1, 0, 0), start: 0, end: 4 };
    const fixed = await solveCase(gpu, source, { method: "kvaerno3", steps: { kind: "fixed", count: 8 } });
    expect(fixed.status).toEqual(["newton_fail"]);
    expect(fixed.accepted[0]).toBeLessThan(8);
    const adaptive = await solveCase(gpu, source, {
      method: "kvaerno3",
      steps: { kind: "adaptive", rtol: 1e-3, atol: 1e-3, initialStep: 0.5 },
    });
    expect(adaptive.status).toEqual(["done"]);
    expect(adaptive.rejected[0]).toBeGreaterThan(0);
  });

  // Nine components: loops over memory instead of registers. Neighbours of a ring with a drift, y_i' = y_{i−1} − 2 y_i + t.
  test.each(["rodas4", "kvaerno3"] as const)("systems too large for registers by %s", async (method) => {
    const dimension = 9;
    const source: Case = {
      field: {
        name: "ring",
        dimension,
        parameters: 0,
        source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  var dydt = State();
  for (var i = 0u; i < DIM; i++) { dydt[i] = (y[(i + DIM - 1u) % DIM] - 2.0 * y[i]) + t; }
  return dydt;
}`,
        system: {
          dimension,
          evaluate: (t, y, _p, dydt, round) => {
            for (let i = 0; i < dimension; i++)
              dydt[i] = round(round(y[(i + dimension - 1) % dimension] - round(2 * y[i])) + t);
          },
        },
      },
      initial: Float32Array.from({ length: dimension }, (_, i) => Math.cos(i)),
      start: 0,
      end: 1,
    };
    const steps = { kind: "fixed", count: 3 } as const;
    const { states, status } = await solveCase(gpu, source, { method, steps });
    const emulated = reference(source, 0, { method, steps, round: Math.fround });
    expect(status).toEqual(["done"]);
    if (exact) expect([...states]).toEqual([...emulated.y]);
    emulated.y.forEach((value, i) => {
      expect(Math.abs(states[i] - value)).toBeLessThanOrEqual(3 * 300 * EPSILON * 10);
    });
  });
});

// ẍ = −x/r³ with eccentricity 0.3: the energy error of a symplectic method is bounded, that of others grows with time.
test("the energy of Kepler's problem stays by leapfrog over ten thousand steps", async () => {
  const [steps, every] = [10_000, 20];
  const { saved } = await solveCase(
    gpu,
    {
      field: "kepler",
      initial: Float32Array.of(0.7, 0, 0, Math.sqrt(1.3 / 0.7)),
      start: 0,
      end: 200,
    },
    { method: "leapfrog", steps: { kind: "fixed", count: steps }, save: { kind: "steps", every } },
  );
  const energy = FIELDS.kepler.invariants.find(({ name }) => name === "energy")!;
  const points = steps / every;
  const errors = Array.from({ length: points }, (_, k) =>
    Math.abs(energy.value(Float64Array.from(saved!.states.subarray(4 * k, 4 * k + 4)), [1]) + 0.5),
  );
  const early = Math.max(...errors.slice(0, points / 5));
  // Rounding is a walk: √steps of 2^-24 of the energies' size, 1, times a dozen operations a step.
  const walk = 12 * Math.sqrt(steps) * EPSILON;
  expect(early).toBeGreaterThan(1e-5);
  expect(early).toBeLessThan(1e-2);
  expect(Math.max(...errors.slice((4 * points) / 5))).toBeLessThanOrEqual(1.05 * early + walk);
});

// Bits do not depend on chunks, nor on neighbours; grids and events go by the method's own interpolant.
describe("what the driver offers", () => {
  const source: Case = {
    field: SWING,
    initial: Float32Array.from({ length: 14 }, (_, i) => Math.sin(i) + 1.5),
    start: 0,
    end: 3,
  };
  const adaptive = { kind: "adaptive", rtol: 1e-3, atol: 1e-3, initialStep: FIRST_STEP } as const;
  const cases: [SolveMethod, EnsembleInput][] = [
    ["rosenbrock23", { steps: adaptive, save: { kind: "grid", times: [0, 0.5, 1.7, 3] } }],
    ["kvaerno3", { steps: adaptive, save: { kind: "grid", times: [0.5, 1.7] } }],
    ["leapfrog", { steps: { kind: "fixed", count: 40 }, save: { kind: "grid", times: [0.5, 1.7] } }],
    ["reversible-heun", { steps: adaptive, save: { kind: "grid", times: [0.5, 1.7] } }],
  ];
  test.each(cases)("%s", async (method, options) => {
    const all = { ...options, method, event: { terminal: false, direction: -1, maximum: 2 } } as const;
    const whole = await solveCase(gpu, source, { ...all, chunk: { steps: 100_000 } });
    expect(whole.summary.counts.done).toBe(7);
    const chunked = await solveCase(gpu, source, { ...all, chunk: { steps: 3 } });
    const which = [6, 6, 0, 3, ...Array(70).fill(2)];
    const embedded = await solveCase(gpu, pick(source, which), all);
    for (const name of ["states", "times", "accepted", "rejected", "evaluations"] as const)
      expectSameBits(chunked[name], whole[name]);
    expectSameBits(chunked.saved!.states, whole.saved!.states);
    expectSameBits(chunked.events!.times, whole.events!.times);
    which.forEach((j, k) => {
      expectSameBits(embedded.states.slice(2 * k, 2 * k + 2), whole.states.slice(2 * j, 2 * j + 2));
      expect(embedded.accepted[k]).toBe(whole.accepted[j]);
    });
    const points = whole.saved!.offsets[1];
    for (let j = 0; j < 7; j++) {
      const emulated = reference(source, j, {
        method,
        steps: options.steps === adaptive ? { ...adaptive, dt0: FIRST_STEP } : { kind: "fixed", count: 40 },
        save: options.save as { kind: "grid"; times: number[] },
        events: [{ value: (_t, y) => y[0], direction: -1, terminal: false }],
        round: Math.fround,
      });
      expect(whole.accepted[j]).toBe(emulated.accepted);
      expect(whole.events!.counts[j]).toBe(emulated.events[0].count);
      // Rounding of numbers up to 4 over the steps, and controllers that differ in their last bits.
      const tolerance = (emulated.accepted + 1) * 300 * EPSILON * 4;
      emulated.states.forEach((value, i) => {
        expect(Math.abs(whole.saved!.states[2 * points * j + i] - value)).toBeLessThanOrEqual(tolerance);
      });
      emulated.events[0].times.forEach((time, e) => {
        expect(Math.abs(whole.events!.times[2 * j + e] - time)).toBeLessThanOrEqual(tolerance);
      });
    }
  });
});

describe("refused", () => {
  const field = (dimension: number, more = "") => ({
    name: "mine.wgsl",
    dimension,
    parameters: 0,
    source: `fn vector_field(t: f32, y: State, p: Params) -> State { return y; }${more}`,
  });
  const create = (dimension: number, options: EnsembleInput, more?: string) => {
    const initial = new Float32Array(dimension).fill(1);
    return EnsembleSolve.create(gpu, { field: field(dimension, more), initial, start: 0, end: 1 }, options);
  };
  const fixed = { kind: "fixed", count: 2 } as const;

  test.each([
    ["more components than implicit methods take", 17, { method: "rodas4", steps: fixed }, /at most 16/],
    ["half a pair", 3, { method: "leapfrog", steps: fixed }, /y = \(q, p\)/],
    ["adaptive steps without an estimate", 2, { method: "leapfrog" }, /embedded method/],
  ] satisfies [string, number, EnsembleInput, RegExp][])("%s", async (_, dimension, options, message) => {
    await expect(create(dimension, options)).rejects.toThrow(ConfigError);
    await expect(create(dimension, options)).rejects.toThrow(message);
  });

  test("a Jacobian that is not that of the field", async () => {
    const wrong =
      "fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> { return array<State, DIM>(State(2.0)); }";
    await expect(create(1, { method: "rodas4" }, wrong)).rejects.toThrow(FieldError);
    const unused = await create(1, { method: "tsit5" }, wrong);
    unused.destroy();
  });
});
