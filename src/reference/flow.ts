import { type SizedSum, sizedSum } from "./sums.ts";

/** Partial gradients [groups, count]; a unit of `unit` numbers is scaled by `w` in its first half and by `v` in its second. */
export interface PartialGradients {
  partials: ArrayLike<number>;
  groups: number;
  count: number;
  unit: number;
  scales: { w: number; v: number };
}

/** Number i of the gradient: scale · Σ_g partials[g, i]. */
export function gradientNumber({ partials, groups, count, unit, scales }: PartialGradients, i: number): SizedSum {
  const scale = i % unit < unit / 2 ? scales.w : scales.v;
  return sizedSum(groups, (g) => scale * partials[g * count + i]);
}

/** What turns a gradient into the right-hand side of the flow: clip(factor · norm scale of the layer · gradient). */
export interface Clipping {
  factor: number;
  /** Bound of every number; Infinity: none. */
  clip: number;
  /** Scale of each layer of `layer` numbers. */
  normScale?: ArrayLike<number>;
  layer: number;
}

function clipped({ factor, clip, normScale }: Clipping, gradient: number, layer: number): number {
  const u = factor * gradient * (normScale === undefined ? 1 : normScale[layer]);
  return Math.min(clip, Math.max(-clip, u));
}

/** Directions u of an optimiser's step, [count]. */
export function updateDirections(gradients: PartialGradients, clipping: Clipping): Float64Array {
  return Float64Array.from({ length: gradients.count }, (_, i) =>
    clipped(clipping, gradientNumber(gradients, i).value, Math.floor(i / clipping.layer)),
  );
}

/** Gradients of the stages of a Runge–Kutta method, `stride` numbers apart; norm scales are [stages, layers]. */
export interface Stages extends Clipping {
  gradients: ArrayLike<number>;
  stride: number;
  layers: number;
}

/** Number i of Σ_s c_s v_s, v_s = −clip(factor · norm_scale_s · gradients[s]). */
export function stageSum(stages: Stages, coefficients: readonly number[], i: number): SizedSum {
  const { gradients, stride, layers, layer } = stages;
  return sizedSum(
    coefficients.length,
    (s) => -coefficients[s] * clipped(stages, gradients[s * stride + i], s * layers + Math.floor(i / layer)),
  );
}

/** (e / (atol + rtol · max(|base|, |change|)))², and the same with the terms of e added up in absolute value. */
export function errorSquare(e: SizedSum, base: number, change: number, atol: number, rtol: number): SizedSum {
  const scale = atol + rtol * Math.max(Math.abs(base), Math.abs(change));
  return { value: (e.value / scale) ** 2, size: (e.size / scale) ** 2 };
}

/** min(1, bound / (factor · ‖gradient_k‖)) of layer k. */
export function normScale(
  gradient: ArrayLike<number>,
  k: number,
  layer: number,
  factor: number,
  bound: number,
): number {
  const norm = factor * Math.sqrt(sizedSum(layer, (i) => gradient[k * layer + i] ** 2).value);
  return Math.min(1, bound / norm);
}
