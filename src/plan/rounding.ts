/** Whole numbers, rounded as sizes and offsets are. */
export function ceilTo(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

export function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The least power of two that is not below `value`. */
export function powerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}
