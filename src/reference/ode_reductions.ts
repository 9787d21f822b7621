/** Count, mean, sum of squared deviations from it, least and greatest of some numbers. */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly spread: number;
  readonly least: number;
  readonly most: number;
}

export function moments(values: readonly number[]): Moments {
  let sum = 0;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    sum += value;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const mean = sum / values.length;
  let spread = 0;
  for (const value of values) spread += (value - mean) ** 2;
  return { count: values.length, mean, spread, least, most };
}

/** How many numbers lie in each of `bins` bins of equal width over [low, high], then below and above. */
export function histogram(values: readonly number[], bins: number, low: number, high: number): number[] {
  const counts = new Array<number>(bins + 2).fill(0);
  for (const value of values) {
    if (value < low) counts[bins]!++;
    else if (value > high) counts[bins + 1]!++;
    else counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins))]!++;
  }
  return counts;
}

/** Trajectories by status code, sums of their steps, and those with status `listed`. */
export function tally(
  status: readonly number[],
  accepted: readonly number[],
  rejected: readonly number[],
  listed: number,
) {
  const counts = new Array<number>(8).fill(0);
  const list: number[] = [];
  const sums = { accepted: 0, rejected: 0 };
  status.forEach((code, j) => {
    counts[code]!++;
    if (code === listed) list.push(j);
    sums.accepted += accepted[j]!;
    sums.rejected += rejected[j]!;
  });
  return { counts, list, ...sums };
}
