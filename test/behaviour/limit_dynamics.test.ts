import { describe, expect, test } from "vitest";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import type { LimitDynamicsConfig } from "../../src/experiment/limit_dynamics/config.ts";
import { limitDynamics } from "../../src/experiment/limit_dynamics/limit_dynamics.ts";
import type { Cell } from "../../src/experiment/record.ts";
import type { Checkpoint } from "../../src/flow/checkpoint.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const small: LimitDynamicsConfig = {
  ...limitDynamics.presets.smoke,
  stackDepth: 128,
  steps: 5,
  recordAt: [1, 2, 5],
  stackSteps: 2,
};

function memoryStore(): CellStore {
  const finished = new Map<string, string>();
  const checkpoints = new Map<string, Checkpoint>();
  return {
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
      checkpoints.set(id, structuredClone(checkpoint));
    },
  };
}

/** Runs, aborting after that many calls of progress. */
async function run(config: LimitDynamicsConfig, cells: CellStore, { check = false, abortAfter = 0 } = {}) {
  const controller = new AbortController();
  let calls = 0;
  return limitDynamics.run({
    gpu,
    config,
    preset: "smoke",
    signal: controller.signal,
    cells,
    check,
    progress: ({ done, total }) => {
      expect(done).toBeLessThanOrEqual(total);
      if (++calls === abortAfter) controller.abort();
    },
  });
}

function rows(result: ExperimentResult, table: string): readonly Record<string, Cell>[] {
  return result.tables.find(({ name }) => name === table)!.rows;
}

describe("limit-dynamics", () => {
  test("every preset satisfies the schema; a deep stack that is not the deepest does not", () => {
    for (const config of Object.values(limitDynamics.presets))
      expect(limitDynamics.schema.parse(config)).toEqual(config);
    const shallow = limitDynamics.schema.safeParse({ ...small, stackDepth: 64 });
    expect(shallow.error?.issues[0]?.path).toEqual(["stackDepth"]);
    const knots = { ...small, limit: { ...small.limit, basis: { kind: "linear", count: 1 } } };
    expect(limitDynamics.schema.safeParse(knots).error?.issues[0]?.path).toEqual(["limit", "basis", "count"]);
  });

  test("stacks approach the limit like 1/L, and the limit is that of the float64 reference", async () => {
    const result = await run(small, memoryStore(), { check: true });
    expect(result.status).toBe("done");
    const verdict = (id: string) => result.claims.find((claim) => claim.id === id)?.verdict;
    for (const id of ["rate-v", "limit-error-v", "deep-stack-v", "float64-v-1", "float64-v-5", "float64-w-5"])
      expect(verdict(id), id).toBe("holds");
    // W does not move in the first iteration, so there is nothing to compare.
    expect(verdict("float64-w-1")).toBeUndefined();

    const distances = rows(result, "distances").filter(
      ({ family, step, kind }) => family === "V" && step === small.steps && kind === "stack",
    );
    expect(distances.map(({ depth }) => depth)).toEqual(small.depths);
    // The law holds layer by layer: L times the difference, at the layer nearest to s = 1/4.
    const scaled = small.depths.map((depth) => {
      const layers = rows(result, "profiles").filter((row) => row.depth === depth);
      expect(layers.length).toBe(depth);
      return layers[depth / 4]!.scaled as number;
    });
    expect(Math.abs(scaled[2]! / scaled[1]! - 1)).toBeLessThan(0.2);
    for (const { table, where = {} } of result.figures) {
      const drawn = rows(result, table).filter((row) =>
        Object.entries(where).every(([key, value]) => row[key] === value),
      );
      expect(drawn.length).toBeGreaterThan(0);
    }
    const timed = rows(result, "cost").filter(({ seconds }) => seconds !== null);
    expect(timed.length).toBeGreaterThan(0);
    for (const { seconds } of timed) expect(seconds).toBeGreaterThan(0);
  });

  test("cancelled again and again, it ends with the numbers of an undisturbed run", async () => {
    const undisturbed = await run(small, memoryStore());
    const cells = memoryStore();
    let result = await run(small, cells, { abortAfter: 2 });
    expect(result.status).toBe("cancelled");
    // Every finished training is one call.
    for (let attempt = 0; attempt < 40 && result.status === "cancelled"; attempt++)
      result = await run(small, cells, { abortAfter: 9 });
    expect(result.status).toBe("done");
    // All but the times, which no two runs share.
    const numbers = ({ tables }: ExperimentResult) => JSON.stringify(tables.filter(({ name }) => name !== "cost"));
    expect(numbers(result)).toBe(numbers(undisturbed));
  });

  test("a rate that is far too large is a status with a place", async () => {
    const result = await run({ ...small, rate: 1e25 }, memoryStore());
    expect(result.status).toBe("diverged");
    expect(result.statusDetail).toMatch(/^limit: chebyshev 6, rk4, 16 steps: loss /);
    expect(result.claims.every((claim) => claim.verdict === "not decided")).toBe(true);
  });

  test("the plan counts stages for layers, and what one training after the other holds", () => {
    const { reduced } = limitDynamics.presets;
    const { layerSteps, trainings, peakBytes } = limitDynamics.plan(reduced, gpu.profile);
    expect(trainings[0]!.label).toBe("limit: chebyshev 10, dopri5, 32 steps");
    const layers = reduced.depths.reduce((sum, depth) => sum + depth, 0);
    // Six of Dopri5's seven stages are needed.
    expect(layerSteps).toBe(reduced.steps * (6 * (32 + 64) + layers) + reduced.stackSteps * reduced.stackDepth);
    const deepest = trainings.at(-1)!;
    expect(peakBytes).toBe(Object.values(deepest.tensors).reduce((sum, bytes) => sum + bytes, 0));
  });
});
