/** Pure helpers between a dataset and a network's input; safe in a browser. */
import { ConfigError } from "../config/errors.ts";

/**
 * Mean of chosen rows, summed in float64. Pass the training rows only: a mean that has seen the test rows leaks them.
 * @param images [count, dims] row-major
 * @param rows indices of the rows to average
 * @returns [dims]
 */
export function meanOfRows(images: Float32Array, dims: number, rows: ArrayLike<number>): Float64Array<ArrayBuffer> {
  if (rows.length === 0) throw new ConfigError("rows", "must name at least one row");
  const mean = new Float64Array(dims);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (!Number.isInteger(row) || row < 0 || (row + 1) * dims > images.length) {
      throw new ConfigError(`rows[${i}]`, `must be a row of the ${images.length / dims} given`, row);
    }
    for (let j = 0; j < dims; j++) mean[j]! += images[row * dims + j]!;
  }
  for (let j = 0; j < dims; j++) mean[j]! /= rows.length;
  return mean;
}

/**
 * Rows minus `mean` (when given), each scaled to Euclidean norm `norm`. Arithmetic is float64, the result is rounded once.
 * @param images [count, dims] row-major, left unchanged
 * @param norm length of every row of the result, > 0
 * @param mean [dims], usually {@link meanOfRows} of the training rows; absent: rows are not centred
 * @returns [count, dims]
 * @throws ConfigError when a row is zero or not finite, since no scaling gives it that norm
 */
export function scaleRowsToNorm(
  images: Float32Array,
  count: number,
  dims: number,
  norm: number,
  mean?: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  if (images.length !== count * dims)
    throw new ConfigError("images", `must hold ${count} x ${dims} numbers`, images.length);
  if (!(norm > 0 && Number.isFinite(norm))) throw new ConfigError("norm", "must be a positive finite number", norm);
  if (mean !== undefined && mean.length !== dims)
    throw new ConfigError("mean", `must hold ${dims} numbers`, mean.length);
  const scaled = new Float32Array(count * dims);
  for (let i = 0; i < count; i++) {
    let squares = 0;
    for (let j = 0; j < dims; j++) squares += (images[i * dims + j]! - (mean?.[j] ?? 0)) ** 2;
    const length = Math.sqrt(squares);
    if (!(length > 0 && Number.isFinite(length))) {
      throw new ConfigError(`images[${i}]`, "must have a positive finite Euclidean norm to be scaled", length);
    }
    for (let j = 0; j < dims; j++) scaled[i * dims + j] = ((images[i * dims + j]! - (mean?.[j] ?? 0)) * norm) / length;
  }
  return scaled;
}

export interface Split {
  /** Row indices, in the order of the permutation. */
  readonly train: Uint32Array<ArrayBuffer>;
  readonly test: Uint32Array<ArrayBuffer>;
}

/**
 * The first `trainCount` entries of `permutation` train, the others test.
 * @param permutation of 0..count-1; checked, since a repeated index would put one image on both sides
 */
export function splitTrainTest(count: number, trainCount: number, permutation: ArrayLike<number>): Split {
  if (!Number.isInteger(trainCount) || trainCount < 1 || trainCount >= count) {
    throw new ConfigError("trainCount", `must be an integer in 1..${count - 1}`, trainCount);
  }
  if (permutation.length !== count)
    throw new ConfigError("permutation", `must have ${count} entries`, permutation.length);
  const seen = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const index = permutation[i]!;
    if (!Number.isInteger(index) || index < 0 || index >= count || seen[index] === 1) {
      throw new ConfigError(
        `permutation[${i}]`,
        `must be an integer in 0..${count - 1} that has not occurred before`,
        index,
      );
    }
    seen[index] = 1;
  }
  const order = Uint32Array.from(permutation);
  return { train: order.slice(0, trainCount), test: order.slice(trainCount) };
}
