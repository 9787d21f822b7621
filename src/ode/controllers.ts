/** How a solve of one trajectory ended; the number is the code in a buffer on the device. */
export const SOLVE_STATUSES = {
  /** t1 is reached. */
  done: 0,
  /** A terminal event occurred. */
  event: 1,
  /** `maxSteps` steps, accepted and rejected, were not enough. */
  max_steps: 2,
  /** The controller asked for a step below `dtMin`, or one that does not change t. */
  dt_min: 3,
  /** A right-hand side or a state was not finite, with an adaptive step down to the least one. */
  non_finite: 4,
  /** Newton's method did not converge, with an adaptive step down to the least one. */
  newton_fail: 5,
  /** Stopped between steps; the solve can go on from there. */
  not_finished: 6,
  cancelled: 7,
} as const;
export type SolveStatus = keyof typeof SOLVE_STATUSES;

/** Rounds the result of an operation: the identity for float64, `Math.fround` for float32. */
export type Round = (x: number) => number;

export const ERROR_NORMS = ["rms", "max"] as const;
export type ErrorNorm = (typeof ERROR_NORMS)[number];

export const CONTROLLER_NAMES = ["diffrax-i", "diffrax-pi", "arkode-pid", "sciml-i", "sciml-pi"] as const;
export type ControllerName = (typeof CONTROLLER_NAMES)[number];

/**
 * A step-size controller. With E the scaled error of the step tried, E' and E'' those of the two accepted steps before it,
 * and k = errorOrder + 1 the order of the error estimate in h, the next step is h times
 *
 *     factor = safety · E^(−(p+i+d)/k) · E'^((p+2d)/k) · E''^(−d/k)
 *
 * clipped to [1 or factorMin, factorMax] after an accepted and to [factorMin, safety] after a rejected step (Hairer and
 * Wanner, Solving Ordinary Differential Equations II, section IV.2; Söderlind, ACM TOMS 29, 2003). Decisions taken here: the
 * error is scaled component by component before the norm, `safety` stands outside the exponents, and an error is scaled
 * with the states of its own step.
 */
export interface Controller {
  readonly p: number;
  readonly i: number;
  readonly d: number;
  readonly safety: number;
  readonly factorMin: number;
  readonly factorMax: number;
  /** Whether the step after an accepted one may be smaller. */
  readonly shrinkAfterAccept: boolean;
  /** Whether E' and E'' enter the factor after a rejected step; without them it is safety · E^(−(p+i+d)/k). */
  readonly rejectWithHistory: boolean;
  /** A step of error exactly 1 is accepted. */
  readonly acceptOne: boolean;
  /** E' and E'' before the first accepted step. */
  readonly initialError: number;
  /** Least E' kept; an error of 0 below a floor of 0 counts as 1. */
  readonly errorFloor: number;
}

const DIFFRAX = {
  d: 0,
  safety: 0.9,
  factorMin: 0.2,
  factorMax: 10,
  shrinkAfterAccept: false,
  rejectWithHistory: true,
  acceptOne: false,
  initialError: 1,
  errorFloor: 0,
} as const;
const SCIML = {
  d: 0,
  safety: 0.9,
  factorMin: 0.2,
  factorMax: 10,
  shrinkAfterAccept: true,
  rejectWithHistory: false,
  acceptOne: true,
  initialError: 1e-4,
  errorFloor: 1e-4,
} as const;

/**
 * Controllers by name. `diffrax-i` is the default of diffrax 0.7 (`PIDController`), `diffrax-pi` the coefficients its
 * documentation advises for moderately difficult problems. `arkode-pid` has the coefficients of SUNDIALS ARKODE's PID
 * controller (k1 = 0.58, k2 = 0.21, k3 = 0.1) with diffrax's limits. `sciml-pi` is that of the GPU kernels of
 * DiffEqGPU.jl (β1 = 7/(10 k), β2 = 2/(5 k)), `sciml-i` its integral form.
 */
export const CONTROLLERS: Readonly<Record<ControllerName, Controller>> = {
  "diffrax-i": { ...DIFFRAX, p: 0, i: 1 },
  "diffrax-pi": { ...DIFFRAX, p: 0.4, i: 0.3 },
  "arkode-pid": { ...DIFFRAX, p: 0.01, i: 0.47, d: 0.1 },
  "sciml-i": { ...SCIML, p: 0, i: 1 },
  "sciml-pi": { ...SCIML, p: 0.4, i: 0.3 },
};

/** Exponents of 1/E, E' and 1/E'' in the factor; an exponent of 0 is no operation. */
export function controllerExponents({ p, i, d }: Controller, k: number): readonly [number, number, number] {
  return [(p + i + d) / k, (p + 2 * d) / k, d / k];
}

/** Scaled errors of the last two accepted steps. */
export interface ErrorHistory {
  readonly previous: number;
  readonly beforePrevious: number;
}

export function initialHistory({ initialError }: Controller): ErrorHistory {
  return { previous: initialError, beforePrevious: initialError };
}

export interface ControlDecision {
  readonly accepted: boolean;
  /** Of the step tried, to the next one. */
  readonly factor: number;
  readonly history: ErrorHistory;
}

/**
 * Judges a step of scaled error `error`. An error that is not finite rejects the step with `factorMin`; so does a step that
 * has no result (an implicit stage without solution), passed as Infinity.
 */
export function control(
  controller: Controller,
  k: number,
  error: number,
  history: ErrorHistory,
  round: Round,
): ControlDecision {
  const { safety, factorMin, factorMax, shrinkAfterAccept, rejectWithHistory, acceptOne, errorFloor } = controller;
  if (!Number.isFinite(error)) return { accepted: false, factor: round(factorMin), history };
  const accepted = acceptOne ? error <= 1 : error < 1;
  const [now, before, beforeThat] = controllerExponents(controller, k);
  let factor = round(factorMax);
  if (error > 0) {
    factor = round(round(safety) * round(error ** -round(now)));
    if (accepted || rejectWithHistory) {
      if (before !== 0) factor = round(factor * round(history.previous ** round(before)));
      if (beforeThat !== 0) factor = round(factor * round(history.beforePrevious ** -round(beforeThat)));
    }
  }
  const least = accepted && !shrinkAfterAccept ? 1 : round(factorMin);
  const most = accepted ? round(factorMax) : round(safety);
  factor = Math.min(Math.max(factor, least), most);
  if (!accepted) return { accepted, factor, history };
  const kept = Math.max(error, round(errorFloor));
  return { accepted, factor, history: { previous: kept === 0 ? 1 : kept, beforePrevious: history.previous } };
}

/** Tolerances: `atol` one number, or one a component. */
export interface Tolerances {
  readonly rtol: number;
  readonly atol: number | ArrayLike<number>;
}

/**
 * Norm of error_i / (atol_i + rtol · max(|y0_i|, |y1_i|)): `rms` √(Σ x_i²/n), `max` max |x_i|. Components in increasing
 * order; NaN where one is NaN.
 */
export function errorNorm(
  norm: ErrorNorm,
  { rtol, atol }: Tolerances,
  error: ArrayLike<number>,
  y0: ArrayLike<number>,
  y1: ArrayLike<number>,
  round: Round,
): number {
  let total = 0;
  for (let i = 0; i < error.length; i++) {
    const size = Math.max(Math.abs(y0[i]), Math.abs(y1[i]));
    const scale = round(round(typeof atol === "number" ? atol : atol[i]) + round(round(rtol) * size));
    const scaled = round(Math.abs(error[i]) / scale);
    total = norm === "rms" ? round(total + round(scaled * scaled)) : Math.max(total, scaled);
  }
  return norm === "rms" ? round(Math.sqrt(round(total / error.length))) : total;
}

/**
 * Length of the first step (Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, section II.4): with
 * d_0 = ‖y0‖, d_1 = ‖f0‖ in the scaled norm, h_0 = 0.01 d_0/d_1 (1e-6 where one is below 1e-5), an Euler step of it, which is
 * kept inside the span, d_2 = ‖f(t0 + h_0, y0 + h_0 f0) − f0‖/h_0, h_1 = (0.01/max(d_1, d_2))^(1/k), and min(100 h_0, h_1).
 * One evaluation of `slope`(t, y). `direction` is ±1, `span` = |t1 − t0|: the length where one of d_0, d_1, d_2 is not finite, for
 * the first step finds that out.
 */
export function initialStep(
  slope: (t: number, y: Float64Array) => Float64Array,
  start: { t0: number; y0: Float64Array; f0: Float64Array; direction: number; span: number },
  k: number,
  norm: ErrorNorm,
  tolerances: Tolerances,
  round: Round,
): number {
  const { t0, y0, f0, direction, span } = start;
  const size = (x: Float64Array) => errorNorm(norm, tolerances, x, y0, y0, round);
  const d0 = size(y0);
  const d1 = size(f0);
  const probe = d0 < 1e-5 || d1 < 1e-5 ? round(1e-6) : round(round(0.01) * round(d0 / d1));
  const h0 = Math.min(probe, span);
  const signed = direction * h0;
  const f1 = slope(
    round(t0 + signed),
    y0.map((y, i) => round(y + round(signed * f0[i]))),
  );
  const d2 = round(size(f1.map((f, i) => round(f - f0[i]))) / h0);
  if (![d0, d1, d2].every(Number.isFinite)) return span;
  const steepest = Math.max(d1, d2);
  const h1 =
    steepest <= 1e-15
      ? Math.max(round(1e-6), round(h0 * round(1e-3)))
      : round(round(round(0.01) / steepest) ** round(1 / k));
  return Math.min(round(100 * h0), h1, span);
}
