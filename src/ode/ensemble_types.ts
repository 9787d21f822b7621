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

export interface ReductionResult {
  /**
   * [rows, dimension], a row a time of the grid (one row for `states`); of a histogram [rows, dimension, bins + 2], the
   * numbers in each bin, below `low` and above `high`. NaN where no trajectory enters.
   */
  readonly values: Float32Array;
  /** Trajectories that enter, [rows]: those that are `done` or ended by an event, and got to that time. */
  readonly counts: Uint32Array;
}
