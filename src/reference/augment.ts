import { ConfigError } from "../config/errors.ts";
import { expectLength } from "./lengths.ts";

/** What was drawn for an image: where its crop begins in the padded image, and whether it is mirrored. */
export interface Crop {
  /** 0..2·padding. */
  readonly row: number;
  readonly column: number;
  readonly mirrored: boolean;
}

export interface Pixels {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Images [n, channels, height, width] of grey levels 0..255 as a network's input: each is framed by `padding` zeros, cropped to its
 * own size, mirrored left to right where drawn, and normalised, (pixel/255 − mean)/deviation of its channel. Zeros of the frame are
 * normalised as the pixels are.
 * @param crops one an image
 * @throws ConfigError for lengths that do not fit, or a crop outside its frame
 */
export function augment(
  { channels, height, width }: Pixels,
  images: ArrayLike<number>,
  crops: readonly Crop[],
  padding: number,
  mean: ArrayLike<number>,
  deviation: ArrayLike<number>,
): Float64Array {
  expectLength("images", images, crops.length * channels * height * width);
  expectLength("mean", mean, channels);
  expectLength("deviation", deviation, channels);
  const out = new Float64Array(images.length);
  for (const [i, crop] of crops.entries()) {
    for (const side of ["row", "column"] as const)
      if (!Number.isInteger(crop[side]) || crop[side] < 0 || crop[side] > 2 * padding)
        throw new ConfigError(`crops[${i}].${side}`, `must be an integer in 0..${2 * padding}`, crop[side]);
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const row = y + crop.row - padding;
          const column = (crop.mirrored ? width - 1 - x : x) + crop.column - padding;
          const inside = row >= 0 && row < height && column >= 0 && column < width;
          const level = inside ? images[((i * channels + c) * height + row) * width + column] : 0;
          out[((i * channels + c) * height + y) * width + x] = (level / 255 - mean[c]) / deviation[c];
        }
  }
  return out;
}
