import { describe, expect, test } from "vitest";
import type { Ceilings } from "../../src/benchmark/ceilings.ts";
import type { KernelRow } from "../../src/benchmark/kernel_rows/row.ts";
import {
  compare,
  floorOf,
  kernelRows,
  kernelsResult,
  kernelsSuite,
  measureKernel,
} from "../../src/benchmark/kernels.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { KERNEL_NAMES } from "../../src/plan/kernel_name.ts";
import { openTestDevice } from "../support/device.ts";

// Quantised timestamps would measure a short kernel's time as 0.
const gpu = await openTestDevice({ flags: ["disable-dawn-features=timestamp_quantization"] });
const withoutSubgroups = await openTestDevice({ withoutSubgroups: true });

/** Round numbers, so that floors can be counted by hand. */
const ceiling = (value: number, unit: "GFLOP/s" | "GB/s" | "ns") => ({ value, unit, lower: value, upper: value });
const CEILINGS: Ceilings = {
  fma: ceiling(10, "GFLOP/s"),
  copy: ceiling(2, "GB/s"),
  read: ceiling(2, "GB/s"),
  fmaLatency: ceiling(5, "ns"),
  barrier: ceiling(1, "ns"),
  barrierWide: ceiling(1, "ns"),
  dispatch: ceiling(100, "ns"),
  submit: ceiling(1, "ns"),
  mapRoundTrip: ceiling(1, "ns"),
  gatherClamped: ceiling(1, "ns"),
};

const PROFILES = { software: SOFTWARE_PROFILE, hardware: DEFAULT_PROFILE, "this adapter": gpu.profile };
test.each(Object.entries(PROFILES))("every kernel but the ceilings' own has a row: %s", (_, profile) => {
  const wanted = KERNEL_NAMES.filter((name) => !name.startsWith("ceiling/"));
  expect(wanted.length).toBeGreaterThan(10);
  const named = new Set(kernelRows(profile).map(({ kernel }) => kernel));
  expect([...named].sort()).toEqual([...wanted].sort());
});

test("the shapes of the experiments: depth 256 and, on hardware, 1,024; wide stacks of 256 and 1,024", () => {
  const shapes = (profile: typeof DEFAULT_PROFILE, kernel: string) =>
    kernelRows(profile)
      .filter((row) => row.kernel === kernel)
      .map(({ shape }) => shape);
  expect(shapes(SOFTWARE_PROFILE, "dense/rows_forward")).toEqual(["q 16, m 32, n 100, L 256"]);
  expect(shapes(DEFAULT_PROFILE, "dense/tile_forward")).toEqual([
    "q 16, m 32, n 100, L 256",
    "q 16, m 32, n 100, L 1024",
  ]);
  const products = ["dense/matmul", "dense/matmul_tiled"].flatMap((kernel) => shapes(DEFAULT_PROFILE, kernel));
  for (const width of [256, 1024]) {
    const kinds = products.filter((shape) => shape.includes(`n 1024, q ${width}`)).map((shape) => shape.split(":")[0]);
    expect(new Set(kinds)).toEqual(new Set(["σ(h Wᵀ)", "h + a Vᵀ", "σ, σ'(h Wᵀ)", "(p V) ∘ σ'", "gᵀ h"]));
  }
});

describe("on the device, small", () => {
  const result = kernelsSuite(gpu, CEILINGS, { reduced: true });
  result.catch(() => {}); // reported by the tests that await it

  test("every row equals its reference and has a time", async () => {
    const { tables, claims, notes } = await result;
    const [table] = tables;
    expect(table.rows.filter(({ status }) => status !== "checked")).toEqual([]);
    const asked = kernelRows(gpu.profile, true);
    expect(table.rows).toHaveLength(asked.length);
    for (const [i, row] of table.rows.entries()) {
      expect(row.median).toBeGreaterThan(0);
      expect(row.lower).toBeLessThanOrEqual(row.median as number);
      expect(row.upper).toBeGreaterThanOrEqual(row.median as number);
      expect(row.error).toBeLessThanOrEqual(row.tolerance as number);
      expect(row.share).toBeCloseTo((row.floor as number) / (row.median as number), 12);
      expect(row.compile).toBeGreaterThanOrEqual(0);
      const { layers } = asked[i]!;
      expect([row["per layer"] === null, row["layer floor"] === null]).toEqual([!layers, !layers]);
      if (!layers) continue;
      expect(row["per layer"]).toBeCloseTo((row.median as number) / layers, 9);
      // q + 1 + m + 1 dependent multiply-adds of 5 ns.
      if (/^dense/.test(row.kernel as string)) expect(row["layer floor"]).toBeCloseTo(0.25, 9);
    }
    expect(claims.map(({ measured, verdict }) => ({ measured, verdict }))).toEqual([{ measured: 0, verdict: "holds" }]);
    expect(notes.join()).not.toContain("failed");
  });

  test("the table has a column for every cell, and the figure draws columns of its table", async () => {
    const { tables, figures } = await result;
    const [table] = tables;
    const names = table.columns.map(({ name }) => name);
    for (const row of table.rows) expect(Object.keys(row)).toEqual(names);
    for (const figure of figures) {
      expect(figure.table).toBe(table.name);
      for (const axis of [figure.x, figure.y, figure.color!]) expect(names).toContain(axis.field);
    }
  });

  // The kernels are compiled by now.
  test("a reference that is off by more than its tolerance fails every row, which then has no time", async () => {
    await result;
    const recorder = new Recorder(gpu);
    const measured = [];
    for (const row of kernelRows(gpu.profile, true)) measured.push(await measureKernel(gpu, recorder, spoiled(row)));
    recorder.destroy();
    expect(measured.map(({ status }) => status)).toEqual(measured.map(() => "failed"));
    expect(measured.every(({ timing }) => timing === undefined)).toBe(true);
    const { tables, claims, notes } = kernelsResult(measured, CEILINGS);
    expect(claims[0]).toMatchObject({ measured: measured.length, verdict: "fails" });
    expect(tables[0].rows.every(({ median, share }) => median === null && share === null)).toBe(true);
    expect(notes.filter((note) => note.includes("differs from the float64 reference"))).toHaveLength(measured.length);
  });

  test("a row that throws is a failed row", async () => {
    await result;
    const [row] = kernelRows(gpu.profile, true);
    const recorder = new Recorder(gpu);
    const broken: KernelRow = { ...row, prepare: () => ({ ...row.prepare(), params: { layer_count: 1 } }) };
    const measured = await measureKernel(gpu, recorder, broken);
    expect(measured).toMatchObject({ status: "failed", detail: expect.stringContaining("params are") });
    expect(await measureKernel(gpu, recorder, row, { samples: 2, sampleMs: 0.1 })).toMatchObject({ status: "checked" });
    recorder.destroy();
  });
});

test("a kernel that needs what the device lacks is not offered", async () => {
  const { tables, claims } = await kernelsSuite(withoutSubgroups, CEILINGS, {
    reduced: true,
    only: ["dense/rows_forward", "metric/sum"],
  });
  expect(tables[0].rows.map(({ kernel, status }) => [kernel, status])).toEqual([
    ["dense/rows_forward", "not offered"],
    ["metric/sum", "checked"],
    ["metric/sum", "checked"],
  ]);
  expect(claims[0].verdict).toBe("holds");
});

describe("a comparison", () => {
  const expectation = { output: "y", values: [1, 2, 3], tolerance: [0.5, 0.1, 1] };

  test("names the number that is worst against its own tolerance", () => {
    const { error, tolerance } = compare(expectation, Float32Array.of(1.25, 2.125, 3.5));
    expect([error, tolerance]).toEqual([0.125, 0.1]);
  });

  test("a number that is none is not within any tolerance", () => {
    const { error, tolerance } = compare(expectation, Float32Array.of(1, Number.NaN, 3.5));
    expect(error <= tolerance).toBe(false);
  });

  test("refuses to compare fewer numbers than there are", () => {
    expect(() => compare(expectation, Float32Array.of(1, 2))).toThrow("left 2 numbers, its reference has 3");
  });
});

test.each([
  ["multiply-add", { flops: 2e4, bytes: 2e3, sequential: 100 }, 2000],
  ["bytes", { flops: 2e4, bytes: 6e3, sequential: 100 }, 3000],
  ["sequence", { flops: 2e4, bytes: 6e3, sequential: 1000 }, 5000],
  ["dispatch", { flops: 20, bytes: 20, sequential: 0 }, 100],
] as const)("the floor is the largest bound: %s", (bound, work, nanoseconds) => {
  expect(floorOf(work, CEILINGS)).toEqual({ nanoseconds, bound });
});

/** The row with the last number of each expectation of its reference moved by thrice the tolerance. */
function spoiled(row: KernelRow): KernelRow {
  return {
    ...row,
    prepare: () => {
      const prepared = row.prepare();
      return {
        ...prepared,
        expected: () =>
          prepared.expected().map((expectation) => {
            const { tolerance } = expectation;
            const values = Array.from(expectation.values);
            const last = values.length - 1;
            values[last] += 3 * (typeof tolerance === "number" ? tolerance : tolerance[last]) || 1e-6;
            return { ...expectation, values };
          }),
      };
    },
  };
}
