import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/config/errors.ts";
import { normalOfWord, normalTable, RandomStream, threefry2x32 } from "../../src/model/random.ts";
import { normalCdf, normalDensity } from "../../src/reference/activations.ts";

/** x with Φ(-x) = p, by Newton's method on the float64 distribution function. */
function upperQuantile(p: number, start: number): number {
  let x = start;
  for (let i = 0; i < 4; i++) x += (normalCdf(-x) - p) / normalDensity(x);
  return x;
}

describe("threefry2x32", () => {
  // Known answers of the Random123 distribution (kat_vectors, "threefry2x32 20"): counter, key, result.
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x243f6a88, 0x85a308d3],
      [0x13198a2e, 0x03707344],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as [number, number][][])("gives the published answer for counter %j, key %j", (counter, key, answer) => {
    expect(threefry2x32(key, counter)).toEqual(answer);
  });
});

describe("the integer normal distribution", () => {
  it("has the same table on every engine", () => {
    let hash = 0x811c9dc5; // FNV-1a over the bytes, lowest first
    for (const word of normalTable()) {
      for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((word >>> shift) & 0xff), 0x01000193);
    }
    expect(normalTable().length).toBe(2048);
    expect((hash >>> 0).toString(16)).toBe("b16b5080");
  });

  it("stays within 2e-6 of the exact quantile of (r + 1/2) / 2^32, in every octave", () => {
    let worst = 0;
    const check = (r: number) => {
      const x = normalOfWord(r);
      worst = Math.max(worst, Math.abs(x - upperQuantile((r + 0.5) / 2 ** 32, x)));
    };
    for (let r = 0; r < 300; r++) check(r);
    for (let octave = 8; octave < 31; octave++) {
      for (let i = 0; i < 700; i++) check(Math.floor(2 ** octave * (1 + i / 700)));
      check(2 ** (octave + 1) - 1);
    }
    expect(worst).toBeLessThan(2e-6);
    expect(worst).toBeGreaterThan(2 ** -22); // half a unit of the fixed point: less would mean that nothing was compared
  });

  it("falls with r, is odd in the sign bit, and is exact in float32", () => {
    let previous = Number.POSITIVE_INFINITY;
    for (let r = 0; r < 2 ** 31; r += 1 + Math.floor(r / 500)) {
      const x = normalOfWord(r);
      // Neighbouring segments may meet with the rounding of three terms.
      expect(x).toBeLessThanOrEqual(previous + 3 * 2 ** -21);
      expect(x).toBeGreaterThan(0);
      expect(normalOfWord(r + 2 ** 31)).toBe(-x);
      expect(Math.fround(x)).toBe(x);
      previous = x;
    }
    expect(normalOfWord(0)).toBeCloseTo(6.33796, 5);
    expect(normalOfWord(2 ** 31 - 1)).toBeLessThan(1e-5);
  });
});

describe("RandomStream", () => {
  const stream = new RandomStream(20231, "test");

  it("is a function of seed, stream and index", () => {
    const draw = (seed: number, name: string | number) =>
      Array.from({ length: 4 }, (_, i) => new RandomStream(seed, name).uint32(i));
    expect(draw(1, "W")).toEqual(draw(1, "W"));
    const all = [draw(1, "W"), draw(2, "W"), draw(1, "V"), draw(1, 0), draw(1, 1), draw(1 + 2 ** 32, "W")].map(String);
    expect(new Set(all).size).toBe(all.length);
    expect(stream.uint32(2 ** 33 + 5)).not.toBe(stream.uint32(5));
  });

  it("fills with the same bits as single draws, from any place", () => {
    for (const [first, count, scale] of [
      [0, 8, 1],
      [7, 5, 0.3],
      [2 ** 33 - 1, 4, 2],
      [3, 1, 1],
      [4, 0, 1],
    ]) {
      const filled = stream.fillNormal(new Float32Array(count), first, scale);
      const single = Array.from({ length: count }, (_, i) =>
        Math.fround(stream.normal(first + i) * Math.fround(scale)),
      );
      expect([...filled]).toEqual(single);
    }
    expect([...stream.fillNormal(new Float64Array(3), 11)]).toEqual([11, 12, 13].map((i) => stream.normal(i)));
  });

  it("has the moments of the normal distribution", () => {
    const n = 400_000;
    const x = stream.fillNormal(new Float64Array(n));
    const moment = (power: number) => x.reduce((sum, v) => sum + v ** power, 0) / n;
    // Five standard errors: the variance of x^k is E x^2k - (E x^k)².
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    let neighbours = 0;
    for (let i = 1; i < n; i++) neighbours += x[i] * x[i - 1];
    expect(Math.abs(neighbours / n)).toBeLessThan(5 * Math.sqrt(1 / n));
  });

  it("passes a Kolmogorov-Smirnov test of normal and of uniform numbers", () => {
    const n = 100_000;
    const distance = (sorted: Float64Array, cdf: (x: number) => number) => {
      let worst = 0;
      for (let i = 0; i < n; i++) {
        const p = cdf(sorted[i]);
        worst = Math.max(worst, Math.abs(p - i / n), Math.abs(p - (i + 1) / n));
      }
      return worst * Math.sqrt(n);
    };
    const normal = stream.fillNormal(new Float64Array(n), 10 ** 9).sort();
    const uniform = Float64Array.from({ length: n }, (_, i) => stream.uniform(i)).sort();
    // Kolmogorov's distribution: P(√n D > 1.95) = 0.001. The draw is fixed, so the test is too.
    expect(distance(normal, normalCdf)).toBeLessThan(1.95);
    expect(distance(uniform, (x) => x)).toBeLessThan(1.95);
    expect(uniform[0]).toBeGreaterThanOrEqual(0);
    expect(uniform[n - 1]).toBeLessThan(1);
  });

  it("gives multiples of 2^-24 as uniform numbers", () => {
    for (let i = 0; i < 100; i++) {
      expect(Number.isInteger(stream.uniform(i) * 2 ** 24)).toBe(true);
      expect(Math.fround(stream.uniform(i))).toBe(stream.uniform(i));
    }
  });

  it("permutes: every order of four equally often", () => {
    expect([...new RandomStream(3, "order").permutation(1000)].sort((a, b) => a - b)).toEqual([...Array(1000).keys()]);
    expect(new RandomStream(3, "order").permutation(0).length).toBe(0);
    const counts = new Map<string, number>();
    const draws = 24_000;
    for (let i = 0; i < draws; i++) {
      const key = new RandomStream(8, i).permutation(4).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    // Pearson's statistic with 23 degrees of freedom: 49.7 is exceeded with probability 0.001.
    const expected = draws / 24;
    let statistic = 0;
    for (const count of counts.values()) statistic += (count - expected) ** 2 / expected;
    expect(statistic).toBeLessThan(49.7);
  });

  it("refuses seeds and streams that are not integers in range", () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => new RandomStream(seed, "W")).toThrow(ConfigError);
    for (const name of [-1, 0.5, 2 ** 32]) expect(() => new RandomStream(1, name)).toThrow("stream must be");
  });
});
