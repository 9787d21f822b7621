import { describe, expect, test } from "vitest";
import { type EnsembleInput, EXPLICIT_METHODS } from "../../src/config/ode.ts";
import { EnsembleSolve } from "../../src/ode/ensemble.ts";
import type { EnsembleCotangents, EnsembleGradient } from "../../src/ode/ensemble_types.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import type { MethodName } from "../../src/ode/tableaus.ts";
import { integrate, type OdeOptions } from "../../src/reference/ode.ts";
import { type Cotangents, type OdeGradient, replayGradient } from "../../src/reference/ode_adjoint.ts";
import { openTestDevice } from "../support/device.ts";
import { BALL, BLOW_UP, type Case, expectSameBits, problemOf, reference } from "../support/ode_ensembles.ts";
import { DECAY, LINEAR, SWELL, type SystemField } from "../support/ode_gradient_fields.ts";
import { GRADIENT_PROBLEMS, landing } from "../support/ode_gradients.ts";

const gpu = await openTestDevice();
const exact = /SwiftShader/.test(gpu.name);

const FALL: SystemField = {
  ...BALL,
  source: `${BALL.source}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(0.0, w[0]), Params(-w[1]), 0.0);
}`,
};

function lorenz(n: number, shared = false): Case {
  return {
    field: "lorenz",
    initial: Float32Array.from({ length: 3 * n }, (_, i) => [1, 0.5, 20][i % 3] + 0.01 * Math.floor(i / 3)),
    parameters: shared
      ? Float32Array.of(10, 28, 8 / 3)
      : Float32Array.from({ length: 3 * n }, (_, i) => [10, 1 + (27 * Math.floor(i / 3)) / n, 8 / 3][i % 3]),
    start: 0,
    end: 1,
  };
}

async function gradientOf(source: Case, options: EnsembleInput, cotangents: EnsembleCotangents) {
  const solve = await EnsembleSolve.create(gpu, problemOf(source), { adjoint: "replay", ...options });
  await solve.run();
  const gradient = await solve.gradient(cotangents);
  const { status } = await solve.status();
  const times = await solve.times();
  solve.destroy();
  await gpu.settle();
  return { ...gradient, status, times };
}

const FIELDS_OF = ["initial", "parameters", "start", "end"] as const;
function expectSame(a: EnsembleGradient, b: EnsembleGradient): void {
  for (const name of FIELDS_OF) expectSameBits(a[name], b[name]);
}

const systemOf = ({ field }: Case) => (typeof field === "string" ? FIELDS[field] : (field as SystemField).system);

/** Gradient of the float64 solve with the steps of the float32 solve. */
function replayed(
  source: Case,
  j: number,
  options: Pick<OdeOptions, "method" | "steps" | "events">,
  cotangents: Cotangents,
  times?: readonly number[],
): OdeGradient {
  const solution = reference(source, j, { ...options, round: Math.fround });
  const system = systemOf(source);
  const { dimension } = system;
  const n = source.initial.length / dimension;
  const builtIn = typeof source.field === "string" ? FIELDS[source.field] : undefined;
  const parameters = source.parameters ?? Float32Array.from(builtIn?.defaults ?? []);
  const width = builtIn?.parameters.length ?? ((source.field as SystemField).parameters as number);
  return replayGradient(
    system,
    {
      method: options.method,
      t0: typeof source.start === "number" ? source.start : source.start[j],
      y0: source.initial.subarray(j * dimension, (j + 1) * dimension),
      parameters:
        parameters.length === width * n && n > 1 ? parameters.subarray(j * width, (j + 1) * width) : parameters,
      steps: solution.steps,
      ...(times && { times }),
      ...(solution.ended && { theta: solution.ended.theta }),
    },
    cotangents,
  );
}

/** As gradsolve tests it: relative distance at most 1e-3, cosine at least 1 − 1e-6. */
function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-3): void {
  const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));
  const distance = norm(Array.from(actual, (x, i) => x - expected[i]));
  expect(distance / norm(expected)).toBeLessThan(tolerance);
  const cosine = Array.from(actual).reduce((sum, x, i) => sum + x * expected[i], 0) / norm(actual) / norm(expected);
  expect(cosine).toBeGreaterThan(1 - 1e-6);
}

const row = (x: Float32Array, j: number, width: number) => x.subarray(j * width, (j + 1) * width);

const closedForms = GRADIENT_PROBLEMS.filter(({ id }) => ["G1", "G2", "G3", "G5", "G6"].includes(id));
const fieldOf: Record<string, Case["field"]> = {
  G1: "exponential",
  G2: DECAY,
  G3: "logistic",
  G5: LINEAR,
  G6: "harmonic-oscillator",
};
test.each(closedForms)("$id has the gradient of its closed form", async (problem) => {
  const source: Case = {
    field: fieldOf[problem.id],
    initial: Float32Array.from(problem.y0),
    parameters: Float32Array.from(problem.parameters),
    start: problem.t0,
    end: problem.t1,
  };
  // Error of the method 1e-9; the rest is rounding of 40 steps.
  const gradient = await gradientOf(
    source,
    { method: "tsit5", steps: { kind: "fixed", count: 40 } },
    { states: Float32Array.from(problem.cotangent) },
  );
  expectClose(gradient.initial, problem.gradY0, 1e-5);
  expectClose(gradient.parameters, problem.gradParameters, 1e-5);
});

describe("is that of the float64 solve on the same mesh", () => {
  const METHODS_OF: readonly MethodName[] = [...EXPLICIT_METHODS, "kvaerno3"];
  test.each(METHODS_OF)("%s, by everything, with f that depends on t", async (method) => {
    const source: Case = {
      field: SWELL,
      initial: Float32Array.of(1.2, 0.7, -1),
      parameters: Float32Array.of(0.8, -0.5, 1.1),
      start: Float32Array.of(0, 0.3, 1),
      end: Float32Array.of(1, 1.5, -0.5),
    };
    const cotangents = Float32Array.of(1, -2, 0.5);
    const gradient = await gradientOf(
      source,
      { method: method as "rk4", steps: { kind: "fixed", count: 11 } },
      { states: cotangents },
    );
    for (const j of [0, 1, 2]) {
      const expected = replayed(source, j, { method, steps: { kind: "fixed", count: 11 } }, { y: [cotangents[j]] });
      for (const [actual, value] of [
        [gradient.initial[j], expected.y0[0]],
        [gradient.parameters[j], expected.parameters[0]],
        [gradient.start[j], expected.t0],
        [gradient.end[j], expected.t1],
      ]) {
        expect(Math.abs(actual - value)).toBeLessThan(2e-5 * Math.max(Math.abs(value), 0.1));
      }
    }
  });

  const adaptive = { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } as const;
  test.each(["tsit5", "heun"] as const)("adaptive %s on Lorenz", async (method) => {
    const n = 67;
    const source = lorenz(n);
    const steps = method === "heun" ? { ...adaptive, rtol: 1e-3, atol: 1e-3 } : adaptive;
    const states = Float32Array.from({ length: 3 * n }, (_, i) => Math.cos(i));
    const gradient = await gradientOf(source, { method, steps }, { states });
    expect(gradient.missing).toBe(0);
    for (const j of [0, 33, 64, 66]) {
      const expected = replayed(source, j, { method, steps }, { y: row(states, j, 3) });
      expectClose(row(gradient.initial, j, 3), expected.y0);
      expectClose(row(gradient.parameters, j, 3), expected.parameters);
      expectClose([gradient.start[j], gradient.end[j]], [expected.t0, expected.t1]);
    }
  });

  test("leapfrog on a pendulum", async () => {
    const source: Case = {
      field: "pendulum",
      initial: Float32Array.of(1, 0.2, -2, 0.5),
      start: 0,
      end: Float32Array.of(5, 3),
    };
    const options = { method: "leapfrog", steps: { kind: "fixed", count: 50 } } as const;
    const states = Float32Array.of(1, -0.5, 0.3, 2);
    const gradient = await gradientOf(source, { ...options, record: { every: 16 } }, { states });
    const total = new Float64Array(gradient.parameters.length);
    for (const j of [0, 1]) {
      const expected = replayed(source, j, options, { y: row(states, j, 2) });
      expectClose(row(gradient.initial, j, 2), expected.y0, 1e-5);
      expectClose([gradient.start[j], gradient.end[j]], [expected.t0, expected.t1], 1e-4);
      expected.parameters.forEach((value, i) => {
        total[i] += value;
      });
    }
    expectClose(gradient.parameters, total, 1e-5);
  });

  test("kvaerno5 on Van der Pol, at the end and on a grid", async () => {
    const stiff = { kind: "adaptive", rtol: 1e-5, atol: 1e-8 } as const;
    const source: Case = {
      field: "van-der-pol",
      initial: Float32Array.of(2, 0, 1.5, 0.1),
      parameters: Float32Array.of(3, 5),
      start: 0,
      end: Float32Array.of(6, 4),
    };
    const states = Float32Array.of(1, 0, 1, 0);
    const options = { method: "kvaerno5", steps: stiff } as const;
    const times = [0.5, 1.75, 3.9];
    const saved = Float32Array.of(1, -2, 0.5, 1, -1, 2, 1, 1, 1, 1, 1, 1);
    const gradient = await gradientOf(source, { ...options, save: { kind: "grid", times } }, { states, saved });
    for (const j of [0, 1]) {
      const expected = replayed(source, j, options, { y: row(states, j, 2), states: row(saved, j, 6) }, times);
      expectClose(row(gradient.initial, j, 2), expected.y0);
      expectClose(row(gradient.parameters, j, 1), expected.parameters);
    }
  });

  // The solve itself is off by some 1e-5: the exact gradient, from a much finer one by another method.
  test("kvaerno5 on Robertson is near the exact one", async () => {
    const source: Case = { field: "robertson", initial: Float32Array.of(1, 0, 0), start: 0, end: 40 };
    const states = Float32Array.of(1, 100, -0.5);
    const gradient = await gradientOf(
      source,
      { method: "kvaerno5", steps: { kind: "adaptive", rtol: 1e-5, atol: 1e-9 } },
      { states },
    );
    const { robertson } = FIELDS;
    const fine = { kind: "adaptive", rtol: 1e-9, atol: 1e-13 } as const;
    const { steps } = integrate(robertson, {
      method: "rodas5p",
      t0: 0,
      t1: 40,
      y0: [1, 0, 0],
      parameters: robertson.defaults,
      steps: fine,
    });
    const solve = { method: "rodas5p", t0: 0, y0: [1, 0, 0], parameters: robertson.defaults, steps } as const;
    const expected = replayGradient(robertson, solve, { y: states });
    expectClose(gradient.initial, expected.y0);
    gradient.parameters.forEach((value, i) => {
      expect(Math.abs(value / expected.parameters[i] - 1)).toBeLessThan(1e-3);
    });
  });

  test.each([
    ["tsit5", adaptive, [0, 0.11, 0.4, 0.41, 0.9]],
    ["rk4", { kind: "fixed", count: 50 }, [0, 0.1, 0.37, 0.99]],
  ] as const)("%s with cotangents at a grid", async (method, steps, times) => {
    const n = 5;
    const source = lorenz(n);
    const grid = times.map(Math.fround);
    const states = new Float32Array(3 * n).fill(0.3);
    const saved = Float32Array.from({ length: 3 * n * grid.length }, (_, i) => Math.sin(1 + i));
    const gradient = await gradientOf(
      source,
      { method, steps, save: { kind: "grid", times: grid } },
      { states, saved },
    );
    for (let j = 0; j < n; j++) {
      const own = row(saved, j, 3 * grid.length);
      const expected = replayed(source, j, { method, steps }, { y: row(states, j, 3), states: own }, grid);
      expectClose(row(gradient.initial, j, 3), expected.y0);
      expectClose(row(gradient.parameters, j, 3), expected.parameters);
      expectClose([gradient.start[j], gradient.end[j]], [expected.t0, expected.t1]);
    }
  });

  test("points at t0 and t1 are the states there", async () => {
    const source = lorenz(1);
    const options: EnsembleInput = { method: "tsit5", steps: adaptive, save: { kind: "grid", times: [0, 1] } };
    const c = [0.3, -1, 2];
    const zero = [0, 0, 0];
    const states = await gradientOf(source, options, { states: Float32Array.from(c) });
    expectSame(await gradientOf(source, options, { saved: Float32Array.from([...zero, ...c]) }), states);
    const start = await gradientOf(source, options, { saved: Float32Array.from([...c, ...zero]) });
    expect([...start.initial]).toEqual([...Float32Array.from(c)]);
    expect([...start.parameters, start.start[0], start.end[0]]).toEqual([0, 0, 0, 0, 0]);
  });

  test("every third step, and as many points as there is room for", async () => {
    const source = lorenz(2);
    const [steps, every, capacity] = [{ kind: "fixed", count: 16 } as const, 3, 4];
    const saved = Float32Array.from({ length: 2 * 3 * capacity }, (_, i) => Math.sin(1 + i));
    const gradient = await gradientOf(
      source,
      { method: "rk4", steps, save: { kind: "steps", every, capacity } },
      { saved },
    );
    const times = Array.from({ length: capacity }, (_, k) => (every * (k + 1)) / 16);
    for (const j of [0, 1]) {
      const own = row(saved, j, 3 * capacity);
      const expected = replayed(source, j, { method: "rk4", steps }, { y: [0, 0, 0], states: own }, times);
      expectClose(row(gradient.initial, j, 3), expected.y0);
      expectClose(row(gradient.parameters, j, 3), expected.parameters);
      expect(gradient.end[j]).toBe(0);
    }
  });
});

describe("of an event", () => {
  const [n, g] = [3, 8];
  const heights = Float32Array.of(10, 2, 7);
  const source: Case = {
    field: FALL,
    initial: Float32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? heights[i / 2] : 0)),
    parameters: new Float32Array(n).fill(g),
    start: 0,
    end: Float32Array.of(10, 10, 0.5),
  };
  const event = { direction: -1 } as const;

  test.each([
    ["tsit5", { kind: "adaptive", rtol: 1e-6, atol: 1e-6 }],
    ["rk4", { kind: "fixed", dt: 0.09 }],
  ] as const)("%s: time and speed of the landing, and of one that does not land", async (method, steps) => {
    const time = await gradientOf(source, { method, steps, event }, { endTimes: Float32Array.of(1, 1, 1) });
    const speed = await gradientOf(source, { method, steps, event }, { states: Float32Array.of(0, 1, 0, 1, 0, 1) });
    expect(time.status).toEqual(["event", "event", "done"]);
    for (const j of [0, 1]) {
      const exactly = landing(heights[j], g);
      expectClose([time.initial[2 * j], time.parameters[j]], [exactly.timeByX0, exactly.timeByG], 1e-5);
      expectClose([speed.initial[2 * j], speed.parameters[j]], [exactly.speedByX0, exactly.speedByG], 1e-5);
      // The fall does not depend on when it begins, but the time of its end does.
      expect(time.start[j]).toBeCloseTo(1, 4);
      expect(time.end[j]).toBe(0);
    }
    expect([...row(time.initial, 2, 2), time.parameters[2], time.start[2]]).toEqual([0, 0, 0, 0]);
    expect(time.end[2]).toBe(1);
    expect(speed.end[2]).toBeCloseTo(-g, 4);
    expect(speed.parameters[2]).toBeCloseTo(-0.5, 5);
  });

  test("with points saved before it, of a field that depends on t", async () => {
    const field: SystemField = {
      ...SWELL,
      source: `${SWELL.source}\nfn event_value(t: f32, y: State, p: Params) -> f32 { return y[0] - 2.0 * p[0] + 0.1 * t; }`,
    };
    const rising: Case = { field, initial: Float32Array.of(1), parameters: Float32Array.of(0.9), start: 0, end: 3 };
    const steps = { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } as const;
    const times = [0.5, 0.75, 1, 2.9];
    const saved = Float32Array.of(1, -2, 0.5, 4);
    const gradient = await gradientOf(
      rising,
      { method: "dopri5", steps, event: {}, save: { kind: "grid", times } },
      { states: Float32Array.of(0.7), endTimes: Float32Array.of(-1.3), saved },
    );
    expect(gradient.status).toEqual(["event"]);
    const crossing = {
      terminal: true,
      value: (t: number, y: Float64Array, p: ArrayLike<number>) => y[0] - 2 * p[0] + 0.1 * t,
      gradient: (_t: number, _y: Float64Array, _p: ArrayLike<number>, gradY: Float64Array, gradP: Float64Array) => {
        gradY[0] = 1;
        gradP[0] = -2;
        return 0.1;
      },
    };
    const expected = replayed(
      rising,
      0,
      { method: "dopri5", steps, events: [crossing] },
      { y: [0.7], states: [1, -2, 0.5], event: { event: crossing, time: -1.3 } },
      [0.5, 0.75, 1],
    );
    expect(gradient.times[0]).toBeGreaterThan(1);
    expectClose(
      [gradient.initial[0], gradient.parameters[0], gradient.start[0]],
      [expected.y0[0], expected.parameters[0], expected.t0],
      1e-4,
    );
  });
});

describe("bits", () => {
  const n = 70;
  const states = Float32Array.from({ length: 3 * n }, (_, i) => Math.sin(i));

  test.each([
    ["fixed", { method: "rk4", steps: { kind: "fixed", count: 45 } }, 0.6],
    ["adaptive", { method: "tsit5", steps: { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } }, 0.2],
  ] satisfies [string, EnsembleInput, number][])(
    "do not depend on checkpoints, dispatches or memory: %s",
    async (_, options, part) => {
      const source = lorenz(n);
      const whole = await gradientOf(source, options, { states });
      expectSame(await gradientOf(source, options, { states }), whole);
      const sparse = await gradientOf(source, { ...options, record: { every: 32 } }, { states });
      expect(sparse.checkpointEvery).toBe(32);
      if (exact) expectSame(sparse, whole);
      const pieces = await gradientOf(source, { ...options, chunk: { steps: 8 }, record: { every: 16 } }, { states });
      if (exact) expectSame(pieces, whole);
      // Room for one slice at a time: every range is solved again.
      const ranges = await gradientOf(
        source,
        { ...options, record: { bytes: Math.floor(part * whole.recordBytes) } },
        { states },
      );
      expect(ranges.recordBytes).toBeLessThan(whole.recordBytes);
      if (exact) expectSame(ranges, whole);
    },
  );

  test("of steps that a first guess has no room for", async () => {
    const source: Case = { ...lorenz(3), end: 4 };
    const steps = { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } as const;
    const options: EnsembleInput = { method: "bosh3", steps };
    const solve = await EnsembleSolve.create(gpu, problemOf(source), { ...options, adjoint: "replay" });
    await solve.run();
    const { accepted } = await solve.status();
    expect(Math.min(...accepted)).toBeGreaterThan(128);
    const before = gpu.bytesInUse;
    const gradient = await solve.gradient({ states: new Float32Array(9).fill(1) });
    expect(gpu.bytesInUse).toBe(before);
    expectSame(await solve.gradient({ states: new Float32Array(9).fill(1) }), gradient);
    solve.destroy();
    const expected = replayed(source, 0, { method: "bosh3", steps }, { y: [1, 1, 1] });
    expectClose(row(gradient.initial, 0, 3), expected.y0);
    expectClose(row(gradient.parameters, 0, 3), expected.parameters);
  });
});

test("of shared parameters is the sum of those of the trajectories that ended", async () => {
  const field: SystemField = {
    ...BLOW_UP,
    parameters: 2,
    source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(p[0] * y[0] * y[0] + p[1]); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(2.0 * p[0] * y[0] * w[0]), Params(y[0] * y[0] * w[0], w[0]), 0.0);
}`,
  };
  const n = 131;
  const initial = Float32Array.from({ length: n }, (_, j) => (j % 10 === 7 ? 1.5 : 0.5 + (0.3 * j) / n));
  const parameters = Float32Array.of(1, 0.1);
  const shared: Case = { field, initial, parameters, start: 0, end: 1 };
  const own: Case = { ...shared, parameters: Float32Array.from({ length: 2 * n }, (_, i) => parameters[i % 2]) };
  const steps: EnsembleInput = { method: "tsit5", steps: { kind: "adaptive", rtol: 1e-4, atol: 1e-4, maxSteps: 60 } };
  const states = Float32Array.from({ length: n }, (_, j) => Math.cos(j));
  const sum = await gradientOf(shared, steps, { states });
  const each = await gradientOf(own, steps, { states });
  expect(sum.missing).toBe(13);
  expectSameBits(sum.initial, each.initial);
  const alone = await gradientOf(
    { ...own, initial: initial.slice(0, 7), parameters: own.parameters!.slice(0, 14) },
    steps,
    { states: states.slice(0, 7) },
  );
  expectSameBits(alone.initial, each.initial.slice(0, 7));
  for (let j = 0; j < n; j++) {
    const failed = j % 10 === 7;
    expect(each.status[j] === "done").toBe(!failed);
    for (const name of ["initial", "start", "end"] as const) expect(Number.isNaN(each[name][j])).toBe(failed);
    expect(Number.isNaN(each.parameters[2 * j])).toBe(failed);
  }
  for (const i of [0, 1]) {
    let [total, size] = [0, 0];
    for (let j = 0; j < n; j++) {
      const value = each.parameters[2 * j + i];
      if (Number.isNaN(value)) continue;
      total += value;
      size += Math.abs(value);
    }
    // Sums of 64 terms, then of three.
    expect(Math.abs(sum.parameters[i] - total)).toBeLessThan(70 * 2 ** -24 * size);
  }
});

test("a span of length 0 moves with the slope", async () => {
  const source: Case = { ...lorenz(2), end: Float32Array.of(0, 1) };
  const { initial, parameters, start, end } = await gradientOf(
    source,
    { method: "tsit5" },
    { states: Float32Array.of(1, 2, 3, 0, 0, 0) },
  );
  expect([...initial]).toEqual([1, 2, 3, 0, 0, 0]);
  expect([...parameters]).toEqual([0, 0, 0, 0, 0, 0]);
  // Lorenz at (1, 0.5, 20) with σ = 10, ρ = 1.
  const slope = [10 * (0.5 - 1), 1 * (1 - 20) - 0.5, 1 * 0.5 - (8 / 3) * 20];
  expect(end[0]).toBeCloseTo(slope[0] + 2 * slope[1] + 3 * slope[2], 3);
  expect(start[0]).toBe(-end[0]);
});

describe("is refused", () => {
  const source: Case = {
    field: DECAY,
    initial: Float32Array.of(1, 2),
    parameters: Float32Array.of(1),
    start: 0,
    end: 1,
  };
  const create = (field: Case["field"], options: EnsembleInput = {}) =>
    EnsembleSolve.create(gpu, problemOf({ ...source, field }), { adjoint: "replay", ...options });

  test("for a field without products, and for wrong ones", async () => {
    const [right] = DECAY.source.split("\nfn vector_field_vjp");
    await expect(create({ ...DECAY, source: right })).rejects.toThrow("fn vector_field_vjp(t: f32, y: State");
    const wrong = { ...DECAY, source: DECAY.source.replace("-2.0 * p[0]", "2.0 * p[0]") };
    await expect(create(wrong)).rejects.toThrow("vector_field_vjp: ∂f[0]/∂y[0]");
  });

  test("for methods whose steps cannot be replayed", async () => {
    await expect(create("exponential", { method: "rodas5p" })).rejects.toThrow(
      "kvaerno3, kvaerno5 and leapfrog can be replayed",
    );
  });

  test("for a solve without it, and cotangents that do not fit", async () => {
    const none = await create(DECAY, { adjoint: "none" });
    await expect(none.gradient({})).rejects.toThrow("adjoint must be");
    none.destroy();
    const solve = await create(DECAY);
    await expect(solve.gradient({ states: new Float32Array(3) })).rejects.toThrow(
      "cotangents.states must hold 2 × 1 numbers",
    );
    await expect(solve.gradient({ saved: new Float32Array(3) })).rejects.toThrow(
      "cotangents.saved needs a solve that saves",
    );
    // Nothing has been solved yet.
    const gradient = await solve.gradient({ states: Float32Array.of(1, 1) });
    expect(gradient.missing).toBe(2);
    expect([...gradient.initial]).toEqual([Number.NaN, Number.NaN]);
    solve.destroy();
  });

  test("for checkpoints at a distance that is no power of two", async () => {
    await expect(create(DECAY, { record: { every: 7 } })).rejects.toThrow("record.every must be a power of two");
  });
});
