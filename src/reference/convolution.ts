/** Convolutions over images [n, channels, height, width] in float64, as PyTorch defines them (no flip of the kernel). */
import { expectLength } from "./lengths.ts";

export interface Convolution {
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Pixels of an input image. */
  readonly height: number;
  readonly width: number;
  /** Side of the kernel, and the zeros put around an image. */
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** Pixels of an output image. */
export function convolutionSize({ height, width, kernel, stride, padding }: Convolution): {
  height: number;
  width: number;
} {
  const side = (length: number) => Math.floor((length + 2 * padding - kernel) / stride) + 1;
  return { height: side(height), width: side(width) };
}

/** Calls `visit` with the places of every product y[out] += w[tap] x[in] of one image; places count within an image. */
function eachProduct(c: Convolution, visit: (out: number, tap: number, input: number) => void): void {
  const { height, width } = convolutionSize(c);
  for (let o = 0; o < c.channelsOut; o++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let i = 0; i < c.channelsIn; i++)
          for (let ky = 0; ky < c.kernel; ky++)
            for (let kx = 0; kx < c.kernel; kx++) {
              const row = y * c.stride + ky - c.padding;
              const column = x * c.stride + kx - c.padding;
              if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
              visit(
                (o * height + y) * width + x,
                ((o * c.channelsIn + i) * c.kernel + ky) * c.kernel + kx,
                (i * c.height + row) * c.width + column,
              );
            }
}

/** Numbers of an input image, of an output image, and of all kernels. */
function lengths(c: Convolution): { input: number; output: number; weight: number } {
  const { height, width } = convolutionSize(c);
  return {
    input: c.channelsIn * c.height * c.width,
    output: c.channelsOut * height * width,
    weight: c.channelsOut * c.channelsIn * c.kernel * c.kernel,
  };
}

/**
 * y[o, r, s] = bias[o] + Σ_{i, ky, kx} weight[o, i, ky, kx] x[i, r·stride + ky − padding, s·stride + kx − padding] of n images.
 * `weight` [channelsOut, channelsIn, kernel, kernel], `bias` [channelsOut] or none.
 * @throws ConfigError when an array has not the length its shape asks for
 */
export function convolutionForward(
  c: Convolution,
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  n: number,
): Float64Array {
  const { input, output, weight: taps } = lengths(c);
  expectLength("x", x, n * input);
  expectLength("weight", weight, taps);
  if (bias !== undefined) expectLength("bias", bias, c.channelsOut);
  const y = new Float64Array(n * output);
  for (let b = 0; b < n; b++) {
    if (bias !== undefined)
      for (let at = 0; at < output; at++) y[b * output + at] = bias[Math.floor(at / (output / c.channelsOut))];
    eachProduct(c, (out, tap, at) => {
      y[b * output + out] += weight[tap] * x[b * input + at];
    });
  }
  return y;
}

/** ∂/∂x of Σ gradY · y: gradX[i, ·] = Σ weight[o, i, ky, kx] gradY[o, ·] over the outputs that used the pixel. */
export function convolutionDataGradient(
  c: Convolution,
  gradY: ArrayLike<number>,
  weight: ArrayLike<number>,
  n: number,
): Float64Array {
  const { input, output, weight: taps } = lengths(c);
  expectLength("gradY", gradY, n * output);
  expectLength("weight", weight, taps);
  const gradX = new Float64Array(n * input);
  for (let b = 0; b < n; b++)
    eachProduct(c, (out, tap, at) => {
      gradX[b * input + at] += weight[tap] * gradY[b * output + out];
    });
  return gradX;
}

/** ∂/∂weight of Σ gradY · y, summed over n images and pixels. */
export function convolutionWeightGradient(
  c: Convolution,
  x: ArrayLike<number>,
  gradY: ArrayLike<number>,
  n: number,
): Float64Array {
  const { input, output, weight } = lengths(c);
  expectLength("x", x, n * input);
  expectLength("gradY", gradY, n * output);
  const gradWeight = new Float64Array(weight);
  for (let b = 0; b < n; b++)
    eachProduct(c, (out, tap, at) => {
      gradWeight[tap] += gradY[b * output + out] * x[b * input + at];
    });
  return gradWeight;
}

/** ∂/∂bias of Σ gradY · y: the sum of a channel's gradY over n images and pixels. */
export function convolutionBiasGradient(c: Convolution, gradY: ArrayLike<number>, n: number): Float64Array {
  const { output } = lengths(c);
  expectLength("gradY", gradY, n * output);
  const gradBias = new Float64Array(c.channelsOut);
  const pixels = output / c.channelsOut;
  for (let at = 0; at < n * output; at++) gradBias[Math.floor(at / pixels) % c.channelsOut] += gradY[at];
  return gradBias;
}
