import { expect, test } from "vitest";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import { allCases, type GeneralizationConfig, startsOf } from "../../src/experiment/generalization/config.ts";
import { generalization, largestEntry } from "../../src/experiment/generalization/generalization.ts";
import { rankCorrelation } from "../../src/experiment/statistics.ts";
import { SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const { smoke } = generalization.presets;

const nowhere: CellStore = {
  checkpointSeconds: 1e9,
  load: async () => undefined,
  save: async () => undefined,
  loadCheckpoint: async () => undefined,
  saveCheckpoint: async () => undefined,
};

async function run(config: GeneralizationConfig, { check = false, abortAt = Infinity } = {}) {
  const abort = new AbortController();
  const seen: { done: number; total: number }[] = [];
  const result = await generalization.run({
    gpu,
    config,
    preset: "smoke",
    signal: abort.signal,
    cells: nowhere,
    check,
    progress: (progress) => {
      seen.push(progress);
      if (progress.done >= abortAt) abort.abort();
    },
  });
  return { result, seen };
}

const rowsOf = (result: ExperimentResult, name: string) => result.tables.find((table) => table.name === name)!.rows;
const complete = run(smoke, { check: true });

test("the smoke preset finishes with the rows its tables promise and agrees with float64", async () => {
  const { result, seen } = await complete;
  expect(result.status).toBe("done");
  expect(rowsOf(result, "networks")).toHaveLength(allCases(smoke).length);
  expect(rowsOf(result, "starts")).toHaveLength(smoke.maps.length * startsOf(smoke).length);
  for (const { columns, rows } of result.tables)
    for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
  for (const { table } of result.figures) expect(rowsOf(result, table).length).toBeGreaterThan(0);
  expect(seen.at(-1)!.done).toBe(generalization.plan(smoke, SOFTWARE_PROFILE).layerSteps);
  expect(result.claims.find(({ id }) => id === "check-loss")!.verdict).toBe("holds");
});

test("starts are ordered by roughness, and the two norms bound each other", async () => {
  const { result } = await complete;
  const networks = rowsOf(result, "networks");
  for (const seed of smoke.seeds)
    for (const maps of smoke.maps) {
      const rows = networks.filter((row) => row.seed === seed && row.maps === maps);
      const constants = rows.map(({ lipschitz_2 }) => lipschitz_2 as number);
      expect(constants).toEqual(constants.toSorted((a, b) => a - b));
      for (const { lipschitz_2, lipschitz_max, lipschitz_signed } of rows) {
        const [two, max] = [lipschitz_2 as number, lipschitz_max as number];
        // max|x| ≤ ‖x‖₂ ≤ √(q m) max|x|, to the rounding of the device's sum.
        expect(max).toBeLessThanOrEqual(two * (1 + 1e-5));
        expect(two).toBeLessThanOrEqual(Math.sqrt(smoke.width * smoke.hidden) * max * (1 + 1e-5));
        expect(lipschitz_signed as number).toBeLessThanOrEqual(max);
      }
    }
});

test("a claim is the mean over seeds of the rank correlation within each", async () => {
  const { result } = await complete;
  const networks = rowsOf(result, "networks");
  for (const maps of smoke.maps) {
    const correlations = smoke.seeds.map((seed) => {
      const rows = networks.filter((row) => row.seed === seed && row.maps === maps);
      return rankCorrelation(
        rows.map(({ lipschitz_2 }) => lipschitz_2 as number),
        rows.map(({ test_loss, train_loss }) => (test_loss as number) - (train_loss as number)),
      ).rho!;
    });
    const claim = result.claims.find(({ id }) => id === `relu-${maps}-starts-2-max-gap`)!;
    const mean = correlations.reduce((sum, rho) => sum + rho, 0) / correlations.length;
    expect(claim.measured).toBeCloseTo(mean, 12);
    expect(claim.passes).toEqual({ min: 0 });
  }
});

test("what is missing leaves claims open", async () => {
  const { layerSteps } = generalization.plan(smoke, SOFTWARE_PROFILE);
  const { result } = await run(smoke, { abortAt: 0.3 * layerSteps });
  expect(result.status).toBe("cancelled");
  for (const { verdict } of result.claims) expect(verdict).toBe("not decided");
  expect(result.notes.at(-1)).toMatch(/of 9 trainings finished/);
});

test("the largest entry of neighbouring differences, by hand", () => {
  expect(largestEntry(Float64Array.of(1, 2, 4, -3, 5, -1), 3)).toEqual({ absolute: 5, signed: 3 });
});

test("presets satisfy the schema; kernel lengths must shrink", () => {
  for (const config of Object.values(generalization.presets))
    expect(generalization.schema.parse(config)).toEqual(config);
  expect(generalization.schema.safeParse({ ...smoke, kernelLengths: [0.1, 0.2] }).success).toBe(false);
  expect(generalization.schema.safeParse({ ...smoke, trainRows: 1790 }).success).toBe(false);
});
