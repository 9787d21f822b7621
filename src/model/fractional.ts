import FFT from "fft.js";
import { ConfigError } from "../config/errors.ts";
import type { RandomStream } from "./random.ts";

/**
 * Covariance of fractional Gaussian noise of unit variance at a distance of `lag` steps,
 * ½ (|k+1|^{2H} − 2 |k|^{2H} + |k−1|^{2H}): the increments of fractional Brownian motion with Hurst exponent H in (0, 1).
 */
export function fractionalNoiseCovariance(lag: number, hurst: number): number {
  if (!(hurst > 0 && hurst < 1)) throw new ConfigError("hurst", "must be in (0, 1)", hurst);
  const power = (k: number) => Math.abs(k) ** (2 * hurst);
  return (power(lag + 1) - 2 * power(lag) + power(lag - 1)) / 2;
}

/**
 * Covariance at a distance of `lag` layers of the increments over layers of a Gaussian process of s = k/L with kernel
 * exp(−(s − s')² / (2 l²)), scaled to unit variance.
 */
export function smoothIncrementCovariance(lag: number, kernelLength: number, depth: number): number {
  if (!(kernelLength > 0)) throw new ConfigError("kernelLength", "must be positive", kernelLength);
  // 1 − K, which keeps its digits where neighbouring layers are almost equal.
  const deficit = (k: number) => -Math.expm1(-((k / depth / kernelLength) ** 2) / 2);
  return (deficit(lag + 1) - 2 * deficit(lag) + deficit(lag - 1)) / (2 * deficit(1));
}

/** Largest negative eigenvalue that counts as rounding, relative to the largest. */
const ROUNDING = 1e-10;

/**
 * Exact samples of a stationary Gaussian sequence with a given covariance by circulant embedding (Davies and Harte, Biometrika 74,
 * 1987; Wood and Chan, J. Comput. Graph. Statist. 3, 1994). Sequences of 1..`length` values.
 */
export class StationaryGaussian {
  readonly length: number;
  readonly #size: number;
  readonly #fft: FFT;
  /** √(λ/size), [size]. */
  readonly #factors: Float64Array;

  /**
   * @param covariance of values k steps apart, k = 0..length rounded up to a power of two
   * @throws ConfigError when the embedding is no covariance: an eigenvalue is negative beyond rounding
   */
  constructor(covariance: (lag: number) => number, length: number) {
    if (!Number.isInteger(length) || length < 1) throw new ConfigError("length", "must be an integer ≥ 1", length);
    this.length = length;
    let half = 1;
    while (half < length) half *= 2;
    this.#size = 2 * half;
    this.#fft = new FFT(this.#size);
    const row = new Float64Array(2 * this.#size);
    for (let k = 0; k <= half; k++) {
      const value = covariance(k);
      row[2 * k] = value;
      row[2 * ((this.#size - k) % this.#size)] = value;
    }
    const spectrum = new Float64Array(2 * this.#size);
    this.#fft.transform(spectrum, row);
    const eigenvalues = Float64Array.from({ length: this.#size }, (_, k) => spectrum[2 * k]!);
    const largest = Math.max(...eigenvalues);
    const smallest = Math.min(...eigenvalues);
    if (!(smallest >= -ROUNDING * largest))
      throw new ConfigError("covariance", "must have a circulant embedding without negative eigenvalues", smallest);
    this.#factors = eigenvalues.map((value) => Math.sqrt(Math.max(0, value) / this.#size));
  }

  /**
   * `elements` independent sequences of standard deviation `scale`, as [length, elements]. Sequences 2j and 2j+1 depend on the stream and
   * j alone: they are the real and the imaginary part of one transform.
   */
  sample(stream: RandomStream, elements: number, scale = 1): Float32Array<ArrayBuffer> {
    const out = new Float32Array(this.length * elements);
    const noise = new Float64Array(2 * this.#size);
    const path = new Float64Array(2 * this.#size);
    for (let first = 0; first < elements; first += 2) {
      stream.fillNormal(noise, first * this.#size);
      for (let k = 0; k < this.#size; k++) {
        noise[2 * k]! *= this.#factors[k]!;
        noise[2 * k + 1]! *= this.#factors[k]!;
      }
      this.#fft.transform(path, noise);
      const both = first + 1 < elements;
      for (let k = 0; k < this.length; k++) {
        out[k * elements + first] = scale * path[2 * k]!;
        if (both) out[k * elements + first + 1] = scale * path[2 * k + 1]!;
      }
    }
    return out;
  }
}
