import { describe, expect, test } from "vitest";
import { activationsAndInit } from "../../src/experiment/activations_and_init/activations_and_init.ts";
import { plannedOf } from "../../src/experiment/activations_and_init/config.ts";
import { syntheticData, syntheticShape } from "../../src/experiment/synthetic.ts";
import { weightsOf } from "../../src/experiment/training.ts";
import { gradientFlowStep, stepNorms } from "../../src/reference/dense.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = activationsAndInit.presets;
const whole = runExperiment(gpu, activationsAndInit, smoke);

describe("activations-and-init", () => {
  test("the smoke preset finishes with claims that have numbers", async () => {
    const result = await whole;
    expect(result.status).toBe("done");
    expect(result.done).toBe(result.total);
    expect(formErrors(result)).toEqual([]);
    for (const { id, measured } of result.claims) expect(measured, id).not.toBeNull();
    const verdicts = Object.fromEntries(result.claims.map(({ id, verdict }) => [id, verdict]));
    expect(verdicts).toMatchObject({
      "gelu-iid-W-rough": "holds",
      "iid-roughness": "holds",
    });
    const { activations, depths, seeds } = smoke;
    expect(rowsOf(result, "training")).toHaveLength(activations.length * depths.length * 3 * seeds.length * 2);
    expect(rowsOf(result, "verdicts")).toHaveLength(activations.length * 3 * 2);
  });

  test("seeds, and starts that are not tied, run side by side", () => {
    const labels = activationsAndInit.plan(smoke, gpu.profile).trainings.map(({ label }) => label);
    expect(labels).toContain("gelu L=8, 2 at once");
    expect(labels).toContain("gelu L=8, 4 at once");
  });

  test("steps between layers are those of float64", async () => {
    const rows = rowsOf(await whole, "training");
    const [depth, seed] = [8, 1];
    for (const start of ["tied", "smooth 0.5", "iid"]) {
      const { training, activation } = plannedOf(smoke).find(
        (one) => one.activation === "gelu" && one.start.name === start && one.depth === depth && one.seed === seed,
      )!;
      const initial = weightsOf(training.spec);
      const layers = (x: Float32Array) =>
        Float64Array.from({ length: depth * smoke.width * smoke.hidden }, (_, i) => x[i % x.length]!);
      const weights = {
        A: Float64Array.from(initial.A),
        V: layers(initial.V),
        W: layers(initial.W),
        B: Float64Array.from(initial.B),
      };
      const shape = syntheticShape({ ...smoke, activation }, depth);
      const { rows: n, inputs, targets } = syntheticData({ ...smoke, activation }, seed);
      for (let step = 0; step < smoke.steps; step++)
        gradientFlowStep(shape, weights, { n, inputs, targets }, "mean-square", smoke.rate, {
          ...{ A: false, V: true, W: true, B: false },
        });
      const norms = stepNorms(weights.V, weights.W, shape);
      for (const family of ["V", "W"] as const) {
        const row = rows.find(
          (each) =>
            each.start === start &&
            each.family === family &&
            each.activation === "gelu" &&
            each.depth === depth &&
            each.seed === seed,
        )!;
        // The change is a sum of `steps` gradients, each rounded by 2⁻²⁴ · 8 (q + m + n) of its size; differences of tied
        // layers are a depth-th of it.
        const tolerance = depth * smoke.steps * 2 ** -24 * 8 * (smoke.width + smoke.hidden + n);
        expect(Math.abs((row.max_step as number) / norms[family].max - 1), `${start} ${family}`).toBeLessThan(
          tolerance,
        );
        expect(Math.abs((row.variation_2 as number) / norms[family].sumOfSquares - 1)).toBeLessThan(2 * tolerance);
      }
    }
  });

  test("one seed or two depths give numbers and no verdicts", async () => {
    const few = { ...smoke, activations: ["relu" as const], depths: [4, 8], seeds: [0], publishedDepths: [8 as const] };
    const planned = plannedOf(few).filter(({ published }) => published);
    expect(planned.map(({ training }) => training.spec.data.rows)).toEqual([100, 100]);
    const result = await runExperiment(gpu, activationsAndInit, { ...few, publishedDepths: [] });
    expect(result.status).toBe("done");
    for (const { id, verdict } of result.claims) if (id !== "iid-roughness") expect(verdict, id).toBe("not decided");
  });

  test("presets satisfy the schema", () => {
    for (const preset of Object.values(activationsAndInit.presets))
      expect(activationsAndInit.schema.parse(preset)).toEqual(preset);
  });
});
