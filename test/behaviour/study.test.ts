import { describe, expect, test } from "vitest";
import type { CellStore, ExperimentContext } from "../../src/experiment/experiment.ts";
import { planStudy, type Replica, runStudy, type StudyTraining } from "../../src/experiment/study.ts";
import type { DeviceProfile } from "../../src/plan/device_profile.ts";
import { SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { replicaBatches, replicaBytes } from "../../src/plan/replicas.ts";
import { denseProblem } from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";
import { memoryCells } from "../support/experiment.ts";

const gpu = await openTestDevice();
const STEPS = [0, 2, 5];

/** Seeds of one shape, with a β and a rate of its own each, then another depth. */
function trainingsOf(rates: readonly number[] = [0.1, 0.05, 0.2, 0.1]): StudyTraining[] {
  return rates.map((rate, i) => {
    const depth = i === 3 ? 4 : 6;
    const { shape, initial, data, loss } = denseProblem(
      { width: 3, hidden: 7, depth, beta: 1 - 0.25 * (i % 2) },
      { rows: 5, seed: i },
    );
    const heldOut = denseProblem({ width: 3, hidden: 7 }, { rows: 3, seed: 100 + i }).data;
    return {
      id: `seed${i}`,
      label: `seed ${i}`,
      spec: { shape, weights: initial, data, loss, flow: { rate, stop: { steps: 5 } } },
      recordSteps: STEPS,
      heldOut,
    };
  });
}

async function rowOf(replica: Replica, step: number) {
  const { W, V } = await replica.depth();
  const { loss, energyRate } = await replica.gradient();
  const change = await replica.change();
  const held = await replica.heldOut();
  return [
    { step, loss, energyRate, held: held.loss, W: W.maxStep, V: V.maxNorm },
    { A: change.A[0], V: change.V.at(-1)!, W: change.W.at(-1)!, B: change.B.at(-1)!, start: replica.initial().W[0] },
  ];
}

async function run(trainings: readonly StudyTraining[], options: { cells?: CellStore; abortAt?: number } = {}) {
  const abort = new AbortController();
  const seen: number[] = [];
  const context: ExperimentContext<unknown> = {
    gpu,
    config: {},
    preset: "smoke",
    signal: abort.signal,
    cells: options.cells ?? memoryCells(),
    check: false,
    progress: ({ done }) => {
      seen.push(done);
      if (options.abortAt !== undefined && done >= options.abortAt) abort.abort();
    },
  };
  const result = await runStudy(context, { trainings, record: (_, replica, step) => rowOf(replica, step) });
  return { ...result, done: seen.at(-1) ?? 0 };
}

const whole = run(trainingsOf());

describe("trainings that differ in seed, data, β and rate alone", () => {
  test("are one cell, with the numbers that each has alone", async () => {
    const cells = memoryCells();
    const { records, status, done } = await run(trainingsOf(), { cells });
    expect(status).toBe("done");
    expect([...cells.results.keys()]).toEqual(["seed0--seed2", "seed3"]);
    expect(done).toBe(5 * (3 * 6 + 4));
    for (const training of trainingsOf()) {
      const alone = (await run([training])).records.get(training.id)!;
      const { rows, status } = records.get(training.id)!;
      expect(status).toBe("done");
      expect(rows).toHaveLength(2 * STEPS.length);
      for (const [i, row] of rows.entries())
        for (const [key, value] of Object.entries(row)) {
          const expected = alone.rows[i]![key] as number;
          // More rows an invocation where replicas fill the device, so sums in another order: 5 roundings a number of a
          // sum of 5 rows, 7 units and 3 coordinates, 6 layers and 5 steps, doubled for the two runs.
          const bound = 2 ** -24 * 2 * 5 * (5 + 7 + 3) * 6;
          expect(Math.abs((value as number) - expected), key).toBeLessThanOrEqual(
            bound * Math.max(1, Math.abs(expected)),
          );
        }
    }
  });

  test("end apart when one diverges, which keeps what was recorded", async () => {
    const { records, status } = await run(trainingsOf([0.1, 1e20, 0.2, 0.1]));
    expect(status).toBe("done");
    expect([...records.values()].map((record) => record.status)).toEqual(["done", "diverged", "done", "done"]);
    const { detail, rows } = records.get("seed1")!;
    expect(detail).toMatch(/^loss \S+ at step \d$/);
    expect(rows.length).toBeLessThan(2 * STEPS.length);
    const calm = (await whole).records;
    for (const id of ["seed0", "seed2", "seed3"]) expect(records.get(id)).toEqual(calm.get(id));
  });

  test("cancelled and resumed, they end with the numbers of an undisturbed run", async () => {
    const cells = memoryCells();
    for (const abortAt of [1, 40, 90]) expect((await run(trainingsOf(), { cells, abortAt })).status).toBe("cancelled");
    const { records, done } = await run(trainingsOf(), { cells });
    const undisturbed = await whole;
    expect(done).toBe(undisturbed.done);
    expect([...records]).toEqual([...undisturbed.records]);
  });
});

test("what must be equal, and what stands apart, is not in one batch", () => {
  const [first, second, third] = trainingsOf() as [StudyTraining, StudyTraining, StudyTraining];
  const batches = (...trainings: StudyTraining[]) =>
    planStudy(trainings, SOFTWARE_PROFILE).trainings.map(({ label, count }) => `${label}: ${count}`);
  const flow = (training: StudyTraining, change: object): StudyTraining => ({
    ...training,
    spec: { ...training.spec, flow: { ...training.spec.flow, ...change } },
  });
  expect(batches(first, second, third)).toEqual(["tanh L=6, 3 at once: 3"]);
  expect(batches(first, flow(second, { optimiser: "adam" }), third)).toEqual(["tanh L=6: 3"]);
  expect(batches(...[first, second].map((each) => flow(each, { method: "adaptive" })))).toEqual(["tanh L=6: 2"]);
  // Heun's stages go by one rate.
  expect(batches(...[first, second].map((each) => flow(each, { method: "heun" })))).toEqual(["tanh L=6: 2"]);
  const alike = [first, second].map((each) => flow(each, { method: "heun", rate: 0.1 }));
  expect(batches(...alike)).toEqual(["tanh L=6, 2 at once: 2"]);
  expect(batches(first, { ...second, recordSteps: [0, 5] })).toEqual(["tanh L=6: 2"]);
  const { heldOut: _, ...without } = second;
  expect(batches(first, without)).toEqual(["tanh L=6: 2"]);
});

describe("batches", () => {
  const { shape } = denseProblem({ width: 16, hidden: 32, depth: 64 });
  const options = { rows: 50, tied: true };

  test("are as few and as equal as can be", () => {
    expect(replicaBatches(shape, SOFTWARE_PROFILE, options, 1)).toEqual([1]);
    expect(replicaBatches(shape, SOFTWARE_PROFILE, options, 5)).toEqual([5]);
    for (const count of [17, 20, 33]) {
      const sizes = replicaBatches(shape, SOFTWARE_PROFILE, options, count);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect(sizes).toHaveLength(Math.ceil(count / 8));
    }
  });

  test("fit the adapter's largest buffer", () => {
    const room = 3.5 * replicaBytes(shape, SOFTWARE_PROFILE, { ...options, replicas: 1 });
    const profile: DeviceProfile = { ...SOFTWARE_PROFILE, maxBufferBytes: room };
    expect(replicaBatches(shape, profile, options, 7)).toEqual([2, 2, 3]);
  });

  test("are of one where a layer is a matrix product", () => {
    const wide = { ...shape, width: 256, hidden: 512 };
    expect(replicaBatches(wide, SOFTWARE_PROFILE, options, 3)).toEqual([1, 1, 1]);
  });
});
