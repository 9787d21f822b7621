/** The ensemble that the benchmark integrates: a sweep of the Lorenz equations over ρ, its true answers, and errors. Pure. */
import { ConfigError } from "../config/errors.ts";
import type { EnsembleInput, StepsConfig } from "../config/ode.ts";
import { quantile } from "../experiment/statistics.ts";
import type { EnsembleProblem } from "../ode/ensemble_types.ts";
import { FIELDS } from "../ode/fields.ts";
import type { Tableau } from "../ode/method.ts";
import { METHODS as TABLEAUS } from "../ode/tableaus.ts";
import { type StepSize, stepFlops } from "../plan/ode_work.ts";
import { integrate, type OdeSolution } from "../reference/ode.ts";
import { replayGradient } from "../reference/ode_adjoint.ts";

export const DIMENSION = 3;
/** Operations of σ (y − x), x (ρ − z) − y, x y − β z, and those of them that wait for each other. */
const FIELD = { fieldFlops: 8, fieldDepth: 3 };
const [SIGMA, BETA] = [10, 8 / 3];
const MOST_RHO = 21;
/** Place of ρ among the parameters. */
export const RHO = 1;
/** Trajectories held against the true answers, evenly over the sweep. */
const CHECKED = 257;
/** Of float64, where the answers of a method of order 8 no longer move. */
const REFERENCE_TOLERANCE = 1e-13;

/**
 * The sweep of GPUODEBenchmarks (Utkarsh et al., CMAME 419, 2024): σ = 10, β = 8/3, ρ even over [0, 21], (1, 0, 0) at
 * t = 0, to t = 1. Parameters are rounded to float32, so that every library solves the same problem.
 */
export interface LorenzSweep {
  readonly trajectories: number;
  /** σ, ρ, β of each trajectory, [n, 3]. */
  readonly parameters: Float32Array;
  readonly start: number;
  readonly end: number;
  readonly initial: readonly [number, number, number];
  /** Trajectories whose answers are compared, increasing. */
  readonly checked: readonly number[];
}

/** @throws ConfigError for fewer than two trajectories */
export function lorenzSweep(trajectories: number): LorenzSweep {
  if (!Number.isInteger(trajectories) || trajectories < 2)
    throw new ConfigError("trajectories", "must be an integer of at least 2", trajectories);
  const parameters = new Float32Array(DIMENSION * trajectories);
  for (let j = 0; j < trajectories; j++)
    parameters.set([SIGMA, (MOST_RHO * j) / (trajectories - 1), BETA], DIMENSION * j);
  const count = Math.min(CHECKED, trajectories);
  const checked = Array.from({ length: count }, (_, k) => Math.round((k * (trajectories - 1)) / (count - 1)));
  return { trajectories, parameters, start: 0, end: 1, initial: [1, 0, 0], checked };
}

export const FIXED_STEPS = 1000;
const TOLERANCE = { value: 1e-6, text: "1e-6" };

/** A method of the ensemble solver with its steps, as the benchmark asks for it. */
export interface Method {
  readonly method: "rk4" | "tsit5" | "dopri5";
  readonly steps: EnsembleInput["steps"] & { readonly kind: StepsConfig["kind"] };
  /** In words. */
  readonly text: string;
  /** Its gradient is timed, too. */
  readonly gradient: boolean;
}
const fixed = { steps: { kind: "fixed", count: FIXED_STEPS }, text: `${FIXED_STEPS} fixed` } as const;
const adaptive = {
  steps: { kind: "adaptive", rtol: TOLERANCE.value, atol: TOLERANCE.value },
  text: `adaptive ${TOLERANCE.text}`,
} as const;
export const METHODS: readonly Method[] = [
  { method: "rk4", ...fixed, gradient: true },
  { method: "tsit5", ...fixed, gradient: false },
  { method: "tsit5", ...adaptive, gradient: true },
  { method: "dopri5", ...adaptive, gradient: false },
];

/** What the ensemble solver takes. */
export function problemOf({ trajectories, parameters, initial, start, end }: LorenzSweep): EnsembleProblem {
  const states = new Float32Array(DIMENSION * trajectories);
  for (let j = 0; j < trajectories; j++) states.set(initial, DIMENSION * j);
  return { field: "lorenz", initial: states, parameters, start, end };
}

/** y(t1) of the checked trajectories in float64, [checked, 3]. */
export function trueAnswers(sweep: LorenzSweep): Float64Array {
  return Float64Array.from(sweep.checked.flatMap((j) => [...trueSolution(sweep, j).y]));
}

/** d|y(t1)|²/dρ of the checked trajectories in float64. */
export function trueGradients(sweep: LorenzSweep): Float64Array {
  return Float64Array.from(sweep.checked, (j) => {
    const { y, steps } = trueSolution(sweep, j);
    const { start, initial, parameters } = sweep;
    const own = parameters.subarray(DIMENSION * j, DIMENSION * (j + 1));
    const replay = { method: "dopri8", t0: start, y0: initial, parameters: own, steps } as const;
    return replayGradient(FIELDS.lorenz, replay, { y: y.map((x) => 2 * x) }).parameters[RHO]!;
  });
}

function trueSolution({ parameters, start, end, initial }: LorenzSweep, j: number): OdeSolution {
  return integrate(FIELDS.lorenz, {
    method: "dopri8",
    t0: start,
    t1: end,
    y0: initial,
    parameters: parameters.subarray(DIMENSION * j, DIMENSION * (j + 1)),
    steps: { kind: "adaptive", rtol: REFERENCE_TOLERANCE, atol: REFERENCE_TOLERANCE },
  });
}

export interface AnswerError {
  /** Root mean square over the checked trajectories. */
  readonly rms: number;
  readonly median: number;
  readonly largest: number;
}

/**
 * Errors of answers [checked, 3]. The error of a trajectory is its largest difference in a component, over the largest
 * component of the true answer or 1. NaN where an answer is not a finite number.
 * @throws RangeError when there are not as many answers as true ones
 */
export function answerError(answers: ArrayLike<number>, truth: Float64Array): AnswerError {
  if (answers.length !== truth.length)
    throw new RangeError(`${truth.length} numbers are compared, there are ${answers.length}`);
  const errors: number[] = [];
  for (let at = 0; at < truth.length; at += DIMENSION) {
    let [difference, size] = [0, 1];
    for (let i = at; i < at + DIMENSION; i++) {
      if (!Number.isFinite(answers[i]!)) return { rms: Number.NaN, median: Number.NaN, largest: Number.NaN };
      difference = Math.max(difference, Math.abs(answers[i]! - truth[i]!));
      size = Math.max(size, Math.abs(truth[i]!));
    }
    errors.push(difference / size);
  }
  return {
    rms: Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length),
    median: quantile(errors, 0.5),
    largest: Math.max(...errors),
  };
}

/** Operations of one step attempt of one trajectory, by the conventions of `plan/ode_work.ts`. */
export function lorenzStepFlops(method: "rk4" | "tsit5" | "dopri5", adaptive: boolean): number {
  return stepFlops(stepSize(TABLEAUS[method] as Tableau, adaptive));
}

function stepSize({ a, b, fsal, error }: Tableau, adaptive: boolean): StepSize {
  const nonzero = (row: readonly number[]) => row.filter((x) => x !== 0).length;
  return {
    dimension: DIMENSION,
    evaluations: b.length - (fsal ? 1 : 0),
    ...FIELD,
    rows: [...a.slice(1, fsal ? -1 : undefined), b].map(nonzero),
    ...(adaptive && error && { error: nonzero(error) }),
  };
}
