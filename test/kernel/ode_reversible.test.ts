import { expect, test } from "vitest";
import { SOLVE_STATUSES } from "../../src/ode/controllers.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { METHODS } from "../../src/ode/tableaus.ts";
import { replayGradient } from "../../src/reference/ode_adjoint.ts";
import { createStepper } from "../../src/reference/ode_steps.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();

// y' = p y in dispatches of three and four steps; a third of the trajectories did not end, others took fewer steps.
test("ode/reverse_reversible_heun", async () => {
  const n = 67;
  const slices = 2;
  const dt = 0.25;
  const steps = (j: number) => 3 + (j % 5);
  const [most, carriedRows] = [7, 5];
  const rates = Float32Array.from({ length: n }, (_, j) => Math.sin(j));
  const state = new Uint32Array(10 * n);
  const floats = new Float32Array(state.buffer);
  const problem = new Float32Array(4 * n).fill(dt, 2 * n, 3 * n);
  const counts = new Uint32Array(problem.buffer);
  for (let j = 0; j < n; j++) {
    const parameters = Float64Array.of(rates[j]);
    const stepper = createStepper(FIELDS.exponential, METHODS["reversible-heun"], {
      parameters,
      round: (x) => x,
      newton: { rtol: 1, atol: 1, norm: "max", kappa: 1, iterations: 1 },
      compensated: false,
      counters: { evaluations: 0, jacobians: 0 },
    });
    let attempt = stepper.attempt(0, dt, Float64Array.of(1));
    for (let i = 1; i < steps(j); i++) {
      stepper.accept(attempt);
      attempt = stepper.attempt(i * dt, dt, attempt.y1);
    }
    floats[j] = attempt.y1[0];
    state[2 * n + j] = j % 3 === 1 ? SOLVE_STATUSES.max_steps : SOLVE_STATUSES.done;
    state[3 * n + j] = steps(j);
    floats[8 * n + j] = attempt.stages[1][0];
    floats[9 * n + j] = attempt.arguments[1][0];
    problem[j] = steps(j) * dt;
    counts[3 * n + j] = steps(j);
  }
  const params = {
    count: n,
    listed: 0,
    stride: n,
    max_steps: 0,
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
    dt_max: 0,
  };
  const run = async () => {
    // What is carried may begin as anything.
    const sweep = new Float32Array((carriedRows + 5) * n).fill(9, carriedRows * n);
    let carried = { cotangents: new Float32Array(2 * n).fill(1), sweep };
    for (const [first_step, attempts] of [
      [4, 3],
      [0, 4],
    ]) {
      carried = (await runKernel(
        gpu,
        "ode/reverse_reversible_heun",
        { ODE_ADAPTIVE: false, ODE_KEEPS_AUXILIARY: true },
        {
          parameters: rates,
          problem,
          grid: new Uint32Array(4),
          list: new Uint32Array(slices).fill(most),
          state,
          record: new Uint32Array(1 + 2 * slices),
          ...carried,
        },
        ["cotangents", "sweep"],
        { ...params, first_step, attempts },
        [2],
      )) as typeof carried;
    }
    return carried;
  };
  const { cotangents, sweep } = await run();
  for (let j = 0; j < n; j++) {
    if (j % 3 === 1) {
      expect([cotangents[j], sweep[j]]).toEqual([1, 0]);
      continue;
    }
    const mesh = new Float64Array(steps(j)).fill(dt);
    const solve = { method: "reversible-heun", t0: 0, y0: [1], parameters: [rates[j]], steps: mesh } as const;
    const exact = replayGradient(FIELDS.exponential, solve, { y: [1] });
    // Twenty roundings a step, of numbers that a step backwards makes at most 1 + |p| dt times as large, twice.
    const tolerance = 20 * most * EPSILON * (1 + dt) ** (2 * most);
    expect(Math.abs(cotangents[j] - exact.y0[0])).toBeLessThan(tolerance);
    expect(Math.abs(sweep[j] - exact.parameters[0])).toBeLessThan(tolerance);
    expect(Math.abs(sweep[n + j] - exact.t0)).toBeLessThan(tolerance);
    expect(Math.abs(sweep[2 * n + j] - exact.t1)).toBeLessThan(tolerance);
    // y0 and ŷ0.
    expect(Math.abs(sweep[5 * n + j] - 1)).toBeLessThan(tolerance);
    expect(Math.abs(sweep[6 * n + j] - 1)).toBeLessThan(tolerance);
  }
  expect(await run()).toEqual({ cotangents, sweep });
});
