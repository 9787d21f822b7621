/** Penalties on the differences of neighbouring layers, layers [L, elements], in float64. */
import { type SizedSum, sizedSum } from "./sums.ts";

export type PenaltyKind = "norm" | "squared";

/** Σ_k ‖x_{k+1} − x_k‖². */
function squaredSteps(layers: ArrayLike<number>, depth: number): number {
  const elements = layers.length / depth;
  let sum = 0;
  for (let i = elements; i < layers.length; i++) sum += (layers[i]! - layers[i - elements]!) ** 2;
  return sum;
}

/** `squared`: weight · Σ_k ‖x_{k+1} − x_k‖²; `norm`: weight · (Σ_k ‖x_{k+1} − x_k‖²)^½. */
export function depthPenalty(kind: PenaltyKind, weight: number, layers: ArrayLike<number>, depth: number): number {
  const squares = squaredSteps(layers, depth);
  return weight * (kind === "squared" ? squares : Math.sqrt(squares));
}

/** Number i of c · Σ_{j = k±1} (x_k − x_j) over the neighbours that layer k has. */
export function neighbourDifference(layers: ArrayLike<number>, depth: number, c: number, i: number): SizedSum {
  const elements = layers.length / depth;
  const neighbours = [i - elements, i + elements].filter((j) => j >= 0 && j < layers.length);
  return sizedSum(2 * neighbours.length, (n) => (n % 2 === 0 ? c * layers[i]! : -c * layers[neighbours[n >> 1]!]!));
}

/** The gradient of {@link depthPenalty}, [L, elements]; zero where `norm` has none because all layers are equal. */
export function depthPenaltyGradient(
  kind: PenaltyKind,
  weight: number,
  layers: ArrayLike<number>,
  depth: number,
): Float64Array {
  const norm = Math.sqrt(squaredSteps(layers, depth));
  const c = kind === "squared" ? 2 * weight : norm > 0 ? weight / norm : 0;
  return Float64Array.from({ length: layers.length }, (_, i) => neighbourDifference(layers, depth, c, i).value);
}

/** Number i of the mean over the layers of [L, elements], which is the same in every layer. */
export function depthMean(layers: ArrayLike<number>, depth: number, i: number): SizedSum {
  const elements = layers.length / depth;
  return sizedSum(depth, (k) => layers[k * elements + (i % elements)]! / depth);
}
