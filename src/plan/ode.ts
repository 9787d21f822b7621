/** What an ensemble solve will do: rows of words, ranges of trajectories, bytes and workgroups. Pure. */
import type { DeviceProfile } from "./device_profile.ts";

/** Trajectories of a partial result of a reduction; ranges hold whole ones, so that a split does not change a bit. */
export const SLICE = 64;
const WORKGROUP = 64;
/** Trajectories that an invocation of `ode/tally` takes. */
const TALLY_TAKES = 16;
const WORD = 4;

/** Words of a trajectory before `f(t, y)`: t, status, accepted, evaluations, saved, event value, events. */
const SHARED_ROWS = 7;
/** Words of adaptive steps: rejected, low, h, E', E''. */
const ADAPTIVE_ROWS = 5;

export interface EnsembleShape {
  readonly trajectories: number;
  readonly dimension: number;
  readonly parameters: number;
  readonly sharedParameters: boolean;
  readonly adaptive: boolean;
  /** f(t, y) at the end of a step is kept for the next. */
  readonly keepsSlope: boolean;
  /** A second state goes from step to step. */
  readonly keepsAuxiliary: boolean;
  /** Rows of atol: 1, or one a component. */
  readonly atolRows: number;
  /** Points saved a trajectory, or of a ragged grid the offsets [trajectories + 1]. */
  readonly points: number | Uint32Array;
  /** Words of a saved point. */
  readonly pointWords: number;
  /** Steps are looked at: for an event, or to save something. */
  readonly watched: boolean;
  /** Crossings recorded a trajectory. */
  readonly events: number;
  /** Cost of a step attempt in evaluations of f. */
  readonly evaluations: number;
}

/** Rows of words of a trajectory in the buffers of a range. */
export interface EnsembleRows {
  readonly state: number;
  readonly problem: number;
  readonly parameters: number;
  readonly events: number;
  /** Where rows of `state` begin; −1 where there are none. */
  readonly time: number;
  readonly status: number;
  readonly slope: number;
  readonly rejected: number;
}

export interface EnsembleRange {
  readonly first: number;
  readonly count: number;
  /** Words of `saved`, of `grid` and of the numbers of one component in `saved`. */
  readonly savedWords: number;
  readonly gridWords: number;
  readonly plane: number;
}

export interface EnsemblePlan {
  /** Trajectories an invocation of a solver takes. */
  readonly lanes: number;
  readonly rows: EnsembleRows;
  readonly ranges: readonly EnsembleRange[];
  /** Device memory of all ranges. */
  readonly bytes: number;
  /** Step attempts of the first dispatch of the first range for each millisecond of the budget. */
  readonly firstAttemptsPerMillisecond: number;
}

/**
 * Lays out an ensemble.
 * @throws RangeError when a slice of trajectories is larger than a binding may be.
 */
export function planEnsemble(shape: EnsembleShape, profile: DeviceProfile): EnsemblePlan {
  const { trajectories, dimension } = shape;
  const slope = dimension + SHARED_ROWS;
  const rejected = slope + (shape.keepsSlope ? dimension : 0) + (shape.keepsAuxiliary ? dimension : 0);
  const rows: EnsembleRows = {
    state: rejected + (shape.adaptive ? ADAPTIVE_ROWS : 0),
    problem: shape.adaptive ? 2 + shape.atolRows : 4,
    parameters: shape.sharedParameters ? 0 : shape.parameters,
    events: shape.events * (1 + dimension),
    time: dimension,
    status: dimension + 1,
    slope: shape.keepsSlope ? slope : -1,
    rejected: shape.adaptive ? rejected : -1,
  };
  const words = Math.floor(Math.min(profile.maxBindingBytes, profile.maxBufferBytes) / WORD);
  const rowsOfEach = Math.max(rows.state, rows.problem, rows.parameters, rows.events);
  const fits = (first: number, count: number) => {
    const { savedWords, gridWords } = rangeOf(shape, first, count);
    return count * rowsOfEach <= words && savedWords <= words && gridWords <= words;
  };

  const ranges: EnsembleRange[] = [];
  for (let first = 0; first < trajectories; ) {
    // The most slices that fit, by bisection: ragged points need not be even.
    let [least, most] = [1, Math.ceil((trajectories - first) / SLICE)];
    const countOf = (slices: number) => Math.min(slices * SLICE, trajectories - first);
    if (!fits(first, countOf(1))) {
      throw new RangeError(
        `${SLICE} trajectories need more than the ${WORD * words} bytes that a binding of this device may have`,
      );
    }
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (fits(first, countOf(middle))) least = middle;
      else most = middle - 1;
    }
    ranges.push(rangeOf(shape, first, countOf(least)));
    first += countOf(least);
  }
  const numbers =
    trajectories * (rows.state + rows.problem + rows.parameters + rows.events + 1) +
    ranges.reduce((sum, range) => sum + range.savedWords + range.gridWords, 0);
  return {
    lanes: lanesOf(shape, profile),
    rows,
    ranges,
    bytes: WORD * numbers,
    firstAttemptsPerMillisecond: attemptsPerMillisecond(shape, profile, ranges[0]?.count ?? 1),
  };
}

/** Trajectories `first` … `first + count − 1` with the words that they need. */
export function rangeOf({ points, pointWords }: EnsembleShape, first: number, count: number): EnsembleRange {
  const ragged = typeof points !== "number";
  const plane = ragged ? points[first + count]! - points[first]! : count * points;
  return { first, count, savedWords: pointWords * plane, gridWords: ragged ? count + 1 + plane : 0, plane };
}

/**
 * A trajectory is a chain of dependent operations. Hardware runs other invocations meanwhile; a core of the software adapter
 * needs a second chain beside it: RK4 on Lorenz took 23 ms instead of 39 (SwiftShader 5.0, two cores, 2026-11). Adaptive
 * steps gained nothing, since more trajectories then wait for the slowest.
 */
export function lanesOf(
  { adaptive, watched, dimension }: Pick<EnsembleShape, "adaptive" | "watched" | "dimension">,
  profile: DeviceProfile,
): number {
  return profile.kind === "software" && !adaptive && !watched && dimension <= 4 ? 2 : 1;
}

/** A cautious guess; what is measured takes its place after the first dispatch. */
function attemptsPerMillisecond(shape: EnsembleShape, profile: DeviceProfile, trajectories: number): number {
  // An evaluation with its share of the step: 0.6 to 3 ns a component on one core of the software adapter (Lorenz, 2026-11),
  // taken as 6; on hardware, guessed, 4 µs for as many trajectories as run at once.
  const perEvaluation =
    profile.kind === "software"
      ? (6e-6 * shape.dimension * trajectories) / profile.parallelGroups
      : 4e-3 * Math.max(1, trajectories / (profile.parallelGroups * 64));
  return 1 / (perEvaluation * shape.evaluations);
}

type Grid = readonly [x: number, y: number];

/** Workgroups for `invocations` of 64, along two dimensions where one does not hold them. */
function grid(invocations: number, profile: DeviceProfile): Grid {
  const groups = Math.ceil(invocations / WORKGROUP);
  const y = Math.ceil(groups / profile.maxGroupsPerDimension);
  return [Math.ceil(groups / y), y];
}

/** Kernels of one trajectory an invocation (`lanes` = 1), or of `lanes`. */
export function trajectoryGrid(count: number, lanes: number, profile: DeviceProfile): Grid {
  return grid(WORKGROUP * Math.ceil(count / (WORKGROUP * lanes)), profile);
}

export function tallyGrid(count: number, profile: DeviceProfile): Grid {
  return grid(Math.ceil(count / TALLY_TAKES), profile);
}

/** `ode/moments`, `ode/moments_join` and `ode/histogram`: results along x, rows along y. */
export function rowsGrid(results: number, rows: number, profile: DeviceProfile): Grid {
  const most = profile.maxGroupsPerDimension;
  return [Math.min(Math.ceil(results / WORKGROUP), most), Math.min(rows, most)];
}

/** Words of a partial result of `ode/moments`. */
export const PARTIAL_WORDS = 5;
const PARTIAL_BYTES = 33_554_432;

/** Rows reduced together, so that their partial results take at most 32 MiB, or as much as one row needs. */
export function reductionRows(rows: number, slices: number): number {
  return Math.min(rows, Math.max(1, Math.floor(PARTIAL_BYTES / (WORD * PARTIAL_WORDS * slices))));
}
