import { describe, expect, test } from "vitest";
import { roughness, roughStart } from "../../src/experiment/roughness/roughness.ts";
import { syntheticData, syntheticShape } from "../../src/experiment/synthetic.ts";
import { gradientFlowStep } from "../../src/reference/dense.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = roughness.presets;
const elements = smoke.width * smoke.hidden;

/** max_k (‖V_{k+1} − V_k‖_F + ‖W_{k+1} − W_k‖_F). */
function largestStep(depth: number, ...families: ArrayLike<number>[]): number {
  let largest = 0;
  for (let k = 1; k < depth; k++) {
    const norms = families.map((layers) => {
      let squares = 0;
      for (let i = k * elements; i < (k + 1) * elements; i++) squares += (layers[i]! - layers[i - elements]!) ** 2;
      return Math.sqrt(squares);
    });
    largest = Math.max(largest, norms[0]! + norms[1]!);
  }
  return largest;
}

describe("rough starts", () => {
  test.each(["zigzag", "walk"] as const)("%s: every step is r/L", (kind) => {
    const depth = 8;
    const { V, W, tied } = roughStart(smoke, { kind, r: 2, depth, seed: 3 });
    expect(tied).toBe(false);
    for (let k = 1; k < depth; k++)
      for (const layers of [V, W]) {
        const pair = layers.subarray((k - 1) * elements, (k + 1) * elements);
        const squares = pair.subarray(elements).reduce((sum, value, i) => sum + (value - pair[i]!) ** 2, 0);
        expect(Math.sqrt(squares)).toBeCloseTo(1 / depth, 5);
      }
    // The zigzag has two layers, the walk as many as there are.
    const same = (a: number, b: number) => V[a * elements] === V[b * elements];
    expect(same(0, 2)).toBe(kind === "zigzag");
  });

  test("without roughness all layers are one", () => {
    const { V, W } = roughStart(smoke, { kind: "tied", r: 0, depth: 5, seed: 0 });
    expect(largestStep(5, V, W)).toBe(0);
  });
});

describe("roughness", () => {
  const whole = runExperiment(gpu, roughness, smoke);

  test("the smoke preset finishes with claims that have numbers", async () => {
    const result = await whole;
    expect(result.status).toBe("done");
    expect(result.done).toBe(result.total);
    expect(formErrors(result)).toEqual([]);
    const verdicts = Object.fromEntries(result.claims.map(({ id, verdict }) => [id, verdict]));
    expect(verdicts).toMatchObject({
      "start-steps": "holds",
      "zigzag-factor-slope": "holds",
      "walk-factor-slope": "holds",
    });
    for (const { id, measured } of result.claims) expect(measured, id).not.toBeNull();
    expect(rowsOf(result, "bound")).toHaveLength(2 * smoke.depths.length * smoke.seeds.length);
  });

  test("the steps after training are those of float64", async () => {
    const rows = rowsOf(await whole, "steps");
    const depth = 4;
    for (const kind of ["zigzag", "walk"] as const) {
      const start = roughStart(smoke, { kind, r: 4, depth, seed: 1 });
      const weights = {
        A: Float64Array.from(start.A),
        V: Float64Array.from(start.V),
        W: Float64Array.from(start.W),
        B: Float64Array.from(start.B),
      };
      const { rows: n, inputs, targets } = syntheticData(smoke, 1);
      for (let step = 0; step < smoke.steps; step++)
        gradientFlowStep(syntheticShape(smoke, depth), weights, { n, inputs, targets }, "mean-square", smoke.rate, {
          A: false,
          V: true,
          W: true,
          B: false,
        });
      const row = rows.find((each) => each.kind === kind && each.r === 4 && each.depth === depth && each.seed === 1)!;
      const exact = largestStep(depth, weights.V, weights.W);
      // The change is a sum of `steps` gradients, each rounded by 2⁻²⁴ · 8 (q + m + n) of its size.
      const tolerance = smoke.steps * 2 ** -24 * 8 * (smoke.width + smoke.hidden + n);
      expect(Math.abs((row.end_step as number) / exact - 1)).toBeLessThan(tolerance);
    }
  });

  test("one seed gives numbers and no verdict from them", async () => {
    const result = await runExperiment(gpu, roughness, { ...smoke, seeds: [0], kinds: ["walk"], steps: 2 });
    expect(result.claims.find(({ id }) => id === "walk-factor-slope")).toMatchObject({ verdict: "not decided" });
  });

  test("presets satisfy the schema", () => {
    for (const preset of Object.values(roughness.presets)) expect(roughness.schema.parse(preset)).toEqual(preset);
  });
});
