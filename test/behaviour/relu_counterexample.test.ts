import { describe, expect, test } from "vitest";
import { limitWeight, reluCounterexample } from "../../src/experiment/relu_counterexample.ts";
import { gradientFlowStep } from "../../src/reference/dense.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = reluCounterexample.presets;

/** The counter-example in float64: weights after `steps` of gradient descent. */
function reference(activation: "relu" | "gelu", halfDepth: number, steps: number, rate: number) {
  const depth = 2 * halfDepth;
  const shape = {
    inputs: 1,
    width: 1,
    hidden: 1,
    outputs: 1,
    depth,
    activation,
    widthFactors: "paper",
    beta: 1,
  } as const;
  const weights = {
    A: Float64Array.of(1),
    V: new Float64Array(depth).fill(1),
    W: Float64Array.from({ length: depth }, (_, i) => (-1) ** (i + 1) / depth),
    B: Float64Array.of(1),
  };
  const data = { n: 1, inputs: [1], targets: [2] };
  const trained = { A: false, V: false, W: true, B: false };
  for (let step = 0; step < steps; step++) gradientFlowStep(shape, weights, data, "squared-norm", rate, trained);
  return weights.W;
}

const steps = (W: Float64Array) => Array.from(W.subarray(1), (w, i) => Math.abs(w - W[i]!));

describe("in float64", () => {
  test.each([
    [4, 1.5136569],
    [16, 1.416761],
    [64, 1.3938286],
  ])("ReLU, L = %i: odd layers stay, even ones end at w* = %f", (halfDepth, printed) => {
    const limit = limitWeight(halfDepth, 2);
    expect(limit).toBeCloseTo(printed, 7);
    const W = reference("relu", halfDepth, 200, 0.1);
    for (const [i, w] of W.entries())
      if (i % 2 === 0) expect(w).toBe(-1 / (2 * halfDepth));
      else expect(Math.abs(w - limit)).toBeLessThan(1e-12);
  });

  test("GELU at η = 0.05 has the steps known to three digits; η = 0.1 has not", () => {
    const largest = (rate: number) => Math.max(...steps(reference("gelu", 16, 200, rate)));
    expect(Math.abs(largest(0.05) - 0.127)).toBeLessThan(0.0005);
    expect(Math.abs(largest(0.1) - 0.127)).toBeGreaterThan(0.001);
  });
});

describe("relu-counterexample", () => {
  const whole = runExperiment(gpu, reluCounterexample, smoke, { check: true });

  test("the smoke preset finishes and every claim of the appendix holds", async () => {
    const result = await whole;
    expect(result.status).toBe("done");
    expect(result.done).toBe(result.total);
    expect(formErrors(result)).toEqual([]);
    const verdicts = Object.fromEntries(result.claims.map(({ id, verdict }) => [id, verdict]));
    const limits = smoke.halfDepths.map((halfDepth) => [`relu-limit-${halfDepth}`, "holds"]);
    const gelu = smoke.halfDepths.map((halfDepth) => [`gelu-step-${halfDepth}`, "holds"]);
    expect(verdicts).toMatchObject({
      ...Object.fromEntries([...limits, ...gelu]),
      "relu-odd-fixed": "holds",
      "relu-even-equal": "holds",
      "relu-step-order-1": "holds",
      "relu-step-slope": "holds",
      "gelu-step-slope": "holds",
      "fits-the-sample": "holds",
      "check-weights": "holds",
    });
  });

  test("the trained weights of both activations are those of float64", async () => {
    const weights = rowsOf(await whole, "weights");
    for (const activation of ["relu", "gelu"] as const) {
      const exact = reference(activation, 16, smoke.steps, smoke.rate);
      const rows = weights.filter((row) => row.activation === activation && row.state === "trained");
      expect(rows).toHaveLength(32);
      // Three roundings a layer and step of an O(1) state, as in the claim's range.
      for (const { layer, w } of rows)
        expect(Math.abs((w as number) - exact[(layer as number) - 1]!)).toBeLessThan(2e-5);
    }
  });

  test("stopped and resumed, it gives the same tables", async () => {
    const config = { ...smoke, halfDepths: [4, 16] };
    const undisturbed = await runExperiment(gpu, reluCounterexample, config);
    const cells = memoryCells();
    const stopped = await runExperiment(gpu, reluCounterexample, config, { cells, abortAt: 1 });
    expect(stopped.status).toBe("cancelled");
    expect(stopped.claims.find(({ id }) => id === "relu-limit-16")!.verdict).toBe("not decided");
    const resumed = await runExperiment(gpu, reluCounterexample, config, { cells });
    expect(resumed.status).toBe("done");
    expect(resumed.tables).toEqual(undisturbed.tables);
  });

  test("presets satisfy the schema; a target below the input does not", () => {
    for (const preset of Object.values(reluCounterexample.presets))
      expect(reluCounterexample.schema.parse(preset)).toEqual(preset);
    expect(reluCounterexample.schema.safeParse({ ...smoke, factor: 1 }).success).toBe(false);
  });
});
