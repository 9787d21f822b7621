import { describe, expect, test } from "vitest";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import { type ProlongationConfig, prolongedCost } from "../../src/experiment/prolongation/config.ts";
import { prolongation } from "../../src/experiment/prolongation/prolongation.ts";
import type { Checkpoint } from "../../src/flow/checkpoint.ts";
import { SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const { smoke } = prolongation.presets;

function memoryStore() {
  const results = new Map<string, string>();
  const checkpoints = new Map<string, Checkpoint>();
  const store: CellStore = {
    checkpointSeconds: 1e9,
    load: async (id) => {
      const text = results.get(id);
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    save: async (id, result) => {
      results.set(id, JSON.stringify(result));
      checkpoints.delete(id);
    },
    loadCheckpoint: async (id) => checkpoints.get(id),
    saveCheckpoint: async (id, checkpoint) => {
      checkpoints.set(id, checkpoint);
    },
  };
  return store;
}

async function run(
  config: ProlongationConfig,
  { cells = memoryStore(), check = false, abortAt }: { cells?: CellStore; check?: boolean; abortAt?: number } = {},
) {
  const abort = new AbortController();
  const seen: { done: number; total: number }[] = [];
  const result = await prolongation.run({
    gpu,
    config,
    preset: "smoke",
    signal: abort.signal,
    cells,
    check,
    progress: (progress) => {
      seen.push(progress);
      if (abortAt !== undefined && progress.done >= abortAt) abort.abort();
    },
  });
  return { result, seen };
}

const rowsOf = (result: ExperimentResult, name: string) => result.tables.find((table) => table.name === name)!.rows;
const complete = run(smoke, { check: true });

describe("the smoke preset", () => {
  test("finishes with the rows its tables promise, and the plan counts its layer-steps", async () => {
    const { result, seen } = await complete;
    expect(result.status).toBe("done");
    const { depths, seeds } = smoke;
    expect(rowsOf(result, "jumps")).toHaveLength(2 * depths.length * seeds.length);
    expect(rowsOf(result, "distances")).toHaveLength(2 * 2 * 2 * seeds.length);
    expect(rowsOf(result, "weights-by-depth")).toHaveLength(3 * depths.at(-1)!);
    expect(rowsOf(result, "cost")).toHaveLength(depths.length + 2);
    for (const { columns, rows } of result.tables)
      for (const row of rows) expect(Object.keys(row).sort()).toEqual(columns.map(({ name }) => name).sort());
    for (const { table } of result.figures) expect(rowsOf(result, table).length).toBeGreaterThan(0);
    expect(seen.at(-1)!.done).toBe(seen.at(-1)!.total);
    expect(seen.at(-1)!.total).toBe(prolongation.plan(smoke, SOFTWARE_PROFILE).layerSteps);
  });

  test("agrees with float64 and with what is exact at a prolongation", async () => {
    const { result } = await complete;
    const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
    expect(claims.get("check-loss")!.verdict).toBe("holds");
    // A deep stack's difference of neighbours carries the rounding of its weights: 2⁻²⁴ of √(q m) numbers of order 1, L times.
    const rounding = 2 ** -23 * Math.sqrt(smoke.width * smoke.hidden) * 2 * smoke.depths.at(-1)! * 4;
    for (const row of rowsOf(result, "jumps"))
      for (const family of ["V", "W"]) {
        const [before, after] = [
          row[`lipschitz_before_${family}`] as number,
          row[`lipschitz_after_${family}`] as number,
        ];
        if (row.method === "constant") expect(Math.abs(after - 2 * before)).toBeLessThan(rounding);
        else expect(after - before).toBeLessThan(rounding);
      }
  });

  test("a level begins with the weights of the level before: its loss jumps as the jump's own evaluation says", async () => {
    const { result } = await complete;
    const curves = rowsOf(result, "curves");
    const [shallow, second] = smoke.depths;
    const steps = smoke.levelSteps[0]!;
    for (const seed of smoke.seeds)
      for (const schedule of ["constant", "linear"]) {
        const at = (depth: number) =>
          curves.find(
            (row) => row.schedule === schedule && row.depth === depth && row.seed === seed && row.step === steps,
          )!;
        const change = Math.abs((at(second!).loss as number) / (at(shallow!).loss as number) - 1);
        expect(change).toBeGreaterThan(0);
        // Two half steps for one: O(1/L), with room for the constant at L = 4.
        expect(change).toBeLessThan(1 / shallow!);
        expect(at(second!).layer_steps).toBe(prolongedCost(smoke, steps));
      }
    const last = curves.filter((row) => row.step === 12 && row.final_depth === 16 && row.seed === 0);
    expect(last.map(({ schedule, layer_steps }) => [schedule, layer_steps])).toEqual([
      ["from the start", 192],
      ["constant", 6 * 4 + 4 * 8 + 2 * 16],
      ["linear", 6 * 4 + 4 * 8 + 2 * 16],
    ]);
  });
});

test("cancelled again and again, it ends with the numbers of an undisturbed run", async () => {
  const { result: undisturbed } = await complete;
  const cells = memoryStore();
  const { layerSteps } = prolongation.plan(smoke, SOFTWARE_PROFILE);
  for (const share of [0.1, 0.5, 0.9]) {
    const { result } = await run(smoke, { cells, abortAt: share * layerSteps });
    expect(result.status).toBe("cancelled");
  }
  const { result } = await run(smoke, { cells });
  expect(result.status).toBe("done");
  for (const { name, rows } of undisturbed.tables)
    if (name !== "cost") expect(rowsOf(result, name), name).toEqual(rows);
  expect(rowsOf(result, "cost").every(({ layer_steps }) => (layer_steps as number) > 0)).toBe(true);
});

test("a rate that is far too large is a status, and its claims stay open", async () => {
  const { result } = await run({ ...smoke, rate: 1e25 });
  expect(result.status).toBe("diverged");
  for (const { verdict } of result.claims) expect(verdict).toBe("not decided");
});

test("presets satisfy the schema; a ladder that does not double, or lacks a level, does not", () => {
  for (const config of Object.values(prolongation.presets)) expect(prolongation.schema.parse(config)).toEqual(config);
  expect(prolongation.schema.safeParse({ ...smoke, depths: [4, 8, 12] }).success).toBe(false);
  const short = prolongation.schema.safeParse({ ...smoke, levelSteps: [3, 3] });
  expect(short.error?.issues[0]?.path).toEqual(["levelSteps"]);
});
