/** y[i] = Σ_j matrix[offset + i·columns + j] x[xOffset + j] for i < rows; y is new. */
export function multiply(
  matrix: Float64Array,
  offset: number,
  rows: number,
  columns: number,
  x: ArrayLike<number>,
  xOffset: number,
): Float64Array {
  const y = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += matrix[offset + i * columns + j] * x[xOffset + j];
    y[i] = sum;
  }
  return y;
}

/** y[j] = Σ_i matrix[offset + i·columns + j] x[i] for j < columns; y is new. */
export function multiplyTransposed(
  matrix: Float64Array,
  offset: number,
  rows: number,
  columns: number,
  x: ArrayLike<number>,
): Float64Array {
  const y = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) y[j] += matrix[offset + i * columns + j] * x[i];
  }
  return y;
}

/** matrix[offset + i·columns + j] += scale · left[i] · right[rightOffset + j]. */
export function addOuterProduct(
  matrix: Float64Array,
  offset: number,
  scale: number,
  left: Float64Array,
  right: ArrayLike<number>,
  rightOffset: number,
  columns: number,
): void {
  for (let i = 0; i < left.length; i++) {
    for (let j = 0; j < columns; j++) matrix[offset + i * columns + j] += scale * left[i] * right[rightOffset + j];
  }
}
