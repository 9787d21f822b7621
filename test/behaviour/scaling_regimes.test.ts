import { describe, expect, test } from "vitest";
import { float64Ratios } from "../../src/experiment/scaling_regimes/check.ts";
import { scalingRegimes } from "../../src/experiment/scaling_regimes/scaling_regimes.ts";
import { initialCases } from "../../src/experiment/scaling_regimes/training.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack } from "../../src/model/dense_stack.ts";
import { denseAdjoint, denseForward, denseLoss } from "../../src/reference/dense.ts";
import { relativeError } from "../support/compare.ts";
import { denseProblem, referenceWeights } from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = scalingRegimes.presets;

describe("ends of a stack", () => {
  test.each(["stored", "recomputed"] as const)(
    "states and adjoints of replicas at both ends agree with float64, states %s",
    async (states) => {
      const problems = [1, 2].map((seed) => denseProblem({}, { seed, tied: false, rows: 5 }));
      const [{ shape, loss }] = problems as [(typeof problems)[0]];
      const stack = DenseStack.create(
        gpu,
        shape,
        problems.map(({ initial }) => initial),
      );
      const data = problems.map((problem) => problem.data);
      const pass = await DensePass.create(stack, data, loss, {
        training: true,
        stateBytes: states === "stored" ? 1e9 : 1,
      });
      const recorder = new Recorder(gpu);
      expect(pass.plan.states).toBe(states);
      const ends = await pass.readEnds(recorder);
      expect(ends.length).toBe(2);
      for (const [r, problem] of problems.entries()) {
        const weights = referenceWeights(problem);
        const { rows, inputs, targets } = problem.data;
        const { width, outputs, depth } = shape;
        const forward = denseForward(shape, weights, inputs, rows);
        const { gradOutput } = denseLoss(loss, forward.output, targets, rows, outputs);
        const last = new Float64Array(rows * width);
        for (let i = 0; i < rows; i++)
          for (let o = 0; o < outputs; o++)
            for (let j = 0; j < width; j++)
              last[i * width + j]! += gradOutput[i * outputs + o]! * weights.B[o * width + j]!;
        const { adjoints } = denseAdjoint(shape, weights, forward.states, last, rows);
        const n = rows * width;
        // Six layers in float32: a few roundings of 6e-8 each.
        expect(relativeError(ends[r]!.firstState, forward.states.slice(0, n))).toBeLessThan(2e-6);
        expect(relativeError(ends[r]!.lastState, forward.states.slice(depth * n))).toBeLessThan(2e-6);
        expect(relativeError(ends[r]!.firstAdjoint, adjoints.slice(0, n))).toBeLessThan(4e-6);
        expect(relativeError(ends[r]!.lastAdjoint, last)).toBeLessThan(4e-6);
      }
      const again = await pass.readEnds(recorder);
      expect(again).toEqual(ends);
      recorder.destroy();
      pass.destroy();
      stack.destroy();
    },
  );
});

describe("scaling-regimes", () => {
  test("the smoke preset finishes, agrees with float64, and resumes from its cells", async () => {
    const cells = memoryCells();
    const result = await runExperiment(gpu, scalingRegimes, smoke, { cells, check: true });
    expect(result.status).toBe("done");
    expect(formErrors(result)).toEqual([]);
    // Networks that are only looked at count in what is done.
    expect(result.done).toBe(result.total);
    expect(result.total).toBe(scalingRegimes.plan(smoke, gpu.profile).layerSteps);
    const claim = (id: string) => result.claims.find((one) => one.id === id)!;
    expect(claim("float64").verdict).toBe("holds");
    // Its numbers are those of width 40.
    expect(result.claims.some(({ id }) => id.startsWith("median-"))).toBe(false);
    expect(claim("critical-0.8-forward").passes).toEqual({ min: 0.8 - 0.1, max: 0.8 + 0.1 });

    const { depths, draws, iidBetas, rbfBetas, fractional, trained } = smoke;
    const maps = fractional.draws * fractional.depths.length * fractional.hursts.length * fractional.betas.length;
    const networks = draws * depths.length * (iidBetas.length + rbfBetas.length) + maps;
    expect(rowsOf(result, "initial").length).toBe(networks);
    const best = rowsOf(result, "best");
    expect(best.length).toBe(trained.seeds * (3 + trained.hursts.length * trained.betas.length));
    // Independent layers have roughness 1 in the mean, samples of a smooth function far less.
    const roughnessOf = (process: string) => best.find((row) => row.process === process)!.roughnessBefore as number;
    expect(roughnessOf("iid")).toBeGreaterThan(0.7);
    expect(roughnessOf("rbf")).toBeLessThan(0.5 * roughnessOf("iid"));

    const resumed = await runExperiment(gpu, scalingRegimes, smoke, { cells });
    expect(resumed.tables).toEqual(result.tables);
  });

  test("res-1 is W = I, and a draw is the same at every depth", async () => {
    const fractional = { ...smoke.fractional, depths: [3, 9] };
    const cases = initialCases({ ...smoke, model: "res-1", depths: [3, 9], fractional });
    const of = (kind: string, depth: number) => {
      const { weights } = cases.find((one) => one.process.kind === kind && one.depth === depth && one.seed === 1)!.spec;
      if (!("W" in weights)) throw new Error("weights are drawn by the study");
      return weights;
    };
    const { V, W } = of("fbm", 3);
    expect(W.length).toBe(3 * smoke.width ** 2);
    for (let i = 0; i < W.length; i++) expect(W[i]).toBe(Math.floor(i / 4) % 4 === i % 4 ? 1 : 0);
    expect(of("fbm", 9).V.slice(0, V.length)).toEqual(V);
    expect(of("iid", 9).V.slice(0, V.length)).toEqual(of("iid", 3).V.slice());
    for (const value of of("iid", 9).V) expect(Math.abs(value)).toBeLessThanOrEqual(Math.sqrt(3 / smoke.width));
  });

  test("relu without biases is homogeneous: the ratios of float64 do not depend on the scale of B", () => {
    const one = initialCases(smoke).find(({ depth, seed }) => depth === 8 && seed === 1)!;
    const { weights } = one.spec;
    if (!("W" in weights)) throw new Error("weights are drawn by the study");
    const scaled = { A: weights.A, B: weights.B.map((value) => 3 * value), V: weights.V, W: weights.W, tied: false };
    const first = float64Ratios(one);
    const second = float64Ratios({ ...one, spec: { ...one.spec, weights: scaled } });
    expect(second.forward).toBe(first.forward);
    expect(second.gradient! / first.gradient!).toBeCloseTo(1, 12);
  });
});
