/** What turns measurements into the numbers of a claim: slopes, intervals, verdicts. Pure, float64. */
import tQuantile from "@stdlib/stats-base-dists-t-quantile";
import type { Claim, Verdict } from "./record.ts";

export type Interval = readonly [lower: number, upper: number];

/** A straight line v ≈ intercept + slope·u. */
interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Of the slope, at the asked confidence. Infinite with two points: a line through two points says nothing about its own error. */
  readonly interval: Interval;
  /** Of the slope. Infinite with two points. */
  readonly standardError: number;
  readonly points: number;
  /** Share of the variance of v that the line explains; 1 when v does not vary. */
  readonly r2: number;
}

/** Slope and intercept of log y on log x: `intercept` is the natural logarithm of the fitted y at x = 1. */
export type LogLogSlope = Line;

/**
 * Ordinary least squares of log y on log x: the exponent p of y ≈ C·x^p.
 * The interval is slope ± t·se with points − 2 degrees of freedom, so it speaks of scatter about a straight line, not of seeds, and is
 * too narrow where the residuals are curvature: use {@link slopeOverSeeds} where there are seeds.
 * @param confidence two-sided, in (0, 1)
 * @throws RangeError naming the first x or y that is not a positive finite number; fewer than two points; all x equal
 */
export function logLogSlope(x: readonly number[], y: readonly number[], confidence = 0.95): LogLogSlope {
  expectPairs(x, y, confidence);
  return leastSquares(
    x.map((value, i) => positiveLog("x", i, value)),
    y.map((value, i) => positiveLog("y", i, value)),
    x,
    confidence,
  );
}

export interface DecayRate extends Omit<Line, "slope"> {
  /** r of y ≈ C·exp(−r t), in units of 1/t; its interval and standard error. */
  readonly rate: number;
}

/**
 * Ordinary least squares of log y on t: the rate r of y ≈ C·exp(−r t); `intercept` is log C. Intervals as in {@link logLogSlope}.
 * @throws RangeError naming the first y that is not a positive finite number; fewer than two points; all t equal
 */
export function decayRate(t: readonly number[], y: readonly number[], confidence = 0.95): DecayRate {
  expectPairs(t, y, confidence);
  checkFinite(t);
  const logs = y.map((value, i) => positiveLog("y", i, value));
  const { slope, interval, ...line } = leastSquares(t, logs, t, confidence);
  return { ...line, rate: -slope, interval: [-interval[1], -interval[0]] };
}

function expectPairs(x: readonly number[], y: readonly number[], confidence: number): void {
  checkConfidence(confidence);
  if (x.length !== y.length) throw new RangeError(`x and y must be equally long, got ${x.length} and ${y.length}`);
  if (x.length < 2) throw new RangeError(`a slope needs at least 2 points, got ${x.length}`);
}

/** @param x the abscissae as the caller gave them, for the message */
function leastSquares(u: readonly number[], v: readonly number[], x: readonly number[], confidence: number): Line {
  const points = u.length;
  const meanU = mean(u);
  const meanV = mean(v);
  let suu = 0;
  let suv = 0;
  let svv = 0;
  for (let i = 0; i < points; i++) {
    suu += (u[i]! - meanU) ** 2;
    suv += (u[i]! - meanU) * (v[i]! - meanV);
    svv += (v[i]! - meanV) ** 2;
  }
  if (!(suu > 0)) throw new RangeError(`a slope needs at least 2 distinct x, all are ${x[0]}`);
  const slope = suv / suu;
  const intercept = meanV - slope * meanU;
  // From the residuals themselves: svv − slope·suv cancels to noise when the fit is good.
  let residual = 0;
  for (let i = 0; i < points; i++) residual += (v[i]! - intercept - slope * u[i]!) ** 2;
  const standardError = points > 2 ? Math.sqrt(residual / (points - 2) / suu) : Infinity;
  const half = points > 2 ? tQuantile((1 + confidence) / 2, points - 2) * standardError : Infinity;
  const r2 = svv > 0 ? 1 - residual / svv : 1;
  return { slope, intercept, interval: [slope - half, slope + half], standardError, points, r2 };
}

export interface MeanInterval {
  readonly mean: number;
  readonly interval: Interval;
  /** Of the mean: sample standard deviation / √count. Infinite with one value. */
  readonly standardError: number;
  readonly count: number;
}

/**
 * Mean with Student's t interval (count − 1 degrees of freedom); infinite with a single value.
 * @throws RangeError on an empty list or a value that is not finite
 */
export function meanInterval(values: readonly number[], confidence = 0.95): MeanInterval {
  checkConfidence(confidence);
  checkFinite(values);
  const count = values.length;
  const centre = mean(values);
  if (count === 1) return { mean: centre, interval: [-Infinity, Infinity], standardError: Infinity, count };
  let squares = 0;
  for (const value of values) squares += (value - centre) ** 2;
  const standardError = Math.sqrt(squares / (count - 1) / count);
  const half = tQuantile((1 + confidence) / 2, count - 1) * standardError;
  return { mean: centre, interval: [centre - half, centre + half], standardError, count };
}

/** The 0.5 quantile: mean of the two middle values when the count is even. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, the default of NumPy and R).
 * @param p in [0, 1]
 * @throws RangeError on an empty list, a value that is not finite, or p outside [0, 1]
 */
export function quantile(values: readonly number[], p: number): number {
  checkFinite(values);
  if (!(p >= 0 && p <= 1)) throw new RangeError(`p must be in [0, 1], got ${p}`);
  const sorted = values.toSorted((a, b) => a - b);
  const position = p * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!);
}

/**
 * The 0.5 quantile with the interval between the k-th least and the k-th largest value, k as large as the binomial distribution of the
 * number of values below the median allows: at least the asked confidence whatever the distribution. Infinite with too few values (below 6 at 95%).
 * @throws RangeError on an empty list or a value that is not finite
 */
export function medianInterval(
  values: readonly number[],
  confidence = 0.95,
): { readonly median: number; readonly interval: Interval } {
  checkConfidence(confidence);
  const centre = median(values);
  const sorted = values.toSorted((a, b) => a - b);
  const count = sorted.length;
  let tail = 0;
  let term = 2 ** -count;
  let inside = -1;
  for (let k = 0; k < count / 2; k++) {
    tail += term;
    if (2 * tail > 1 - confidence) break;
    inside = k;
    term *= (count - k) / (k + 1);
  }
  if (inside < 0) return { median: centre, interval: [-Infinity, Infinity] };
  return { median: centre, interval: [sorted[inside]!, sorted[count - 1 - inside]!] };
}

/**
 * Where y, given at increasing x, first falls from above 0 to 0 or below, by linear interpolation; Infinity counts as above.
 * Null when it does not fall within x, or falls from Infinity.
 */
export function fallsToZero(x: readonly number[], y: readonly number[]): number | null {
  for (let i = 1; i < x.length; i++) {
    const before = y[i - 1]!;
    const after = y[i]!;
    if (!(before > 0 && after <= 0)) continue;
    return Number.isFinite(before) ? x[i - 1]! + ((x[i]! - x[i - 1]!) * before) / (before - after) : null;
  }
  return null;
}

export interface SeedSlope {
  /** Mean of the slopes of the seeds. */
  readonly slope: number;
  readonly interval: Interval;
  readonly standardError: number;
  /** Slope of each seed, in the order given. */
  readonly perSeed: readonly number[];
  /** `seeds`: the interval is Student's t over seeds. `regression`: there was one seed, and it is that of {@link logLogSlope}. */
  readonly source: "seeds" | "regression";
}

/**
 * Exponent of y ≈ C·x^p with its spread over independent repetitions: one slope per seed, then {@link meanInterval} over them.
 * @throws RangeError without seeds, or as {@link logLogSlope} naming the seed
 */
export function slopeOverSeeds(
  perSeed: readonly { readonly x: readonly number[]; readonly y: readonly number[] }[],
  confidence = 0.95,
): SeedSlope {
  if (perSeed.length === 0) throw new RangeError("a slope over seeds needs at least one seed, got 0");
  const fits = perSeed.map(({ x, y }, seed) => {
    try {
      return logLogSlope(x, y, confidence);
    } catch (error) {
      throw new RangeError(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
  const slopes = fits.map((fit) => fit.slope);
  if (fits.length === 1) {
    const { slope, interval, standardError } = fits[0]!;
    return { slope, interval, standardError, perSeed: slopes, source: "regression" };
  }
  const { mean: slope, interval, standardError } = meanInterval(slopes, confidence);
  return { slope, interval, standardError, perSeed: slopes, source: "seeds" };
}

export interface FurtherDraw {
  /** (value − mean) / (s √(1 + 1/n)): Student's t with n − 1 degrees of freedom where the value is one more draw of the same normal distribution. */
  readonly score: number;
  /** Its quantile: |score| exceeds it with probability 1 − confidence. */
  readonly limit: number;
}

/**
 * How far a value lies from what the given draws let expect of a further one (a prediction interval).
 * @throws RangeError with fewer than two draws, draws that are all equal, or numbers that are not finite
 */
export function furtherDraw(draws: readonly number[], value: number, confidence = 0.95): FurtherDraw {
  checkFinite([...draws, value]);
  const { mean: centre, standardError, count } = meanInterval(draws, confidence);
  if (count < 2 || standardError === 0) throw new RangeError(`draws must be two or more and differ, got ${draws}`);
  return {
    score: (value - centre) / (standardError * Math.sqrt(count + 1)),
    limit: tQuantile((1 + confidence) / 2, count - 1),
  };
}

/**
 * Verdict on a measured number against the range that passes.
 *
 * Without an interval, or with one of no width: inside holds, outside fails. With an interval:
 * - wholly inside the range: holds; wholly outside: fails;
 * - across an edge with the point outside: not decided;
 * - across an edge with the point inside: a range with two ends is a tolerance around a prediction, and the claim holds if the interval's half-width is
 *   smaller than the range's width, so that the measurement resolves the tolerance; a range with one open end has no width to compare with,
 *   and the edge is the whole claim: not decided.
 *
 * A `measured` that is null or not finite, and an interval with an end that is not a number, decide nothing.
 * @throws RangeError when the range has no end or its ends are swapped, or the interval's ends are swapped
 */
export function judge(measured: number | null, passes: Claim["passes"], interval?: Interval): Verdict {
  const min = passes.min ?? -Infinity;
  const max = passes.max ?? Infinity;
  if (passes.min === undefined && passes.max === undefined)
    throw new RangeError("a claim needs a range with at least one end");
  if (!(min <= max)) throw new RangeError(`the passing range must have min <= max, got ${min} and ${max}`);
  if (measured === null || !Number.isFinite(measured)) return "not decided";
  const inside = measured >= min && measured <= max;
  if (interval === undefined) return inside ? "holds" : "fails";

  const [lower, upper] = interval;
  if (Number.isNaN(lower) || Number.isNaN(upper)) return "not decided";
  if (lower > upper) throw new RangeError(`the interval must have lower <= upper, got ${lower} and ${upper}`);
  if (lower >= min && upper <= max) return inside ? "holds" : "not decided";
  if (upper < min || lower > max) return inside ? "not decided" : "fails";
  return inside && Number.isFinite(max - min) && (upper - lower) / 2 < max - min ? "holds" : "not decided";
}

export interface RankCorrelation {
  /** Spearman's ρ: the correlation of the ranks, equal values sharing their mean rank. Null where x or y does not vary. */
  readonly rho: number | null;
  /** By Fisher's z with the variance of Bonett and Wright (Psychometrika 65, 2000), (1 + ρ²/2)/(n − 3): [−1, 1] for n ≤ 3. */
  readonly interval: Interval;
  readonly points: number;
}

/**
 * Spearman's rank correlation of independent pairs.
 * @throws RangeError where x and y are not equally long, or hold no or other than finite numbers
 */
export function rankCorrelation(x: readonly number[], y: readonly number[], confidence = 0.95): RankCorrelation {
  checkConfidence(confidence);
  if (x.length !== y.length) throw new RangeError(`x and y must be equally long, got ${x.length} and ${y.length}`);
  checkFinite(x);
  checkFinite(y);
  const points = x.length;
  const [u, v] = [ranks(x), ranks(y)];
  const centre = (points + 1) / 2;
  let [suv, suu, svv] = [0, 0, 0];
  for (let i = 0; i < points; i++) {
    suv += (u[i]! - centre) * (v[i]! - centre);
    suu += (u[i]! - centre) ** 2;
    svv += (v[i]! - centre) ** 2;
  }
  if (suu === 0 || svv === 0) return { rho: null, interval: [-1, 1], points };
  const rho = Math.max(-1, Math.min(1, suv / Math.sqrt(suu * svv)));
  if (points <= 3) return { rho, interval: [-1, 1], points };
  // Student's t with so many degrees of freedom is the normal distribution to 1e-8.
  const half = tQuantile((1 + confidence) / 2, 1e9) * Math.sqrt((1 + rho ** 2 / 2) / (points - 3));
  const z = Math.atanh(rho);
  return { rho, interval: [Math.tanh(z - half), Math.tanh(z + half)], points };
}

/** Ranks from 1; equal values share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return values.map((value) => {
    const first = sorted.indexOf(value);
    const last = sorted.lastIndexOf(value);
    return (first + last) / 2 + 1;
  });
}

/**
 * Half of von Neumann's ratio over depth, [L, elements]: ½ Σ_k ‖X_{k+1} − X_k‖² / Σ_k ‖X_k − X̄‖² (von Neumann, Ann. Math. Statist. 12, 1941):
 * 1 for independent layers, O(1/L²) for samples of a Lipschitz function. Null when no layer differs.
 */
export function roughness(layers: Float32Array | Float64Array, depth: number): number | null {
  const elements = layers.length / depth;
  let steps = 0;
  let spread = 0;
  for (let i = 0; i < elements; i++) {
    let mean = 0;
    for (let k = 0; k < depth; k++) mean += layers[k * elements + i]! / depth;
    for (let k = 0; k < depth; k++) {
      const value = layers[k * elements + i]!;
      spread += (value - mean) ** 2;
      if (k > 0) steps += (value - layers[(k - 1) * elements + i]!) ** 2;
    }
  }
  // Both means over L − 1: for independent layers numerator and denominator then estimate the same variance without bias.
  return spread > 0 ? steps / (2 * spread) : null;
}

function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function positiveLog(name: string, index: number, value: number): number {
  if (!(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`${name}[${index}] must be a positive finite number to take its logarithm, got ${value}`);
  }
  return Math.log(value);
}

function checkFinite(values: readonly number[]): void {
  if (values.length === 0) throw new RangeError("at least one value is needed, got none");
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new RangeError(`values[${bad}] must be finite, got ${values[bad]}`);
}

function checkConfidence(confidence: number): void {
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`confidence must be in (0, 1), got ${confidence}`);
}
