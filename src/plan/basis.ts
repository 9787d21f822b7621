/** Weights as functions of depth, s in [0,1]: f(s) = Σ_j φ_j(s) c_j (the bases are defined at `basisSchema`). Pure mathematics. */
import { ConfigError } from "../config/errors.ts";
import { type Basis, basisSchema } from "../config/neural.ts";

/** A function of depth: coefficients [K, size], row-major, one row a basis function. */
export interface DepthFunction {
  readonly basis: Basis;
  readonly coefficients: ArrayLike<number>;
}

/** Distance from a whole number below which a cell's number counts as exact: times are quotients, rounded in float64. */
const ON_JUMP = 1e-9;

function checkBasis(basis: Basis): void {
  const parsed = basisSchema.safeParse(basis);
  if (parsed.success) return;
  const { path, message } = parsed.error.issues[0];
  throw new ConfigError(`basis.${path.join(".")}`, message, basis[path[0] as keyof Basis]);
}

function sizeOf({ basis, coefficients }: DepthFunction): number {
  checkBasis(basis);
  const size = coefficients.length / basis.count;
  if (!Number.isInteger(size) || size === 0)
    throw new ConfigError("coefficients", `must hold a multiple of ${basis.count} numbers`, coefficients.length);
  return size;
}

/** The basis functions that may differ from 0 at s: values of φ_first, φ_{first+1}, …; all others are 0. */
function valuesAt({ kind, count }: Basis, s: number, inside: number): { first: number; values: number[] } {
  switch (kind) {
    case "constant": {
      const place = s * count;
      const jump = Math.round(place);
      const onJump = Math.abs(place - jump) < ON_JUMP;
      const cell = onJump ? (inside < s ? jump - 1 : jump) : Math.floor(place);
      return { first: Math.min(count - 1, Math.max(0, cell)), values: [1] };
    }
    case "linear": {
      const place = s * (count - 1);
      const first = Math.min(count - 2, Math.floor(place));
      return { first, values: [first + 1 - place, place - first] };
    }
    case "chebyshev": {
      const x = 2 * s - 1;
      const values = [1, x];
      for (let j = 2; j < count; j++) values.push(2 * x * values[j - 1] - values[j - 2]);
      return { first: 0, values: values.slice(0, count) };
    }
    case "fourier": {
      const values = [1];
      for (let j = 1; 2 * j < count; j++) values.push(Math.cos(2 * Math.PI * j * s), Math.sin(2 * Math.PI * j * s));
      return { first: 0, values };
    }
  }
}

/**
 * Φ [times, K], row-major: φ_j at each time in [0,1]. A time at which a piecewise constant function jumps takes the cell on
 * the side of `inside[i]`, and the one to the right without it (at s = 1 the last cell).
 */
export function basisMatrix(basis: Basis, times: ArrayLike<number>, inside: ArrayLike<number> = times): Float64Array {
  checkBasis(basis);
  if (inside.length !== times.length)
    throw new ConfigError("inside", `must hold ${times.length} numbers`, inside.length);
  const matrix = new Float64Array(times.length * basis.count);
  for (let i = 0; i < times.length; i++) {
    const s = times[i];
    if (!(s >= 0 && s <= 1)) throw new ConfigError(`times[${i}]`, "must lie in [0, 1]", s);
    const { first, values } = valuesAt(basis, s, inside[i]);
    matrix.set(values, i * basis.count + first);
  }
  return matrix;
}

/**
 * Times (n + c_s)/N of the stages of N equal steps from 0 to 1, [N, stages], and the middle of each stage's step. With the
 * middle as `inside` of {@link basisMatrix}, a step that lies in one cell has all its stages in that cell: a stage at its end
 * (c = 1) takes the cell to its left. Where N is a multiple of the number of cells no step sees a jump.
 */
export function stageTimes(steps: number, c: readonly number[]): { times: Float64Array; inside: Float64Array } {
  const times = new Float64Array(steps * c.length);
  const inside = new Float64Array(steps * c.length);
  for (let n = 0; n < steps; n++)
    for (let s = 0; s < c.length; s++) {
      times[n * c.length + s] = (n + c[s]) / steps;
      inside[n * c.length + s] = (n + 0.5) / steps;
    }
  return { times, inside };
}

/** Φ [N, stages, K] at the stages of N equal steps of a method with nodes `c`. */
export function stageBasis(basis: Basis, steps: number, c: readonly number[]): Float64Array {
  const { times, inside } = stageTimes(steps, c);
  return basisMatrix(basis, times, inside);
}

/** M_ij is 0 where |i − j| is larger. */
function massBand({ kind, count }: Basis): number {
  return { constant: 0, linear: 1, chebyshev: count - 1, fourier: 0 }[kind];
}

/** Half of ∫ T_n over [-1, 1]. */
function chebyshevMean(n: number): number {
  return n % 2 === 0 ? 1 / (1 - n * n) : 0;
}

function massEntry({ kind, count }: Basis, i: number, j: number): number {
  switch (kind) {
    case "constant":
      return i === j ? 1 / count : 0;
    case "linear": {
      if (Math.abs(i - j) > 1) return 0;
      if (i !== j) return 1 / (6 * (count - 1));
      return (i === 0 || i === count - 1 ? 1 : 2) / (3 * (count - 1));
    }
    case "chebyshev":
      // T_i T_j = (T_{i+j} + T_{|i-j|}) / 2.
      return (chebyshevMean(i + j) + chebyshevMean(Math.abs(i - j))) / 2;
    case "fourier":
      return i === j ? (i === 0 ? 1 : 1 / 2) : 0;
  }
}

/** M [K, K], M_ij = ∫_0^1 φ_i φ_j ds, exact up to rounding. */
export function massMatrix(basis: Basis): Float64Array {
  checkBasis(basis);
  const { count } = basis;
  return Float64Array.from({ length: count * count }, (_, at) => massEntry(basis, Math.floor(at / count), at % count));
}

/** Lower triangle of M = C Cᵀ, [K, band + 1]: C_ij stands at [i, j − i + band]. */
function massCholesky(basis: Basis): { factor: Float64Array; band: number } {
  const { count } = basis;
  const band = massBand(basis);
  const width = band + 1;
  const factor = new Float64Array(count * width);
  for (let i = 0; i < count; i++)
    for (let j = Math.max(0, i - band); j <= i; j++) {
      let sum = massEntry(basis, i, j);
      for (let k = Math.max(0, i - band); k < j; k++)
        sum -= factor[i * width + k - i + band] * factor[j * width + k - j + band];
      factor[i * width + j - i + band] = i === j ? Math.sqrt(sum) : sum / factor[j * width + band];
    }
  return { factor, band };
}

/**
 * M⁻¹ R for R [K, size]: from the gradient with respect to the coefficients to the coefficients of the gradient in L²([0,1]).
 */
export function solveMass(basis: Basis, right: ArrayLike<number>): Float64Array {
  const size = sizeOf({ basis, coefficients: right });
  const { count } = basis;
  const { factor, band } = massCholesky(basis);
  const x = Float64Array.from(right);
  const eliminate = (i: number, k: number, value: number) => {
    for (let e = 0; e < size; e++) x[i * size + e] -= value * x[k * size + e];
  };
  const divide = (i: number) => {
    const pivot = factor[i * (band + 1) + band];
    for (let e = 0; e < size; e++) x[i * size + e] /= pivot;
  };
  for (let i = 0; i < count; i++) {
    for (let k = Math.max(0, i - band); k < i; k++) eliminate(i, k, factor[i * (band + 1) + k - i + band]);
    divide(i);
  }
  for (let i = count - 1; i >= 0; i--) {
    for (let k = i + 1; k < Math.min(count, i + band + 1); k++) eliminate(i, k, factor[k * (band + 1) + i - k + band]);
    divide(i);
  }
  return x;
}

/** M⁻¹ [K, K]. */
export function inverseMass(basis: Basis): Float64Array {
  const { count } = basis;
  return solveMass(
    basis,
    Float64Array.from({ length: count * count }, (_, at) => (at % (count + 1) === 0 ? 1 : 0)),
  );
}

/**
 * P = M⁻¹Φᵀ [K, times]: takes the gradients of a loss with respect to the weights at the times to the coefficients of its
 * gradient in L²([0,1]). `inside` as in {@link basisMatrix}.
 */
export function projectionMatrix(basis: Basis, times: ArrayLike<number>, inside?: ArrayLike<number>): Float64Array {
  const matrix = basisMatrix(basis, times, inside);
  const transposed = new Float64Array(matrix.length);
  for (let i = 0; i < times.length; i++)
    for (let j = 0; j < basis.count; j++) transposed[j * times.length + i] = matrix[i * basis.count + j];
  return solveMass(basis, transposed);
}

/** Coefficients e [K] of the function that is 1: weights tied over depth at W have coefficients e_j W. */
export function unitCoefficients(basis: Basis): Float64Array {
  checkBasis(basis);
  const unit = new Float64Array(basis.count);
  if (basis.kind === "constant" || basis.kind === "linear") unit.fill(1);
  else unit[0] = 1;
  return unit;
}

/** Adds `scale`·f(s) to out [size]. */
function addValue(
  { basis, coefficients }: DepthFunction,
  s: number,
  inside: number,
  scale: number,
  out: Float64Array,
): void {
  const { first, values } = valuesAt(basis, s, inside);
  for (let j = 0; j < values.length; j++) {
    const weight = scale * values[j];
    const at = (first + j) * out.length;
    for (let e = 0; e < out.length; e++) out[e] += weight * coefficients[at + e];
  }
}

/** f at each time, [times, size]; `inside` as in {@link basisMatrix}. */
export function evaluateDepth(
  f: DepthFunction,
  times: ArrayLike<number>,
  inside: ArrayLike<number> = times,
): Float64Array {
  const size = sizeOf(f);
  const out = new Float64Array(times.length * size);
  for (let i = 0; i < times.length; i++) addValue(f, times[i], inside[i], 1, out.subarray(i * size, (i + 1) * size));
  return out;
}

/** Nodes and weights of the Gauss–Legendre rule on [0,1], exact for polynomials of degree 2·count − 1. */
export function gaussLegendre(count: number): { nodes: Float64Array; weights: Float64Array } {
  const nodes = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = -Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 0;
    // Newton's method converges quadratically from this start: six steps reach rounding for every count.
    for (let trip = 0; trip < 6; trip++) {
      let [previous, value] = [1, x];
      for (let k = 2; k <= count; k++) [previous, value] = [value, ((2 * k - 1) * x * value - (k - 1) * previous) / k];
      slope = (count * (x * value - previous)) / (x * x - 1);
      x -= value / slope;
    }
    nodes[i] = (x + 1) / 2;
    weights[i] = 1 / ((1 - x * x) * slope * slope);
  }
  return { nodes, weights };
}

/** Ends of the intervals within which the functions of a basis are smooth, without 0 and 1. */
function kinks({ kind, count }: Basis): number[] {
  const pieces = { constant: count, linear: count - 1, chebyshev: 1, fourier: 1 }[kind];
  return Array.from({ length: pieces - 1 }, (_, k) => (k + 1) / pieces);
}

/** Gauss points in an interval that integrate a product of two functions exactly; for `fourier` to rounding. */
function pointsWithin({ kind, count }: Basis): number {
  return { constant: 1, linear: 2, chebyshev: count, fourier: 4 * count + 8 }[kind];
}

/** Calls `visit(s, weight)` for the points of a rule that integrates products of functions of these bases over [0,1]. */
function quadrature(bases: readonly Basis[], visit: (s: number, weight: number) => void): void {
  const ends = [0, ...bases.flatMap(kinks), 1].toSorted((a, b) => a - b);
  const { nodes, weights } = gaussLegendre(Math.max(...bases.map(pointsWithin)));
  for (let k = 0; k + 1 < ends.length; k++) {
    const length = ends[k + 1] - ends[k];
    // Kinks of two bases at one place may differ by rounding.
    if (length < ON_JUMP / Math.max(...bases.map(({ count }) => count))) continue;
    for (let i = 0; i < nodes.length; i++) visit(ends[k] + length * nodes[i], length * weights[i]);
  }
}

/** (∫_0^1 ‖f(s)‖² ds)^{1/2}, ‖·‖ the Euclidean norm of the `size` numbers (Frobenius, where they are a matrix). */
export function depthNorm(f: DepthFunction): number {
  const zero = { basis: { kind: "constant", count: 1 } as const, coefficients: new Float64Array(sizeOf(f)) };
  return depthDistance(f, zero);
}

/**
 * (∫_0^1 ‖f(s) − g(s)‖² ds)^{1/2}, by a quadrature of the difference itself, so that a small distance keeps its digits. Exact
 * up to rounding for all bases.
 */
export function depthDistance(f: DepthFunction, g: DepthFunction): number {
  const size = sizeOf(f);
  if (sizeOf(g) !== size) throw new ConfigError("coefficients", `must both have rows of ${size} numbers`, sizeOf(g));
  let square = 0;
  const difference = new Float64Array(size);
  quadrature([f.basis, g.basis], (s, weight) => {
    difference.fill(0);
    addValue(f, s, s, 1, difference);
    addValue(g, s, s, -1, difference);
    let sum = 0;
    for (const value of difference) sum += value * value;
    square += weight * sum;
  });
  return Math.sqrt(square);
}

/** The function of `basis` nearest to f in L²([0,1]): a trained stack read in another basis, coarsened or made finer. */
export function projectDepth(f: DepthFunction, basis: Basis): Float64Array {
  const size = sizeOf(f);
  checkBasis(basis);
  return projected(basis, size, [f.basis, basis], (s, out) => addValue(f, s, s, 1, out));
}

/**
 * Coefficients [K, size] of the function of `basis` nearest in L²([0,1]) to a smooth function; `value(s)` gives its `size`
 * numbers. The error of the integrals is that of a Gauss rule of 2K + 16 points in each interval of the basis.
 */
export function projectFunction(basis: Basis, size: number, value: (s: number) => ArrayLike<number>): Float64Array {
  checkBasis(basis);
  const smooth: Basis = { kind: "chebyshev", count: 2 * basis.count + 16 };
  return projected(basis, size, [basis, smooth], (s, out) => out.set(Float64Array.from(value(s))));
}

function projected(
  basis: Basis,
  size: number,
  bases: readonly Basis[],
  value: (s: number, out: Float64Array) => void,
): Float64Array {
  const moments = new Float64Array(basis.count * size);
  const at = new Float64Array(size);
  quadrature(bases, (s, weight) => {
    at.fill(0);
    value(s, at);
    const { first, values } = valuesAt(basis, s, s);
    for (let j = 0; j < values.length; j++)
      for (let e = 0; e < size; e++) moments[(first + j) * size + e] += weight * values[j] * at[e];
  });
  return solveMass(basis, moments);
}
