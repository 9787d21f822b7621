import { describe, expect, test } from "vitest";
import type { EnsembleInput } from "../../src/config/ode.ts";
import { EnsembleSolve } from "../../src/ode/ensemble.ts";
import type { EnsembleCotangents } from "../../src/ode/ensemble_types.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { integrate, type OdeOptions } from "../../src/reference/ode.ts";
import { replayGradient } from "../../src/reference/ode_adjoint.ts";
import { openTestDevice } from "../support/device.ts";
import { type Case, expectSameBits, pick, problemOf, reference } from "../support/ode_ensembles.ts";
import { DECAY, LAYER, LINEAR, RELAXING, SWELL, type SystemField } from "../support/ode_gradient_fields.ts";
import { GRADIENT_PROBLEMS } from "../support/ode_gradients.ts";

const gpu = await openTestDevice();

const TOLERANCE = 1e-6;
const ADAPTIVE: EnsembleInput = { method: "tsit5", steps: { kind: "adaptive", rtol: TOLERANCE, atol: TOLERANCE } };
const BACKSOLVE: EnsembleInput = { ...ADAPTIVE, adjoint: "backsolve" };
/** Some 20 steps each way, each off by up to ten times the tolerance: see src/ode/reconstruction.ts. */
const CONTINUOUS = 10 * 40 * TOLERANCE;
/** Roundings of some 200 steps, as many to undo them. */
const ROUNDED = 400 * 2 ** -23;

const REVERSIBLE: EnsembleInput = {
  method: "reversible-heun",
  steps: { kind: "fixed", count: 200 },
  adjoint: "reversible",
};

async function gradientOf(source: Case, options: EnsembleInput, cotangents: EnsembleCotangents) {
  const solve = await EnsembleSolve.create(gpu, problemOf(source), options);
  await solve.run();
  const gradient = await solve.gradient(cotangents);
  solve.destroy();
  await gpu.settle();
  return gradient;
}

/** ‖actual − expected‖ / ‖expected‖. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));
  return norm(Array.from(actual, (x, i) => x - expected[i])) / norm(expected);
}

const cosines = (n: number, frequency: number) => Float32Array.from({ length: n }, (_, i) => Math.cos(frequency * i));

const closedForms = GRADIENT_PROBLEMS.filter(({ id }) => ["G1", "G2", "G5", "G6"].includes(id));
const fieldOf: Record<string, Case["field"]> = {
  G1: "exponential",
  G2: DECAY,
  G5: LINEAR,
  G6: "harmonic-oscillator",
};
const systemOf = ({ field }: Case) => (typeof field === "string" ? FIELDS[field] : (field as SystemField).system);

describe.each(closedForms)("$id", (problem) => {
  const source: Case = {
    field: fieldOf[problem.id],
    initial: Float32Array.from(problem.y0),
    parameters: Float32Array.from(problem.parameters),
    start: problem.t0,
    end: problem.t1,
  };
  const cotangents = { states: Float32Array.from(problem.cotangent) };

  test("by backsolve: the gradient of the closed form", async () => {
    const gradient = await gradientOf(source, BACKSOLVE, cotangents);
    expect(distance(gradient.initial, problem.gradY0)).toBeLessThan(CONTINUOUS);
    expect(distance(gradient.parameters, problem.gradParameters)).toBeLessThan(CONTINUOUS);
    expect(gradient.reconstruction!.error[0]).toBeLessThan(CONTINUOUS);
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
  });

  test("reversible: the gradient of the steps, to roundings, and of the closed form, to their errors", async () => {
    const gradient = await gradientOf(source, REVERSIBLE, cotangents);
    const { steps } = reference(source, 0, {
      method: "reversible-heun",
      steps: { kind: "fixed", dt: (problem.t1 - problem.t0) / 200 },
    });
    const exact = replayGradient(
      systemOf(source),
      { method: "reversible-heun", t0: problem.t0, y0: problem.y0, parameters: problem.parameters, steps },
      { y: problem.cotangent },
    );
    expect(distance(gradient.initial, exact.y0)).toBeLessThan(ROUNDED);
    expect(distance(gradient.parameters, exact.parameters)).toBeLessThan(ROUNDED);
    expect(distance(gradient.start, [exact.t0])).toBeLessThan(ROUNDED);
    expect(distance(gradient.end, [exact.t1])).toBeLessThan(ROUNDED);
    expect(distance(gradient.initial, problem.gradY0)).toBeLessThan(1e-3);
    expect(distance(gradient.parameters, problem.gradParameters)).toBeLessThan(1e-3);
    expect(gradient.reconstruction!.error[0]).toBeLessThan(ROUNDED);
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
  });
});

test("backsolve and replay agree in all of the gradient, and backsolve takes less memory", async () => {
  const n = 67;
  const source: Case = {
    field: "lotka-volterra",
    initial: cosines(2 * n, 3).map((x) => 1.5 + 0.5 * x),
    parameters: cosines(4 * n, 7).map((x) => 1 + 0.5 * x),
    start: 0,
    end: 1,
  };
  const cotangents = { states: cosines(2 * n, 5).map((c) => 1e-9 * c) };
  const back = await gradientOf(source, BACKSOLVE, cotangents);
  const replay = await gradientOf(source, { ...ADAPTIVE, adjoint: "replay" }, cotangents);
  for (const name of ["initial", "parameters", "start", "end"] as const)
    expect(distance(back[name], replay[name])).toBeLessThan(CONTINUOUS);
  expect(back.reconstruction).toMatchObject({ lost: 0 });
  expect(back.recordBytes).toBeLessThan(replay.recordBytes);
});

test("backsolve is as accurate whatever the loss is measured in, even where the state asks for no accuracy", async () => {
  const rest: Case = {
    field: "harmonic-oscillator",
    initial: Float32Array.of(0, 0),
    parameters: Float32Array.of(1.4),
    start: 0,
    end: 3,
  };
  const { initial } = await gradientOf(rest, BACKSOLVE, { states: Float32Array.of(1e-9, 0) });
  const expected = [1e-9 * Math.cos(1.4 * 3), (1e-9 * Math.sin(1.4 * 3)) / 1.4];
  expect(distance(initial, expected)).toBeLessThan(CONTINUOUS);
});

describe("a layer of a neural ODE with shared weights", () => {
  const n = 67;
  const parameters = Float32Array.from({ length: 12 }, (_, i) => Math.sin(1 + 7 * i));
  const source: Case = { field: LAYER, initial: cosines(3 * n, 3), parameters, start: 0, end: 1 };
  const cotangents = { states: cosines(3 * n, 5).map((c) => 1e-9 * c) };

  /** Gradient of the steps in float64, their lengths those of float32. */
  function exact(method: "tsit5" | "reversible-heun", steps: OdeOptions["steps"]) {
    const sums = new Float64Array(12);
    const initial = new Float64Array(3 * n);
    for (let j = 0; j < n; j++) {
      const y0 = source.initial.subarray(3 * j, 3 * j + 3);
      const solution = integrate(LAYER.system, { method, t0: 0, t1: 1, y0, parameters, steps, round: Math.fround });
      const gradient = replayGradient(
        LAYER.system,
        { method, t0: 0, y0, parameters, steps: solution.steps },
        { y: cotangents.states.subarray(3 * j, 3 * j + 3) },
      );
      gradient.parameters.forEach((x, i) => {
        sums[i] += x;
      });
      initial.set(gradient.y0, 3 * j);
    }
    return { initial, parameters: sums };
  }

  test("by backsolve", async () => {
    const steps = { kind: "fixed", count: 30 } as const;
    const gradient = await gradientOf(source, { ...BACKSOLVE, steps }, cotangents);
    const expected = exact("tsit5", steps);
    expect(distance(gradient.initial, expected.initial)).toBeLessThan(ROUNDED);
    expect(distance(gradient.parameters, expected.parameters)).toBeLessThan(ROUNDED);
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
    expect(Math.max(...gradient.reconstruction!.error)).toBeLessThan(ROUNDED);
  });

  test("reversible with adaptive steps; two runs and any chunks give the same bits", async () => {
    const steps = { kind: "adaptive", rtol: 1e-4, atol: 1e-4 } as const;
    const gradient = await gradientOf(source, { ...REVERSIBLE, steps }, cotangents);
    for (const chunk of [{ steps: 1_000 }, { steps: 7 }]) {
      const again = await gradientOf(source, { ...REVERSIBLE, steps, chunk }, cotangents);
      for (const name of ["initial", "parameters", "start", "end"] as const)
        expectSameBits(gradient[name], again[name]);
    }
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
    const expected = exact("reversible-heun", steps);
    // The device's tanh is another one than the host's, and with it the lengths of the steps.
    expect(distance(gradient.initial, expected.initial)).toBeLessThan(1e-4);
    expect(distance(gradient.parameters, expected.parameters)).toBeLessThan(1e-4);
  });
});

describe("where the solve contracts", () => {
  const relaxation = (rate: number): Case => ({
    field: RELAXING,
    initial: Float32Array.of(0, 0),
    parameters: Float32Array.of(1, rate),
    start: 0,
    end: 1,
  });
  const states = Float32Array.of(1, 1);
  const lorenz: Case = {
    field: "lorenz",
    initial: Float32Array.of(1, 0.5, 20),
    parameters: Float32Array.of(10, 28, 8 / 3),
    start: 0,
    end: 1,
  };

  test.each([BACKSOLVE, REVERSIBLE])("G11: $adjoint tells what it has lost, and where", async (options) => {
    const { reconstruction } = await gradientOf(relaxation(15), options, { states });
    expect(reconstruction).toMatchObject({
      lost: 1,
      warning: expect.stringMatching(/1 of 2 trajectories.*trajectory 1/),
    });
    expect(reconstruction!.scaled[0]).toBeLessThan(1);
    expect(reconstruction!.error[1]).toBeGreaterThan(0.01);
    expect(reconstruction!.scaled[1]).toBeGreaterThan(1);
  });

  test("Lorenz over one unit of time", async () => {
    // With 400 steps reversible Heun does not come to its end.
    for (const options of [BACKSOLVE, { ...REVERSIBLE, steps: { kind: "fixed", count: 10_000 } } as const]) {
      const { reconstruction } = await gradientOf(lorenz, options, { states: Float32Array.of(1, 1, 1) });
      expect(reconstruction).toMatchObject({ lost: 1, warning: expect.stringContaining("1 of 1 trajectories") });
    }
  });
});

describe("cotangents of saved points", () => {
  // x = x0 e^{p (t² − t0²)/2}.
  const source: Case = {
    field: SWELL,
    initial: Float32Array.of(1, 1.3, 0.7),
    parameters: Float32Array.of(0.4, -0.6, 0.9),
    start: Float32Array.of(0.5, 0.25, 0.5),
    end: Float32Array.of(2, 1.5, 0.5),
  };
  const times = [[0.5, 0.503, 0.91, 1.3, 1.999, 2], [0.7, 1.1], [0.5]].map((list) => list.map(Math.fround));
  const saved = cosines(9, 2);
  const states = Float32Array.of(0.5, -1, 2);
  const endTimes = Float32Array.of(0.1, 0.2, 0.3);

  function exact(j: number) {
    const [x0, p, t0] = [source.initial[j], source.parameters![j], (source.start as Float32Array)[j]];
    const t1 = (source.end as Float32Array)[j];
    const first = times.slice(0, j).flat().length;
    let [initial, parameters, start] = [0, 0, 0];
    const add = (t: number, c: number) => {
      const growth = Math.exp((p * (t * t - t0 * t0)) / 2);
      initial += c * growth;
      parameters += (c * x0 * growth * (t * t - t0 * t0)) / 2;
      if (t !== t0 || j === 2) start -= c * x0 * growth * p * t0;
    };
    add(t1, states[j]);
    times[j].forEach((t, k) => {
      add(t, saved[first + k]);
    });
    const atEnd = states[j] + (times[j].at(-1) === t1 ? saved[first + times[j].length - 1] : 0);
    const end = atEnd * p * t1 * x0 * Math.exp((p * (t1 * t1 - t0 * t0)) / 2) + endTimes[j];
    return { initial, parameters, start, end };
  }

  test.each([
    [BACKSOLVE, CONTINUOUS],
    [REVERSIBLE, 1e-3],
  ])("of a grid of each trajectory, by %o", async (options, tolerance) => {
    const gradient = await gradientOf(
      source,
      { ...options, save: { kind: "grid", times } },
      { states, saved, endTimes },
    );
    for (const name of ["initial", "parameters", "start", "end"] as const) {
      for (let j = 0; j < 3; j++) expect(Math.abs(gradient[name][j] - exact(j)[name])).toBeLessThan(5 * tolerance);
    }
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
  });

  test.each([1, 4])(
    "inside %i long steps of reversible Heun: the gradient of the interpolated points",
    async (count) => {
      const steps = { kind: "fixed", count } as const;
      const inside = [0.61, 0.62, 0.9, 1.7].map(Math.fround);
      const c = cosines(4, 2);
      const one = pick(source, [0]);
      const point = { initial: 1, parameters: source.parameters![0], start: 0.5, end: 2 };
      const gradient = await gradientOf(
        one,
        { ...REVERSIBLE, steps, save: { kind: "grid", times: inside } },
        { saved: c, states: Float32Array.of(0.3) },
      );
      const loss = ({ initial, parameters, start, end }: typeof point) => {
        const { states, y } = integrate(SWELL.system, {
          method: "reversible-heun",
          t0: start,
          t1: end,
          y0: [initial],
          parameters: [parameters],
          steps,
          save: { kind: "grid", times: inside },
        });
        return states.reduce((sum, x, i) => sum + c[i] * x, Math.fround(0.3) * y[0]);
      };
      for (const name of ["initial", "parameters", "start", "end"] as const) {
        // With several steps a change of t0 or t1 moves all of the reference's mesh.
        if (count > 1 && (name === "start" || name === "end")) continue;
        const d = 1e-5;
        const high = loss({ ...point, [name]: point[name] + d });
        const low = loss({ ...point, [name]: point[name] - d });
        expect(Math.abs(gradient[name][0] - (high - low) / (2 * d))).toBeLessThan(64 * 2 ** -23);
      }
    },
  );

  test("backsolve goes on from the states that were saved", async () => {
    const rate = 15;
    const times = Array.from({ length: 20 }, (_, k) => Math.fround((k + 1) / 20));
    const given = { saved: cosines(20, 1) };
    const gradient = await gradientOf(
      { field: RELAXING, initial: Float32Array.of(0), parameters: Float32Array.of(rate), start: 0, end: 1 },
      { ...BACKSOLVE, save: { kind: "grid", times } },
      given,
    );
    expect(gradient.reconstruction).toMatchObject({ lost: 0 });
    // y = 1 − e^{−λt}.
    const byRate = times.reduce((sum, t, k) => sum + given.saved[k] * t * Math.exp(-rate * t), 0);
    const byStart = times.reduce((sum, t, k) => sum + given.saved[k] * Math.exp(-rate * t), 0);
    expect(Math.abs(gradient.parameters[0] - byRate)).toBeLessThan(CONTINUOUS);
    expect(Math.abs(gradient.initial[0] - byStart)).toBeLessThan(CONTINUOUS);
  });

  test("of steps, by backsolve as by the steps", async () => {
    const common: Case = { ...source, start: 0.5, end: 2 };
    const options: EnsembleInput = { steps: { kind: "fixed", count: 30 }, save: { kind: "steps", every: 4 } };
    const given = { states, saved: cosines(21, 2) };
    const back = await gradientOf(common, { ...options, adjoint: "backsolve", method: "tsit5" }, given);
    const replay = await gradientOf(common, { ...options, adjoint: "replay", method: "tsit5" }, given);
    for (const name of ["initial", "parameters", "start", "end"] as const)
      expect(distance(back[name], replay[name])).toBeLessThan(ROUNDED);
  });
});

test.each([BACKSOLVE, REVERSIBLE])(
  "$adjoint: a trajectory without an end does no harm to the others",
  async (options) => {
    const source: Case = {
      field: DECAY,
      initial: Float32Array.of(1, 1, 0.5),
      parameters: Float32Array.of(0.7, -1, 0.4),
      start: 0,
      end: 2,
    };
    const fewSteps: EnsembleInput = { ...options, ...(options.adjoint === "backsolve" && { chunk: { steps: 400 } }) };
    const all = await gradientOf(source, fewSteps, { states: Float32Array.of(1, 1, 1) });
    const some = await gradientOf(pick(source, [0, 2]), fewSteps, { states: Float32Array.of(1, 1) });
    expect(all.missing).toBe(1);
    expect(all.reconstruction!.lost).toBe(0);
    for (const name of ["initial", "parameters", "start", "end"] as const) {
      expect(all[name][1]).toBeNaN();
      expectSameBits(Float32Array.of(all[name][0], all[name][2]), some[name]);
    }
  },
);

test.each([
  [{ ...BACKSOLVE, method: "leapfrog", steps: { kind: "fixed", count: 4 } }, "harmonic-oscillator", "not separable"],
  [{ ...BACKSOLVE, method: "kvaerno5" }, LAYER, "2 × 3 + 12 numbers"],
  [{ ...ADAPTIVE, adjoint: "reversible" }, "lorenz", "reversible-heun"],
  [{ ...REVERSIBLE, adjoint: "replay" }, "lorenz", "must be reversible"],
] as [EnsembleInput, Case["field"], string][])("refuses %o", async (options, field, message) => {
  const dimension = typeof field === "string" ? FIELDS[field].dimension : field.dimension;
  const source = { field, initial: new Float32Array(dimension).fill(1), start: 0, end: 1 };
  const parameters = typeof field === "string" ? undefined : new Float32Array(12);
  await expect(
    EnsembleSolve.create(gpu, problemOf({ ...source, ...(parameters && { parameters }) }), options),
  ).rejects.toThrow(message);
});
