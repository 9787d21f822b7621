import { expect, it } from "vitest";
import { describe as describeProgress, progressLine } from "../../src/cli/progress_line.ts";

const progress = { done: 420, total: 1000, label: "gelu tied L=256 seed 1, step 120", loss: 0.31234 };

it("says percent, time left, label, loss and rate", () => {
  expect(describeProgress(progress, 2.9)).toBe(
    " 42 %  3 min 20 s left  gelu tied L=256 seed 1, step 120  loss 0.312  2.9 layer-steps/s",
  );
  expect(describeProgress({ ...progress, loss: Number.NaN }, undefined)).toBe(
    " 42 %  gelu tied L=256 seed 1, step 120",
  );
});

it("in a narrow place gives up the unit, then the label's end, and never more than the width", () => {
  expect(describeProgress(progress, 2.9, 80)).toBe(
    " 42 %  3 min 20 s left  gelu tied L=256 seed 1, step 120  loss 0.312  2.9/s",
  );
  expect(describeProgress(progress, 2.9, 68)).toBe(
    " 42 %  3 min 20 s left  gelu tied L=256 seed 1,…  loss 0.312  2.9/s",
  );
  for (let width = 1; width < 90; width++)
    expect([...describeProgress(progress, 2.9e6, width)].length).toBeLessThanOrEqual(width);
});

it("without a terminal writes a line at most every ten seconds", () => {
  let time = 0;
  const written: string[] = [];
  const stream = { isTTY: false, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const line = progressLine(stream, () => time);
  for (; time <= 25; time++) line.update({ done: 10 * time, total: 1000, label: "cell" });
  line.stop();
  expect(written).toEqual([
    " 10 %  1 min 30 s left  cell  10 layer-steps/s\n",
    " 20 %  1 min 20 s left  cell  10 layer-steps/s\n",
  ]);
});

it("measures the rate over the last seconds, so that cells loaded at the start are soon forgotten", () => {
  let time = 0;
  const written: string[] = [];
  const stream = { isTTY: false, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const line = progressLine(stream, () => time);
  line.update({ done: 0, total: 1e6, label: "loaded" });
  time = 0.1;
  for (; time <= 40; time += 0.5) line.update({ done: 500_000 + 100 * time, total: 1e6, label: "cell" });
  expect(written.at(-1)).toContain("100 layer-steps/s");
});
