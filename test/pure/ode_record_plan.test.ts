import { expect, test } from "vitest";
import {
  carriedRows,
  emptyRecord,
  groupOf,
  guessedCapacities,
  mostOfSlices,
  planRecord,
  planRecords,
  type RecordPlan,
  recordHeader,
} from "../../src/plan/ode_record.ts";

const fixed = { dimension: 3, parameters: 2, adaptive: false, group: 1 };
const limits = { bytes: 1_000_000, bindingBytes: 1_000_000 };

/** Words of the slices: their parts of the record do not overlap, and the last ends where the record does. */
function expectParts({ offsets, capacities, shift, recordWords }: RecordPlan, adaptive: boolean): void {
  let at = 1 + 2 * offsets.length;
  offsets.forEach((offset, s) => {
    expect(offset).toBe(at);
    const steps = capacities[s];
    const states = 3 * Math.ceil(steps / 2 ** shift);
    if (steps > 0) at += 64 * (1 + states + (adaptive ? 2 * steps : 0));
  });
  expect(recordWords).toBe(at);
}

test("slices have room for their own steps", () => {
  const capacities = Uint32Array.of(10, 0, 3);
  const plan = planRecord(fixed, capacities, limits)!;
  expect(plan.shift).toBe(0);
  expectParts(plan, false);
  // Two parameters twice, t0, t1, points.
  expect(plan.sweepWords).toBe(3 * 64 * 7);
  expect([...recordHeader(plan)]).toEqual([0, plan.offsets[0], 10, plan.offsets[1], 0, plan.offsets[2], 3]);
  expectParts(planRecord({ ...fixed, adaptive: true }, capacities, limits)!, true);
});

test("checkpoints are as near as memory allows", () => {
  const capacities = Uint32Array.of(1000);
  const wordsAt = (every: number) => {
    const { recordWords, sweepWords } = planRecord(fixed, capacities, { ...limits, every })!;
    return recordWords + sweepWords;
  };
  for (const every of [1, 2, 4, 8, 16]) {
    const { shift } = planRecord(fixed, capacities, { ...limits, bytes: 4 * wordsAt(every) })!;
    expect(2 ** shift).toBe(every);
    expect(planRecord(fixed, capacities, { ...limits, bytes: 4 * wordsAt(every) - 4 })?.shift).not.toBe(shift);
  }
  // Beyond the root of the number of steps, the states of a segment take more than is saved.
  expect(wordsAt(32)).toBeLessThan(wordsAt(16));
  expect(wordsAt(64)).toBeGreaterThan(wordsAt(32));
  expect(planRecord(fixed, capacities, { ...limits, bytes: 4 * wordsAt(32) - 4 })).toBeUndefined();
  // A binding is a limit of its own.
  expect(planRecord(fixed, capacities, { ...limits, bindingBytes: 100_000 })!.shift).toBe(3);
});

test("ranges hold what fits, over all slices", () => {
  const capacities = Uint32Array.from({ length: 50 }, (_, s) => 100 + 10 * s);
  const tight = { ...limits, bytes: 200_000 };
  const plans = planRecords(fixed, capacities, tight);
  expect(plans.length).toBeGreaterThan(2);
  let next = 0;
  for (const plan of plans) {
    expect(plan.firstSlice).toBe(next);
    next += plan.capacities.length;
    expect(4 * (plan.recordWords + plan.sweepWords)).toBeLessThanOrEqual(tight.bytes);
    expectParts(plan, false);
  }
  expect(next).toBe(50);
  expect(planRecords(fixed, capacities, { ...limits, bytes: 1e9, bindingBytes: 1e9 })).toHaveLength(1);
  expect(() => planRecords(fixed, capacities, { ...limits, bytes: 10_000 })).toThrow(
    "64 trajectories of 100 steps need",
  );
});

test("groups of steps are the least distance of checkpoints", () => {
  expect([groupOf(4, 3, true), groupOf(7, 3, true), groupOf(13, 10, true), groupOf(4, 3, false)]).toEqual([4, 2, 1, 1]);
  const grouped = { ...fixed, group: 4 };
  const plan = planRecord(grouped, Uint32Array.of(100), limits)!;
  expect([plan.shift, plan.sweepWords]).toEqual([2, 64 * carriedRows(fixed)]);
  expect(planRecord(grouped, Uint32Array.of(100), { ...limits, every: 1 })!.shift).toBe(2);
  // Of a segment of 16 steps, the states that its four groups begin with.
  expect(planRecord(grouped, Uint32Array.of(100), { ...limits, every: 16 })!.sweepWords).toBe(64 * (7 + 12));
});

test("a guess, no room, and the most of each slice", () => {
  expect([...guessedCapacities(2, 1000)]).toEqual([128, 128]);
  expect([...guessedCapacities(1, 7)]).toEqual([7]);
  expect(emptyRecord(fixed, 3)).toMatchObject({ recordWords: 7, capacities: new Uint32Array(3) });
  expect([...mostOfSlices(130, (j) => j % 100)]).toEqual([63, 99, 29]);
});
