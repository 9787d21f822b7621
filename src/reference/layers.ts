import { type SizedSum, sizedSum } from "./sums.ts";

/** Layers of weights or of their partial gradients, [groups, columns, size], and a matrix [rows, columns] that blends them. */
export interface LayerMatrix {
  matrix: ArrayLike<number>;
  columns: number;
  layers: ArrayLike<number>;
  groups: number;
  size: number;
}

/** Number e of Σ_j matrix[row, j] · Σ_g layers[g, j], j from `first` to `end`. */
export function blendNumber(
  { matrix, columns, layers, groups, size }: LayerMatrix,
  row: number,
  e: number,
  [first, end]: readonly [number, number] = [0, columns],
): SizedSum {
  const terms = Math.max(0, end - first) * groups;
  return sizedSum(terms, (t) => {
    const [j, g] = [Math.floor(t / groups), t % groups];
    return matrix[row * columns + first + j] * layers[(g * (end - first) + j) * size + e];
  });
}

/** Number i of share · base + Σ_r coefficients[r] slopes[r], slopes `stride` numbers apart: what follows a stage of a Runge–Kutta step. */
export function stageNumber(
  base: number,
  coefficients: readonly number[],
  slopes: ArrayLike<number>,
  stride: number,
  i: number,
): SizedSum {
  return sizedSum(coefficients.length + 1, (r) =>
    r === 0 ? base : coefficients[r - 1] * slopes[(r - 1) * stride + i],
  );
}
