import { expect, test } from "vitest";
import { normalTable, RandomStream } from "../../src/model/random.ts";
import { openTestDevice } from "../support/device.ts";
import { poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const table = Uint32Array.from(normalTable());

test.each([
  { seed: 0, stream: "W", first: 0, count: 1, scale: 1 },
  { seed: 1, stream: "W", first: 1, count: 1, scale: 1 },
  { seed: 2, stream: "V", first: 7, count: 0, scale: 1 },
  { seed: 7, stream: "W", first: 0, count: 127, scale: 1 },
  { seed: 7, stream: "W", first: 3, count: 128, scale: 0.1 },
  { seed: 7, stream: 5, first: 1_000_001, count: 129, scale: 1 / 3 },
  { seed: 2 ** 53 - 1, stream: "a long label", first: 2 ** 32 - 20_002, count: 20_001, scale: 1e-3 },
])("bits of RandomStream.fillNormal: %o", async ({ seed, stream, first, count, scale }) => {
  const source = new RandomStream(seed, stream);
  const length = Math.max(1, count);
  const { output } = await runKernel(
    gpu,
    "random/normal",
    {},
    { table, output: poisoned(length) },
    ["output"],
    { key0: source.key[0], key1: source.key[1], first, count, scale },
    // Fewer groups than numbers, so that invocations stride over the grid.
    [Math.max(1, Math.floor(count / 1024))],
  );
  const expected = count === 0 ? poisoned(1) : source.fillNormal(new Float32Array(count), first, scale);
  expect(new Uint32Array(output.buffer)).toEqual(new Uint32Array(expected.buffer));
});
