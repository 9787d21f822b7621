import { expect, it } from "vitest";
import {
  CONTROLLER_NAMES,
  CONTROLLERS,
  control,
  controllerExponents,
  errorNorm,
  initialHistory,
  initialStep,
  SOLVE_STATUSES,
} from "../../src/ode/controllers.ts";

const exact = (x: number): number => x;
const K = 5;

it("limits and exponents are those of the libraries", () => {
  for (const name of CONTROLLER_NAMES) {
    const { safety, factorMin, factorMax } = CONTROLLERS[name];
    expect([safety, factorMin, factorMax]).toEqual([0.9, 0.2, 10]);
  }
  const close = (name: keyof typeof CONTROLLERS, expected: readonly number[]) =>
    controllerExponents(CONTROLLERS[name], K).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 15);
    });
  close("diffrax-i", [1 / 5, 0, 0]);
  close("diffrax-pi", [0.7 / 5, 0.4 / 5, 0]);
  // DiffEqGPU.jl: β1 = 7/(10 k), β2 = 2/(5 k); ARKODE: k1, k2, k3 over k.
  close("sciml-pi", [7 / 50, 2 / 25, 0]);
  close("arkode-pid", [0.58 / 5, 0.21 / 5, 0.1 / 5]);
});

it("diffrax: after an accepted step the factor lies in [1, 10], after a rejected one in [0.2, 0.9]", () => {
  const controller = CONTROLLERS["diffrax-i"];
  const start = initialHistory(controller);
  for (const error of [1e-9, 1e-3, 0.3, 0.8, 0.999999, 1, 1.2, 30, 1e9]) {
    const { accepted, factor, history } = control(controller, K, error, start, exact);
    const wanted = 0.9 * error ** (-1 / 5);
    expect(accepted).toBe(error < 1);
    expect(factor).toBeCloseTo(
      error < 1 ? Math.min(10, Math.max(1, wanted)) : Math.min(0.9, Math.max(0.2, wanted)),
      14,
    );
    expect(history).toEqual(error < 1 ? { previous: error, beforePrevious: 1 } : start);
  }
});

it("SciML's PI law: q = E^β1/E'^β2, divided by 0.9; a rejection leaves E' out", () => {
  const controller = CONTROLLERS["sciml-pi"];
  let history = initialHistory(controller);
  expect(history.previous).toBe(1e-4);
  const q = (error: number, before: number) => error ** (7 / 50) / before ** (2 / 25);
  for (const error of [0.5, 2, 0.01, 1, 1e-7, 40]) {
    const decision = control(controller, K, error, history, exact);
    expect(decision.accepted).toBe(error <= 1);
    const wanted = error <= 1 ? 0.9 / q(error, history.previous) : 0.9 / error ** (7 / 50);
    expect(decision.factor).toBeCloseTo(Math.min(10, Math.max(0.2, wanted)), 13);
    if (error <= 1) expect(decision.history.previous).toBe(Math.max(error, 1e-4));
    else expect(decision.history).toBe(history);
    history = decision.history;
  }
});

it("the PID law has all three errors", () => {
  const { factor, history } = control(
    CONTROLLERS["arkode-pid"],
    4,
    0.05,
    { previous: 0.3, beforePrevious: 0.7 },
    exact,
  );
  expect(factor).toBeCloseTo(0.9 * 0.05 ** (-0.58 / 4) * 0.3 ** (0.21 / 4) * 0.7 ** (-0.1 / 4), 14);
  expect(history).toEqual({ previous: 0.05, beforePrevious: 0.3 });
});

it.each(CONTROLLER_NAMES)("%s: no error grows by 10, no result shrinks by 5, history untouched", (name) => {
  const controller = CONTROLLERS[name];
  const start = initialHistory(controller);
  const none = control(controller, K, 0, start, exact);
  expect([none.accepted, none.factor]).toEqual([true, 10]);
  expect(none.history.previous).toBeGreaterThan(0);
  for (const error of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(control(controller, K, error, start, exact)).toEqual({ accepted: false, factor: 0.2, history: start });
  }
});

it("in float32 every result is a float32", () => {
  for (const name of CONTROLLER_NAMES) {
    const { factor } = control(
      CONTROLLERS[name],
      K,
      Math.fround(0.02),
      { previous: 0.25, beforePrevious: 0.5 },
      Math.fround,
    );
    expect(Math.fround(factor)).toBe(factor);
    const inFull = control(
      CONTROLLERS[name],
      K,
      Math.fround(0.02),
      { previous: 0.25, beforePrevious: 0.5 },
      exact,
    ).factor;
    // Two powers, two products, and coefficients rounded once.
    expect(Math.abs(factor / inFull - 1)).toBeLessThan(8 * 2 ** -24);
  }
});

it("error norms", () => {
  const tolerances = { rtol: 0.1, atol: [1, 2] };
  const norm = (kind: "rms" | "max", error: number[]) => errorNorm(kind, tolerances, error, [3, -10], [-5, 4], exact);
  // Scales 1 + 0.1·5 and 2 + 0.1·10.
  expect(norm("rms", [1.5, -6])).toBeCloseTo(Math.sqrt((1 + 4) / 2), 15);
  expect(norm("max", [1.5, -6])).toBe(2);
  expect(norm("rms", [Number.NaN, 0])).toBeNaN();
  expect(norm("max", [Number.NaN, 0])).toBeNaN();
});

it("the first step follows Hairer's rule, and its probe stays inside the span", () => {
  const tolerances = { rtol: 0, atol: 1 };
  const seen: number[] = [];
  const slope = (t: number, y: Float64Array) => {
    seen.push(t);
    return y.map((value) => -2 * value);
  };
  const step = (y0: number, direction: number, span: number) => {
    const y = Float64Array.of(y0);
    const start = { t0: 1, y0: y, f0: y.map((value) => -2 * value), direction, span };
    return initialStep(slope, start, K, "rms", tolerances, exact);
  };
  // d0 = 3, d1 = 6, h0 = 0.005, f1 − f0 = −2·0.005·(−6): d2 = 12.
  expect(step(3, 1, 10)).toBeCloseTo(Math.min(0.5, (0.01 / 12) ** (1 / 5)), 14);
  expect(seen.pop()).toBeCloseTo(1.005, 15);
  // Near rest: probe 1e-6, d1 = 2e-6 rules.
  expect(step(1e-6, 1, 10)).toBeCloseTo(100 * 1e-6, 15);
  expect(step(3, -1, 0.002)).toBe(0.002);
  expect(seen.pop()).toBe(1 - 0.002);
});

it.each([
  ["f(t0, y0)", [Number.POSITIVE_INFINITY, 0], [1, 0]],
  ["f after the probe", [1, 0], [Number.NaN, 0]],
  ["f after the probe, infinite", [1, 0], [Number.POSITIVE_INFINITY, 0]],
])("the first step is the span where %s is not finite", (_, f0, f1) => {
  const start = { t0: 0, y0: Float64Array.of(1, 1), f0: Float64Array.from(f0), direction: 1, span: 7 };
  expect(initialStep(() => Float64Array.from(f1), start, K, "rms", { rtol: 0, atol: 1 }, exact)).toBe(7);
});

it("statuses have distinct codes", () => {
  const codes = Object.values(SOLVE_STATUSES);
  expect(new Set(codes).size).toBe(codes.length);
  expect(SOLVE_STATUSES.done).toBe(0);
});
