import type { EnsembleInput, SolveMethod } from "../../config/ode.ts";
import type { Gpu } from "../../gpu/device.ts";
import { EnsembleSolve, type TrajectoryStatus } from "../../ode/ensemble.ts";
import { type Amplification, amplification } from "../../reference/amplification.ts";
import { integrate } from "../../reference/ode.ts";
import type { Cell } from "../record.ts";
import { isAdaptive, methodOf } from "../solve_plan.ts";
import { type ConformanceConfig, fieldName, type Group, tolerancesOf } from "./config.ts";
import type { ConformanceProblem } from "./problems.ts";

/** Half a unit in the last place of 1 in float32. */
export const ROUNDING = 2 ** -24;
/**
 * Roundings of a step, in units of u w: one of the new state, and three of what the stages carry, whose arguments are rounded
 * as the state is and enter times h ‖∂f/∂y‖, which the stability of explicit methods keeps below about 3.
 */
export const ROUNDINGS = 4;

/** A bound to first order says something while it is small beside 1, the size of the solution. */
const SMALL = 0.1;

/** Fields of sums, differences and products alone, whose every operation a CPU rounds as WGSL has to. */
const EMULATED: readonly string[] = ["exponential", "lorenz", "lotka-volterra", "van-der-pol", "brusselator"];
/** Trajectories beside which one is solved again, its own workgroup filled and two more. */
const NEIGHBOURS = 130;

/** A problem solved by a method: one row of the table of solves. */
export interface SolvedRow extends Record<string, Cell> {
  readonly problem: string;
  readonly detest: boolean;
  readonly method: SolveMethod;
  readonly order: number;
  readonly dimension: number;
  readonly adaptive: boolean;
  /** Of adaptive steps. */
  readonly tolerance: number | null;
  readonly status: string;
  readonly accepted: number;
  readonly rejected: number;
  readonly evaluations: number;
  /** max_i |y_i − y*_i| / (scale + |y*_i|) at t1. */
  readonly error: number;
  /** The same of the float64 reference with the same method, tolerance or steps. */
  readonly float64Error: number;
  /** max_i |y_i − ŷ_i| / (scale + |y*_i|) with ŷ that float64 solution. */
  readonly difference: number;
  readonly float64Accepted: number;
  /** Σ over the steps of what an error of relative size 1 becomes at t1. */
  readonly amplification: number;
  /** What rounding to float32 can come to, and adaptive steps with it: units of `error`. */
  readonly roundingBound: number;
  readonly bound: number | null;
  /** The bound, of fixed steps that of rounding, is small enough for one of first order. */
  readonly firstOrder: boolean;
  /** Accepted steps of the float32 emulation on the CPU. */
  readonly emulated: number | null;
  /** Largest drift of an invariant over what errors of the tolerance and roundings can move it by. */
  readonly drift: number | null;
  readonly invariant: string | null;
  /** The same bits alone, and among others in another order. */
  readonly sameBits: boolean | null;
}

interface Run {
  readonly problem: ConformanceProblem;
  readonly tolerance: number | undefined;
  readonly steps: number | undefined;
}

/** Solves the problems of a group at all tolerances, or with all numbers of steps. */
export async function solveGroup(gpu: Gpu, config: ConformanceConfig, group: Group): Promise<SolvedRow[]> {
  const { method, problems } = group;
  if (isAdaptive(method)) {
    const runs = problems.flatMap((problem) =>
      tolerancesOf(config, method).map((tolerance): Run => ({ problem, tolerance, steps: undefined })),
    );
    return solveRuns(gpu, method, runs);
  }
  const rows: SolvedRow[] = [];
  for (const steps of config.steps) {
    rows.push(
      ...(await solveRuns(
        gpu,
        method,
        problems.map((problem) => ({ problem, tolerance: undefined, steps })),
      )),
    );
  }
  return rows;
}

interface Ends {
  readonly states: Float32Array;
  readonly status: TrajectoryStatus;
}

async function solveRuns(gpu: Gpu, method: SolveMethod, runs: readonly Run[]): Promise<SolvedRow[]> {
  const ends = await solveOnDevice(gpu, method, runs);
  const sameBits =
    typeof runs[0].problem.field === "string" ? await compareNeighbours(gpu, method, runs, ends) : undefined;
  const rows: SolvedRow[] = [];
  for (const [j, run] of runs.entries()) {
    // The float64 solves take the host's time: let it draw and hear a cancellation in between.
    await new Promise((resolve) => setTimeout(resolve));
    rows.push(rowOf(method, run, ends, j, sameBits?.[j] ?? null));
  }
  return rows;
}

async function solveOnDevice(gpu: Gpu, method: SolveMethod, runs: readonly Run[]): Promise<Ends> {
  const list = (of: (run: Run) => number | readonly number[]) => Float32Array.from(runs.flatMap(of));
  const { field } = runs[0].problem;
  const options: EnsembleInput = runs[0].tolerance === undefined ? fixed(method, runs[0].steps!) : { method };
  const parameters = list(({ problem }) => problem.parameters);
  const solve = await EnsembleSolve.create(
    gpu,
    {
      field,
      initial: list(({ problem }) => problem.y0),
      ...(parameters.length > 0 && { parameters }),
      start: list(({ problem }) => problem.t0),
      end: list(({ problem }) => problem.t1),
      ...(runs[0].tolerance !== undefined && {
        rtol: list(({ tolerance }) => tolerance!),
        atol: list(({ tolerance, problem }) => tolerance! * problem.scale),
      }),
    },
    options,
  );
  try {
    await solve.run();
    return { states: await solve.states(), status: await solve.status() };
  } finally {
    solve.destroy();
  }
}

function fixed(method: SolveMethod, count: number): EnsembleInput {
  return { method, steps: { kind: "fixed", count } };
}

/** Solves the runs again in reverse among copies, and each end of the list alone. */
async function compareNeighbours(gpu: Gpu, method: SolveMethod, runs: readonly Run[], ends: Ends): Promise<boolean[]> {
  const { dimension } = runs[0].problem;
  const n = runs.length;
  const order = Array.from({ length: NEIGHBOURS }, (_, k) => n - 1 - (k % n));
  const among = await solveOnDevice(
    gpu,
    method,
    order.map((j) => runs[j]),
  );
  const same = runs.map(() => true);
  const compare = (other: Ends, k: number, j: number) => {
    for (let i = 0; i < dimension; i++)
      if (!Object.is(other.states[k * dimension + i], ends.states[j * dimension + i])) same[j] = false;
    if (other.status.evaluations[k] !== ends.status.evaluations[j]) same[j] = false;
  };
  order.forEach((j, k) => {
    compare(among, k, j);
  });
  for (const j of new Set([0, n - 1])) compare(await solveOnDevice(gpu, method, [runs[j]]), 0, j);
  return same;
}

function rowOf(method: SolveMethod, run: Run, ends: Ends, j: number, sameBits: boolean | null): SolvedRow {
  const { problem, tolerance } = run;
  const { dimension, expected, scale, t0, t1, y0, parameters, system } = problem;
  const steps =
    tolerance === undefined
      ? ({ kind: "fixed", count: run.steps! } as const)
      : ({ kind: "adaptive", rtol: tolerance, atol: tolerance * scale } as const);
  const along = amplification(system, { method, t0, t1, y0, parameters, steps, scale });
  const { solution } = along;
  const y = Float64Array.from(ends.states.subarray(j * dimension, (j + 1) * dimension));
  const scaled = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Math.max(...expected.map((x, i) => Math.abs(a[i] - b[i]) / (scale + Math.abs(x))));
  const accepted = ends.status.accepted[j];
  // Errors add up over the steps: those of the device's own mesh, where it has more of them.
  const sum = along.sum * Math.max(1, accepted / Math.max(1, solution.accepted));
  const rounding = ROUNDINGS * ROUNDING;
  // An error whose root mean square over d components is 1 has none above √d.
  const perStep = tolerance === undefined ? undefined : Math.sqrt(dimension) * tolerance + rounding;
  const drift = perStep === undefined ? undefined : driftOf(problem, y, along, perStep);
  const emulates =
    tolerance !== undefined && methodOf(method).kind === "explicit" && EMULATED.includes(fieldName(problem));
  return {
    problem: problem.id,
    detest: problem.detest,
    method,
    order: methodOf(method).order,
    dimension,
    adaptive: tolerance !== undefined,
    tolerance: tolerance ?? null,
    status: ends.status.status[j],
    accepted,
    rejected: ends.status.rejected[j],
    evaluations: ends.status.evaluations[j],
    error: scaled(y, expected),
    float64Error: scaled(solution.y, expected),
    difference: scaled(y, solution.y),
    float64Accepted: solution.accepted,
    amplification: sum,
    roundingBound: sum * rounding,
    bound: perStep === undefined ? null : sum * perStep,
    firstOrder: sum * (perStep ?? rounding) <= SMALL,
    emulated: emulates
      ? integrate(system, { method, t0, t1, y0, parameters, steps, round: Math.fround }).accepted
      : null,
    drift: drift?.share ?? null,
    invariant: drift?.name ?? null,
    sameBits,
  };
}

/**
 * The invariant that drifted most from its value at t0, over Σ_n Σ_i |∂I/∂y_i| w_i ε along the steps: an error stays with an
 * invariant as it was made, it does not grow with the flow.
 */
function driftOf(
  { invariants, dimension, scale, t0, t1, y0 }: ConformanceProblem,
  y: Float64Array,
  { solution }: Amplification,
  perStep: number,
): { name: string; share: number } | undefined {
  let worst: { name: string; share: number } | undefined;
  for (const { name, value } of invariants) {
    let reach = 0;
    solution.times.forEach((t, k) => {
      const state = solution.states.subarray(k * dimension, (k + 1) * dimension);
      for (let i = 0; i < dimension; i++) {
        const [up, down] = [state.slice(), state.slice()];
        const weight = scale + Math.abs(state[i]);
        up[i] += 1e-5 * weight;
        down[i] -= 1e-5 * weight;
        reach += (weight * Math.abs(value(t, up) - value(t, down))) / (up[i] - down[i]);
      }
    });
    const share = Math.abs(value(t1, y) - value(t0, y0)) / (perStep * reach);
    if (worst === undefined || !(share <= worst.share)) worst = { name, share };
  }
  return worst;
}
