import { describe, expect, test } from "vitest";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import type { LargeDepthConfig } from "../../src/experiment/large_depth/config.ts";
import { largeDepth } from "../../src/experiment/large_depth/large_depth.ts";
import type { Cell } from "../../src/experiment/record.ts";
import type { Checkpoint } from "../../src/flow/checkpoint.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const { smoke } = largeDepth.presets;

function memoryStore(): CellStore & { readonly finished: Map<string, string>; readonly saves: () => number } {
  const finished = new Map<string, string>();
  const checkpoints = new Map<string, Checkpoint>();
  let saves = 0;
  return {
    finished,
    saves: () => saves,
    checkpointSeconds: 3600,
    async load(id) {
      const text = finished.get(id);
      return text === undefined ? undefined : JSON.parse(text);
    },
    async save(id, result) {
      finished.set(id, JSON.stringify(result));
      checkpoints.delete(id);
    },
    async loadCheckpoint(id) {
      return checkpoints.get(id);
    },
    async saveCheckpoint(id, checkpoint) {
      saves++;
      checkpoints.set(id, structuredClone(checkpoint));
    },
  };
}

/** Runs, aborting after that many calls of progress. */
function run(config: LargeDepthConfig, cells: CellStore, options: { check?: boolean; abortAfter?: number } = {}) {
  const controller = new AbortController();
  const done: number[] = [];
  const result = largeDepth.run({
    gpu,
    config,
    preset: "smoke",
    signal: controller.signal,
    cells,
    check: options.check ?? false,
    progress: (progress) => {
      done.push(progress.done);
      expect(progress.done).toBeLessThanOrEqual(progress.total);
      if (done.length === options.abortAfter) controller.abort();
    },
  });
  return result.then((value) => ({ ...value, done }));
}

function rows(result: ExperimentResult, table: string): readonly Record<string, Cell>[] {
  return result.tables.find(({ name }) => name === table)!.rows;
}

describe("large-depth", () => {
  test("every preset satisfies the schema, and a reference that is no deeper does not", () => {
    for (const config of Object.values(largeDepth.presets)) expect(largeDepth.schema.parse(config)).toEqual(config);
    const shallow = largeDepth.schema.safeParse({ ...smoke, referenceDepth: smoke.depths.at(-1) });
    expect(shallow.error?.issues[0]?.path).toEqual(["referenceDepth"]);
    expect(largeDepth.schema.safeParse({ ...smoke, depths: [4, 2] }).success).toBe(false);
  });

  test("the smoke preset finishes: zeros are exact, the float64 reference agrees, sums run over every iteration", async () => {
    const config = { ...smoke, recordAt: [1, 2, 3, 4, 5, 6] };
    const result = await run(config, memoryStore(), { check: true });
    expect(result.status).toBe("done");
    const verdicts = Object.fromEntries(result.claims.map(({ id, verdict }) => [id, verdict]));
    expect(verdicts).toMatchObject({
      "zero-start": "holds",
      "float64-v-2": "holds",
      "float64-w-2": "holds",
      // The largest depth is below the fitted range and the reference too shallow: no verdict is made up.
      "step-slope-v": "not decided",
      "distance-slope-w-code-l2": "not decided",
    });
    expect(verdicts).toHaveProperty("published-slope");

    const steps = rows(result, "steps");
    expect(steps.length).toBe(7 * (smoke.depths.length + 1));
    for (const row of steps)
      if ((row.step as number) <= 1) expect([row.maxStepV, row.maxStepW]).toEqual([0, 0]);
      else expect(row.maxStepW).toBeGreaterThan(0);
    // With two layers there is one difference, so the recorded ones give both statistics.
    const shallow = steps.filter(({ depth }) => depth === 2);
    const differences = shallow.map(({ maxStepV }) => maxStepV as number);
    const { caption, published } = shallow.at(-1)!;
    expect(caption).toBe(Math.max(...differences));
    expect(published).toBeCloseTo(Math.hypot(...differences), 8);
    // All depths take the same first step; afterwards deeper stacks are closer to the reference.
    const distances = rows(result, "distances").filter(({ indexing, family }) => indexing === "code" && family === "V");
    for (const { step, l2 } of distances) if ((step as number) <= 1) expect(l2).toBe(0);
    const last = distances.filter(({ step }) => step === smoke.steps).map(({ l2 }) => l2 as number);
    expect(last).toEqual(last.toSorted((a, b) => b - a));
    expect(last.at(-1)).toBeGreaterThan(0);
    for (const { table } of result.figures) expect(rows(result, table).length).toBeGreaterThan(0);
  });

  test("cancelled again and again, it ends with the bits of an undisturbed run", async () => {
    const undisturbed = await run(smoke, memoryStore());
    const cells = memoryStore();
    let result = await run(smoke, cells, { abortAfter: 1 });
    expect(result.status).toBe("cancelled");
    expect(cells.saves()).toBe(1);
    let from = result.done.at(-1)!;
    for (let attempt = 0; attempt < 20 && result.status === "cancelled"; attempt++) {
      result = await run(smoke, cells, { abortAfter: 4 });
      // It continues after what was done, and does not begin anew.
      expect(result.done[0]).toBeGreaterThan(from);
      from = result.done.at(-1)!;
    }
    expect(cells.saves()).toBeGreaterThan(3);
    expect(result.status).toBe("done");
    expect(JSON.stringify(result.tables)).toBe(JSON.stringify(undisturbed.tables));
    expect(result.claims).toEqual(undisturbed.claims);

    const loaded = await run(smoke, cells);
    expect(loaded.done.length).toBe(1);
    expect(JSON.stringify(loaded.tables)).toBe(JSON.stringify(undisturbed.tables));
  });

  test("a rate that is far too large is a status with a place, and what was recorded remains", async () => {
    const result = await run({ ...smoke, rate: 1e25 }, memoryStore());
    expect(result.status).toBe("diverged");
    expect(result.statusDetail).toMatch(/^loss .* at step 1 of depth 2$/);
    expect(new Set(rows(result, "steps").map(({ step }) => step))).toEqual(new Set([0]));
    expect(result.claims.find(({ id }) => id === "published-slope")!.verdict).toBe("not decided");
  });

  test("the plan counts the bytes that the run holds", async () => {
    const { peakBytes, layerSteps, trainings } = largeDepth.plan(smoke, gpu.profile);
    expect(layerSteps).toBe(6 * (2 + 4 + 8 + 16 + 64));
    expect(trainings.map(({ label }) => label)).toEqual(["L=2", "L=4", "L=8", "L=16", "reference L=64"]);
    const before = gpu.bytesInUse;
    const peakOf = async (config: LargeDepthConfig) => {
      gpu.peakBytes = before;
      await run(config, memoryStore());
      expect(gpu.bytesInUse).toBe(before);
      return gpu.peakBytes;
    };
    // Each training also has buffers of fixed size, for losses, scalars and parameters: they cancel in a difference.
    const deeper = { ...smoke, referenceDepth: 256 };
    const difference = largeDepth.plan(deeper, gpu.profile).peakBytes - peakBytes;
    expect((await peakOf(deeper)) - (await peakOf(smoke))).toBe(difference);
  });
});
