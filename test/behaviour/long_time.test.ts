import { expect, test } from "vitest";
import { claimsOf } from "../../src/experiment/long_time/claims.ts";
import { collect } from "../../src/experiment/long_time/collect.ts";
import { keptSteps, type LongTimeConfig, recordedSteps, SETUPS } from "../../src/experiment/long_time/config.ts";
import { longTime } from "../../src/experiment/long_time/long_time.ts";
import { packFloats, unpackFloats } from "../../src/experiment/packed_floats.ts";
import type { Cell } from "../../src/experiment/record.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke, paper } = longTime.presets;

test("every preset satisfies the schema, and the steps whose weights are kept are recorded", () => {
  for (const config of Object.values(longTime.presets)) {
    expect(longTime.schema.parse(config)).toEqual(config);
    for (const setup of SETUPS) {
      const recorded = recordedSteps(config, setup);
      for (const step of keptSteps(config, setup)) expect(recorded).toContain(step);
      expect(recorded.at(-1)).toBe(config[setup].steps);
    }
  }
  // The times of the published comparison: every 10,000 iterations.
  for (let i = 1; i <= 8; i++) expect(recordedSteps(paper, "figure2")).toContain(10_000 * i);
});

test("floats keep every bit as text", () => {
  const values = Float32Array.from({ length: 70_001 }, (_, i) => Math.sin(i) * 10 ** ((i % 60) - 30));
  expect(unpackFloats(packFloats(values))).toEqual(values);
});

test("the smoke preset agrees with float64, follows the flow, and is the same when interrupted", async () => {
  const cells = memoryCells();
  const stopped = await runExperiment(gpu, longTime, smoke, { cells, abortAt: 700 });
  expect(stopped.status).toBe("cancelled");
  expect(formErrors(stopped)).toEqual([]);
  const result = await runExperiment(gpu, longTime, smoke, { cells, check: true });
  expect(result.status).toBe("done");
  expect(formErrors(result)).toEqual([]);
  const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
  for (const id of ["zero-start", "float64-v-2", "float64-w-2", "float64-v-10", "float64-w-10", "path-bound-small"])
    expect(claims.get(id)).toMatchObject({ verdict: "holds" });
  // Energy identity of the flow, through losses and gradient norms that are measured apart.
  for (const setup of SETUPS) expect(claims.get(`rate-is-pl-ratio-${setup}`)).toMatchObject({ verdict: "holds" });
  // A training that has hardly begun says nothing about t → ∞, and other sizes nothing about figure 2.
  expect(claims.get("saturation-v-small")).toMatchObject({ verdict: "not decided" });
  expect(claims.has("loss-50")).toBe(false);

  const undisturbed = await runExperiment(gpu, longTime, smoke);
  expect(JSON.stringify(undisturbed.tables)).toBe(JSON.stringify(result.tables));
  expect(
    rowsOf(result, "weights-by-depth")
      .filter(({ step }) => step === 0)
      .every(({ V }) => V === 0),
  ).toBe(true);
});

/** A training that is a straight way to rest in one direction: ℓ = e^{−μt}, distance to rest 2√(ℓ/μ). */
function straight(seed: number, { steps, rate }: LongTimeConfig["small"], records: readonly number[], mu: number) {
  const kept = new Set(keptSteps({ ...paper, small: { ...paper.small, steps } }, "small"));
  const rows = records.flatMap((step): Record<string, Cell>[] => {
    const time = step * rate;
    const loss = Math.exp(-mu * time);
    const way = 2 / Math.sqrt(mu) - 2 * Math.sqrt(loss / mu);
    const maxStep = step <= 1 ? 0 : 1 - Math.exp((-mu * time) / 2);
    const norms = { max_step_V: maxStep, max_step_W: maxStep, scaled_step_V: maxStep, scaled_step_W: maxStep };
    const state = { table: "states", step, time, loss, pl_ratio: mu, ...norms };
    const { width, hidden, depth } = paper.small;
    const V = new Float32Array(depth * width * hidden);
    for (let k = 0; k < depth; k++) V[k * width * hidden] = way;
    const weights = { table: "weights", step, V: packFloats(V), W: packFloats(new Float32Array(V.length)) };
    return kept.has(step) ? [state, weights] : [state];
  });
  return [`small-seed${seed}`, { status: "done" as const, rows }] as const;
}

test("claims find the rates of a training whose rates are known", () => {
  const config = { ...paper, small: { ...paper.small, seeds: [0, 1, 2] } };
  const records = recordedSteps(config, "small");
  const rates = [0.09, 0.1, 0.11];
  const rows = collect(config, new Map(rates.map((mu, seed) => straight(seed, config.small, records, mu))));
  const claims = new Map(claimsOf(config, rows).map((claim) => [claim.id, claim]));
  expect(claims.get("rate-small")!.measured).toBeCloseTo(0.1, 6);
  expect(claims.get("rate-is-pl-ratio-small")!.measured).toBeCloseTo(1, 6);
  // The last state is not at rest: the slope is a little more than one half.
  expect(claims.get("half-rate-small")!.measured).toBeGreaterThan(0.5);
  expect(claims.get("half-rate-small")!.measured).toBeLessThan(0.53);
  // The weights here are float32 and the way that is left a thousandth of them.
  expect(claims.get("path-bound-small")!.measured).toBeCloseTo(1, 2);
  for (const id of ["rate", "rate-is-pl-ratio", "saturation-v", "saturation-w", "pl-floor", "half-rate", "path-bound"])
    expect(claims.get(`${id}-small`)!.verdict).toBe("holds");
  for (const claim of claims.values()) if (claim.id.endsWith("figure2")) expect(claim.verdict).toBe("not decided");
});
