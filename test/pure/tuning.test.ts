import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { summarise } from "../../src/benchmark/timing.ts";
import {
  type Checked,
  dismiss,
  lossTolerance,
  type MeasuredChoice,
  ratioOf,
  winner,
} from "../../src/benchmark/tune_decisions.ts";
import type { DenseShape } from "../../src/config/dense.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { type DeviceIdentity, readTuning, tuningOf, tuningPath, withDevice } from "../../src/gpu/tuning_cache.ts";
import { denseCandidates, MOST_CANDIDATES } from "../../src/plan/candidates.ts";
import { paddedWidth, planDense } from "../../src/plan/dense.ts";
import { DEFAULT_PROFILE, type DeviceProfile, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { type DenseChoice, findTuned, shapeClass, type TunedChoice, withTuned } from "../../src/plan/tuning.ts";

const GPU_PROFILE: DeviceProfile = {
  ...DEFAULT_PROFILE,
  ...{ subgroups: true, subgroupSize: 32, maxBindingBytes: 2 ** 31 - 4, maxBufferBytes: 2 ** 32 },
  maxWorkgroupStorageBytes: 49_152,
};
const PROFILES = [DEFAULT_PROFILE, GPU_PROFILE, SOFTWARE_PROFILE, { ...SOFTWARE_PROFILE, subgroups: false }];

const shapeOf = (width: number, hidden: number): DenseShape => ({
  ...{ inputs: width, width, hidden, outputs: width, depth: 64 },
  ...({ activation: "gelu", widthFactors: "code", beta: 1 } as const),
});
const W1 = shapeOf(16, 32);

function tuned(choice: DenseChoice, change: Partial<TunedChoice> = {}): TunedChoice {
  const measured = { milliseconds: 20, plannedMilliseconds: 30, depth: 256, date: "2026-11-24" };
  return { ...shapeClass(16, 32, 100, true), choice, ...measured, ...change };
}

describe("classes of shapes", () => {
  test("rows share a class up to a power of two", () => {
    expect([1, 2, 3, 64, 65, 100, 128, 129].map((rows) => shapeClass(16, 32, rows, true).rows)).toEqual([
      ...[1, 2, 4, 64, 128, 128, 128, 256],
    ]);
  });

  test("a choice is found by its class, and is the only one of it", () => {
    const first = tuned({ layout: "tile" });
    const other = tuned({ layout: "rows" }, { training: false });
    const second = tuned({ layout: "matmul" });
    const both = withTuned(withTuned([first], other, other), second, second);
    expect(both).toEqual([other, second]);
    expect(findTuned(both, shapeClass(16, 32, 65, true))).toBe(second);
    expect(findTuned(both, shapeClass(16, 32, 64, true))).toBeUndefined();
    expect(findTuned(undefined, second)).toBeUndefined();
    expect(withTuned(both, second)).toEqual([other]);
  });
});

describe("a plan under a tuning", () => {
  const choice = { layout: "tile", rows: 2, workgroup: 64, gradientRows: 4, gradientUnits: 8 } as const;
  const profile = { ...SOFTWARE_PROFILE, tuning: [tuned(choice)] };

  test("takes the measured choice and says so", () => {
    const plan = planDense(W1, profile, { rows: 100, training: true });
    expect(plan.choice).toEqual(choice);
    expect(plan.kernels.forward!.constants).toMatchObject({ ROWS: 2, WORKGROUP: 64 });
    expect(plan.kernels.gradient!.constants).toMatchObject({ ROWS: 4, UNITS: 8 });
    expect(plan.notes).toEqual([
      "tuned choice: tile: 2 rows, group 64, gradient 4×8 (20 ms a step at depth 256 instead of 30, 2026-11-24)",
    ]);
  });

  test("takes its own for other rows, without training, and where the caller asks", () => {
    const own = (rows: number, training: boolean) => planDense(W1, SOFTWARE_PROFILE, { rows, training });
    for (const [rows, training] of [
      [64, true],
      [129, true],
      [100, false],
    ] as const)
      expect(planDense(W1, profile, { rows, training })).toEqual(own(rows, training));
    expect(planDense(W1, profile, { rows: 100, training: true, layout: "rows" }).choice).toEqual(own(100, true).choice);
    const asked = planDense(W1, profile, { rows: 100, training: true, choice: { layout: "rows", rows: 3 } });
    expect(asked.choice).toEqual({ layout: "rows", rows: 3, workgroup: 4 });
    expect(asked.notes).toEqual([]);
  });

  test("leaves out a choice that does not fit and says so; the same asked for is an error", () => {
    for (const choice of [
      { layout: "rows", rows: 8 },
      { layout: "rows", workgroup: 6 },
      { layout: "tile", rows: 512 },
      { layout: "tile", workgroup: 512 },
      { layout: "tile", rows: 4, gradientRows: 6 },
    ] as const) {
      const plan = planDense(W1, { ...SOFTWARE_PROFILE, tuning: [tuned(choice)] }, { rows: 100, training: true });
      expect(plan.choice).toEqual(planDense(W1, SOFTWARE_PROFILE, { rows: 100, training: true }).choice);
      expect(plan.notes.join()).toMatch(/the tuned choice is left out/);
      expect(() => planDense(W1, SOFTWARE_PROFILE, { rows: 100, training: true, choice })).toThrow(ConfigError);
    }
  });
});

describe("candidates", () => {
  test("begin with the plan's own, are few, differ, and can all be planned", () => {
    const sizes = fc.record({
      width: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 600 })),
      hidden: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 2048 })),
      rows: fc.integer({ min: 1, max: 3000 }),
    });
    fc.assert(
      fc.property(sizes, fc.constantFrom(...PROFILES), ({ width, hidden, rows }, profile) => {
        const shape = shapeOf(width, hidden);
        const choices = denseCandidates(shape, profile, rows);
        expect(choices[0]).toEqual(planDense(shape, profile, { rows, training: true }).choice);
        expect(choices.length).toBeLessThanOrEqual(MOST_CANDIDATES);
        expect(new Set(choices.map((choice) => JSON.stringify(choice))).size).toBe(choices.length);
        for (const choice of choices)
          expect(planDense(shape, profile, { rows, training: true, choice }).choice).toEqual(choice);
      }),
    );
  });

  test("do not depend on what was tuned before", () => {
    const profile = { ...SOFTWARE_PROFILE, tuning: [tuned({ layout: "tile", rows: 1 })] };
    expect(denseCandidates(W1, profile, 100)).toEqual(denseCandidates(W1, SOFTWARE_PROFILE, 100));
  });

  test("of the paper's shape and of a wide one on a GPU", () => {
    const layouts = (width: number, hidden: number, rows: number, profile = GPU_PROFILE) =>
      denseCandidates(shapeOf(width, hidden), profile, rows).map(({ layout }) => layout);
    expect(new Set(layouts(16, 32, 100))).toEqual(new Set(["tile", "rows"]));
    expect(layouts(16, 32, 100).length).toBeGreaterThan(4);
    expect(layouts(512, 512, 1024).filter((layout) => layout === "matmul")).toHaveLength(6);
    // No barriers are tried within a product where they are known to cost.
    expect(layouts(128, 128, 100, SOFTWARE_PROFILE).filter((layout) => layout === "matmul")).toHaveLength(1);
    expect(paddedWidth(128, SOFTWARE_PROFILE)).toBe(128);
  });
});

describe("what the numbers decide", () => {
  const shape = { width: 16, hidden: 32, rows: 100 };
  const checked = (text: string, change: Partial<Checked>): Checked => ({
    ...{ choice: { layout: "tile" }, text, loss: 2, stepMs: 10 },
    ...change,
  });

  test("who is measured: not what fails, is wrong or is hopelessly slow", () => {
    const off = 2 * lossTolerance(shape);
    const candidates = [
      checked("own", {}),
      checked("same", {}),
      checked("rounded otherwise", { loss: 2 + 0.9 * off }),
      checked("wrong", { loss: 2 + 1.1 * off, stepMs: 1 }),
      checked("not a number", { loss: Number.NaN }),
      checked("slow", { stepMs: 31 }),
      { choice: { layout: "tile" }, text: "given up", stepMs: 100 } as const,
      { choice: { layout: "tile" }, text: "broken", reason: "does not compile: x" } as const,
    ];
    const reasons = dismiss(candidates, shape, 64);
    expect(candidates.map((candidate) => [candidate.text, reasons.get(candidate)])).toEqual([
      ["own", undefined],
      ["same", undefined],
      ["rounded otherwise", undefined],
      ["wrong", expect.stringMatching(/^wrong: loss 2\.00\d+ at depth 64, the others have 2/)],
      ["not a number", expect.stringContaining("wrong: loss NaN")],
      ["slow", "3.1 times the fastest (31 ms a step)"],
      ["given up", "10.0 times the fastest (100 ms a step)"],
      ["broken", "does not compile: x"],
    ]);
    // The plan's own is measured however slow: it is what the others are held against.
    expect(dismiss([checked("own", { stepMs: 99 }), checked("other", {})], shape, 64).size).toBe(0);
  });

  test("who wins: the least median of those that were faster in every round", () => {
    const own = [10, 10, 12];
    const measured = (layout: "tile" | "rows" | "matmul", times: number[]): MeasuredChoice => ({
      ...{ choice: { layout }, text: layout, time: summarise(times), ratio: ratioOf(times, own) },
    });
    const of = shapeClass(16, 32, 100, true);
    const decide = (...others: MeasuredChoice[]) => winner([measured("rows", own), ...others], of, 64, "2026-11-24");
    expect(ratioOf([5, 11, 6], own)).toEqual({ median: 0.5, min: 0.5, max: 1.1 });
    expect(decide(measured("tile", [5, 11, 6]))).toBeUndefined();
    expect(decide(measured("tile", [9, 9, 9]), measured("matmul", [8, 8.5, 11]))).toEqual({
      ...of,
      ...{ choice: { layout: "matmul" }, milliseconds: 8.5, plannedMilliseconds: 10, depth: 64, date: "2026-11-24" },
    });
    const failed: MeasuredChoice = { choice: { layout: "rows" }, text: "rows", reason: "does not compile" };
    const { ratio: _, ...alone } = measured("tile", [20, 20, 20]);
    expect(winner([failed, alone], of, 64, "2026-11-24")).toMatchObject({
      milliseconds: 20,
      plannedMilliseconds: null,
    });
    expect(winner([failed], of, 64, "2026-11-24")).toBeUndefined();
  });
});

describe("the cache", () => {
  const directory = mkdtempSync(join(tmpdir(), "deeplimit-tuning-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const identity: DeviceIdentity = {
    ...{ vendor: "v", architecture: "a", device: "d", description: "driver 1" },
    ...{ subgroups: true, parallelGroups: 2, deeplimit: "0.1.0" },
  };
  const tuning = [
    tuned({ layout: "rows", rows: 4, workgroup: 4 }),
    tuned({ layout: "matmul", product: "large" }, { hidden: 64 }),
  ];

  test("what is written is read back, for this device, driver and version only", () => {
    const path = join(directory, "tuning.json");
    const other = { ...identity, device: "e" };
    const file = withDevice(withDevice({ devices: [] }, other, tuning.slice(1)), identity, tuning);
    writeFileSync(path, JSON.stringify(file));
    const read = readTuning(path);
    expect(read).toEqual({ file });
    expect(tuningOf(read.file, identity)).toEqual(tuning);
    expect(tuningOf(read.file, other)).toEqual(tuning.slice(1));
    for (const change of [
      { description: "driver 2" },
      { deeplimit: "0.2.0" },
      { parallelGroups: 4 },
      { subgroups: false },
    ])
      expect(tuningOf(read.file, { ...identity, ...change })).toEqual([]);
    expect(withDevice(read.file, identity, [])).toEqual({ devices: [{ identity: other, tuning: tuning.slice(1) }] });
  });

  test("no file is an empty one; another's is reported and ignored", () => {
    expect(readTuning(join(directory, "absent.json"))).toEqual({ file: { devices: [] } });
    const path = join(directory, "damaged.json");
    for (const text of [
      "",
      "{",
      "[]",
      '{"devices": [{"tuning": 3}]}',
      JSON.stringify({ devices: [{ identity, tuning: [tuned({ layout: "tile", rows: 0 })] }] }),
    ]) {
      writeFileSync(path, text);
      const { file, problem } = readTuning(path);
      expect(file).toEqual({ devices: [] });
      expect(problem).toContain(`${path} is not a file of deeplimit tune and is ignored`);
    }
    mkdirSync(join(directory, "folder"));
    expect(readTuning(join(directory, "folder")).problem).toMatch(/cannot be read \(EISDIR\)/);
  });

  test("lies in the cache of the user", () => {
    const before = process.env.XDG_CACHE_HOME;
    try {
      process.env.XDG_CACHE_HOME = "/elsewhere";
      expect(tuningPath()).toBe("/elsewhere/deeplimit/tuning.json");
      process.env.XDG_CACHE_HOME = "";
      expect(tuningPath()).toMatch(/\.cache\/deeplimit\/tuning\.json$/);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  });
});
