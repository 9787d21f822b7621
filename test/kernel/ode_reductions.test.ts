import { expect, test } from "vitest";
import { RandomStream } from "../../src/model/random.ts";
import { histogram, moments, tally } from "../../src/reference/ode_reductions.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const words = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

/** Rows y, status, accepted, evaluations, saved, rejected of n trajectories; every status occurs. */
function trajectories(n: number) {
  const stream = new RandomStream(5, "trajectories");
  const status = Array.from({ length: n }, () => [0, 0, 1, 2, 4, 6, 6, 3][stream.uint32(1) % 8]);
  const accepted = Array.from({ length: n }, (_, j) => (j * 37) % 1000);
  const saved = Array.from({ length: n }, (_, j) => j % 3);
  const rejected = Array.from({ length: n }, (_, j) => (j % 5 === 0 ? 4_000_000_000 : j));
  const flags = status.map((code, j) => code | (j % 2 === 0 ? 0x100 : 0x200));
  return {
    status,
    accepted,
    saved,
    rejected,
    state: Uint32Array.from([flags, accepted, accepted, saved, rejected].flat()),
  };
}

test.each([1, 67, 1100])("ode/tally of %d trajectories", async (n) => {
  const { state, status, accepted, rejected } = trajectories(n);
  const run = () =>
    runKernel(
      gpu,
      "ode/tally",
      {},
      { state, list: new Uint32Array(n), totals: new Uint32Array(12) },
      ["list", "totals"],
      { count: n, stride: n, status_row: 0, rejected_row: 4 },
      [Math.ceil(n / (64 * 16))],
    );
  const { list, totals } = await run();
  const expected = tally(status, accepted, rejected, 6);
  const sum = (at: number) => words(totals)[at] + 2 ** 32 * words(totals)[at + 1];
  expect([...words(totals).subarray(0, 8)]).toEqual(expected.counts);
  expect([sum(8), sum(10)]).toEqual([expected.accepted, expected.rejected]);
  // In any order; what lies behind the last one is untouched.
  const listed = [...words(list)];
  expect(listed.slice(0, expected.list.length).sort((a, b) => a - b)).toEqual(expected.list);
  expect(listed.slice(expected.list.length).every((index) => index === 0)).toBe(true);
});

test.each([
  { n: 1, points: 0 },
  { n: 64, points: 0 },
  { n: 67, points: 2 },
  { n: 4500, points: 0 },
])("ode/moments and ode/moments_join: %o", async ({ n, points }) => {
  const rows = 4;
  const { state, status, saved } = trajectories(n);
  // Far from zero, so that a sum of squares would lose everything.
  const x = Float32Array.from({ length: rows * n }, (_, i) => 1000 + Math.sin(i));
  const slices = Math.ceil(n / 64);
  const results = Math.ceil(slices / 64);
  const run = async () => {
    // Rows 1 to 3, the second part of the batch after the first in two dispatches' worth of slices.
    const { partial } = await runKernel(
      gpu,
      "ode/moments",
      {},
      { x, state, partial: poisoned(5 * 3 * slices) },
      ["partial"],
      { first_row: 1, rows: 3, count: n, stride: n, slices, first_slice: 0, status_row: 0, points },
      [Math.ceil(slices / 64), 2],
    );
    let [values, left] = [partial, slices];
    while (left > 1) {
      const { result } = await runKernel(
        gpu,
        "ode/moments_join",
        {},
        { partial: words(values), result: poisoned(5 * 3 * Math.ceil(left / 64)) },
        ["result"],
        { rows: 3, slices: left, results: Math.ceil(left / 64) },
        [results, 3],
      );
      [values, left] = [result, Math.ceil(left / 64)];
    }
    return values;
  };
  const found = await run();
  expect(words(await run())).toEqual(words(found));
  for (let row = 0; row < 3; row++) {
    const enters = (j: number) => status[j] <= 1 && (points === 0 || saved[j] > (row + 1) % points);
    const numbers = [...x.subarray((row + 1) * n, (row + 2) * n)].filter((_, j) => enters(j));
    const [, mean, spread, least, most] = found.subarray(5 * row, 5 * row + 5);
    const expected = moments(numbers);
    expect(words(found)[5 * row]).toBe(expected.count);
    if (expected.count === 0) continue;
    expect([least, most]).toEqual([expected.least, expected.most]);
    // Each of at most 64 + 2 · 64 updates rounds the mean; deviations are of the size of 1, and of the mean's error.
    const meanError = 192 * EPSILON * 1001;
    expect(Math.abs(mean - expected.mean)).toBeLessThanOrEqual(meanError);
    expect(Math.abs(spread - expected.spread)).toBeLessThanOrEqual(
      expected.count * (2 * meanError + meanError ** 2 + 192 * EPSILON),
    );
  }
});

test.each([1, 67, 700])("ode/histogram of %d trajectories", async (n) => {
  const [rows, bins, low, high] = [2, 8, -1, 1];
  const { state, status, saved } = trajectories(n);
  // Multiples of 1/64: no number is rounded into another bin. Edges, and numbers outside.
  const x = Float32Array.from({ length: rows * n }, (_, i) => ((i * 29) % 161) / 64 - 1.25);
  const { counts } = await runKernel(
    gpu,
    "ode/histogram",
    {},
    { x, state, counts: new Uint32Array(rows * (bins + 2)) },
    ["counts"],
    { rows, count: n, stride: n, status_row: 0, points: 2, bins, low, high, per_width: bins / (high - low) },
    [3, 1],
  );
  for (let row = 0; row < rows; row++) {
    const numbers = [...x.subarray(row * n, (row + 1) * n)].filter((_, j) => status[j] <= 1 && saved[j] > row % 2);
    const counted = [...words(counts).subarray(row * (bins + 2), (row + 1) * (bins + 2))];
    expect(counted).toEqual(histogram(numbers, bins, low, high));
  }
});
