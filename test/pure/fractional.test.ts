import { describe, expect, test } from "vitest";
import {
  fractionalNoiseCovariance,
  StationaryGaussian,
  smoothIncrementCovariance,
} from "../../src/model/fractional.ts";
import { RandomStream } from "../../src/model/random.ts";

describe("covariances", () => {
  test("the values of fractional noise sum to fractional Brownian motion: variance L^{2H}", () => {
    for (const hurst of [0.2, 0.5, 0.8]) {
      const depth = 13;
      let variance = 0;
      for (let i = 0; i < depth; i++)
        for (let j = 0; j < depth; j++) variance += fractionalNoiseCovariance(i - j, hurst);
      expect(variance / depth ** (2 * hurst)).toBeCloseTo(1, 12);
    }
  });

  test("H = 1/2 is white, and H outside (0, 1) is refused", () => {
    expect([0, 1, 2, 3].map((lag) => fractionalNoiseCovariance(lag, 0.5))).toEqual([1, 0, 0, 0]);
    for (const hurst of [0, 1, Number.NaN])
      expect(() => fractionalNoiseCovariance(1, hurst)).toThrow("hurst must be in (0, 1)");
  });

  test("increments of the smooth process: differences of its kernel, scaled to variance 1", () => {
    const [length, depth] = [0.1, 20];
    const kernel = (k: number) => Math.exp(-((k / depth / length) ** 2) / 2);
    expect(smoothIncrementCovariance(0, length, depth)).toBeCloseTo(1, 14);
    for (const lag of [1, 2, 5, 11]) {
      const direct = (2 * kernel(lag) - kernel(lag + 1) - kernel(lag - 1)) / (2 - 2 * kernel(1));
      expect(smoothIncrementCovariance(lag, length, depth)).toBeCloseTo(direct, 12);
    }
    // Neighbouring increments of a differentiable process are nearly equal: 1 − 3/2 (δ/l)² with δ = 1/L.
    const deep = 1 - smoothIncrementCovariance(1, length, 10_000);
    expect(deep / (1.5 * 1e-6)).toBeCloseTo(1, 3);
  });
});

describe("StationaryGaussian", () => {
  /** Products of values `lag` apart, averaged over sequences and places; the standard error is below √(3 / sequences). */
  function sampleCovariance(values: Float32Array, length: number, lag: number): number {
    const elements = values.length / length;
    let sum = 0;
    for (let k = 0; k + lag < length; k++)
      for (let j = 0; j < elements; j++) sum += values[k * elements + j]! * values[(k + lag) * elements + j]!;
    return sum / (elements * (length - lag));
  }

  const ELEMENTS = 4001;
  const TOLERANCE = 4 * Math.sqrt(3 / ELEMENTS);

  test.each([0.05, 0.2, 0.5, 0.8, 0.97])("samples of fractional noise with H = %d have its covariance", (hurst) => {
    const length = 12;
    const covariance = (lag: number) => fractionalNoiseCovariance(lag, hurst);
    const values = new StationaryGaussian(covariance, length).sample(new RandomStream(3, "x"), ELEMENTS, 2);
    expect(values.length).toBe(length * ELEMENTS);
    for (const lag of [0, 1, 2, 7, 11])
      expect(Math.abs(sampleCovariance(values, length, lag) / 4 - covariance(lag))).toBeLessThan(TOLERANCE);
  });

  test("samples of smooth increments have their covariance", () => {
    const covariance = (lag: number) => smoothIncrementCovariance(lag, 0.1, 30);
    const values = new StationaryGaussian(covariance, 30).sample(new RandomStream(4, "x"), ELEMENTS);
    for (const lag of [0, 1, 4, 9, 20])
      expect(Math.abs(sampleCovariance(values, 30, lag) - covariance(lag))).toBeLessThan(TOLERANCE);
  });

  test("the two sequences of one transform are independent", () => {
    const length = 8;
    const values = new StationaryGaussian((lag) => fractionalNoiseCovariance(lag, 0.9), length).sample(
      new RandomStream(5, "x"),
      ELEMENTS,
    );
    for (const lag of [0, 3]) {
      let sum = 0;
      for (let j = 0; j + 1 < ELEMENTS; j += 2) sum += values[j]! * values[lag * ELEMENTS + j + 1]!;
      expect(Math.abs(sum / (ELEMENTS >> 1))).toBeLessThan(4 / Math.sqrt(ELEMENTS >> 1));
    }
  });

  test("a sequence depends on the stream and its place alone; lengths need not be powers of two", () => {
    const process = new StationaryGaussian((lag) => fractionalNoiseCovariance(lag, 0.7), 5);
    const three = process.sample(new RandomStream(1, "x"), 3);
    const seven = process.sample(new RandomStream(1, "x"), 7);
    for (let k = 0; k < 5; k++) for (let j = 0; j < 3; j++) expect(three[k * 3 + j]).toBe(seven[k * 7 + j]);
    expect(new StationaryGaussian(() => 1, 1).sample(new RandomStream(1, "x"), 1).every(Number.isFinite)).toBe(true);
  });

  test("refuses what is no covariance, and no length", () => {
    const alternating = (lag: number) => (lag === 0 ? 1 : lag === 1 ? -0.9 : 0);
    expect(() => new StationaryGaussian(alternating, 8)).toThrow("covariance must have a circulant embedding");
    expect(() => new StationaryGaussian(() => Number.NaN, 8)).toThrow("covariance must have");
    expect(() => new StationaryGaussian(() => 1, 0)).toThrow("length must be an integer ≥ 1");
  });
});
