import type { MethodName } from "../ode/tableaus.ts";
import { type AdaptiveSteps, type FixedSteps, integrate, type OdeSolution } from "./ode.ts";
import type { OdeSystem } from "./ode_steps.ts";

/** Differences of steps need stages that are solved to the end. */
const NEWTON = { rtol: 1e-12, atol: 1e-15, iterations: 100 };

export interface AmplificationOptions {
  readonly method: MethodName;
  readonly t0: number;
  readonly t1: number;
  readonly y0: ArrayLike<number>;
  readonly parameters: ArrayLike<number>;
  readonly steps: FixedSteps | AdaptiveSteps;
  /** Accepted and rejected together. Default 100,000. */
  readonly maxSteps?: number;
  /** w_i(t) = scale + |y_i(t)| is what an error of component i is measured in. */
  readonly scale: number;
}

export interface Amplification {
  /** Σ over the accepted steps n of max_i Σ_j |∂y_i(t1)/∂y_j(t_n)| w_j(t_n) / w_i(t1). */
  readonly sum: number;
  /** Root of the sum of squares instead: what errors that are independent come to. */
  readonly rootSquares: number;
  /** The float64 solve whose steps these are, saved after every step. */
  readonly solution: OdeSolution;
}

/**
 * What becomes of the errors that every step makes, to first order: errors of at most ε w_i(t_n) of the components after each
 * step n lead to at most `sum` · ε w_i(t1) at the end. Float64; the derivative of a step is taken by central differences of the
 * method itself. Infinite when the solve did not end at t1.
 */
export function amplification(system: OdeSystem, options: AmplificationOptions): Amplification {
  const { method, t0, t1, parameters, scale } = options;
  const n = system.dimension;
  const y0 = Float64Array.from(options.y0);
  const save = { kind: "steps", every: 1 } as const;
  const maxSteps = options.maxSteps ?? 100_000;
  const solution = integrate(system, { method, parameters, t0, t1, y0, steps: options.steps, save, maxSteps });
  const { times, states, accepted, status } = solution;
  if (status !== "done") return { sum: Number.POSITIVE_INFINITY, rootSquares: Number.POSITIVE_INFINITY, solution };
  const state = (k: number) => (k < 0 ? y0 : states.subarray(k * n, (k + 1) * n));
  const step = (k: number, y: Float64Array) => {
    const span = { t0: k === 0 ? t0 : times[k - 1], t1: times[k] };
    return integrate(system, { method, parameters, newton: NEWTON, ...span, y0: y, steps: { kind: "fixed", count: 1 } })
      .y;
  };
  const weight = (y: Float64Array, i: number) => scale + Math.abs(y[i]);
  const end = state(accepted - 1);
  // Row i: ∂y_i(t1)/∂y(t_n), from the last step to the first.
  let rows = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  let sum = 0;
  let squares = 0;
  for (let k = accepted - 1; k >= 0; k--) {
    const y = state(k);
    const along = rows.map((row) => row.reduce((total, x, j) => total + Math.abs(x) * weight(y, j), 0));
    const grown = Math.max(...along.map((value, i) => value / weight(end, i)));
    sum += grown;
    squares += grown * grown;
    const before = state(k - 1);
    const columns = Array.from({ length: n }, (_, j) => {
      const [up, down] = [before.slice(), before.slice()];
      const move = 1e-5 * weight(before, j);
      up[j] += move;
      down[j] -= move;
      const [high, low] = [step(k, up), step(k, down)];
      return high.map((x, i) => (x - low[i]) / (up[j] - down[j]));
    });
    rows = rows.map((row) => Float64Array.from(columns, (column) => row.reduce((s, x, i) => s + x * column[i], 0)));
  }
  return { sum, rootSquares: Math.sqrt(squares), solution };
}
