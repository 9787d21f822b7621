import { expect, test } from "vitest";
import { CONTROLLERS, SOLVE_STATUSES } from "../../src/ode/controllers.ts";
import { controllerConstants } from "../../src/ode/explicit_constants.ts";
import { methodConstants, traitsOf } from "../../src/ode/method_constants.ts";
import { KVAERNO3, LEAPFROG, type Method, REVERSIBLE_HEUN, RODAS4 } from "../../src/ode/tableaus.ts";
import { integrate } from "../../src/reference/ode.ts";
import type { OdeSystem } from "../../src/reference/ode_steps.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

// The kernels with the field of their own text, y_0' = p y_0 and, with a second component, y_1' = 0: two workgroups with a
// remainder, every buffer followed by guard words.
const gpu = await openTestDevice();
const exact = /SwiftShader/.test(gpu.name);

const n = 67;
const dimension = 2;
const system: OdeSystem = {
  dimension,
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(p[0] * y[0]);
    dydt[1] = 0;
  },
  jacobian: (_t, _y, p, matrix) => matrix.set([p[0], 0, 0, 0]),
  autonomous: true,
};
const rates = Float32Array.from({ length: n }, (_, j) => -2 + j / 40);
const initial = Float32Array.from({ length: dimension * n }, (_, i) => 1 + i / 8);
const row = (value: number) => new Float32Array(n).fill(value);
const concat = (...rows: Float32Array[]) => Float32Array.from(rows.flatMap((numbers) => [...numbers]));
const words = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
const floatAt = (x: Float32Array, line: number, j: number) => x[line * n + j];
const wordAt = (x: Float32Array<ArrayBuffer>, line: number, j: number) => words(x)[line * n + j];

// y [2], t, status, accepted, evaluations, saved, event value, events, f [2], with reversible Heun ŷ [2], then the pace.
const [TIME, STATUS, ACCEPTED, EVALUATIONS, SLOPE] = [2, 3, 4, 5, 9];
const T1 = 1.5;
const COUNT = 7;
const [rtol, atol] = [1e-4, 1e-4];
const FIRST_STEP = 0.3;
const solveParams = {
  count: n,
  listed: 0,
  stride: n,
  attempts: 1_000,
  first_step: 0,
  max_steps: 1_000,
  parameter_stride: n,
  parameter_step: 1,
  points: 0,
  ragged: 0,
  plane: 0,
  every: 1,
  event_maximum: 0,
  event_end: 0,
  zero: 0,
  dt_min: 0,
  dt_max: 3e38,
};

function sharedConstants(method: Method, adaptive: boolean) {
  return {
    DIM: dimension,
    ODE_ADAPTIVE: adaptive,
    ODE_KEEPS_SLOPE: true,
    ODE_KEEPS_AUXILIARY: traitsOf(method).keepsAuxiliary,
  };
}

function mesh(t0: number, t1: number): Float32Array<ArrayBuffer> {
  const problem = concat(row(t1), row(t0), row((t1 - t0) / COUNT), row(0));
  words(problem).fill(COUNT, 3 * n);
  return problem;
}

async function begin(method: Method, problem: Float32Array<ArrayBuffer>, adaptive: boolean) {
  const { keepsAuxiliary } = traitsOf(method);
  const rows = 11 + (keepsAuxiliary ? 2 : 0) + (adaptive ? 5 : 0);
  const state = new Float32Array(rows * n);
  state.set(initial);
  if (adaptive) state.fill(FIRST_STEP, (rows - 3) * n, (rows - 2) * n);
  const bindings = {
    parameters: rates,
    problem,
    grid: new Uint32Array(4),
    list: new Uint32Array(n),
    state,
    saved: poisoned(4),
  };
  const order = { ODE_INVERSE_ORDER: 0.2 };
  const constants = { ...sharedConstants(method, adaptive), ...order };
  return (await runKernel(gpu, "ode/start", constants, bindings, ["state"], solveParams, [2])).state;
}

async function solve(
  method: Method,
  problem: Float32Array<ArrayBuffer>,
  adaptive: boolean,
  state: Float32Array<ArrayBuffer>,
) {
  const constants = {
    ...sharedConstants(method, adaptive),
    ...methodConstants(method, false, { functions: ["vector_field", "jacobian"], autonomous: true }),
    ...(adaptive && controllerConstants(CONTROLLERS["diffrax-i"], method.errorOrder! + 1)),
  };
  const bindings = {
    parameters: rates,
    problem,
    grid: new Uint32Array(4),
    list: new Uint32Array(n),
    state,
    saved: poisoned(4),
    events: poisoned(4),
    record: new Uint32Array(4),
  };
  const run = () => runKernel(gpu, traitsOf(method).kernel, constants, bindings, ["state"], solveParams, [2]);
  const { state: x } = await run();
  expect(words((await run()).state)).toEqual(words(x));
  return x;
}

const emulated = (j: number, method: Method, adaptive: boolean) =>
  integrate(system, {
    method,
    t0: 0,
    t1: T1,
    y0: [floatAt(initial, 0, j), floatAt(initial, 1, j)],
    parameters: [rates[j]],
    steps: adaptive ? { kind: "adaptive", rtol, atol, dt0: FIRST_STEP } : { kind: "fixed", count: COUNT },
    round: Math.fround,
  });

test.each([RODAS4, KVAERNO3])("$name: adaptive steps", async (method) => {
  const problem = concat(row(T1), row(rtol), row(atol));
  const x = await solve(method, problem, true, await begin(method, problem, true));
  for (let j = 0; j < n; j++) {
    const { y, accepted } = emulated(j, method, true);
    expect(wordAt(x, STATUS, j) & 0xff).toBe(SOLVE_STATUSES.done);
    expect(floatAt(x, TIME, j)).toBe(T1);
    // Where p is small, the error estimate is little but rounding errors.
    expect(Math.abs(wordAt(x, ACCEPTED, j) - accepted)).toBeLessThanOrEqual(2);
    const y0 = floatAt(initial, 0, j);
    // A tolerance a step, in both.
    expect(Math.abs(floatAt(x, 0, j) - y[0])).toBeLessThanOrEqual((accepted + 3) * 2 * (atol + rtol * y0));
    expect(Math.abs(floatAt(x, 0, j) - y0 * Math.exp(rates[j] * T1))).toBeLessThanOrEqual(
      (accepted + 3) * (atol + rtol * y0),
    );
    expect(floatAt(x, 1, j)).toBe(floatAt(initial, 1, j));
  }
});

test.each([RODAS4, KVAERNO3, LEAPFROG, REVERSIBLE_HEUN])("$name: fixed steps", async (method) => {
  const problem = mesh(0, T1);
  const x = await solve(method, problem, false, await begin(method, problem, false));
  for (let j = 0; j < n; j++) {
    const { y, evaluations } = emulated(j, method, false);
    expect(wordAt(x, STATUS, j) & 0xff).toBe(SOLVE_STATUSES.done);
    expect(wordAt(x, ACCEPTED, j)).toBe(COUNT);
    if (exact) expect([floatAt(x, 0, j), wordAt(x, EVALUATIONS, j)]).toEqual([y[0], evaluations]);
    // Seven steps of at most 300 roundings; leapfrog takes y_0 for a position, which drifts only.
    else expect(Math.abs(floatAt(x, 0, j) - y[0])).toBeLessThanOrEqual(COUNT * 300 * EPSILON * floatAt(initial, 0, j));
    expect(floatAt(x, 1, j)).toBe(floatAt(initial, 1, j));
  }
});

test("reversible Heun: steps of the opposite sign undo those taken", async () => {
  const forth = mesh(0, T1);
  const there = await solve(REVERSIBLE_HEUN, forth, false, await begin(REVERSIBLE_HEUN, forth, false));
  const turned = there.slice();
  const status = new Uint32Array(turned.buffer);
  for (let j = 0; j < n; j++) {
    // ODE_HAS_SLOPE stays, with f(t, ŷ) and ŷ in their rows.
    status[STATUS * n + j] = SOLVE_STATUSES.not_finished | (status[STATUS * n + j] & ~0xff);
    status[ACCEPTED * n + j] = 0;
  }
  const back = await solve(REVERSIBLE_HEUN, mesh(T1, 0), false, turned);
  for (let j = 0; j < n; j++) {
    const y0 = floatAt(initial, 0, j);
    expect(floatAt(back, TIME, j)).toBe(0);
    // Fourteen steps of ten roundings of numbers up to y0; on the way back those errors grow like e^{2 |p| t}, e^6 at most.
    expect(Math.abs(floatAt(back, 0, j) - y0)).toBeLessThanOrEqual(14 * 10 * EPSILON * y0 * Math.exp(2 * 2 * T1));
    // So does ŷ, y0 at the start.
    expect(Math.abs(floatAt(back, SLOPE + 2, j) - y0)).toBeLessThanOrEqual(
      14 * 10 * EPSILON * y0 * Math.exp(2 * 2 * T1),
    );
    expect(floatAt(there, 0, j)).not.toBe(y0);
  }
});
