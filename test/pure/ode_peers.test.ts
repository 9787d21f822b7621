import { describe, expect, it } from "vitest";
import {
  contestsOf,
  defaultOdePeers,
  MARK,
  ODE_PEERS,
  odeCase,
  quickestWithin,
  TRIED,
} from "../../src/benchmark/ode_peer_comparison.ts";
import {
  answerError,
  lorenzStepFlops,
  lorenzSweep,
  RHO,
  trueAnswers,
  trueGradients,
} from "../../src/benchmark/ode_problem.ts";
import { parsePeers } from "../../src/benchmark/peer_comparison.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { integrate } from "../../src/reference/ode.ts";

describe("the sweep", () => {
  it("goes from ρ = 0 to 21 in float32, and checks its ends", () => {
    const { parameters, checked, trajectories } = lorenzSweep(10_000);
    expect([...parameters.subarray(0, 3)]).toEqual([10, 0, Math.fround(8 / 3)]);
    expect(parameters.at(-2)).toBe(21);
    expect([checked[0], checked.at(-1), checked.length, trajectories]).toEqual([0, 9999, 257, 10_000]);
    expect(new Set(checked).size).toBe(257);
    expect(lorenzSweep(3).checked).toEqual([0, 1, 2]);
    for (const n of [1, 2.5, Number.NaN]) expect(() => lorenzSweep(n)).toThrow(ConfigError);
  });

  it("as a case is the same numbers", () => {
    const sweep = lorenzSweep(4);
    const { sigma, beta, rho, initial, checked } = JSON.parse(JSON.stringify(odeCase(sweep)));
    expect(new Float32Array(rho.flatMap((r: number) => [sigma, r, beta]))).toEqual(sweep.parameters);
    expect([initial, checked]).toEqual([
      [1, 0, 0],
      [0, 1, 2, 3],
    ]);
  });

  it("has true answers: x decays alone at ρ = 0, and RK4 with many steps agrees", () => {
    const sweep = lorenzSweep(2);
    const [x, ...rest] = trueAnswers(sweep);
    // At ρ = 0 the state (x, y, z) = (1, 0, 0) has y' = −y − x z = 0 and z' = 0: x = e^(−σ t).
    expect(x).toBeCloseTo(Math.exp(-10), 12);
    expect(rest.slice(0, 2)).toEqual([0, 0]);
    const own = sweep.parameters.subarray(3, 6);
    const steps = { kind: "fixed", count: 4000 } as const;
    const { y } = integrate(FIELDS.lorenz, { method: "rk4", t0: 0, t1: 1, y0: [1, 0, 0], parameters: own, steps });
    // The error of RK4 falls by 16 with every halving; 1.4e-10 at 1,000 steps.
    rest.slice(2).forEach((value, i) => {
      expect(Math.abs(value - y[i]!)).toBeLessThan(1e-11 * 15);
    });
  });

  it("has true gradients, by differences of true answers", () => {
    const sweep = lorenzSweep(3);
    const h = 2 ** -10;
    const moved = (sign: number) => {
      const parameters = sweep.parameters.map((p, i) => (i % 3 === RHO ? p + sign * h : p));
      const answers = trueAnswers({ ...sweep, parameters });
      return [0, 3, 6].map((at) => answers.subarray(at, at + 3).reduce((sum, y) => sum + y * y, 0));
    };
    const [above, below] = [moved(1), moved(-1)];
    trueGradients(sweep).forEach((gradient, k) => {
      // Central differences: an error of h² times a third derivative of the size of the gradient.
      const difference = (above[k]! - below[k]!) / (2 * h);
      expect(Math.abs(gradient - difference)).toBeLessThan(1e-5 * Math.max(1, Math.abs(gradient)));
    });
  });
});

describe("errors", () => {
  it("are relative to the larger of 1 and the largest component", () => {
    const truth = Float64Array.of(0.5, 0, 0, 0, 20, 0);
    expect(answerError([0.5, 0.3, 0, 0, 20, 8], truth)).toEqual({
      rms: Math.sqrt((0.3 ** 2 + 0.4 ** 2) / 2),
      median: 0.35,
      largest: 0.4,
    });
    expect(answerError(truth, truth).rms).toBe(0);
  });

  it("are none where an answer is none", () => {
    expect(answerError([0, Number.NaN, 0], new Float64Array(3)).rms).toBeNaN();
    expect(answerError([0, Number.POSITIVE_INFINITY, 0], new Float64Array(3)).largest).toBeNaN();
    expect(() => answerError([0, 0], new Float64Array(3))).toThrow(RangeError);
  });
});

it("operations of a step are counted from its coefficients", () => {
  // Four slopes of 8; arguments of 1 coefficient, 3 each, and the step of 4: 3 (3 · 3 + 9).
  expect(lorenzStepFlops("rk4", false)).toBe(4 * 8 + 3 * (3 * 3 + 9));
  // Six slopes; rows of 1, 2, 3, 4, 5 and 6 coefficients; then 7 of the error, a norm and a controller.
  expect(lorenzStepFlops("tsit5", false)).toBe(6 * 8 + 3 * (2 * 21 + 6));
  expect(lorenzStepFlops("tsit5", true)).toBe(192 + 3 * (2 * 7 + 5) + 2 + 3 + 8);
});

describe("the comparison", () => {
  it("takes the quickest setting within the error", () => {
    const trial = (setting: number, ms: number, error: number) => ({ setting, ms, error });
    const trials = [trial(1, 1, 0.3), trial(2, 5, 0.1), trial(3, 2, 0.05), trial(4, 3, 0), trial(5, 0, Number.NaN)];
    expect(quickestWithin(trials, 0.1)?.setting).toBe(3);
    expect(quickestWithin(trials, 0.01)?.setting).toBe(4);
    expect(quickestWithin(trials.slice(0, 2), 0.05)).toBeUndefined();
    expect(quickestWithin(trials, Number.NaN)).toBeUndefined();
  });

  it("has all peers by default, deeplimit first with the mark among its methods", () => {
    const specs = parsePeers(defaultOdePeers(), ODE_PEERS);
    expect(specs.map(({ name }) => name)).toEqual(Object.keys(ODE_PEERS));
    expect(specs[0]!.name).toBe("deeplimit");
    const [equal, same] = contestsOf(specs);
    expect(equal!.entries.every(({ method }) => method.kind === "fixed")).toBe(true);
    expect(same!.entries[0]!.method).toEqual(MARK.method);
    expect(TRIED[MARK.method.kind]).toContain(MARK.setting);
    for (const { name } of specs)
      expect(
        same!.entries.some(({ spec }) => spec.name === name),
        name,
      ).toBe(true);
  });

  it("tries from coarse to fine", () => {
    expect(TRIED.fixed).toEqual(TRIED.fixed.toSorted((a, b) => a - b));
    expect(TRIED.adaptive).toEqual(TRIED.adaptive.toSorted((a, b) => b - a));
  });
});
