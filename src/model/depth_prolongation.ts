import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { CanonicalWeights } from "./dense_stack.ts";
import type { InitialWeights } from "./initialisation.ts";

/**
 * How weights of depth L are read at depth L' (layers numbered from 0): `constant` takes layer ⌊k L/L'⌋, the weights as a step
 * function of s = k/L; `linear` interpolates between the middles (k + ½)/L of the layers, constant beyond the first and last.
 */
export const PROLONGATIONS = ["constant", "linear"] as const;
export type Prolongation = (typeof PROLONGATIONS)[number];

/** Layers [L, elements] as functions of depth, sampled for L' layers: [L', elements]. Any two depths from 1 on. */
export function prolongLayers(
  layers: Float32Array | Float64Array,
  depth: number,
  newDepth: number,
  method: Prolongation,
): Float64Array<ArrayBuffer> {
  for (const [name, value] of Object.entries({ depth, newDepth }))
    if (!Number.isInteger(value) || value < 1) throw new ConfigError(name, "must be a whole number >= 1", value);
  const elements = layers.length / depth;
  if (!Number.isInteger(elements))
    throw new ConfigError("layers", `must hold a multiple of depth = ${depth} numbers`, layers.length);
  const out = new Float64Array(newDepth * elements);
  for (let k = 0; k < newDepth; k++) {
    const place =
      method === "constant"
        ? Math.floor((k * depth) / newDepth)
        : Math.min(depth - 1, Math.max(0, ((k + 0.5) * depth) / newDepth - 0.5));
    const below = Math.floor(place);
    const share = place - below;
    const above = Math.min(depth - 1, below + 1);
    for (let i = 0; i < elements; i++)
      out[k * elements + i] = (1 - share) * layers[below * elements + i]! + share * layers[above * elements + i]!;
  }
  return out;
}

/**
 * Initial weights of a stack of depth `newDepth` from the weights of a trained one (initial value + change): V and W as
 * functions of depth, A and B as they are. Rounded to float32.
 */
export function prolongWeights(
  weights: CanonicalWeights,
  shape: Pick<DenseShape, "depth">,
  newDepth: number,
  method: Prolongation,
): InitialWeights {
  const { A, B, V, W } = weights;
  const prolonged = (layers: Float32Array) => Float32Array.from(prolongLayers(layers, shape.depth, newDepth, method));
  return { A, B, V: prolonged(V), W: prolonged(W), tied: false };
}
