import { describe, expect, test } from "vitest";
import { LOSSES, type Loss } from "../../src/config/dense.ts";
import { RandomStream } from "../../src/model/random.ts";
import { denseLoss } from "../../src/reference/dense.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
/** Relative error of the builtin exp on the software adapter, some 6 ulp, and WGSL's own (3 + 2 |x|) ulp at moderate x. */
const EXP_ULP = 40;

async function run(loss: Loss, output: Float32Array<ArrayBuffer>, targets: readonly number[], rows: number) {
  const outputs = output.length / rows;
  const target = loss === "cross-entropy" ? Uint32Array.from(targets) : Float32Array.from(targets);
  const scale = loss === "mean-square" ? 1 / (rows * outputs) : 1 / rows;
  const { grad, row_loss } = await runKernel(
    gpu,
    "loss/loss",
    { LOSS: LOSSES.indexOf(loss) },
    { output, target_bits: target, grad: poisoned(rows * outputs), row_loss: poisoned(2 * rows) },
    ["grad", "row_loss"],
    { rows, outputs, scale },
    // One group of 32: more rows than that make it stride.
    [1],
  );
  const sum = (from: number) => row_loss.filter((_, i) => i % 2 === from).reduce((a, b) => a + b, 0);
  return { grad, row_loss, loss: sum(0), correct: sum(1) };
}

const SHAPES = [
  [1, 1],
  [1, 2],
  [3, 5],
  [31, 4],
  [32, 3],
  [33, 10],
  [97, 7],
] as const;

describe.each(LOSSES)("%s", (loss) => {
  test.each(SHAPES)("%d rows of %d outputs equal float64", async (rows, outputs) => {
    const stream = new RandomStream(rows, loss);
    for (const size of [1, 30]) {
      const output = Float32Array.from({ length: rows * outputs }, (_, i) => size * stream.normal(i));
      const targets =
        loss === "cross-entropy"
          ? Array.from({ length: rows }, (_, i) => stream.uint32(1e6 + i) % outputs)
          : Array.from({ length: rows * outputs }, (_, i) => stream.normal(1e6 + i));
      const expected = denseLoss(loss, Float64Array.from(output), targets, rows, outputs);
      const actual = await run(loss, output, targets, rows);
      // Each row's loss: `outputs` terms of 3 roundings (exp: EXP_ULP of them) and their sum.
      const relative = EPSILON * (outputs + (loss === "cross-entropy" ? EXP_ULP : 5));
      const logits = loss === "cross-entropy" ? 2 * size * 4 : 0;
      expect(Math.abs(actual.loss - expected.loss)).toBeLessThanOrEqual(relative * (expected.loss + logits + 1));
      const largest = expected.gradOutput.reduce(
        (a, b) => Math.max(a, Math.abs(b)),
        loss === "cross-entropy" ? 1 / rows : 0,
      );
      actual.grad.forEach((value, i) => {
        expect(Math.abs(value - expected.gradOutput[i])).toBeLessThanOrEqual(relative * largest);
      });
      expect(actual.correct).toBe(loss === "cross-entropy" ? expected.correct : 0);
    }
  });
});

test("large logits neither overflow nor lose the loss", async () => {
  const output = Float32Array.from([1e30, 0, -1e30, 300, 0, -300, -5000, -5000, -5000]);
  const labels = [0, 1, 2];
  const actual = await run("cross-entropy", output, labels, 3);
  const expected = denseLoss("cross-entropy", Float64Array.from(output), labels, 3, 3);
  expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(8 * EPSILON);
  actual.grad.forEach((value, i) => {
    expect(Math.abs(value - expected.gradOutput[i])).toBeLessThan(EXP_ULP * EPSILON);
  });
});

test("among equal outputs the first one counts as the answer", async () => {
  const output = Float32Array.from([2, 2, 1, 1, 2, 2]);
  const correct = async (labels: number[]) =>
    (await run("cross-entropy", output, labels, 2)).row_loss.filter((_, i) => i % 2 === 1);
  expect([...(await correct([0, 1]))]).toEqual([1, 1]);
  expect([...(await correct([1, 2]))]).toEqual([0, 0]);
});

test("two runs have the same bits", async () => {
  const output = new RandomStream(3, "logits").fillNormal(new Float32Array(200));
  const labels = Array.from({ length: 40 }, (_, i) => i % 5);
  const [first, second] = [
    await run("cross-entropy", output, labels, 40),
    await run("cross-entropy", output, labels, 40),
  ];
  expect(second).toEqual(first);
});
