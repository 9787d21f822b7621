import { describe, expect, test } from "vitest";
import { float64States } from "../../src/experiment/mean_field/check.ts";
import { casesOf } from "../../src/experiment/mean_field/config.ts";
import { meanField } from "../../src/experiment/mean_field/mean_field.ts";
import { meanFieldStates, meanFieldStep } from "../../src/reference/mean_field.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = meanField.presets;

describe("reference", () => {
  /** Numbers without a pattern, the same on every run. */
  const values = (count: number, phase: number) =>
    Float64Array.from({ length: count }, (_, i) => Math.sin(7 * i + phase));
  const [L, M, D] = [2, 3, 4];

  function network() {
    return { L, M, D, u: values(L * M * D, 1), v: values(L * M * D, 2), B: values(2 * D, 3) };
  }

  test("the step descends the loss by its gradient, found by differences, at the rate η L M D", () => {
    const first = values(3 * D, 4);
    const targets = values(3 * 2, 5);
    const loss = (net: ReturnType<typeof network>) => {
      let sum = 0;
      for (let s = 0; s < 3; s++) {
        const h = meanFieldStates(net, first.slice(s * D, (s + 1) * D))[L]!;
        for (let o = 0; o < 2; o++) {
          let f = 0;
          for (let i = 0; i < D; i++) f += net.B[o * D + i]! * h[i]!;
          sum += (f - targets[s * 2 + o]!) ** 2 / 6;
        }
      }
      return sum;
    };
    const moved = network();
    meanFieldStep(moved, first, targets, 0.1);
    for (const name of ["u", "v"] as const)
      for (const at of [0, 5, 13, 23]) {
        const [up, down] = [network(), network()];
        up[name][at]! += 1e-5;
        down[name][at]! -= 1e-5;
        const gradient = (loss(up) - loss(down)) / 2e-5;
        const change = (network()[name][at]! - moved[name][at]!) / (0.1 * L * M * D);
        expect(Math.abs(change - gradient)).toBeLessThan(1e-9);
      }
  });
});

describe("mean-field", () => {
  test("the smoke preset finishes and is the descent of u and v in float64", async () => {
    const cells = memoryCells();
    const result = await runExperiment(gpu, meanField, smoke, { cells, check: true });
    expect(result.status).toBe("done");
    expect(formErrors(result)).toEqual([]);
    const claim = (id: string) => result.claims.find((one) => one.id === id)!;
    for (const step of [0, smoke.steps]) expect(claim(`float64-${step}`).verdict).toBe("holds");
    for (const scan of ["L", "M", "D"]) expect(claim(`initial-${scan}`).interval).toBeDefined();
    const scans = smoke.depths.length + smoke.hiddens.length + smoke.widths.length;
    expect(rowsOf(result, "errors").length).toBe(2 * scans * smoke.seeds.length);
    for (const row of rowsOf(result, "errors")) {
      expect(row.error).toBeGreaterThan(0);
      // Descent moves the state: a rate that were off by L, M or D would show here or in the comparison with float64.
      if (row.step === smoke.steps) expect(row.moved).toBeGreaterThan(0.01);
    }
    const resumed = await runExperiment(gpu, meanField, smoke, { cells });
    expect(resumed.tables).toEqual(result.tables);
  });

  test("ends and data are those of the seed, layers those of the network", () => {
    const [one, other] = casesOf(smoke).filter(({ seed, size }) => seed === 0 && size.D === 4 && size.L === 4);
    const weights = [one!, other!].map(({ spec }) => {
      if (!("W" in spec.weights)) throw new Error("weights are drawn by the study");
      return spec.weights;
    });
    expect(weights[1]!.A).toEqual(weights[0]!.A);
    expect(weights[1]!.B).toEqual(weights[0]!.B);
    expect(weights[1]!.W[0]).not.toBe(weights[0]!.W[0]);
    expect(other!.spec.data.inputs).toEqual(one!.spec.data.inputs);
  });

  test("training in float64 differs from no training", () => {
    const one = casesOf(smoke)[0]!;
    const states = float64States(one);
    const [before, after] = [states.get(0)!, states.get(smoke.steps)!];
    expect(Math.max(...before.map((value, i) => Math.abs(value - after[i]!)))).toBeGreaterThan(0.01);
  });
});
