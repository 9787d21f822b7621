import { expect, test } from "vitest";
import { convShapeSchema } from "../../src/config/conv.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { initialConvWeights } from "../../src/model/conv_initialisation.ts";
import { ConvPass } from "../../src/model/conv_pass.ts";
import { ConvStack } from "../../src/model/conv_stack.ts";
import { cropOf, ImageSet } from "../../src/model/image_set.ts";
import { RandomStream } from "../../src/model/random.ts";
import { augment } from "../../src/reference/augment.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";

const gpu = await openTestDevice();
const NONE = { kind: "none" } as const;
const shape = convShapeSchema.parse({
  channelsIn: 3,
  height: 7,
  width: 5,
  stem: { kernel: 3, stride: 2, padding: 1, normalisation: NONE },
  channels: 4,
  depth: 2,
  activation: "relu",
  normalisation: NONE,
  pool: 2,
  classes: 4,
  beta: 1,
});
const COUNT = 11;
const draw = new RandomStream(1, "levels");
const levels = Uint8Array.from({ length: COUNT * 105 }, (_, i) => draw.uint32(i) & 255);
const labels = Uint32Array.from({ length: COUNT }, (_, i) => i % 4);
const mean = [0.5, 0.4, 0.3];
const deviation = [0.2, 0.25, 0.3];

/** Images of an epoch by the reference, in the epoch's order. */
function expectedEpoch(seed: number, epoch: number, cropPadding: number, flip: boolean) {
  const order = new RandomStream(seed, `order of epoch ${epoch}`).permutation(COUNT);
  const crops = new RandomStream(seed, `crops of epoch ${epoch}`);
  const shuffled = Array.from(order).flatMap((i) => [...levels.subarray(i * 105, (i + 1) * 105)]);
  const drawn = Array.from(order, (_, i) => cropOf(crops, i, { cropPadding, flip }));
  const pixels = augment({ channels: 3, height: 7, width: 5 }, shuffled, drawn, cropPadding, mean, deviation);
  return { drawn, pixels, labels: Array.from(order, (i) => labels[i]) };
}

async function epochOnDevice(set: ImageSet, pass: ConvPass, batches: readonly number[]) {
  const recorder = new Recorder(gpu);
  const pixels: number[] = [];
  const targets: number[] = [];
  let first = 0;
  for (const count of batches) {
    set.encodeBatch(recorder, pass, first, count);
    recorder.submit();
    pixels.push(...(await gpu.read(pass.pixels, 0, 4 * count * 105)));
    targets.push(...new Uint32Array((await gpu.read(pass.targets, 0, 4 * count)).buffer));
    first += count;
  }
  recorder.destroy();
  return { pixels, targets };
}

test("an epoch's images are cropped, mirrored and normalised as the reference says, whatever the batches", async () => {
  const stack = ConvStack.create(gpu, shape, initialConvWeights({ shape, seed: 0, initialisation: "iid" }));
  const pass = await ConvPass.create(stack, { images: 6, training: false });
  const options = { levels, labels, channels: 3, height: 7, width: 5, mean, deviation };
  const set = await ImageSet.create(gpu, options);
  // Buffers of 4, 4 and 3 images.
  const split = await ImageSet.create(gpu, { ...options, imagesPerBuffer: 4 });
  const plain = await epochOnDevice(set, pass, [6, 5]);
  expect(plain.targets).toEqual([...labels]);
  // Difference and quotient, on numbers up to 3.5.
  plain.pixels.forEach((value, i) => {
    const channel = Math.floor(i / 35) % 3;
    expect(Math.abs(value - (levels[i]! / 255 - mean[channel]!) / deviation[channel]!)).toBeLessThan(16 * EPSILON);
  });
  for (const [epoch, cropPadding, flip] of [
    [0, 2, true],
    [1, 2, true],
    [1, 0, true],
    [1, 3, false],
  ] as const) {
    set.startEpoch(4, epoch, { cropPadding, flip });
    const expected = expectedEpoch(4, epoch, cropPadding, flip);
    const { pixels, targets } = await epochOnDevice(set, pass, [6, 5]);
    expect(targets).toEqual(expected.labels);
    pixels.forEach((value, i) => {
      expect(Math.abs(value - expected.pixels[i]!)).toBeLessThan(16 * EPSILON);
    });
    expect(await epochOnDevice(set, pass, [4, 3, 4])).toEqual({ pixels, targets });
    split.startEpoch(4, epoch, { cropPadding, flip });
    expect(await epochOnDevice(split, pass, [6, 5])).toEqual({ pixels, targets });
  }
  expect(() => set.encodeBatch(new Recorder(gpu), pass, 6, 6)).toThrow(/first/);
  pass.destroy();
  set.destroy();
  split.destroy();
});

test("crops reach every place, and half of the images are mirrored", () => {
  const crops = new RandomStream(9, "crops of epoch 0");
  const drawn = Array.from({ length: 3000 }, (_, i) => cropOf(crops, i, { cropPadding: 4, flip: true }));
  for (const side of ["row", "column"] as const)
    expect([...new Set(drawn.map((crop) => crop[side]))].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  // Five standard deviations of a fair coin.
  expect(Math.abs(drawn.filter(({ mirrored }) => mirrored).length - 1500)).toBeLessThan(5 * Math.sqrt(750));
  expect(drawn.every(({ mirrored }, i) => !mirrored || crops.uint32(2 * i + 1) >= 2 ** 31)).toBe(true);
});

test("initial weights: bounds, tied layers, and layers that start as the identity", () => {
  const BATCH = { kind: "batch", momentum: 0.1, epsilon: 1e-5 } as const;
  const normed = { ...shape, normalisation: BATCH, stem: { ...shape.stem, normalisation: BATCH } };
  const stack = ConvStack.create(gpu, normed, initialConvWeights({ shape: normed, seed: 3, initialisation: "tied" }));
  const tied = initialConvWeights({ shape: normed, seed: 3, initialisation: "tied" });
  const iid = initialConvWeights({ shape: normed, seed: 3, initialisation: "iid" });
  for (const name of ["conv1", "bias1", "conv2", "bias2"] as const) {
    const [one, other] = [stack.part(tied, name), stack.part(iid, name)];
    const half = one.length / 2;
    expect(one.slice(half)).toEqual(one.slice(0, half));
    expect(other.slice(0, half)).toEqual(one.slice(0, half));
    expect(other.slice(half)).not.toEqual(one.slice(half));
    const largest = other.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeLessThanOrEqual(Math.fround(1 / 6));
  }
  expect([...stack.part(tied, "scale1")]).toEqual(new Array(8).fill(1));
  expect([...stack.part(tied, "stemScale")]).toEqual(new Array(4).fill(1));
  for (const name of ["scale2", "shift2", "shift1", "stemShift"] as const)
    expect(stack.part(tied, name).every((value) => value === 0)).toBe(true);
  const plain = ConvStack.create(gpu, shape, initialConvWeights({ shape, seed: 3, initialisation: "tied" }));
  const weights = initialConvWeights({ shape, seed: 3, initialisation: "tied" });
  expect(plain.part(weights, "conv2").every((value) => value === 0)).toBe(true);
  const gain = plain.part(weights, "conv1").reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(gain).toBeLessThanOrEqual(1e-4 * Math.sqrt(6 / 72));
  expect(gain).toBeGreaterThan(0.9e-4 * Math.sqrt(6 / 72));
});
