/**
 * Mean over windows of `window` × `window` pixels of images [count, height, width], in float64. Rows and columns that no whole
 * window covers are left out.
 */
import { expectLength } from "./lengths.ts";

export interface Pooling {
  /** Images times channels. */
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly window: number;
}

/** Rows and columns after pooling. */
function pooledSize({ height, width, window }: Pooling): [number, number] {
  return [Math.floor(height / window), Math.floor(width / window)];
}

/** Calls `visit` with the places of every pair of a mean and a pixel in it. */
function eachPixel(pooling: Pooling, visit: (mean: number, pixel: number) => void): void {
  const { count, height, width, window } = pooling;
  const [rows, columns] = pooledSize(pooling);
  for (let i = 0; i < count; i++)
    for (let y = 0; y < rows * window; y++)
      for (let x = 0; x < columns * window; x++)
        visit((i * rows + Math.floor(y / window)) * columns + Math.floor(x / window), (i * height + y) * width + x);
}

/** Means [count, ⌊height/window⌋, ⌊width/window⌋]. */
export function averagePool(pooling: Pooling, x: ArrayLike<number>): Float64Array {
  const [rows, columns] = pooledSize(pooling);
  expectLength("x", x, pooling.count * pooling.height * pooling.width);
  const y = new Float64Array(pooling.count * rows * columns);
  eachPixel(pooling, (mean, pixel) => {
    y[mean] += x[pixel] / pooling.window ** 2;
  });
  return y;
}

/** ∂/∂x of Σ gradY · y: each pixel of a window gets the same share, those outside all windows 0. */
export function averagePoolGradient(pooling: Pooling, gradY: ArrayLike<number>): Float64Array {
  const [rows, columns] = pooledSize(pooling);
  expectLength("gradY", gradY, pooling.count * rows * columns);
  const gradX = new Float64Array(pooling.count * pooling.height * pooling.width);
  eachPixel(pooling, (mean, pixel) => {
    gradX[pixel] = gradY[mean] / pooling.window ** 2;
  });
  return gradX;
}
