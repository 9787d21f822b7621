import type { UserField } from "../config/ode.ts";
import type { SolveStatus } from "./controllers.ts";
import type { FieldName } from "./fields.ts";

/** n initial-value problems dy/dt = f(t, y; p) of one right-hand side f. */
export interface EnsembleProblem {
  readonly field: FieldName | UserField;
  /** y(t0), [n, dimension]. A trajectory whose numbers are not finite ends with a status of its own. */
  readonly initial: Float32Array;
  /** [n, parameters], or [parameters] for all trajectories; default: those of a built-in field. */
  readonly parameters?: Float32Array;
  /** t0 and t1, of all trajectories or [n]; t1 may lie before t0, or on it. */
  readonly start: number | Float32Array;
  readonly end: number | Float32Array;
  /** [n] each; where given, they take the place of those of the steps. */
  readonly rtol?: Float32Array;
  readonly atol?: Float32Array;
  readonly initialStep?: Float32Array;
}

/** Where a solve stands. */
export interface EnsembleSummary {
  /** `running` between chunks, `cancelled` after an abort; a cancelled solve goes on with the next `run`. */
  readonly status: "running" | "done" | "cancelled";
  readonly trajectories: number;
  /** Trajectories of each status; unfinished ones are `not_finished`, or `cancelled` after an abort. */
  readonly counts: Readonly<Record<SolveStatus, number>>;
  /** Steps of all trajectories. */
  readonly accepted: number;
  readonly rejected: number;
}

export interface EnsembleRunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after every chunk. */
  readonly onProgress?: ((summary: EnsembleSummary) => void) | undefined;
}

/** One entry a trajectory. */
export interface TrajectoryStatus {
  readonly status: readonly SolveStatus[];
  readonly accepted: Uint32Array;
  readonly rejected: Uint32Array;
  readonly evaluations: Uint32Array;
}

/** Saved points of all trajectories; those of trajectory j begin at `offsets[j]`. */
export interface SavedPoints {
  /** [points] */
  readonly times: Float32Array;
  /** [points, dimension]; NaN, as are their times with `steps`, where a trajectory did not get. */
  readonly states: Float32Array;
  /** [n + 1] */
  readonly offsets: Uint32Array;
  /** Points of each trajectory. With `steps` it may exceed the capacity; what came after that was not kept. */
  readonly counts: Uint32Array;
}

export interface EventPoints {
  /** Crossings of each trajectory; the first `maximum` of them are recorded. */
  readonly counts: Uint32Array;
  /** [n, maximum], NaN where there is none. */
  readonly times: Float32Array;
  /** [n, maximum, dimension] */
  readonly states: Float32Array;
}

/** Over the time of each trajectory, [n, dimension] each. Extremes are those of step ends and midpoints. */
export interface TimeStatistics {
  readonly minimum: Float32Array;
  readonly maximum: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** Derivatives of a loss by what a solve computed; what is left out is 0. */
export interface EnsembleCotangents {
  /** By `states()`, [n, dimension]. */
  readonly states?: Float32Array;
  /** By the states of `saved()`, [points, dimension], in their order; those of points that were not saved have no effect. */
  readonly saved?: Float32Array;
  /** By `times()`, [n]: the time of a terminal event, or t1. */
  readonly endTimes?: Float32Array;
}

/**
 * States that `reversible` and `backsolve` came to on the way back, against those that the solve was in: y0 and, of
 * `backsolve` with cotangents of saved points, the saved ones. NaN where a trajectory did not get to its end.
 */
export interface Reconstruction {
  /** max_i |ỹ_i − y_i|, [n]. */
  readonly error: Float32Array;
  /**
   * The same in units of what is allowed, [n]: 10 · steps both ways · (rtol max|y| + atol), with fixed steps max|y|/1000. Above 1
   * the way back amplifies errors, as it does where the solve contracts by more than the inverse of the tolerance, and
   * the gradient is not to be trusted.
   */
  readonly scaled: Float32Array;
  /** Trajectories above 1, and a sentence about them if there are any. */
  readonly lost: number;
  readonly warning?: string;
}

/**
 * Gradient of the loss. NaN for a trajectory that did not get to its end, or to its event. `replay` and `reversible`: through
 * the steps that were taken, their lengths held. `backsolve`: of the exact solution, by an integration with errors of its own.
 */
export interface EnsembleGradient {
  /** By y(t0), [n, dimension]. */
  readonly initial: Float32Array;
  /** [n, parameters]; of shared parameters [parameters], the sum over the trajectories that got to their end. */
  readonly parameters: Float32Array;
  /** By t0 and t1, [n]: the first or the last step changes its length, the steps between stay. An event comes before t1: 0. */
  readonly start: Float32Array;
  readonly end: Float32Array;
  /** Trajectories that did not get to their end. */
  readonly missing: number;
  /** Steps from checkpoint to checkpoint (the most of any range); 0 where there are none. */
  readonly checkpointEvery: number;
  /** Device memory of the record, or of the solve back. */
  readonly recordBytes: number;
  /** Of `reversible` and `backsolve`. */
  readonly reconstruction?: Reconstruction;
}

export interface ReductionResult {
  /**
   * [rows, dimension], a row a time of the grid (one row for `states`); of a histogram [rows, dimension, bins + 2], the
   * numbers in each bin, below `low` and above `high`. NaN where no trajectory enters.
   */
  readonly values: Float32Array;
  /** Trajectories that enter, [rows]: those that are `done` or ended by an event, and got to that time. */
  readonly counts: Uint32Array;
}
