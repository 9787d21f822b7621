/** Batch, layer and group normalisation of images [n, channels, pixels] in float64. */
import type { Normalisation } from "../config/conv.ts";
import { ConfigError } from "../config/errors.ts";
import { expectLength } from "./lengths.ts";

export type ActiveNormalisation = Exclude<Normalisation, { kind: "none" }>;

export interface NormSize {
  readonly n: number;
  readonly channels: number;
  readonly pixels: number;
}

/** Mean and biased variance of each set of numbers that are normalised together: [channels], or [n, groups]. */
export interface Moments {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Scale and shift of each channel. */
export interface NormWeights {
  readonly scale: ArrayLike<number>;
  readonly shift: ArrayLike<number>;
}

export interface NormGradients {
  readonly gradX: Float64Array;
  readonly gradScale: Float64Array;
  readonly gradShift: Float64Array;
}

interface Sets {
  readonly count: number;
  /** Numbers in a set. */
  readonly elements: number;
  of(image: number, channel: number): number;
}

function setsOf(normalisation: ActiveNormalisation, { n, channels, pixels }: NormSize): Sets {
  if (normalisation.kind === "batch") return { count: channels, elements: n * pixels, of: (_, channel) => channel };
  const groups = normalisation.kind === "layer" ? 1 : normalisation.groups;
  if (channels % groups !== 0)
    throw new ConfigError("groups", `must divide the number of channels, ${channels}`, groups);
  const members = channels / groups;
  return {
    count: n * groups,
    elements: members * pixels,
    of: (image, channel) => image * groups + Math.floor(channel / members),
  };
}

/** Calls `visit` with the place, channel and set of every number. */
function each(
  { n, channels, pixels }: NormSize,
  sets: Sets,
  visit: (at: number, channel: number, set: number) => void,
) {
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < channels; channel++)
      for (let pixel = 0; pixel < pixels; pixel++)
        visit((image * channels + channel) * pixels + pixel, channel, sets.of(image, channel));
}

/**
 * Moments of x [n, channels, pixels] by sets.
 * @throws ConfigError where a set has one number: its variance says nothing, and there is no unbiased one
 */
export function moments(normalisation: ActiveNormalisation, size: NormSize, x: ArrayLike<number>): Moments {
  expectLength("x", x, size.n * size.channels * size.pixels);
  const sets = setsOf(normalisation, size);
  if (sets.elements < 2)
    throw new ConfigError("x", "must have at least 2 numbers that are normalised together", sets.elements);
  const mean = new Float64Array(sets.count);
  const variance = new Float64Array(sets.count);
  each(size, sets, (at, _, set) => {
    mean[set] += x[at] / sets.elements;
  });
  each(size, sets, (at, _, set) => {
    variance[set] += (x[at] - mean[set]) ** 2 / sets.elements;
  });
  return { mean, variance };
}

/**
 * y = (x − mean)/√(variance + ε) · scale + shift, [n, channels, pixels]. `given`: the moments of x itself ({@link moments}), or
 * for `batch` in evaluation the running ones.
 */
export function normForward(
  normalisation: ActiveNormalisation,
  size: NormSize,
  x: ArrayLike<number>,
  { scale, shift }: NormWeights,
  { mean, variance }: Moments,
): Float64Array {
  expectLength("x", x, size.n * size.channels * size.pixels);
  expectLength("scale", scale, size.channels);
  expectLength("shift", shift, size.channels);
  const sets = setsOf(normalisation, size);
  expectLength("mean", mean, sets.count);
  expectLength("variance", variance, sets.count);
  const y = new Float64Array(x.length);
  each(size, sets, (at, channel, set) => {
    const normal = (x[at] - mean[set]) / Math.sqrt(variance[set] + normalisation.epsilon);
    y[at] = normal * scale[channel] + shift[channel];
  });
  return y;
}

/**
 * Gradients of Σ gradY · y through {@link normForward} with the moments of x itself: with x̂ = (x − mean)/√(variance + ε) and
 * g = scale · gradY, gradX = (g − mean g − x̂ mean(g x̂))/√(variance + ε), means over the set; gradScale = Σ gradY x̂,
 * gradShift = Σ gradY.
 */
export function normBackward(
  normalisation: ActiveNormalisation,
  size: NormSize,
  x: ArrayLike<number>,
  scale: ArrayLike<number>,
  { mean, variance }: Moments,
  gradY: ArrayLike<number>,
): NormGradients {
  expectLength("gradY", gradY, size.n * size.channels * size.pixels);
  const sets = setsOf(normalisation, size);
  const normal = (at: number, set: number) => (x[at] - mean[set]) / Math.sqrt(variance[set] + normalisation.epsilon);
  const gradScale = new Float64Array(size.channels);
  const gradShift = new Float64Array(size.channels);
  const meanG = new Float64Array(sets.count);
  const meanGX = new Float64Array(sets.count);
  each(size, sets, (at, channel, set) => {
    gradScale[channel] += gradY[at] * normal(at, set);
    gradShift[channel] += gradY[at];
    meanG[set] += (scale[channel] * gradY[at]) / sets.elements;
    meanGX[set] += (scale[channel] * gradY[at] * normal(at, set)) / sets.elements;
  });
  const gradX = new Float64Array(x.length);
  each(size, sets, (at, channel, set) => {
    gradX[at] =
      (scale[channel] * gradY[at] - meanG[set] - normal(at, set) * meanGX[set]) /
      Math.sqrt(variance[set] + normalisation.epsilon);
  });
  return { gradX, gradScale, gradShift };
}

/**
 * Running moments of batch normalisation after a batch, in place: running ← (1 − momentum) running + momentum · batch, the
 * variance of the batch made unbiased by elements/(elements − 1).
 * @param elements numbers of a channel in the batch, n · pixels
 */
export function updateRunning(running: Moments, batch: Moments, momentum: number, elements: number): void {
  for (let c = 0; c < running.mean.length; c++) {
    running.mean[c] += momentum * (batch.mean[c] - running.mean[c]);
    running.variance[c] += momentum * ((batch.variance[c] * elements) / (elements - 1) - running.variance[c]);
  }
}
