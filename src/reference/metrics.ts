/** ‖Z_k − Z'_j‖² of layers of `elements` numbers; without another stack ‖Z_k‖². */
export function squaredDistance(
  z: ArrayLike<number>,
  k: number,
  elements: number,
  other?: { z: ArrayLike<number>; j: number },
): number {
  let sum = 0;
  for (let e = 0; e < elements; e++) {
    const there = other === undefined ? 0 : other.z[other.j * elements + e];
    sum += (z[k * elements + e] - there) ** 2;
  }
  return sum;
}

/** Layer k of a stack and layer j of a deeper reference that index i compares; `code` counts over the stack, else over the reference. */
export function matchedLayers(
  indexing: "interpolation" | "code",
  depth: number,
  reference: number,
  i: number,
): { k: number; j: number } {
  if (indexing === "code") return { k: i, j: Math.floor((i * reference) / depth) };
  return { k: reference === 1 ? 0 : Math.floor((i * (depth - 1)) / (reference - 1)), j: i };
}

/** By component of x [count, 4], squared norms: the largest root, the sum of the roots, the sum. */
export function normSummary(x: ArrayLike<number>, count: number) {
  const [top, roots, squares] = [new Float64Array(4), new Float64Array(4), new Float64Array(4)];
  for (let i = 0; i < 4 * count; i++) {
    const root = Math.sqrt(x[i]);
    top[i % 4] = Math.max(top[i % 4], root);
    roots[i % 4] += root;
    squares[i % 4] += x[i];
  }
  return { top, roots, squares };
}
