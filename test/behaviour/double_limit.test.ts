import { expect, test } from "vitest";
import { claimsOf } from "../../src/experiment/double_limit/claims.ts";
import { collect, depthDistance } from "../../src/experiment/double_limit/collect.ts";
import {
  allDepths,
  type DoubleLimitConfig,
  recordedSteps,
  trainingId,
  VARIANTS,
} from "../../src/experiment/double_limit/config.ts";
import { doubleLimit } from "../../src/experiment/double_limit/double_limit.ts";
import { packFloats } from "../../src/experiment/packed_floats.ts";
import type { CellRecord } from "../../src/experiment/training.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke, reduced } = doubleLimit.presets;

test("every preset satisfies the schema; depths double, the reference is deeper, m is at least n", () => {
  for (const config of Object.values(doubleLimit.presets)) expect(doubleLimit.schema.parse(config)).toEqual(config);
  for (const [change, field] of [
    [{ depths: [4, 8, 12] }, "depths"],
    [{ referenceDepth: 2 * smoke.depths.at(-1)! }, "referenceDepth"],
    [{ hidden: smoke.samples - 1 }, "hidden"],
  ] as const)
    expect(doubleLimit.schema.safeParse({ ...smoke, ...change }).error?.issues[0]?.path).toEqual([field]);
});

test("the smoke preset agrees with float64, begins at F = 0, and is the same when interrupted", async () => {
  const cells = memoryCells();
  const stopped = await runExperiment(gpu, doubleLimit, smoke, { cells, abortAt: 100 });
  expect(stopped.status).toBe("cancelled");
  expect(formErrors(stopped)).toEqual([]);
  for (const { verdict } of stopped.claims) expect(verdict).toBe("not decided");
  const result = await runExperiment(gpu, doubleLimit, smoke, { cells, check: true });
  expect(result.status).toBe("done");
  expect(formErrors(result)).toEqual([]);
  const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
  for (const id of ["float64-v-2", "float64-w-2", "float64-v-10", "float64-w-10"])
    expect(claims.get(id)).toMatchObject({ verdict: "holds" });

  // Too short a training does not say that the limit fails to interpolate.
  expect(claims.get("interpolation-all")).toMatchObject({ verdict: "not decided" });

  // q = d + d': F is zero at the start, so the loss is the mean square of the targets, and no depth differs from another.
  const states = rowsOf(result, "states");
  const first = states.filter(({ step }) => step === 0).map(({ loss }) => loss);
  expect(new Set(first).size).toBe(1);
  for (const row of rowsOf(result, "outputs"))
    if (row.step === 0) expect([row.to_next, row.to_reference]).toEqual([row.depth === 4 ? null : 0, 0]);
  for (const variant of VARIANTS)
    for (const depth of allDepths(smoke)) {
      const losses = states.filter((row) => row.variant === variant && row.depth === depth).map(({ loss }) => loss);
      expect(losses.at(-1)).toBeLessThan(losses[0] as number);
    }
  const undisturbed = await runExperiment(gpu, doubleLimit, smoke);
  expect(JSON.stringify(undisturbed.tables)).toBe(JSON.stringify(result.tables));
});

test("the distance of two stacks is that of their step functions", () => {
  // Two layers 1, 3 are the function 1 on [0, 1), 3 at 1; three layers 1, 2, 5 are 1 on [0, ½), 2 on [½, 1).
  const distance = depthDistance(Float32Array.of(1, 3), 2, Float32Array.of(1, 2, 5), 3);
  expect(distance).toBeCloseTo(Math.sqrt(0.5), 12);
  // Samples of one Lipschitz function come together like 1/L.
  const sampled = (depth: number) => Float32Array.from({ length: depth }, (_, k) => k / (depth - 1));
  const gaps = [64, 128, 256].map((depth) => depthDistance(sampled(depth), depth, sampled(2 * depth), 2 * depth));
  for (const i of [0, 1]) expect(gaps[i]! / gaps[i + 1]!).toBeCloseTo(2, 1);
});

/** Trainings F^L(t) = (1 − e^{−t})·(1 + c/L) on every fresh point, with weights k/L and losses e^{−r t}. */
function exact(config: DoubleLimitConfig, rate: number): ReadonlyMap<string, CellRecord> {
  const { width, fresh } = config;
  return new Map(
    VARIANTS.flatMap((variant) =>
      allDepths(config).flatMap((depth) =>
        config.seeds.map((seed) => {
          const outputs = (fresh * width) / 2;
          const rows = recordedSteps(config, variant).flatMap((step): CellRecord["rows"] => {
            const time = step * config[variant].rate;
            const F = Array<number>(outputs).fill((1 - Math.exp(-time)) * (1 + (seed + 1) / depth));
            const state = { table: "states", step, time, loss: Math.exp(-rate * time), pl_ratio: rate };
            return [
              { ...state, max_step_V: 1 / depth, max_step_W: 1 / depth },
              { table: "outputs", step, F: JSON.stringify(F) },
            ];
          });
          const layers = packFloats(Float32Array.from({ length: depth }, (_, k) => k / depth));
          const weights = { table: "weights", V: layers, W: layers };
          return [trainingId(variant, depth, seed), { status: "done", rows: [...rows, weights] }] as const;
        }),
      ),
    ),
  );
}

test("claims find the limits of trainings whose limits are known", () => {
  const config = { ...reduced, all: { rate: 0.1, steps: 320 }, layers: { rate: 0.1, steps: 320 } };
  const rows = collect(config, exact(config, 0.8));
  const claims = new Map(claimsOf(config, rows).map((claim) => [claim.id, claim]));
  for (const variant of VARIANTS) {
    expect(claims.get(`rate-uniform-${variant}`)!.measured).toBeCloseTo(0, 9);
    expect(claims.get(`output-slope-${variant}`)!.measured).toBeCloseTo(-1, 9);
    expect(claims.get(`output-slope-uniform-${variant}`)!.measured).toBeCloseTo(-1, 9);
    for (const name of ["interpolation", "rate-uniform", "output-slope", "weights-slope-v", "orders-agree"])
      expect(claims.get(`${name}-${variant}`)!.verdict).toBe("holds");
  }
  // The extrapolation is exact here: all that is left is the reference's own error, 1/(ratio − 1) of the other distance.
  for (const row of rows.orders) expect(row.quotient).toBeCloseTo(1 / 7, 9);

  // A limit in t that depends on the depth's order of magnitude is no common limit.
  const broken = new Map(exact(config, 0.8));
  for (const [id, record] of broken)
    if (id.includes(`L${config.referenceDepth}-`)) {
      const wrong = (F: string) => JSON.stringify((JSON.parse(F) as number[]).map((value) => 1.5 * value));
      const rows = record.rows.map((row) => (typeof row.F === "string" ? { ...row, F: wrong(row.F) } : row));
      broken.set(id, { ...record, rows });
    }
  const verdict = claimsOf(config, collect(config, broken)).find(({ id }) => id === "orders-agree-all")!.verdict;
  expect(verdict).toBe("fails");
});
