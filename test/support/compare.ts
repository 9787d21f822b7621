/** max |a − b| / max |b|: the error of a tensor against its largest entry. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`lengths ${actual.length} and ${expected.length} differ`);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    // NaN must not slip through a maximum.
    if (!Number.isFinite(actual[i]!)) return Number.POSITIVE_INFINITY;
    error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return largest === 0 ? error : error / largest;
}
