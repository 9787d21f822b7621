/**
 * What the dispatches of a convolutional residual network have to do; conventions as in `plan/work.ts`. A convolution counts every
 * tap of its kernel, also those that fall on padding, as is usual. Pure.
 */
import { CONV_KERNEL, type ConvShape, convParameterShapes, convSizes, type Normalisation } from "../config/conv.ts";
import type { Work } from "./work.ts";

const FLOAT = 4;

/** A convolution of n images between tensors of these sizes. */
export interface ConvolutionSize {
  readonly n: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly kernel: number;
  /** Pixels of an input image and of an output image. */
  readonly pixelsIn: number;
  readonly pixelsOut: number;
}

function taps({ channelsIn, channelsOut, kernel }: ConvolutionSize): number {
  return channelsIn * channelsOut * kernel ** 2;
}

function bytesOf(c: ConvolutionSize): number {
  return FLOAT * (c.n * (c.channelsIn * c.pixelsIn + c.channelsOut * c.pixelsOut) + taps(c));
}

/** y = weight ∗ x + bias; without `bias` one number a channel less. */
export function convolutionWork(c: ConvolutionSize, bias: boolean): Work {
  return {
    flops: c.n * c.pixelsOut * (2 * taps(c) + (bias ? c.channelsOut : 0)),
    bytes: bytesOf(c) + (bias ? FLOAT * c.channelsOut : 0),
    sequential: c.channelsIn * c.kernel ** 2,
  };
}

/** gradX from gradY and the weights: as many products as forward. */
export function convolutionDataGradientWork(c: ConvolutionSize): Work {
  return { flops: 2 * c.n * c.pixelsOut * taps(c), bytes: bytesOf(c), sequential: c.channelsOut * c.kernel ** 2 };
}

/** Gradients of weights and bias from x and gradY; the sum over images and pixels may be cut freely. */
export function convolutionWeightGradientWork(c: ConvolutionSize, bias: boolean): Work {
  return {
    flops: c.n * c.pixelsOut * (2 * taps(c) + (bias ? c.channelsOut : 0)),
    bytes: bytesOf(c) + (bias ? FLOAT * c.channelsOut : 0),
    sequential: 0,
  };
}

/** Operations on a number: sum; difference, square and sum for the variance; then difference, rstd, scale and shift. */
const NORM_FORWARD = 1 + 3 + 4;
/** x̂ (2), the sums of gradY and gradY x̂ (3), and scale · rstd · (gradY − mean − x̂ · mean) (5). */
const NORM_BACKWARD = 2 + 3 + 5;

function normFlops(normalisation: Normalisation, perNumber: number): number {
  return normalisation.kind === "none" ? 0 : perNumber;
}

/** Operations of the residual layers and of everything else in a pass over n images. */
export interface ConvFlops {
  /** Of one layer. */
  readonly layer: number;
  /** Stem, pooling and head. */
  readonly ends: number;
  readonly total: number;
}

/** Forward pass of n images, in training (moments of the batch). */
export function convForwardFlops(shape: ConvShape, n: number): ConvFlops {
  const { layer, stem, head, state } = parts(shape, n);
  const norm = state * normFlops(shape.normalisation, NORM_FORWARD);
  // Both convolutions and their normalisations, σ, and h + scale · branch.
  const layerFlops = 2 * convolutionWork(layer, true).flops + 2 * norm + state + 2 * state;
  const ends =
    convolutionWork(stem, false).flops +
    state * (normFlops(shape.stem.normalisation, NORM_FORWARD) + 1) +
    state +
    head.flops;
  return { layer: layerFlops, ends, total: shape.depth * layerFlops + ends };
}

/** Backward pass: gradients of all weights, and of all states; the stem needs none of its images. */
export function convBackwardFlops(shape: ConvShape, n: number): ConvFlops {
  const { layer, stem, head, state } = parts(shape, n);
  const norm = state * normFlops(shape.normalisation, NORM_BACKWARD);
  const convolution = convolutionDataGradientWork(layer).flops + convolutionWeightGradientWork(layer, true).flops;
  // σ' and its product, scale · p, and p + what comes back.
  const layerFlops = 2 * convolution + 2 * norm + 4 * state;
  const ends =
    convolutionWeightGradientWork(stem, false).flops +
    state * (normFlops(shape.stem.normalisation, NORM_BACKWARD) + 2) +
    state +
    2 * head.flops;
  return { layer: layerFlops, ends, total: shape.depth * layerFlops + ends };
}

/** Bytes of what a training of batches of n images keeps on the device. */
export interface ConvBytes {
  /** Weights, and one momentum for each. */
  readonly parameters: number;
  /** A tensor [n, channels, height, width] of a state. */
  readonly state: number;
  /** Running moments of the batch normalisations. */
  readonly running: number;
}

export function convBytes(shape: ConvShape, n: number): ConvBytes {
  const numbers = Object.values(convParameterShapes(shape))
    .map((size) => size.reduce((product, length) => product * length, 1))
    .reduce((sum, length) => sum + length, 0);
  const { channels, depth } = shape;
  const moments = (normalisation: Normalisation, places: number) =>
    normalisation.kind === "batch" ? places * 2 * channels : 0;
  return {
    parameters: FLOAT * 2 * numbers,
    state: FLOAT * parts(shape, n).state,
    running: FLOAT * (moments(shape.stem.normalisation, 1) + moments(shape.normalisation, 2 * depth)),
  };
}

function parts(shape: ConvShape, n: number) {
  const { channelsIn, channels, classes, stem: stemShape } = shape;
  const { height, width, features } = convSizes(shape);
  const pixels = height * width;
  const layer: ConvolutionSize = {
    n,
    channelsIn: channels,
    channelsOut: channels,
    kernel: CONV_KERNEL,
    pixelsIn: pixels,
    pixelsOut: pixels,
  };
  const stem: ConvolutionSize = {
    n,
    channelsIn,
    channelsOut: channels,
    kernel: stemShape.kernel,
    pixelsIn: shape.height * shape.width,
    pixelsOut: pixels,
  };
  return { layer, stem, head: { flops: n * classes * (2 * features + 1) }, state: n * channels * pixels };
}
