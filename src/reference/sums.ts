/** A sum, and the sum of its terms' absolute values, which its rounding error in float32 is a multiple of. */
export interface SizedSum {
  value: number;
  size: number;
}

/** Σ term(i), i < count, in increasing order. */
export function sizedSum(count: number, term: (i: number) => number): SizedSum {
  let value = 0;
  let size = 0;
  for (let i = 0; i < count; i++) {
    const t = term(i);
    value += t;
    size += Math.abs(t);
  }
  return { value, size };
}

/** A matrix inside an array: element (i, j) stands at `at` + i·`row` + j·`column`. */
export interface StridedMatrix {
  data: ArrayLike<number>;
  at: number;
  row: number;
  column: number;
}

/** Element (i, j) of a·b, a: [·, inner], b: [inner, ·]. */
export function productElement(a: StridedMatrix, b: StridedMatrix, inner: number, i: number, j: number): SizedSum {
  return sizedSum(inner, (k) => a.data[a.at + i * a.row + k * a.column] * b.data[b.at + k * b.row + j * b.column]);
}
