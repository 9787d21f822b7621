import { expect, test } from "vitest";
import { CONTROLLERS, SOLVE_STATUSES } from "../../src/ode/controllers.ts";
import { controllerConstants, denseConstants, stepConstants } from "../../src/ode/explicit_constants.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { DOPRI5, RK4 } from "../../src/ode/tableaus.ts";
import { integrate } from "../../src/reference/ode.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

// The kernels with the field of their own text, y' = p y, in one or two workgroups with a remainder. Every buffer ends in
// guard words; points and events fill theirs to the end.
const gpu = await openTestDevice();
const exact = /SwiftShader/.test(gpu.name);

const n = 67;
const rates = Float32Array.from({ length: n }, (_, j) => -2 + j / 40);
const initial = Float32Array.from({ length: n }, (_, j) => 1 + j / 8);
const words = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer);
const floatsOf = (data: Float32Array<ArrayBuffer>, row: number) => data.subarray(row * n, (row + 1) * n);
const integers = (data: Float32Array<ArrayBuffer>, row: number) =>
  new Uint32Array(data.buffer, data.byteOffset + 4 * row * n, n);
const row = (value: number) => new Float32Array(n).fill(value);
const concat = (...rows: Float32Array[]) => Float32Array.from(rows.flatMap((numbers) => [...numbers]));

// Rows of `state` with one component: y, t, status, accepted, evaluations, saved, event value, events, f, then the pace.
const ROWS = 14;
const [STATUS, ACCEPTED, EVALUATIONS, SAVED, SLOPE, REJECTED, STEP] = [2, 3, 4, 5, 8, 9, 11];
const state = () => {
  const rows = new Float32Array(ROWS * n);
  rows.set(initial);
  return rows;
};
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
const buffers = (problem: Float32Array<ArrayBuffer>, x: Float32Array<ArrayBuffer>) => ({
  parameters: rates,
  problem,
  grid: new Uint32Array(4),
  list: new Uint32Array(n),
  state: x,
  saved: poisoned(4),
  events: poisoned(4),
  record: poisoned(4),
});

const rtol = 1e-5;
const atol = 1e-6;
const adaptive = { kind: "adaptive", rtol, atol } as const;
const problem = concat(row(1.5), row(rtol), row(atol));
const system = FIELDS.exponential;
const emulated = (
  j: number,
  method: "dopri5" | "rk4",
  steps: Parameters<typeof integrate>[1]["steps"],
  save?: Parameters<typeof integrate>[1]["save"],
) =>
  integrate(system, {
    method,
    steps,
    t0: 0,
    t1: 1.5,
    y0: [initial[j]],
    parameters: [rates[j]],
    round: Math.fround,
    ...(save && { save }),
  });

const start = async (
  constants: Record<string, number | boolean>,
  problemRows: Float32Array<ArrayBuffer>,
  params = solveParams,
  extra = {},
) => {
  const { events: _, record: __, ...bindings } = { ...buffers(problemRows, state()), ...extra };
  return runKernel(
    gpu,
    "ode/start",
    { ODE_INVERSE_ORDER: 0.2, ...constants },
    bindings,
    ["state", "saved"],
    params,
    [2],
  );
};

test("ode/start: f(t0, y0) and the first step", async () => {
  const { state: x } = await start({}, problem);
  for (let j = 0; j < n; j++) {
    expect(integers(x, STATUS)[j] & 0xff).toBe(SOLVE_STATUSES.not_finished);
    expect(floatsOf(x, SLOPE)[j]).toBe(Math.fround(rates[j] * initial[j]));
    // The first step of the reference is the first that it tries: accepted, or rejected and shortened.
    const { steps, rejected } = emulated(j, "dopri5", adaptive);
    if (rejected === 0) expect(Math.abs(floatsOf(x, STEP)[j] - steps[0])).toBeLessThanOrEqual(16 * EPSILON * steps[0]);
    expect(integers(x, EVALUATIONS)[j]).toBe(2);
  }
  const again = await start({}, problem);
  expect(words(again.state)).toEqual(words(x));
});

test("ode/explicit: adaptive steps, with a grid that ends where its buffer does", async () => {
  const times = [0, 0.6, 1.5];
  const params = { ...solveParams, points: 3, plane: 3 * n };
  const grid = words(Float32Array.from(times));
  const begun = await start({ ODE_SAVE: 1 }, problem, params, { grid, saved: poisoned(3 * n) });
  const run = () =>
    runKernel(
      gpu,
      "ode/explicit",
      {
        ODE_SAVE: 1,
        ODE_WATCHES: true,
        ...stepConstants(DOPRI5, true),
        ...denseConstants(DOPRI5, true),
        ...controllerConstants(CONTROLLERS["diffrax-i"], 5),
      },
      { ...buffers(problem, begun.state), grid, saved: begun.saved },
      ["state", "saved"],
      params,
      [2],
    );
  const { state: x, saved } = await run();
  for (let j = 0; j < n; j++) {
    const reference = emulated(j, "dopri5", adaptive, { kind: "grid", times });
    expect(integers(x, STATUS)[j] & 0xff).toBe(SOLVE_STATUSES.done);
    expect(floatsOf(x, 1)[j]).toBe(1.5);
    // Where p is small, the error estimate is little but rounding errors.
    expect(Math.abs(integers(x, ACCEPTED)[j] - reference.accepted)).toBeLessThanOrEqual(2);
    expect(Math.abs(integers(x, REJECTED)[j] - reference.rejected)).toBeLessThanOrEqual(2);
    expect(integers(x, SAVED)[j]).toBe(3);
    // y = y0 e^{p t}: a tolerance a step; dense output of order 4 instead of 5.
    times.forEach((time, point) => {
      const solution = initial[j] * Math.exp(rates[j] * time);
      const tolerance = 20 * reference.accepted * (atol + rtol * initial[j]);
      expect(Math.abs(saved[point * n + j] - solution)).toBeLessThanOrEqual(point === 0 ? 0 : tolerance);
    });
    expect(saved[2 * n + j]).toBe(x[j]);
  }
  const again = await run();
  expect(words(again.state)).toEqual(words(x));
  expect(words(again.saved)).toEqual(words(saved));
});

test.each([1, 2])("ode/explicit_fixed: %d trajectories an invocation, some of them listed", async (lanes) => {
  const fixed = { kind: "fixed", count: 7 } as const;
  const mesh = concat(row(1.5), row(0), row(1.5 / 7), row(0));
  words(mesh).fill(7, 3 * n);
  const shared = { ODE_ADAPTIVE: false, ODE_KEEPS_SLOPE: false };
  const begun = await start({ ...shared, ODE_FIRST_SLOPE: false }, mesh);
  const listed = Uint32Array.from({ length: n }, (_, k) => (k * 5) % n);
  const count = 40;
  const { state: x } = await runKernel(
    gpu,
    "ode/explicit_fixed",
    { ...shared, ...stepConstants(RK4, false), ODE_LANES: lanes },
    { parameters: rates, problem: mesh, list: listed, state: begun.state, record: poisoned(4) },
    ["state"],
    { ...solveParams, count, listed: 1 },
    [2],
  );
  for (let k = 0; k < n; k++) {
    const j = listed[k];
    const reference = emulated(j, "rk4", fixed);
    expect(integers(x, STATUS)[j]).toBe(k < count ? SOLVE_STATUSES.done : SOLVE_STATUSES.not_finished);
    expect(integers(x, ACCEPTED)[j]).toBe(k < count ? 7 : 0);
    expect(integers(x, EVALUATIONS)[j]).toBe(k < count ? 28 : 0);
    if (k >= count) expect(x[j]).toBe(initial[j]);
    else if (exact) expect(x[j]).toBe(reference.y[0]);
    // Seven steps of sums of four stages.
    else expect(Math.abs(x[j] - reference.y[0])).toBeLessThanOrEqual(7 * 16 * EPSILON * initial[j]);
  }
});
