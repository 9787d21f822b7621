/**
 * Are the derivatives that a user's field brings those of its right-hand side? Asked of the device, in float32, where the
 * field exists, by central differences.
 *
 * With x = (y, p, t), D(h) = (f_i(x + h e_j) − f_i(x − h e_j))/2h differs from ∂f_i/∂x_j by c h² + O(h⁴) and by at most ε/h
 * from rounding, if f_i is computed to within ε. Steps are h_k = s_j 2^(−4−k), k = 0 … 9, s_j a usual size of x_j. Of every
 * step two sizes bound the error:
 *
 *   truncation   |D(h_k) − D(h_{k−1})| = 3 c h_k² + O(h⁴), three times that of D(h_k);
 *   rounding     2 ε/h_k, with ε = 8 u (|f_i| + Σ_j |x_j D_ij|), u = 2^−24: that f_i is exact for arguments and result
 *                changed by eight roundings each. Where f_i is worse than that, the truncation term sees its noise.
 *
 * The step with the least sum gives the value and the tolerance, about 1e-4 of |f_i|/s_j where sums and products make up f;
 * rounding of the derivative itself, u (|f_i| + …)/s_j, is well below that, since h_k < s_j/16. Where the text calls sin,
 * cos, tan or their inverses, 2^−8 (max |∂f_i/∂x_j| + max |f_i|/max(s_j, 1)) over the points is added: WGSL promises sin
 * and cos only to 2^−11, and the slope of such an approximation is off by a few times that (2.3e-3 on SwiftShader, 2026-11).
 */
import { FieldError } from "../config/errors.ts";
import type { UserField } from "../config/ode.ts";
import type { Gpu } from "../gpu/device.ts";
import type { EnsembleProblem } from "./ensemble_types.ts";
import { evaluateField, type FieldPoints } from "./evaluate_field.ts";
import type { FieldText } from "./field_source.ts";

const POINTS = 16;
const STEPS = 10;
const COARSEST = 2 ** -4;
const ROUNDINGS = 8;
const UNIT = 2 ** -24;
const COARSE = 2 ** -8;
const COARSE_FUNCTION = /\b(?:sin|cos|tan|asin|acos|atan|atan2)\s*\(/;

/** A derivative that differs from differences by more than the tolerance. */
export interface DerivativeFailure {
  readonly function: "vector_field_vjp" | "jacobian";
  /** Component of f, or undefined for a w with all of them. */
  readonly component: number | undefined;
  /** `y[1]`, `p[0]` or `t`. */
  readonly by: string;
  readonly t: number;
  readonly y: readonly number[];
  readonly p: readonly number[];
  readonly given: number;
  readonly expected: number;
  readonly tolerance: number;
}

export interface DerivativeCheck {
  /** Derivatives compared; those around which f is not finite are left out. */
  readonly compared: number;
  readonly failures: readonly DerivativeFailure[];
}

/**
 * Compares vector_field_vjp and jacobian, those of them that the field has, with differences at 16 points near initial
 * states of the problem.
 */
export async function checkDerivatives(
  gpu: Gpu,
  field: UserField & FieldText,
  problem: Pick<EnsembleProblem, "initial" | "parameters" | "start" | "end">,
): Promise<DerivativeCheck> {
  const { dimension } = field;
  const parameters = typeof field.parameters === "number" ? field.parameters : field.parameters.length;
  const [centres, sizes] = pointsNear(problem, dimension, parameters);
  const differences = await differencesAt(gpu, field, centres, sizes);
  const width = dimension + parameters + 1;
  const hasVjp = field.functions.includes("vector_field_vjp");
  const hasJacobian = field.functions.includes("jacobian");

  // w = ± a multiple of each unit vector, so that every entry is seen alone, then one with all components.
  const kinds = dimension + 1;
  const repeated = repeat(centres, kinds, dimension, parameters);
  const cotangents = new Float32Array(POINTS * kinds * dimension);
  for (let k = 0; k < POINTS; k++)
    for (let kind = 0; kind < kinds; kind++)
      for (let i = 0; i < dimension; i++) {
        const weight = ((k + i) % 2 === 0 ? 1 : -1) * (0.75 + 0.5 * spread(k + i));
        cotangents[(k * kinds + kind) * dimension + i] = kind === i || kind === dimension ? weight : 0;
      }
  const { pullbacks, jacobians } = await evaluateField(gpu, field, repeated, cotangents);

  let compared = 0;
  const failures: DerivativeFailure[] = [];
  const compare = (
    name: DerivativeFailure["function"],
    k: number,
    component: number | undefined,
    j: number,
    given: number,
    expected: number,
    tolerance: number,
  ) => {
    if (!Number.isFinite(expected) || !Number.isFinite(tolerance)) return;
    compared++;
    if (Math.abs(given - expected) <= tolerance) return;
    const by = j < dimension ? `y[${j}]` : j < dimension + parameters ? `p[${j - dimension}]` : "t";
    const y = [...centres.y.subarray(k * dimension, (k + 1) * dimension)];
    const p = [...centres.p.subarray(k * parameters, (k + 1) * parameters)];
    failures.push({ function: name, component, by, t: centres.t[k]!, y, p, given, expected, tolerance });
  };
  for (let k = 0; k < POINTS; k++) {
    for (let j = 0; j < width; j++) {
      for (let kind = 0; hasVjp && kind < kinds; kind++) {
        const w = cotangents.subarray((k * kinds + kind) * dimension, (k * kinds + kind + 1) * dimension);
        let expected = 0;
        let tolerance = 0;
        for (let i = 0; i < dimension; i++) {
          if (w[i] === 0) continue;
          const entry = differences(k, i, j);
          expected += w[i]! * entry.value;
          tolerance += Math.abs(w[i]!) * entry.tolerance;
        }
        const given = pullbacks[(k * kinds + kind) * width + j]!;
        compare("vector_field_vjp", k, kind < dimension ? kind : undefined, j, given, expected, tolerance);
      }
      for (let i = 0; hasJacobian && j < dimension && i < dimension; i++) {
        const { value, tolerance } = differences(k, i, j);
        const given = jacobians[k * kinds * dimension * dimension + i * dimension + j]!;
        compare("jacobian", k, i, j, given, value, tolerance);
      }
    }
  }
  return { compared, failures };
}

/**
 * Refuses a field whose derivatives are wrong.
 * @throws FieldError naming function, derivative, point, and both values
 */
export async function requireDerivatives(
  gpu: Gpu,
  field: UserField & FieldText,
  problem: Pick<EnsembleProblem, "initial" | "parameters" | "start" | "end">,
): Promise<void> {
  const { compared, failures } = await checkDerivatives(gpu, field, problem);
  if (compared === 0)
    throw new FieldError(
      field.name,
      "derivatives cannot be checked: vector_field is not finite near the initial states",
    );
  // The largest error in units of its tolerance says most.
  const excess = ({ given, expected, tolerance }: DerivativeFailure) =>
    Number.isFinite(given) ? Math.abs(given - expected) / tolerance : Infinity;
  const [worst] = failures.toSorted((a, b) => excess(b) - excess(a));
  if (!worst) return;
  const at = new RegExp(`\\bfn\\s+${worst.function}\\b`).exec(field.source);
  const before = field.source.slice(0, at?.index ?? 0).split("\n");
  const place = at ? { line: before.length, column: before.at(-1)!.length + 1, length: at[0].length } : undefined;
  const of = worst.component === undefined ? "wᵀ∂f" : `∂f[${worst.component}]`;
  const list = (numbers: readonly number[]) => numbers.map(short).join(", ");
  const value = worst.function === "jacobian" ? "" : ", times its weight,";
  throw new FieldError(
    field.name,
    `${worst.function}: ${of}/∂${worst.by}${value} must be ${short(worst.expected)} ± ${short(worst.tolerance)} by differences of vector_field, got ${short(worst.given)} at t = ${short(worst.t)}, y = (${list(worst.y)}), p = (${list(worst.p)}); ${failures.length} of ${compared} derivatives differ`,
    field.source,
    place,
  );
}

function short(x: number): string {
  return String(Number(x.toPrecision(6)));
}

/** Initial states, parameters and times of the problem, all moved a little: a term that vanishes there would not be seen. */
function pointsNear(
  { initial, parameters, start, end }: Pick<EnsembleProblem, "initial" | "parameters" | "start" | "end">,
  dimension: number,
  count: number,
): [FieldPoints, Float64Array] {
  const n = initial.length / dimension;
  const at = (value: number | Float32Array, j: number) => (typeof value === "number" ? value : value[j]!);
  const size = (of: (j: number) => number) => {
    let most = 0;
    for (let j = 0; j < n; j++) {
      const x = Math.abs(of(j));
      if (Number.isFinite(x)) most = Math.max(most, x);
    }
    return most;
  };
  const p = parameters ?? new Float32Array(count);
  const parameter = (j: number, i: number) => p[p.length === count ? i : j * count + i]!;
  const sizes = new Float64Array(dimension + count + 1);
  const any = size((j) => Math.max(...initial.subarray(j * dimension, (j + 1) * dimension).map(Math.abs))) || 1;
  for (let i = 0; i < dimension; i++) sizes[i] = size((j) => initial[j * dimension + i]!) || any;
  for (let i = 0; i < count; i++) sizes[dimension + i] = size((j) => parameter(j, i)) || 1;
  sizes[dimension + count] = size((j) => Math.max(Math.abs(at(start, j)), Math.abs(at(end, j)))) || 1;

  const points = {
    t: new Float32Array(POINTS),
    y: new Float32Array(POINTS * dimension),
    p: new Float32Array(POINTS * count),
  };
  let draw = 0;
  for (let k = 0; k < POINTS; k++) {
    const j = Math.floor((k * n) / POINTS);
    points.t[k] = at(start, j) + spread(draw++) * (at(end, j) - at(start, j));
    for (let i = 0; i < dimension; i++)
      points.y[k * dimension + i] = initial[j * dimension + i]! + 0.2 * (spread(draw++) - 0.5) * sizes[i]!;
    for (let i = 0; i < count; i++)
      points.p[k * count + i] = parameter(j, i) + 0.2 * (spread(draw++) - 0.5) * sizes[dimension + i]!;
  }
  return [points, sizes];
}

/** Numbers in [0, 1) that lie evenly: the additive recurrence of the golden ratio. */
function spread(k: number): number {
  return ((k + 1) * 0.6180339887498949) % 1;
}

interface Difference {
  readonly value: number;
  readonly tolerance: number;
}

/** ∂f_i/∂x_j at every point, NaN where f is not finite near it. */
async function differencesAt(
  gpu: Gpu,
  field: UserField & FieldText,
  centres: FieldPoints,
  sizes: Float64Array,
): Promise<(k: number, i: number, j: number) => Difference> {
  const { dimension } = field;
  const parameters = sizes.length - dimension - 1;
  const width = sizes.length;
  const each = 1 + 2 * STEPS * width;
  const points = repeat(centres, each, dimension, parameters);
  const coordinate = (j: number): [Float32Array, number, number] =>
    j < dimension ? [points.y, dimension, j] : j < width - 1 ? [points.p, parameters, j - dimension] : [points.t, 1, 0];
  const place = (k: number, j: number, step: number, side: 0 | 1) => k * each + 1 + (j * STEPS + step) * 2 + side;
  for (let k = 0; k < POINTS; k++)
    for (let j = 0; j < width; j++) {
      const [values, stride, offset] = coordinate(j);
      const x = values[k * each * stride + offset]!;
      for (let step = 0; step < STEPS; step++) {
        const h = sizes[j]! * COARSEST * 2 ** -step;
        values[place(k, j, step, 0) * stride + offset] = x - h;
        values[place(k, j, step, 1) * stride + offset] = x + h;
      }
    }
  const { slopes } = await evaluateField(gpu, field, points);

  const quotient = (k: number, i: number, j: number, step: number): number => {
    const [low, high] = [place(k, j, step, 0), place(k, j, step, 1)];
    const [values, stride, offset] = coordinate(j);
    // The distance as float32 has it.
    const distance = values[high * stride + offset]! - values[low * stride + offset]!;
    return (slopes[high * dimension + i]! - slopes[low * dimension + i]!) / distance;
  };
  const errors = new Float64Array(POINTS * dimension);
  for (let k = 0; k < POINTS; k++)
    for (let i = 0; i < dimension; i++) {
      let size = Math.abs(slopes[k * each * dimension + i]!);
      for (let j = 0; j < width; j++) {
        const [values, stride, offset] = coordinate(j);
        const middle = quotient(k, i, j, STEPS / 2);
        if (Number.isFinite(middle)) size += Math.abs(values[k * each * stride + offset]! * middle);
      }
      errors[k * dimension + i] = ROUNDINGS * UNIT * size;
    }
  const best = (k: number, i: number, j: number): Difference => {
    let least: Difference = { value: Number.NaN, tolerance: Infinity };
    for (let step = 1; step < STEPS; step++) {
      const value = quotient(k, i, j, step);
      const h = sizes[j]! * COARSEST * 2 ** -step;
      const tolerance = Math.abs(value - quotient(k, i, j, step - 1)) + (2 * errors[k * dimension + i]!) / h;
      if (tolerance < least.tolerance) least = { value, tolerance };
    }
    return least;
  };
  if (!COARSE_FUNCTION.test(field.source)) return best;
  const greatest = (of: (k: number) => number) => {
    let most = 0;
    for (let k = 0; k < POINTS; k++) if (Math.abs(of(k)) > most) most = Math.abs(of(k));
    return most;
  };
  const added = Array.from({ length: dimension * width }, (_, entry) => {
    const [i, j] = [Math.floor(entry / width), entry % width];
    const slope = greatest((k) => best(k, i, j).value);
    const size = greatest((k) => slopes[k * each * dimension + i]!);
    // What f_i does not depend on, it does not approximate.
    return slope === 0 ? 0 : COARSE * (slope + size / Math.max(sizes[j]!, 1));
  });
  return (k, i, j) => {
    const { value, tolerance } = best(k, i, j);
    return { value, tolerance: tolerance + added[i * width + j]! };
  };
}

/** Every point `times` times, one after the other. */
function repeat({ t, y, p }: FieldPoints, times: number, dimension: number, parameters: number): FieldPoints {
  const rows = (values: Float32Array, width: number) => {
    const out = new Float32Array(values.length * times);
    for (let k = 0; k < t.length; k++)
      for (let r = 0; r < times; r++) out.set(values.subarray(k * width, (k + 1) * width), (k * times + r) * width);
    return out;
  };
  return { t: rows(t, 1), y: rows(y, dimension), p: rows(p, parameters) };
}
