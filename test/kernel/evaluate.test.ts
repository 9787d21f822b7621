import { expect, it } from "vitest";
import { evaluateField } from "../../src/ode/evaluate_field.ts";
import { checkField, type FieldFunction } from "../../src/ode/field_source.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const exact = (x: number): number => x;
/** Roundings that a component may take, of its result and of each argument. */
const ROUNDINGS = 8;

/** Numbers of either sign and size 0.2 … 2, the same in every run. */
function numbers(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = state / 2 ** 31 - 1;
    return Math.sign(x) * (0.2 + 1.8 * Math.abs(x));
  });
}

it.each(Object.values(FIELDS))("$name: WGSL is the float64 field", async (field) => {
  const { dimension, parameters, defaults } = field;
  const count = parameters.length;
  const n = 130; // three workgroups, the last one nearly empty
  const y = numbers(n * dimension, 1);
  const w = numbers(n * dimension, 2);
  const t = numbers(n, 3);
  const p = numbers(n * count, 4).map((x, k) => defaults[k % count] * (1 + x / 4));
  const user = { name: field.name, dimension, parameters: [...parameters], source: field.source };
  const checked = await checkField(gpu, user);
  const all: FieldFunction[] = ["vector_field", "vector_field_vjp", "jacobian"];
  expect(checked.functions).toEqual(all);
  const values = await evaluateField(gpu, checked, { t, y, p }, w);
  expect(await evaluateField(gpu, checked, { t, y, p }, w)).toEqual(values);
  expect([...values.events]).toEqual(new Array(n).fill(1));

  const width = dimension + count + 1;
  const slope = new Float64Array(dimension);
  const matrix = new Float64Array(dimension * dimension);
  const pullback = new Float64Array(width);
  let worst = 0;
  const compare = (actual: number, expected: number, scale: number) => {
    worst = Math.max(worst, scale === 0 && actual === expected ? 0 : Math.abs(actual - expected) / scale);
  };
  for (let k = 0; k < n; k++) {
    const [yk, pk, wk] = [y, p, w].map((values, which) => {
      const stride = which === 1 ? count : dimension;
      return Float64Array.from(values.subarray(k * stride, (k + 1) * stride));
    }) as [Float64Array, Float64Array, Float64Array];
    field.evaluate(t[k], yk, pk, slope, exact);
    field.jacobian(t[k], yk, pk, matrix);
    // Rounded arguments and a rounded result change f_i by u (|f_i| + Σ_j |x_j ∂f_i/∂x_j|), and ∂f_i/∂x_j by that over |x_j|.
    const x = [...yk, ...pk];
    const sizes = Array.from(slope, (f, i) => {
      const unit = new Float64Array(dimension);
      unit[i] = 1;
      field.vjp(t[k], yk, pk, unit, pullback.subarray(0, dimension), pullback.subarray(dimension, width - 1));
      return Math.abs(f) + x.reduce((sum, value, j) => sum + Math.abs(value * pullback[j]), 0);
    });
    for (let i = 0; i < dimension; i++) {
      compare(values.slopes[k * dimension + i], slope[i], sizes[i]);
      for (let j = 0; j < dimension; j++) {
        const entry = i * dimension + j;
        compare(values.jacobians[k * dimension ** 2 + entry], matrix[entry], (2 * sizes[i]) / Math.abs(x[j]));
      }
    }
    pullback[width - 1] = field.vjp(
      t[k],
      yk,
      pk,
      wk,
      pullback.subarray(0, dimension),
      pullback.subarray(dimension, width - 1),
    );
    for (let j = 0; j < width; j++) {
      const size = sizes.reduce((sum, s, i) => sum + Math.abs(wk[i]) * s, 0) / Math.abs(x[j] ?? t[k]);
      compare(values.pullbacks[k * width + j], pullback[j], 2 * size);
    }
  }
  expect(worst).toBeLessThan(ROUNDINGS * EPSILON);
  // Control: the comparison is not empty.
  expect(values.slopes.some((value) => value !== 0)).toBe(true);
});

it("writes only its outputs, and what ODE_VJP and ODE_JACOBIAN leave out stays", async () => {
  const [n, dim, slots] = [70, 3, 2];
  const points = numbers((dim + slots + 1) * n, 5);
  const run = (ODE_VJP: boolean, ODE_JACOBIAN: boolean) =>
    runKernel(
      gpu,
      "ode/evaluate",
      { DIM: dim, PARAMETERS: slots, ODE_VJP, ODE_JACOBIAN },
      {
        points,
        cotangents: numbers(dim * n, 6),
        slopes: poisoned(dim * n),
        event_values: poisoned(n),
        pullbacks: poisoned((dim + slots + 1) * n),
        jacobians: poisoned(dim * dim * n),
      },
      ["slopes", "event_values", "pullbacks", "jacobians"],
      { count: n },
      [2],
    );
  const whole = await run(true, true);
  expect(await run(true, true)).toEqual(whole);
  const growth = (k: number) => Math.fround(points[dim * n + k] * points[k]);
  expect(whole.slopes).toEqual(Float32Array.from({ length: dim * n }, (_, k) => (k < n ? growth(k) : 0)));
  expect(whole.jacobians.subarray(0, n)).toEqual(points.subarray(dim * n, (dim + 1) * n));
  const least = await run(false, false);
  expect(least.slopes).toEqual(whole.slopes);
  expect(least.pullbacks).toEqual(poisoned((dim + slots + 1) * n));
  expect(least.jacobians).toEqual(poisoned(dim * dim * n));
});
