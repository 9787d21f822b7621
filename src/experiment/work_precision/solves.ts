import type { SolveMethod } from "../../config/ode.ts";
import type { Gpu } from "../../gpu/device.ts";
import { EnsembleSolve } from "../../ode/ensemble.ts";
import { amplification } from "../../reference/amplification.ts";
import { integrate } from "../../reference/ode.ts";
import type { Cell } from "../record.ts";
import { methodOf } from "../solve_plan.ts";
import { median, quantile } from "../statistics.ts";
import { type Sweep, tolerancesOf, type WorkPrecisionConfig } from "./config.ts";

/** Half a unit in the last place of 1 in float32. */
const ROUNDING = 2 ** -24;
/** Of the float64 solves that stand for the truth; Rosenbrock methods take their Jacobian by differences. */
const TRUTH = 1e-12;
const STIFF_TRUTH = 1e-9;
/** Mesh on which roundings are counted. */
const FLOOR_TOLERANCE = 1e-6;

/** Of a trajectory: ten times what the slowest pair needs at the finest tolerance. */
const MOST_STEPS = 50_000;

/** A solve of all trajectories of a sweep by one method at one tolerance. */
export interface PointRow extends Record<string, Cell> {
  readonly problem: string;
  readonly method: SolveMethod;
  readonly order: number;
  readonly tolerance: number;
  /** Median and largest over the sampled trajectories of max_i |y_i − y*_i| / (scale + |y*_i|). */
  readonly error: number;
  readonly largest: number;
  /** Means over all trajectories. */
  readonly evaluations: number;
  readonly accepted: number;
  readonly rejected: number;
  /** Trajectories that did not reach t1. */
  readonly unfinished: number;
  /** µs of a trajectory: median and quartiles over the repeats. */
  readonly time: number;
  readonly lower: number;
  readonly upper: number;
}

/** States at t1 of sampled trajectories in float64. */
export interface Truth {
  /** Which trajectories. */
  readonly indices: readonly number[];
  readonly states: readonly (readonly number[])[];
  /** Error that independent roundings, one a step, come to: that of the middle trajectory. */
  readonly floor: number;
}

export function truthOf({ problem, parameters }: Sweep, sample: number): Truth {
  const { system, t0, t1, scale, stiff } = problem;
  const count = problem.parameters.length;
  const trajectories = parameters.length / count;
  const y0 = problem.y0.map(Math.fround);
  const of = (j: number) => parameters.subarray(j * count, (j + 1) * count);
  const tolerance = stiff ? STIFF_TRUTH : TRUTH;
  const indices = Array.from({ length: sample }, (_, k) => Math.round((k * (trajectories - 1)) / (sample - 1)));
  const method = stiff ? "rodas5p" : "dopri8";
  const states = indices.map((j) => {
    const steps = { kind: "adaptive", rtol: tolerance, atol: tolerance * scale } as const;
    const { status, y } = integrate(system, { method, t0, t1, y0, parameters: of(j), steps });
    if (status !== "done") throw new Error(`the float64 reference of ${problem.id} must reach t1, got ${status}`);
    return [...y];
  });
  const { rootSquares } = amplification(system, {
    method: stiff ? "rodas5p" : "tsit5",
    t0,
    t1,
    y0,
    parameters: of(Math.floor(trajectories / 2)),
    steps: { kind: "adaptive", rtol: FLOOR_TOLERANCE, atol: FLOOR_TOLERANCE * scale },
    scale,
  });
  return { indices, states, floor: ROUNDING * rootSquares };
}

/**
 * Solves at every tolerance once for errors and counts, then `repeats` times for the time from the first dispatch to the last
 * result. Tolerances take turns, so that what else the machine does meets all of them.
 */
export async function solveCurve(
  gpu: Gpu,
  config: WorkPrecisionConfig,
  sweep: Sweep,
  truth: Truth,
  method: SolveMethod,
): Promise<PointRow[]> {
  const { problem, parameters } = sweep;
  const { dimension, scale, t0, t1, y0, field } = problem;
  const n = config.trajectories;
  const initial = new Float32Array(n * dimension);
  for (let j = 0; j < n; j++) initial.set(y0, j * dimension);
  const tolerances = tolerancesOf(config, method);
  const create = (tolerance: number) =>
    EnsembleSolve.create(
      gpu,
      { field, initial, parameters, start: t0, end: t1 },
      {
        method,
        steps: { kind: "adaptive", rtol: tolerance, atol: tolerance * scale, maxSteps: MOST_STEPS },
      },
    );
  const mean = (list: Uint32Array) => list.reduce((sum, x) => sum + x, 0) / n;
  const counted: Omit<PointRow, "time" | "lower" | "upper">[] = [];
  for (const tolerance of tolerances) {
    const solve = await create(tolerance);
    await solve.run();
    const states = await solve.states();
    const { status, accepted, rejected, evaluations } = await solve.status();
    solve.destroy();
    const errors = truth.indices.map((j, k) =>
      Math.max(...truth.states[k].map((x, i) => Math.abs(states[j * dimension + i] - x) / (scale + Math.abs(x)))),
    );
    counted.push({
      problem: sweep.name,
      method,
      order: methodOf(method).order,
      tolerance,
      error: median(errors),
      largest: Math.max(...errors),
      evaluations: mean(evaluations),
      accepted: mean(accepted),
      rejected: mean(rejected),
      unfinished: status.filter((one) => one !== "done").length,
    });
  }
  const times: number[][] = tolerances.map(() => []);
  for (let repeat = 0; repeat < config.repeats; repeat++) {
    for (const [k, tolerance] of tolerances.entries()) {
      const solve = await create(tolerance);
      await gpu.settle();
      const started = performance.now();
      await solve.run();
      times[k].push((1e3 * (performance.now() - started)) / n);
      solve.destroy();
    }
  }
  return counted.map((point, k) => ({
    ...point,
    time: median(times[k]),
    lower: quantile(times[k], 0.25),
    upper: quantile(times[k], 0.75),
  })) as PointRow[];
}
