import { afterEach, describe, expect, it } from "vitest";
import { odeSuite } from "../../src/benchmark/ode_workloads.ts";
import type { SuiteResult } from "../../src/benchmark/suite.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const before = gpu.bytesInUse;
afterEach(() => expect(gpu.bytesInUse).toBe(before));

const rowsOf = (result: SuiteResult, name: string) => result.tables.find((table) => table.name === name)!.rows;

describe("ensembles of ODEs", () => {
  it("are timed with their gradients after their answers were compared", async () => {
    const lines: string[] = [];
    const onProgress = (line: string) => lines.push(line);
    const result = await odeSuite(gpu, 10, { trajectories: [37], solves: 2, onProgress });
    for (const { columns, rows } of result.tables)
      for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());

    const rows = rowsOf(result, "ode-solves");
    expect(rows.map(({ method, steps, status, reason }) => [method, steps, status, reason])).toEqual([
      ["rk4", "1000 fixed", "measured", null],
      ["tsit5", "1000 fixed", "measured", null],
      ["tsit5", "adaptive 1e-6", "measured", null],
      ["dopri5", "adaptive 1e-6", "measured", null],
    ]);
    for (const row of rows) {
      const [min, lower, median, upper] = [row.min, row.lower, row.median, row.upper] as number[];
      expect([min, lower, median, upper]).toEqual([min, lower, median, upper].toSorted((a, b) => a! - b!));
      expect(row.share).toBeCloseTo(10 * (row.arithmetic as number), 6);
      expect(row["per trajectory"]).toBeCloseTo((1000 * median!) / 37, 6);
      expect(row.solves).toBeGreaterThanOrEqual(2);
      // A thousand roundings of numbers up to 15, or what a tolerance of 1e-6 allows.
      expect(row.error).toBeGreaterThan(0);
      expect(row.error).toBeLessThan(1e-5);
    }
    expect(rows[0]).toMatchObject({ accepted: 1000, rejected: 0 });
    const gradients = rowsOf(result, "ode-gradients");
    expect(gradients.map(({ method, steps, status }) => [method, steps, status])).toEqual([
      ["rk4", "1000 fixed", "measured"],
      ["tsit5", "adaptive 1e-6", "measured"],
    ]);
    for (const { ratio, backward, record, error } of gradients) {
      for (const value of [ratio, backward, record]) expect(value).toBeGreaterThan(0);
      expect(error).toBeLessThan(1e-3);
    }
    expect(result.claims.map(({ id }) => id)).toEqual([
      ...["ode-share-rk4", "ode-share-tsit5", "ode-gradient-rk4-fixed-37", "ode-gradient-tsit5-adaptive-37"],
    ]);
    expect(lines).toHaveLength(6);
  });

  it("that would take too long, do not fit or come after a signal say so", async () => {
    const sizes = { trajectories: [5, 50], solves: 1 };
    const late = rowsOf(await odeSuite(gpu, undefined, { ...sizes, secondsPerRow: 1e-6 }), "ode-solves");
    expect(late.map(({ status, share }) => [status, share])).toEqual([
      ...Array(4).fill(["measured", null]),
      ...Array(4).fill(["skipped", null]),
    ]);
    expect(late[4]!.reason).toMatch(
      /^3 solves would take \d+ s by the 5 trajectories before; the limit of a row is 0\.000001 s$/,
    );
    const tight = rowsOf(await odeSuite(gpu, undefined, { ...sizes, memoryBytes: 1000 }), "ode-solves");
    expect(tight[4]!.reason).toMatch(/^does not fit: needs .* on the device, .* are allowed$/);
    const signal = AbortSignal.abort();
    const stopped = await odeSuite(gpu, undefined, { ...sizes, signal });
    expect(new Set(rowsOf(stopped, "ode-solves").map(({ status }) => status))).toEqual(new Set(["stopped"]));
    await expect(odeSuite(gpu, undefined, { trajectories: [1] })).rejects.toThrow(ConfigError);
  });
});
