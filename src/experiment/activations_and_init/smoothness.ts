/** What is measured of trained weights along depth, and the rule that says whether they are smooth. */
import type { CanonicalWeights } from "../../model/dense_stack.ts";
import { type Interval, judge } from "../statistics.ts";

/** ‖X_{k+1} − X_k‖_F for X = initial + change, [L, elements]; initial values and changes are subtracted apart, so that nothing is rounded away. */
export function stepsAlongDepth(initial: Float32Array, change: Float32Array, depth: number): Float64Array {
  const elements = initial.length / depth;
  const steps = new Float64Array(depth - 1);
  for (let k = 0; k + 1 < depth; k++) {
    let squares = 0;
    for (let i = k * elements; i < (k + 1) * elements; i++)
      squares += (initial[i + elements]! - initial[i]! + (change[i + elements]! - change[i]!)) ** 2;
    steps[k] = Math.sqrt(squares);
  }
  return steps;
}

/** Σ_k ‖X_{k+1} − X_k‖_F^p, from the steps. */
export function variation(steps: Float64Array, p: number): number {
  return steps.reduce((sum, step) => sum + step ** p, 0);
}

/** The weights of a family in float64. */
export function weightsAlongDepth(
  initial: CanonicalWeights,
  change: CanonicalWeights,
  family: "V" | "W",
): Float64Array {
  return Float64Array.from(initial[family], (value, i) => value + change[family][i]!);
}

/** Powers p at which the exponent of the p-variation in L is taken. */
export const POWERS = [1, 2, 4] as const;

/**
 * The p at which the p-variation neither grows nor vanishes with the depth, where the straight line through its exponents is zero: 1 for
 * a function of bounded variation, 2 for a Brownian path. Null above LARGEST_INDEX: independent layers have none.
 */
export function variationIndex(exponents: readonly number[]): number | null {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [p0, e0] = [mean(POWERS), mean(exponents)];
  const covariance = mean(POWERS.map((p, i) => (p - p0) * (exponents[i]! - e0)));
  const slope = covariance / mean(POWERS.map((p) => (p - p0) ** 2));
  const index = p0 - e0 / slope;
  return slope < 0 && index <= LARGEST_INDEX ? index : null;
}
const LARGEST_INDEX = 20;

export type Smoothness = "smooth" | "rough" | "undecided";

/** Of the exponent in L of max_k ‖X_{k+1} − X_k‖_F: a Lipschitz function of depth has −1. */
export const SMOOTH_RANGE = { min: -1.1, max: -0.9 } as const;
export const ROUGH_ABOVE = -0.75;

/** The rule in place of a look at the weights: by the exponent and its interval over seeds, as a claim on either range is judged. */
export function smoothnessOf(slope: number, interval: Interval): Smoothness {
  if (judge(slope, SMOOTH_RANGE, interval) === "holds") return "smooth";
  return judge(slope, { min: ROUGH_ABOVE }, interval) === "holds" ? "rough" : "undecided";
}

/** Weights are smooth where all families are, rough where one is. */
export function joined(families: readonly Smoothness[]): Smoothness {
  if (families.includes("rough")) return "rough";
  return families.every((each) => each === "smooth") ? "smooth" : "undecided";
}
