/** Digits to train on and digits to test on; safe in a browser, whoever read them. */
import type { Digits } from "../../data/digits_text.ts";
import { meanOfRows, scaleRowsToNorm, splitTrainTest } from "../../data/preprocess.ts";
import type { DenseData } from "../../model/dense_pass.ts";
import { RandomStream } from "../../model/random.ts";
import { type DigitsConfig, PIXELS } from "./config.ts";

export interface SplitDigits {
  readonly train: DenseData;
  readonly test: DenseData;
}

export type SplitConfig = Pick<DigitsConfig, "trainRows" | "testRows" | "width">;

/** Splits by a permutation of the seed's own; images minus the mean of the training rows, scaled to ‖x‖ = √q (Proposition 5). */
export function splitDigits({ images, labels, count }: Digits, config: SplitConfig, seed: number): SplitDigits {
  const { trainRows, testRows, width } = config;
  const { train, test } = splitTrainTest(count, trainRows, new RandomStream(seed, "split").permutation(count));
  const mean = meanOfRows(images, PIXELS, train);
  const scaled = scaleRowsToNorm(images, count, PIXELS, Math.sqrt(width), mean);
  const pick = (rows: Uint32Array): DenseData => {
    const inputs = new Float32Array(rows.length * PIXELS);
    for (const [i, row] of rows.entries()) inputs.set(scaled.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS);
    return { inputs, targets: Uint32Array.from(rows, (row) => labels[row]!), rows: rows.length };
  };
  return { train: pick(train), test: pick(test.slice(0, testRows)) };
}
