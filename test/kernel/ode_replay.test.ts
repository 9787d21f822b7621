import { expect, test } from "vitest";
import { SOLVE_STATUSES } from "../../src/ode/controllers.ts";
import { reverseConstants } from "../../src/ode/explicit_constants.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { HEUN } from "../../src/ode/tableaus.ts";
import { replayGradient } from "../../src/reference/ode_adjoint.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();

test.each([
  [63, 1],
  [64, 3],
  [130, 2],
  [131, 5],
])("ode/sum_trajectories: %d numbers in %d rows", async (count, rows) => {
  const stride = count + 3;
  const x = Float32Array.from({ length: rows * stride }, (_, i) => Math.sin(i));
  const slices = Math.ceil(count / 64);
  const [outStride, firstOut] = [slices + 2, 1];
  const params = { rows, count, stride, out_stride: outStride, first_out: firstOut };
  const run = () =>
    runKernel(
      gpu,
      "ode/sum_trajectories",
      {},
      { x, sums: new Float32Array(rows * outStride).fill(7) },
      ["sums"],
      params,
      [1, 2],
    );
  const { sums } = await run();
  for (let row = 0; row < rows; row++) {
    expect([sums[row * outStride], sums[(row + 1) * outStride - 1]]).toEqual([7, 7]);
    for (let slice = 0; slice < slices; slice++) {
      const part = x.subarray(row * stride + 64 * slice, row * stride + Math.min(count, 64 * (slice + 1)));
      const total = part.reduce((sum, value) => sum + value, 0);
      const size = part.reduce((sum, value) => sum + Math.abs(value), 0);
      expect(Math.abs(sums[row * outStride + firstOut + slice] - total)).toBeLessThanOrEqual(64 * EPSILON * size);
    }
  }
  expect((await run()).sums).toEqual(sums);
});

// y' = p y by Heun's method, in dispatches of four and three steps; a third of the trajectories did not end.
test.each([1, 2])("ode/replay_explicit: %d steps together, checkpoints of as many", async (group) => {
  const n = 67;
  const [steps, dt] = [7, 0.25];
  const [slices, checkpoints] = [2, Math.ceil(steps / group)];
  const capacity = steps;
  const words = 64 * (1 + checkpoints);
  const record = new Uint32Array(1 + 2 * slices + words * slices);
  const floats = new Float32Array(record.buffer);
  record[0] = Math.log2(group);
  const rate = (j: number) => Math.fround(Math.sin(j));
  const rates = Float32Array.from({ length: n }, (_, j) => rate(j));
  for (let s = 0; s < slices; s++) record.set([1 + 2 * slices + words * s, capacity], 1 + 2 * s);
  for (let j = 0; j < n; j++) {
    for (let c = 0; c < checkpoints; c++) {
      const z = group * c * dt * rate(j);
      floats[1 + 2 * slices + words * Math.floor(j / 64) + 64 * (1 + c) + (j % 64)] = Math.exp(z);
    }
  }
  const state = new Uint32Array(8 * n);
  for (let j = 0; j < n; j++) {
    state[2 * n + j] = j % 3 === 1 ? SOLVE_STATUSES.max_steps : SOLVE_STATUSES.done;
    state[3 * n + j] = steps;
  }
  const problem = new Float32Array(4 * n).fill(steps * dt, 0, n).fill(dt, 2 * n, 3 * n);
  new Uint32Array(problem.buffer).fill(steps, 3 * n);
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
    let carried = { cotangents: new Float32Array(2 * n).fill(1), sweep: new Float32Array(5 * n) };
    for (const [first_step, attempts] of [
      [4, 4],
      [0, 4],
    ]) {
      carried = (await runKernel(
        gpu,
        "ode/replay_explicit",
        { ODE_ADAPTIVE: false, ODE_GROUP: group, ...reverseConstants(HEUN, false) },
        {
          parameters: rates,
          problem,
          grid: new Uint32Array(4),
          list: new Uint32Array(slices).fill(steps),
          state,
          record,
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
    let [w, p] = [1, 0];
    const ends = { t0: 0, t1: 0 };
    for (let c = checkpoints - 1; c >= 0; c--) {
      const mesh = new Float64Array(Math.min(group, steps - group * c)).fill(dt);
      const y0 = [Math.fround(Math.exp(group * c * dt * rate(j)))];
      const solve = { method: "heun", t0: 0, y0, parameters: [rate(j)], steps: mesh } as const;
      const gradient = replayGradient(FIELDS.exponential, solve, { y: [w] });
      if (c === checkpoints - 1) ends.t1 = gradient.t1;
      ends.t0 = gradient.t0;
      w = gradient.y0[0];
      p += gradient.parameters[0];
    }
    // Ten roundings a step of sums of terms of one sign, or of sizes alike.
    const tolerance = 20 * steps * EPSILON * Math.exp(2 * steps * dt);
    expect(Math.abs(cotangents[j] - w)).toBeLessThan(tolerance);
    expect(Math.abs(sweep[j] - p)).toBeLessThan(tolerance);
    expect(Math.abs(sweep[n + j] - ends.t0)).toBeLessThan(tolerance);
    expect(Math.abs(sweep[2 * n + j] - ends.t1)).toBeLessThan(tolerance);
  }
  expect(await run()).toEqual({ cotangents, sweep });
});
