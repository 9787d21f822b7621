import { afterEach, describe, expect, it } from "vitest";
import { replicaGain } from "../../src/benchmark/replica_gain.ts";
import { stepMemory, stepPoint } from "../../src/benchmark/step_points.ts";
import { advance, createStepTraining } from "../../src/benchmark/step_timing.ts";
import type { SuiteResult } from "../../src/benchmark/suite.ts";
import { accuracySuite, workloadsSuite } from "../../src/benchmark/workloads.ts";
import { dispatchesPerStep } from "../../src/plan/dense.ts";
import { chartSpec } from "../../src/report/chart.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const before = gpu.bytesInUse;
afterEach(() => expect(gpu.bytesInUse).toBe(before));

const CEILINGS = { fma: { value: 10 }, copy: { value: 1 }, fmaLatency: { value: 2 } };
const rowsOf = (result: SuiteResult, name: string) => result.tables.find((table) => table.name === name)!.rows;

describe("workloads", () => {
  it("measures, and says why not", async () => {
    const lines: string[] = [];
    const result = await workloadsSuite(gpu, CEILINGS, {
      depths: [2, 8, 16_777_216],
      widths: [16],
      batches: [100],
      replicas: [],
      steps: 2,
      hostBytes: () => 3 * 2 ** 20,
      onProgress: (line) => lines.push(line),
    });
    for (const { columns, rows } of result.tables)
      for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
    for (const figure of result.figures) chartSpec(figure, result.tables.find(({ name }) => name === figure.table)!);

    const [two, eight, huge] = rowsOf(result, "step-depth");
    const trained = { A: false, Z: true, B: false };
    for (const [row, depth] of [
      [two!, 2],
      [eight!, 8],
    ] as const) {
      const { plan, bytes } = stepMemory(stepPoint("depth", depth), gpu.profile);
      expect(row).toMatchObject({ depth, status: "measured", reason: null, layout: plan.layout, submits: 1 });
      expect(row.dispatches).toBe(dispatchesPerStep(plan, trained));
      expect(row.steps).toBeGreaterThanOrEqual(2);
      const [min, lower, median, upper] = [row.min, row.lower, row.median, row.upper] as number[];
      expect(min).toBeGreaterThan(0);
      expect([min, lower, median, upper]).toEqual([min, lower, median, upper].toSorted((a, b) => a! - b!));
      expect(row["per layer"]).toBeCloseTo((1000 * median!) / depth, 6);
      expect(row.share).toBeCloseTo((100 * (row.floor as number)) / median!, 6);
      expect(row["host memory"]).toBe(3);
      // The plan's tensors, and what is not in it: parameters of dispatches, losses, partial gradients of A and B.
      expect(row["device memory"]).toBeGreaterThan(bytes / 2 ** 20);
      expect(row["device memory"]).toBeLessThan(bytes / 2 ** 20 + 2);
      if (gpu.timestamps) for (const part of ["forward", "adjoint", "update"]) expect(row[part]).toBeGreaterThan(0);
    }
    expect(huge).toMatchObject({ depth: 16_777_216, status: "skipped", median: null, floor: null });
    expect(huge!.reason).toMatch(/^does not fit: .* needs .*GiB, the adapter's largest buffer is /);
    expect(rowsOf(result, "step-curves").map(({ axis, size, series }) => `${axis} ${size} ${series}`)).toEqual([
      ...["depth 2 measured", "depth 2 floor", "depth 8 measured", "depth 8 floor"],
      ...["width 16 measured", "width 16 floor", "batch 100 measured", "batch 100 floor"],
    ]);
    expect(lines).toHaveLength(5);
    // Too few depths from 64 on, and none that the prototype was timed at.
    expect(result.claims.map(({ id, verdict }) => [id, verdict])).toEqual([
      ["linear-in-depth", "not decided"],
      ["linear-in-batch", "not decided"],
    ]);
  });

  it("skips what would take too long by the points before it, and what exceeds the memory allowed", async () => {
    const sizes = { widths: [], batches: [], replicas: [], steps: 1 };
    const late = await workloadsSuite(gpu, undefined, { ...sizes, depths: [2, 16_384], secondsPerPoint: 1e-3 });
    expect(rowsOf(late, "step-depth").map(({ status, floor }) => [status, floor])).toEqual([
      ["measured", null],
      ["skipped", null],
    ]);
    expect(rowsOf(late, "step-depth")[1]!.reason).toMatch(
      /^4 steps would take \d+ s, extrapolated from the points before it; the limit of a point is 0\.001 s$/,
    );
    const { bytes } = stepMemory(stepPoint("depth", 8), gpu.profile);
    const tight = await workloadsSuite(gpu, undefined, { ...sizes, depths: [2, 8], memoryBytes: bytes - 1 });
    expect(rowsOf(tight, "step-depth").map(({ status }) => status)).toEqual(["measured", "skipped"]);
    expect(rowsOf(tight, "step-depth")[1]!.reason).toMatch(/^does not fit: needs .* on the device, .* are allowed$/);
  });

  it("times replicas against one after another", async () => {
    const tiny = { replicas: 3, depth: 4, rows: 5, width: 4, hidden: 8 };
    const { columns, rows } = await replicaGain(gpu, [tiny], { pairs: 2 });
    const [row] = rows;
    expect(Object.keys(row!).sort()).toEqual(columns.map(({ name }) => name).sort());
    expect(row).toMatchObject({ ...tiny, batches: 1 });
    const { one, all, lower, gain, upper } = row as Record<string, number>;
    expect(Math.min(one!, all!)).toBeGreaterThan(0);
    expect([lower, gain, upper]).toEqual([lower, gain, upper].toSorted((a, b) => a! - b!));
  });

  it("refuses a size that is none", async () => {
    await expect(workloadsSuite(gpu, undefined, { depths: [0] })).rejects.toThrow("depth must be");
  });
});

it("a training that diverges is not timed doing nothing", async () => {
  const point = stepPoint("depth", 2);
  // Without the factors 1/√m and 1/√q, targets of 1e20 overflow in a few steps.
  const training = await createStepTraining(gpu, point);
  try {
    training.pass.setData({
      inputs: training.inputs.map((x) => 1e20 * x),
      targets: training.targets,
      rows: point.rows,
    });
    await expect(advance(training.flow, 9)).rejects.toThrow(/^the flow ended as diverged at step \d+$/);
  } finally {
    training.destroy();
  }
});

it("accuracy: differences on the device against float64", async () => {
  const result = await accuracySuite(gpu, { depth: 8, at: [2, 3] });
  const rows = rowsOf(result, "accuracy");
  expect(rows.map(({ steps, family }) => [steps, family])).toEqual([
    [2, "W"],
    [2, "V"],
    [3, "W"],
    [3, "V"],
  ]);
  for (const { device, float64, error } of rows) {
    expect(float64).toBeGreaterThan(0);
    expect(error).toBeCloseTo(Math.abs((device as number) / (float64 as number) - 1), 12);
    // float32 changes are kept relative to their own size; at L = 1,024 the error is 3e-4 (2026-11-23).
    expect(error).toBeLessThan(1e-3);
  }
});
