import { ConfigError } from "../config/errors.ts";

// Random numbers are functions of (seed, stream, index), not of a moving state: any entry can be drawn alone, on the CPU
// or on the GPU (shaders/random/normal.wgsl), in any order, and has the same bits everywhere.

type Pair = readonly [number, number];

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
/** Key-schedule constant of Threefry with 32-bit words (the lower half of Skein's C240). */
const PARITY = 0x1bd11bda;
const ROUNDS = 20;

/** Threefry-2x32-20 of counter (c0, c1) under key (k0, k1), written to out[0] and out[1]. */
function threefryInto(k0: number, k1: number, c0: number, c1: number, out: Uint32Array): void {
  const k2 = PARITY ^ k0 ^ k1;
  let x0 = (c0 + k0) | 0;
  let x1 = (c1 + k1) | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const turn = ROTATIONS[round & 7];
    x0 = (x0 + x1) | 0;
    x1 = (x1 << turn) | (x1 >>> (32 - turn));
    x1 ^= x0;
    if ((round & 3) === 3) {
      const injection = (round + 1) >> 2;
      const phase = injection % 3;
      x0 = (x0 + (phase === 0 ? k0 : phase === 1 ? k1 : k2)) | 0;
      x1 = (x1 + (phase === 0 ? k1 : phase === 1 ? k2 : k0) + injection) | 0;
    }
  }
  out[0] = x0;
  out[1] = x1;
}

/**
 * Threefry-2x32 with 20 rounds: two 32-bit words from a 64-bit key and a 64-bit counter
 * (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11).
 */
export function threefry2x32(key: Pair, counter: Pair): [number, number] {
  const out = new Uint32Array(2);
  threefryInto(key[0], key[1], counter[0], counter[1], out);
  return [out[0], out[1]];
}

// --- The normal distribution in integers -----------------------------------------------------------------------------
//
// A random word u gives a sign (bit 31) and r = u mod 2^31. |x| is the upper quantile of p = (r + 1/2) / 2^32 in (0, 1/2).
// Leading zeros of r name an octave of p, the next SEGMENT_BITS bits a segment of it, the next 16 bits the place f in the
// segment, and |x| 2^21 = c0 - round(c1 f / 2^16) - round(c2 g / 2^16) with g = f (65536 - f) >> 16: the chord less a parabola.
// Every product is below 2^32 and 0 < |x| 2^21 < 2^24, so the conversion to float32 and the factor 2^-21 are exact.

const SEGMENT_BITS = 5;
const SEGMENTS = 1 << SEGMENT_BITS;
const OCTAVES = 32; // leading zeros of a 31-bit r: 0..31, where 31 is r = 0
const FIXED_ONE = 2 ** 21;
/** Bits of r below the 16-bit fraction in octave 0; they are dropped. */
const DROPPED_BITS = 30 - SEGMENT_BITS - 16;

/** exp(-y) for 0 <= y < 64 from exactly rounded operations only: Math.exp may differ between engines. */
function exactExpMinus(y: number): number {
  const t = y / 1024;
  let sum = 1;
  for (let i = 12; i >= 1; i--) sum = 1 - (t / i) * sum;
  for (let i = 0; i < 10; i++) sum *= sum;
  return sum;
}

const SQRT_TWO_PI = 2.5066282746310002;

function density(x: number): number {
  return exactExpMinus((x * x) / 2) / SQRT_TWO_PI;
}

/** Upper tail Q(x) of the standard normal distribution for x >= 0, from exactly rounded operations only. */
function upperTail(x: number): number {
  if (x < 2.5) {
    // Q = 1/2 - φ(x) (x + x³/3 + x⁵/(3·5) + …), Abramowitz and Stegun 26.2.11
    let term = x;
    let sum = x;
    for (let i = 3; i < 90; i += 2) {
      term *= (x * x) / i;
      sum += term;
    }
    return 0.5 - density(x) * sum;
  }
  // Q = φ(x) / (x + 1/(x + 2/(x + 3/(x + …)))), Abramowitz and Stegun 26.2.14
  let fraction = x;
  for (let i = 120; i >= 1; i--) fraction = x + i / fraction;
  return density(x) / fraction;
}

/** x >= 0 with Q(x) = p by Newton's method from `guess`; p in (0, 1/2]. */
function upperQuantile(p: number, guess: number): number {
  let x = guess;
  for (let i = 0; i < 6; i++) x += (upperTail(x) - p) / density(x);
  return x;
}

function buildNormalTable(): Uint32Array {
  const table = new Uint32Array(OCTAVES * SEGMENTS * 2);
  let guess = 0;
  for (let octave = 0; octave < OCTAVES; octave++) {
    // The middle of the r that share octave, segment and fraction: half of the dropped range, at least half of one r.
    const centre = Math.max(1, 2 ** (DROPPED_BITS - octave)) / 2;
    const start = 2 ** (30 - octave);
    // Within an octave p rises with the segment and x falls: go down so that the guess is the neighbour just solved.
    for (let segment = SEGMENTS - 1; segment >= 0; segment--) {
      const p = (place: number) => (start * (1 + (segment + place) / SEGMENTS) + centre) / 2 ** 32;
      const isZero = octave === OCTAVES - 1;
      if (isZero && segment > 0) continue; // r = 0 has one entry
      const right = isZero ? 0 : upperQuantile(p(1), guess);
      const middle = isZero ? 0 : upperQuantile(p(0.5), right);
      const left = upperQuantile(isZero ? 0.5 / 2 ** 32 : p(0), isZero ? guess : middle);
      guess = left;
      const at = 2 * (octave * SEGMENTS + segment);
      const slope = isZero ? 0 : Math.round((left - right) * FIXED_ONE);
      // At f = 1/2 the parabola has to take away the chord's excess; g / 65536 is 1/4 there.
      const bend = isZero ? 0 : Math.round(4 * ((left + right) / 2 - middle) * FIXED_ONE);
      table[at] = Math.round(left * FIXED_ONE);
      table[at + 1] = slope * 65536 + bend;
    }
  }
  return table;
}

let cachedTable: Uint32Array | undefined;

/**
 * The table of the integer normal quantile, [1024 pairs of u32]: (c0, c1 << 16 | c2). Built once, in a few milliseconds,
 * from + - * / only, so it has the same bits on every engine; upload it as the `table` of shaders/random/normal.wgsl.
 */
export function normalTable(): Uint32Array {
  cachedTable ??= buildNormalTable();
  return cachedTable;
}

/** Standard normal number of a 32-bit random word, times 2^21: an integer of magnitude below 2^24. */
function fixedNormal(table: Uint32Array, word: number): number {
  const r = word & 0x7fffffff;
  const octave = Math.clz32(r) - 1;
  const shifted = r << octave; // the leading one now stands at bit 30
  const segment = (shifted >>> (30 - SEGMENT_BITS)) & (SEGMENTS - 1);
  const f = (shifted >>> DROPPED_BITS) & 0xffff;
  const at = 2 * (octave * SEGMENTS + segment);
  const slope = table[at + 1] >>> 16;
  const bend = table[at + 1] & 0xffff;
  const g = (f * (65536 - f)) >>> 16;
  const magnitude = table[at] - ((slope * f + 0x8000) >>> 16) - ((bend * g + 0x8000) >>> 16);
  return word & 0x80000000 ? -magnitude : magnitude;
}

/** The standard normal number that a 32-bit random word stands for; a float32 value. */
export function normalOfWord(word: number): number {
  return fixedNormal(normalTable(), word) / FIXED_ONE;
}

/** FNV-1a, 32 bits, over UTF-16 code units. */
function hashLabel(label: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * An endless, random-access sequence of random numbers named by (seed, stream); `stream` is a label or a number.
 * Index i is any integer in [0, 2^53). Throws ConfigError for a seed or numeric stream that is not such an integer.
 */
export class RandomStream {
  /** Threefry key; the GPU generator takes it as params key0, key1. */
  readonly key: Pair;
  readonly #words = new Uint32Array(2);

  constructor(seed: number, stream: string | number) {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new ConfigError("seed", "must be an integer in 0..2^53-1", seed);
    if (typeof stream === "number" && !(Number.isInteger(stream) && stream >= 0 && stream < 2 ** 32)) {
      throw new ConfigError("stream", "must be a label or an integer in 0..2^32-1", stream);
    }
    // The generator itself mixes seed and stream into the key; the second counter word keeps labels and numbers apart.
    const counter: Pair = typeof stream === "string" ? [hashLabel(stream), 1] : [stream, 0];
    this.key = threefry2x32([seed >>> 0, Math.floor(seed / 2 ** 32)], counter);
  }

  /** Random 32-bit word i: word i mod 2 of the block with counter floor(i / 2). */
  uint32(i: number): number {
    const block = Math.floor(i / 2);
    threefryInto(this.key[0], this.key[1], block, Math.floor(block / 2 ** 32), this.#words);
    return this.#words[i % 2];
  }

  /** Uniform number i in [0, 1): a multiple of 2^-24, exact in float32. */
  uniform(i: number): number {
    return (this.uint32(i) >>> 8) / 2 ** 24;
  }

  /** Standard normal number i; within 2e-6 of the exact quantile, a float32 value with the same bits on every machine. */
  normal(i: number): number {
    return fixedNormal(normalTable(), this.uint32(i)) / FIXED_ONE;
  }

  /** out[j] = scale · normal(first + j), with `scale` rounded to float32: in a Float32Array, the bits of the GPU generator. */
  fillNormal<T extends Float32Array | Float64Array>(out: T, first = 0, scale = 1): T {
    const table = normalTable();
    const words = this.#words;
    const factor = Math.fround(scale) / FIXED_ONE;
    for (let j = first % 2 === 0 ? 0 : -1; j < out.length; j += 2) {
      const block = Math.floor((first + j) / 2);
      threefryInto(this.key[0], this.key[1], block, Math.floor(block / 2 ** 32), words);
      if (j >= 0) out[j] = fixedNormal(table, words[0]) * factor;
      if (j + 1 < out.length) out[j + 1] = fixedNormal(table, words[1]) * factor;
    }
    return out;
  }

  /** A random order of 0..n-1 (Fisher and Yates); takes words 0..n-2. */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor((this.uint32(n - 1 - i) * (i + 1)) / 2 ** 32);
      const kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }
}
