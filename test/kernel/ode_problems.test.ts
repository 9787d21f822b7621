import { expect, it } from "vitest";
import type { UserField } from "../../src/config/ode.ts";
import { PROBLEMS } from "../../src/experiment/conformance/problems.ts";
import { evaluateField } from "../../src/ode/evaluate_field.ts";
import { checkField } from "../../src/ode/field_source.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { CLOSED_FORMS, DETEST, REFERENCE_VALUES } from "../../src/reference/ode_problems.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";

const gpu = await openTestDevice();
const exact = (x: number): number => x;
const POINTS = 70; // two workgroups, the second nearly empty
/** Roundings that a component may take, of its result and of each argument; sines and cosines are good to 1e-7, two more. */
const ROUNDINGS = 12;

/** Numbers of 0.2 … 2, the same in every run. */
function numbers(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 0.2 + (1.8 * state) / 2 ** 32;
  });
}

const own = PROBLEMS.filter(({ field }) => typeof field !== "string");

it.each(own)("$id: WGSL is the float64 field", async ({ id, field, dimension, parameters, system, t0, t1 }) => {
  const checked = await checkField(gpu, field as UserField);
  const y = numbers(POINTS * dimension, 1).map((x, k) => (k % 3 === 0 ? -x : x));
  // A5 has a pole at y = −t.
  if (id === "A5") y.set(y.map(Math.abs));
  const t = numbers(POINTS, 2).map((x) => t0 + (x / 2) * (t1 - t0));
  const p = Float32Array.from(Array.from({ length: POINTS }, () => parameters).flat());
  const { slopes } = await evaluateField(gpu, checked, { t, y, p });

  const evaluate = (time: number, state: Float64Array) => {
    const out = new Float64Array(dimension);
    system.evaluate(time, state, parameters, out, exact);
    return out;
  };
  let worst = 0;
  for (let k = 0; k < POINTS; k++) {
    const state = Float64Array.from(y.subarray(k * dimension, (k + 1) * dimension));
    const f = evaluate(t[k], state);
    // Rounded arguments change f_i by u Σ_j |x_j ∂f_i/∂x_j|: differences of a millionth.
    const size = f.map(Math.abs);
    const move = (along: Float64Array) => {
      along.forEach((value, i) => {
        size[i] += Math.abs(value - f[i]) / 1e-6;
      });
    };
    for (let j = 0; j < dimension; j++)
      move(
        evaluate(
          t[k],
          state.map((x, i) => (i === j ? x * (1 + 1e-6) : x)),
        ),
      );
    move(evaluate(t[k] * (1 + 1e-6), state));
    f.forEach((value, i) => {
      const distance = Math.abs(slopes[k * dimension + i] - value);
      worst = Math.max(worst, distance === 0 ? 0 : distance / size[i]);
    });
  }
  expect(worst).toBeLessThan(ROUNDINGS * EPSILON);
  expect(slopes.some((value) => value !== 0)).toBe(true);
});

it("every problem of the reference is there, with the field it names there", () => {
  expect(PROBLEMS.length).toBe(DETEST.length + CLOSED_FORMS.length + REFERENCE_VALUES.length + 2);
  expect(new Set(PROBLEMS.map(({ id }) => id)).size).toBe(PROBLEMS.length);
  for (const { id } of PROBLEMS) expect(id).toMatch(/^[\w.-]+$/);
});

it("a built-in field with its parameters is the problem's own", () => {
  for (const { id, system, y0, t0, t1 } of [...DETEST, ...CLOSED_FORMS]) {
    const { field, parameters } = PROBLEMS.find((problem) => problem.id === id)!;
    if (typeof field !== "string") continue;
    const [own, named] = [new Float64Array(y0.length), new Float64Array(y0.length)];
    for (const scale of [1, 1.3]) {
      const y = Float64Array.from(y0, (value, i) => scale * value + 0.1 * i);
      system.evaluate((t0 + t1) / 2, y, [], own, exact);
      FIELDS[field].evaluate((t0 + t1) / 2, y, parameters, named, exact);
      own.forEach((value, i) => {
        expect(Math.abs(named[i] - value)).toBeLessThan(8 * 2 ** -53 * Math.max(1, Math.abs(value)));
      });
    }
  }
});
