import { describe, expect, test } from "vitest";
import { type Ceiling, ceilingsResult, measureCeilings } from "../../src/benchmark/ceilings.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { RandomStream } from "../../src/model/random.ts";
import { exchanged, followed, multiplyAddChain, multiplyAddSums, readSums } from "../../src/reference/ceiling.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

// Devices as the benchmark opens them: a rounded clock makes short times 0.
const CLOCK = "disable-dawn-features=timestamp_quantization";
const gpu = await openTestDevice({ flags: [CLOCK] });
const unclamped = await openTestDevice({ flags: [CLOCK, "enable-dawn-features=disable_robustness"] });
const normal = (length: number) => new RandomStream(3, "ceiling").fillNormal(new Float32Array(length));
const words = (x: Float32Array<ArrayBuffer>) => new Uint32Array(x.buffer, x.byteOffset, x.length);

// Exact in f16, so that only the chain itself rounds. Starting values stay below 1.5, and so do the chains' values.
const [a, b, largest] = [-0.75, 0.5, 1.5];
/** Two roundings of `largest` a step, of which |a| survives each later step; then the sum of 4 · chains values, in f32. */
const bound = (epsilon: number, chains: number) =>
  4 * chains * largest * (((1 + Math.abs(a)) / (1 - Math.abs(a))) * epsilon + 4 * chains * EPSILON);

function expectWithin(actual: ArrayLike<number>, expected: ArrayLike<number>, absolute: number) {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(Math.abs(actual[i] - expected[i])).toBeLessThanOrEqual(absolute);
}

/** A step more or less is far outside the tolerance: a loop left out or cut short would be seen. */
function expectTolerant(expected: ArrayLike<number>, next: ArrayLike<number>, absolute: number) {
  const moved = Math.max(...Array.from(expected, (x, i) => Math.abs(next[i] - x)));
  expect(moved).toBeGreaterThan(10 * absolute);
}

const multiplyAdd = (
  name: "ceiling/multiply_add" | "ceiling/multiply_add_half",
  constants: { CHAINS: number; STEPS: number; FUSED: boolean; WORKGROUP: number },
  groups: number,
  trips: number,
  threshold: number,
) =>
  runKernel(gpu, name, constants, { y: poisoned(groups * constants.WORKGROUP) }, ["y"], { trips, a, b, threshold }, [
    groups,
  ]).then(({ y }) => y);

const CASES = [
  { CHAINS: 1, STEPS: 1, FUSED: true, WORKGROUP: 7, groups: 1, trips: 2 },
  { CHAINS: 3, STEPS: 4, FUSED: false, WORKGROUP: 32, groups: 3, trips: 2 },
  { CHAINS: 8, STEPS: 2, FUSED: true, WORKGROUP: 64, groups: 2, trips: 3 },
];

describe("ceiling/multiply_add", () => {
  test.each(CASES)("%o", async ({ groups, trips, ...constants }) => {
    const run = (threshold: number) => multiplyAdd("ceiling/multiply_add", constants, groups, trips, threshold);
    const y = await run(-1e30);
    const at = (count: number) => multiplyAddSums(y.length, constants.CHAINS, count, a, b);
    const absolute = bound(EPSILON, constants.CHAINS);
    expectWithin(y, at(trips * constants.STEPS), absolute);
    expectTolerant(at(trips * constants.STEPS), at(trips * constants.STEPS + 1), absolute);
    expect(await run(-1e30)).toEqual(y);
    // No sum reaches the threshold: nothing is written.
    expect(await run(1e30)).toEqual(poisoned(y.length));
  });
});

// Half precision is optional in WebGPU: where it is not offered, the kernel must be refused and the ceiling absent.
test("ceiling/multiply_add_half", async () => {
  if (!gpu.features.includes("shader-f16")) {
    await expect(gpu.kernel("ceiling/multiply_add_half")).rejects.toThrow(/f16/);
    return;
  }
  for (const { groups, trips, ...constants } of CASES) {
    const run = () => multiplyAdd("ceiling/multiply_add_half", constants, groups, trips, -1e30);
    const y = await run();
    const at = (count: number) => multiplyAddSums(y.length, constants.CHAINS, count, a, b);
    const absolute = bound(2 ** -11, constants.CHAINS);
    expectWithin(y, at(trips * constants.STEPS), absolute);
    expectTolerant(at(trips * constants.STEPS), at(trips * constants.STEPS + 1), absolute);
    expect(await run()).toEqual(y);
  }
});

describe("ceiling/latency", () => {
  test.each([
    { STEPS: 1, FUSED: true, WORKGROUP: 5, trips: 2 },
    { STEPS: 3, FUSED: false, WORKGROUP: 32, trips: 3 },
  ])("%o", async ({ trips, ...constants }) => {
    const run = () =>
      runKernel(gpu, "ceiling/latency", constants, { y: poisoned(constants.WORKGROUP) }, ["y"], { trips, a, b }, [1]);
    const { y } = await run();
    const at = (count: number) => multiplyAddChain(constants.WORKGROUP, count, a, b);
    expectWithin(y, at(trips * constants.STEPS), bound(EPSILON, 1));
    expectTolerant(at(trips * constants.STEPS), at(trips * constants.STEPS + 1), bound(EPSILON, 1));
    expect((await run()).y).toEqual(y);
  });
});

describe("ceiling/copy and ceiling/read", () => {
  test.each([
    { ITEMS: 1, WORKGROUP: 5, tiles: 1, groups: 1 },
    { ITEMS: 3, WORKGROUP: 4, tiles: 5, groups: 2 },
    { ITEMS: 4, WORKGROUP: 64, tiles: 7, groups: 3 },
  ])("%o", async ({ tiles, groups, ...constants }) => {
    const { ITEMS, WORKGROUP } = constants;
    const x = normal(4 * tiles * ITEMS * WORKGROUP);
    const copy = await runKernel(gpu, "ceiling/copy", constants, { x, y: poisoned(x.length) }, ["x", "y"], { tiles }, [
      groups,
    ]);
    expect(copy.y).toEqual(x);
    expect(copy.x).toEqual(x);

    const read = (threshold: number) =>
      runKernel(gpu, "ceiling/read", constants, { x, y: poisoned(groups * WORKGROUP) }, ["y"], { tiles, threshold }, [
        groups,
      ]).then(({ y }) => y);
    const y = await read(-1e30);
    // As many roundings as terms, each of at most the sum of their sizes.
    const terms = 4 * ITEMS * Math.ceil(tiles / groups);
    const sizes = readSums(x.map(Math.abs), ITEMS, WORKGROUP, groups);
    readSums(x, ITEMS, WORKGROUP, groups).forEach((expected, i) => {
      expect(Math.abs(y[i] - expected)).toBeLessThanOrEqual(EPSILON * terms * sizes[i]);
    });
    expect(await read(-1e30)).toEqual(y);
    expect(await read(1e30)).toEqual(poisoned(y.length));
  });
});

describe("ceiling/barrier", () => {
  test.each([
    { EXCHANGE: true, WORKGROUP: 7, trips: 3 },
    { EXCHANGE: true, WORKGROUP: 64, trips: 130 },
    { EXCHANGE: false, WORKGROUP: 64, trips: 3 },
  ])("%o", async ({ trips, ...constants }) => {
    const { WORKGROUP, EXCHANGE } = constants;
    const { y } = await runKernel(gpu, "ceiling/barrier", constants, { y: poisoned(WORKGROUP) }, ["y"], { trips }, [1]);
    expect(words(y)).toEqual(exchanged(WORKGROUP, EXCHANGE ? trips : 0));
  });
});

test("ceiling/empty: every dispatch of a pass adds its step", async () => {
  const recorder = new Recorder(gpu);
  const y = gpu.upload("y", new Uint32Array(4));
  const kernel = await gpu.kernel("ceiling/empty");
  for (const step of [1, 2, 4, 8, 8]) recorder.dispatch(kernel, { y }, { step }, [1]);
  recorder.submit();
  expect([...words(await gpu.read(y))]).toEqual([23, 0, 0, 0]);
  recorder.destroy();
  gpu.release(y);
});

describe("ceiling/gather", () => {
  test.each([
    { STEPS: 1, WORKGROUP: 5, count: 5, trips: 2 },
    { STEPS: 3, WORKGROUP: 32, count: 97, trips: 3 },
  ])("%o", async ({ count, trips, ...constants }) => {
    const next = Uint32Array.from({ length: count }, (_, i) => (7 * i + 4) % count);
    const { y } = await runKernel(
      gpu,
      "ceiling/gather",
      constants,
      { next, y: poisoned(constants.WORKGROUP) },
      ["y"],
      { trips },
      [1],
    );
    expect(words(y)).toEqual(followed(next, constants.WORKGROUP, trips * constants.STEPS));
  });
});

test("measureCeilings in its reduced form gives a number for each ceiling, and frees what it used", async () => {
  const before = gpu.bytesInUse;
  const parts: string[] = [];
  const ceilings = await measureCeilings(gpu, { unclamped, reduced: true, onProgress: (part) => parts.push(part) });
  expect(gpu.bytesInUse).toBe(before);
  expect(unclamped.bytesInUse).toBe(0);

  for (const [name, { value, lower, upper }] of Object.entries<Ceiling>({ ...ceilings })) {
    expect(Number.isFinite(value) && value > 0 && lower > 0 && Number.isFinite(upper), name).toBe(true);
    expect(lower, name).toBeLessThanOrEqual(value);
    expect(upper, name).toBeGreaterThanOrEqual(value);
  }
  const half = gpu.features.includes("shader-f16");
  expect("fmaHalf" in ceilings).toBe(half);
  // All invocations together make more multiply-adds than one dependent chain.
  expect(ceilings.fma.value).toBeGreaterThan(2 / ceilings.fmaLatency.value);
  expect(new Set(parts).size).toBe(parts.length);

  const { tables, notes } = ceilingsResult(ceilings);
  expect(tables.map(({ name }) => name)).toEqual(["ceilings"]);
  const [{ columns, rows }] = tables;
  expect(rows.length).toBe(half ? 12 : 11);
  for (const row of rows) expect(Object.keys(row)).toEqual(columns.map(({ name }) => name));
  expect(rows.map((row) => row.value)).toContain(ceilings.gatherUnclamped!.value);
  expect(notes.some((note) => /shader-f16/.test(note))).toBe(!half);

  const { gatherUnclamped, ...rest } = ceilings;
  expect(gatherUnclamped).toBeDefined();
  const without = ceilingsResult(rest);
  expect(without.tables[0].rows.length).toBe(rows.length - 1);
  expect(without.notes.some((note) => /no second device/.test(note))).toBe(true);
});
