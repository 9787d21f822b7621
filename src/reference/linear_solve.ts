/** A = P⁻¹ L U of an n × n matrix, row-major: L below the diagonal (ones on it are not stored), U on and above it. */
export interface Factors {
  readonly n: number;
  readonly lu: Float64Array;
  /** Row of A that stands in each row. */
  readonly rows: Int32Array;
}

/**
 * Gaussian elimination with partial pivoting (the first of equal pivots), column by column; every operation is rounded by
 * `round`. A singular matrix gives factors that are not finite.
 */
export function factorise(matrix: Float64Array, n: number, round: (x: number) => number = (x) => x): Factors {
  const lu = matrix.slice();
  const rows = Int32Array.from({ length: n }, (_, i) => i);
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(lu[i * n + k]) > Math.abs(lu[pivot * n + k])) pivot = i;
    if (pivot !== k) {
      for (let j = 0; j < n; j++) [lu[k * n + j], lu[pivot * n + j]] = [lu[pivot * n + j], lu[k * n + j]];
      [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    }
    for (let i = k + 1; i < n; i++) {
      const factor = round(lu[i * n + k] / lu[k * n + k]);
      lu[i * n + k] = factor;
      for (let j = k + 1; j < n; j++) lu[i * n + j] = round(lu[i * n + j] - round(factor * lu[k * n + j]));
    }
  }
  return { n, lu, rows };
}

/** x with A x = b. */
export function solveFactored(
  { n, lu, rows }: Factors,
  b: ArrayLike<number>,
  round: (x: number) => number = (x) => x,
): Float64Array {
  const x = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = b[rows[i]];
    for (let j = 0; j < i; j++) sum = round(sum - round(lu[i * n + j] * x[j]));
    x[i] = sum;
  }
  for (let i = n - 1; i >= 0; i--) {
    let sum = x[i];
    for (let j = i + 1; j < n; j++) sum = round(sum - round(lu[i * n + j] * x[j]));
    x[i] = round(sum / lu[i * n + i]);
  }
  return x;
}

/** x with Aᵀ x = b. */
export function solveTransposed({ n, lu, rows }: Factors, b: ArrayLike<number>): Float64Array {
  const y = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) y[i] -= lu[j * n + i] * y[j];
    y[i] /= lu[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) for (let j = i + 1; j < n; j++) y[i] -= lu[j * n + i] * y[j];
  const x = new Float64Array(n);
  for (let i = 0; i < n; i++) x[rows[i]] = y[i];
  return x;
}
