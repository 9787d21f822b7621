import { expect, test } from "vitest";
import { conditionsOf, type DepthPenaltyConfig } from "../../src/experiment/depth_penalty/config.ts";
import { depthPenalty } from "../../src/experiment/depth_penalty/depth_penalty.ts";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import { SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const { smoke } = depthPenalty.presets;

const nowhere: CellStore = {
  checkpointSeconds: 1e9,
  load: async () => undefined,
  save: async () => undefined,
  loadCheckpoint: async () => undefined,
  saveCheckpoint: async () => undefined,
};

async function run(config: DepthPenaltyConfig, abortAt = Infinity) {
  const abort = new AbortController();
  let done = 0;
  const result = await depthPenalty.run({
    gpu,
    config,
    preset: "smoke",
    signal: abort.signal,
    cells: nowhere,
    check: false,
    progress: (progress) => {
      done = progress.done;
      if (done >= abortAt) abort.abort();
    },
  });
  return { result, done };
}

const rowsOf = (result: ExperimentResult, name: string) => result.tables.find((table) => table.name === name)!.rows;
const complete = run(smoke);

test("the smoke preset finishes with the rows its tables promise", async () => {
  const { result, done } = await complete;
  expect(result.status).toBe("done");
  expect(rowsOf(result, "networks")).toHaveLength(conditionsOf(smoke).length * smoke.seeds.length);
  for (const { columns, rows } of result.tables)
    for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
  for (const { table } of result.figures) expect(rowsOf(result, table).length).toBeGreaterThan(0);
  expect(done).toBe(depthPenalty.plan(smoke, SOFTWARE_PROFILE).layerSteps);
});

test("shared weights are equal in every layer at every recorded step; tied ones come apart", async () => {
  const { result } = await complete;
  const curves = rowsOf(result, "curves");
  for (const row of curves.filter(({ penalty }) => penalty === "∞ (shared)"))
    expect([row.lipschitz_V, row.lipschitz_W]).toEqual([0, 0]);
  for (const row of curves.filter(({ penalty, step }) => penalty === "0, tied start" && step === smoke.steps))
    expect(row.lipschitz_V as number).toBeGreaterThan(0);
  expect(result.claims.find(({ id }) => id === "shared-exactly")!.verdict).toBe("holds");
});

test("a penalty smooths, and each claim is the mean over seeds of a paired difference", async () => {
  const { result } = await complete;
  const networks = rowsOf(result, "networks");
  const at = (penalty: string, seed: number, column: string) =>
    networks.find((row) => row.penalty === penalty && row.seed === seed)![column] as number;
  for (const form of smoke.forms) {
    const name = `0.1 ${form}`;
    for (const seed of smoke.seeds) expect(at(name, seed, "lipschitz_W")).toBeLessThan(at("0", seed, "lipschitz_W"));
    const gaps = smoke.seeds.map((seed) => at(name, seed, "gap") - at("0", seed, "gap"));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    expect(result.claims.find(({ id }) => id === `${form}-0.1-gap`)!.measured).toBeCloseTo(mean, 12);
  }
});

test("what is missing leaves claims open; presets satisfy the schema", async () => {
  const { layerSteps } = depthPenalty.plan(smoke, SOFTWARE_PROFILE);
  const { result } = await run(smoke, 0.2 * layerSteps);
  expect(result.status).toBe("cancelled");
  for (const { verdict } of result.claims) expect(verdict).toBe("not decided");
  for (const config of Object.values(depthPenalty.presets)) expect(depthPenalty.schema.parse(config)).toEqual(config);
  expect(depthPenalty.schema.safeParse({ ...smoke, weights: [0.1, 0.01] }).success).toBe(false);
});
