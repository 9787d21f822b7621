/** What the kernels of shaders/ceiling compute, in float64 or exact integers. */

/** x after `count` times x ← a · x + b. */
function repeated(x: number, count: number, a: number, b: number): number {
  for (let i = 0; i < count; i++) x = a * x + b;
  return x;
}

/** ceiling/multiply_add and its f16 form: the sum of an invocation's chains, [invocations]. */
export function multiplyAddSums(
  invocations: number,
  chains: number,
  multiplyAdds: number,
  a: number,
  b: number,
): Float64Array {
  return Float64Array.from({ length: invocations }, (_, i) => {
    let sum = 0;
    for (let lane = 0; lane < 4 * chains; lane++) sum += repeated(((i % 64) + lane) / 64, multiplyAdds, a, b);
    return sum;
  });
}

/** ceiling/latency: one chain an invocation, [invocations]. */
export function multiplyAddChain(invocations: number, multiplyAdds: number, a: number, b: number): Float64Array {
  return Float64Array.from({ length: invocations }, (_, i) => repeated(i / 64, multiplyAdds, a, b));
}

/** ceiling/read: the sum of what each invocation reads of `x`, tiles of `items · workgroup` vec4, [groups · workgroup]. */
export function readSums(x: ArrayLike<number>, items: number, workgroup: number, groups: number): Float64Array {
  const sums = new Float64Array(groups * workgroup);
  for (let i = 0; i < x.length; i++) {
    const vector = Math.floor(i / 4);
    const tile = Math.floor(vector / (items * workgroup));
    sums[(tile % groups) * workgroup + (vector % workgroup)]! += x[i]!;
  }
  return sums;
}

/** ceiling/barrier with EXCHANGE: invocation numbers after moving on `trips` times, [workgroup]. */
export function exchanged(workgroup: number, trips: number): Uint32Array {
  let values = Uint32Array.from({ length: workgroup }, (_, i) => i);
  for (let t = 0; t < trips; t++) values = values.map((_, i) => values[(i + workgroup - 1) % workgroup]!);
  return values;
}

/** ceiling/gather: where following `next` leads from each invocation's number, [workgroup]. */
export function followed(next: ArrayLike<number>, workgroup: number, loads: number): Uint32Array {
  return Uint32Array.from({ length: workgroup }, (_, i) => {
    let at = i;
    for (let load = 0; load < loads; load++) at = next[at]!;
    return at;
  });
}
