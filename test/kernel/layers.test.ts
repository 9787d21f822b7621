import { describe, expect, test } from "vitest";
import { RandomStream } from "../../src/model/random.ts";
import { packBlend } from "../../src/plan/stages.ts";
import { blendNumber, stageNumber } from "../../src/reference/layers.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
/** Fewer invocations than numbers, so that each makes several. */
const GRID = [2] as const;

describe("dense/blend", () => {
  test.each([
    { rows: 1, columns: 1, groups: 1, size: 4, band: 1 },
    { rows: 7, columns: 5, groups: 3, size: 52, band: 5 },
    { rows: 13, columns: 29, groups: 2, size: 68, band: 3 },
  ])("equals float64, in one window of columns and in two: %o", async ({ rows, columns, groups, size, band }) => {
    const stream = new RandomStream(rows, "blend");
    const matrix = Float32Array.from({ length: rows * columns }, (_, at) => {
      const offset = (at % columns) - Math.floor((Math.floor(at / columns) * columns) / rows);
      return offset >= 0 && offset < band ? stream.normal(at) : 0;
    });
    const packed = packBlend(matrix, rows, columns);
    const layers = stream.fillNormal(new Float32Array(groups * columns * size), 1e6);
    const run = (y: Float32Array<ArrayBuffer>, first: number, end: number, add: number, firstRow = 0) => {
      const window = new Float32Array(groups * (end - first) * size);
      for (let g = 0; g < groups; g++)
        window.set(layers.subarray((g * columns + first) * size, (g * columns + end) * size), g * (end - first) * size);
      const params = {
        ...{ rows: y.length / size, first_row: firstRow, columns: end - first, first_column: first },
        ...{ stride: columns, groups, layer4: size / 4, add },
      };
      return runKernel(gpu, "dense/blend", {}, { ...packed, x: window, y }, ["y"], params, GRID);
    };
    const whole = await run(poisoned(rows * size), 0, columns, 0);
    expect(await run(poisoned(rows * size), 0, columns, 0)).toEqual(whole);
    const cut = Math.floor(columns / 2);
    const part = cut > 0 ? await run(poisoned(rows * size), 0, cut, 0) : undefined;
    const both = part ? await run(part.y, cut, columns, 1) : whole;
    const [last] = [rows - 1];
    const row = await run(poisoned(size), 0, columns, 0, last);
    expect(row.y).toEqual(whole.y.slice(last * size));
    for (let i = 0; i < rows; i++)
      for (let e = 0; e < size; e++) {
        const exact = blendNumber({ matrix, columns, layers, groups, size }, i, e);
        // A rounding for each number added to a sum, and one for its product (Higham, Accuracy and Stability, 3.1).
        const bound = EPSILON * exact.size * (columns + groups + 2);
        expect(Math.abs(whole.y[i * size + e] - exact.value)).toBeLessThanOrEqual(bound);
        expect(Math.abs(both.y[i * size + e] - exact.value)).toBeLessThanOrEqual(bound);
      }
  });
});

test.each([
  { complete: 0, share: 0.25, yShare: 1, first: 1, end: 3 },
  { complete: 1, share: 1, yShare: 0.5, first: 0, end: 4 },
  { complete: 0, share: 0.3, yShare: 1, first: 0, end: 0 },
])("dense/stage equals float64: %o", async ({ complete, share, yShare, first, end }) => {
  const [count, slot, stages, at] = [532, 576, 4, 64];
  const stream = new RandomStream(first, "stage");
  const coefficients = stream.fillNormal(new Float32Array(stages * stages));
  const slopes = stream.fillNormal(new Float32Array(stages * slot), 1000, 0.01);
  const base = stream.fillNormal(new Float32Array(count), 10_000);
  const low = stream.fillNormal(new Float32Array(count), 20_000, 1e-8);
  const row = 2 * stages;
  const run = () =>
    runKernel(
      gpu,
      "dense/stage",
      {},
      { coefficients, slopes, base, low, y: poisoned(at + count) },
      ["base", "low", "y"],
      {
        ...{ count4: count / 4, slot4: slot / 4, row, first, end, y_at4: at / 4, complete },
        ...{ share, y_share: yShare },
      },
      GRID,
    );
  const result = await run();
  expect(await run()).toEqual(result);
  expect(result.y.slice(0, at)).toEqual(poisoned(at));
  if (complete === 0) expect([result.base, result.low]).toEqual([base, low]);
  const used = [...coefficients.subarray(row + first, row + end)];
  for (let i = 0; i < count; i++) {
    const start = Math.fround(share) * base[i] + (complete === 1 ? low[i] : 0);
    const exact = stageNumber(start, used, slopes.subarray(first * slot), slot, i);
    // Each product and each sum is rounded once, and y once more.
    const bound = EPSILON * (exact.size + Math.abs(low[i])) * (end - first + 4);
    expect(Math.abs(result.y[at + i] - Math.fround(yShare) * exact.value)).toBeLessThanOrEqual(bound);
    if (complete === 0) continue;
    expect(Math.abs(result.base[i] - exact.value)).toBeLessThanOrEqual(bound);
    // With its compensation the sum has the roundings of the change alone, a hundredth of the base.
    const change = exact.size - Math.abs(start) + Math.abs(low[i]);
    const compensated = result.base[i] + result.low[i];
    expect(Math.abs(compensated - exact.value)).toBeLessThanOrEqual(EPSILON * change * (end - first + 4));
  }
});
