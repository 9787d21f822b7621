/** Gradients through an ensemble solve against the solve itself. */
import type { Cell, Claim, Column } from "../experiment/record.ts";
import { judge, median, quantile } from "../experiment/statistics.ts";
import { formatBytes, type Gpu } from "../gpu/device.ts";
import { EnsembleSolve } from "../ode/ensemble.ts";
import { DIMENSION, type LorenzSweep, type Method, problemOf, RHO, trueGradients } from "./ode_problem.ts";
import { medianInterval } from "./step_points.ts";
import type { SuiteResult } from "./suite.ts";
import { warmUp } from "./timing.ts";

export interface GradientOptions {
  /** Timed rounds, at least; short ones are repeated for a second or 31 times. Default 5. */
  readonly solves?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** A gradient that differs more from float64 is not timed; the steps of Tsit5 at 1e-6 leave 1e-6 of it, rounding 1e-5. */
const TOLERANCE = 1e-3;
const SHORT_ROUNDS_MS = 1000;
const MOST_ROUNDS = 31;
/** The goal: a solve with its gradient for this many solves. */
const MOST_RATIO = 4;

interface Round {
  /** Milliseconds of run() of a solve that records nothing, of one that does, and of gradient(). */
  readonly forward: number;
  readonly recorded: number;
  readonly backward: number;
}

export interface TimedGradient {
  readonly method: Method;
  readonly trajectories: number;
  readonly status: "measured" | "failed" | "stopped";
  readonly rounds: readonly Round[];
  readonly error?: number;
  readonly recordBytes?: number;
  readonly checkpointEvery?: number;
  readonly reason?: string;
}

/** Solve and gradient in turns. What goes wrong is a status. */
export async function timeGradient(
  gpu: Gpu,
  method: Method,
  sweep: LorenzSweep,
  options: GradientOptions,
): Promise<TimedGradient> {
  const { solves = 5, signal, onProgress } = options;
  const { trajectories } = sweep;
  const common = { method, trajectories, rounds: [] };
  if (signal?.aborted) return { ...common, status: "stopped", reason: "Ctrl-C" };
  const name = `gradient, ${method.method}, ${method.text}, ${trajectories} trajectories`;
  try {
    const rounds: Round[] = [];
    let found: Awaited<ReturnType<typeof recordedSolve>>;
    const round = async () => {
      const forward = await plainSolve(gpu, method, sweep);
      found = await recordedSolve(gpu, method, sweep);
      rounds.push({ forward, ...found.times });
    };
    await warmUp(round);
    const error = gradientError(found!.parameters, sweep);
    // Written so that a NaN fails.
    if (!(error <= TOLERANCE)) throw new Error(`the gradient differs from float64 by ${error.toPrecision(2)}`);
    rounds.length = 0;
    const started = performance.now();
    const short = () => performance.now() - started < SHORT_ROUNDS_MS && rounds.length < MOST_ROUNDS;
    while (rounds.length < solves || short()) await round();
    const { recordBytes, checkpointEvery } = found!;
    onProgress?.(`${name}: ${median(rounds.map(ratioOf)).toPrecision(3)} solves, record ${formatBytes(recordBytes)}`);
    return { ...common, status: "measured", rounds, error, recordBytes, checkpointEvery };
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0]!;
    onProgress?.(`${name}: failed, ${reason}`);
    return { ...common, status: "failed", reason };
  }
}

async function plainSolve(gpu: Gpu, { method, steps }: Method, sweep: LorenzSweep): Promise<number> {
  const solve = await EnsembleSolve.create(gpu, problemOf(sweep), { method, steps });
  try {
    const start = performance.now();
    await solve.run();
    return performance.now() - start;
  } finally {
    solve.destroy();
  }
}

/** d Σ|y(t1)|² by everything. */
async function recordedSolve(gpu: Gpu, { method, steps }: Method, sweep: LorenzSweep) {
  const solve = await EnsembleSolve.create(gpu, problemOf(sweep), { method, steps, adjoint: "replay" });
  try {
    const start = performance.now();
    await solve.run();
    const ran = performance.now();
    const states = (await solve.states()).map((x) => 2 * x);
    const asked = performance.now();
    const { parameters, recordBytes, checkpointEvery } = await solve.gradient({ states });
    const times = { recorded: ran - start, backward: performance.now() - asked };
    return { times, parameters, recordBytes, checkpointEvery };
  } finally {
    solve.destroy();
  }
}

/** Root mean square of the error by ρ over the checked trajectories, each relative to the larger of 1 and its size. */
function gradientError(parameters: Float32Array, sweep: LorenzSweep): number {
  const truth = trueGradients(sweep);
  const squares = sweep.checked.map((j, k) => {
    const difference = parameters[DIMENSION * j + RHO]! - truth[k]!;
    return (difference / Math.max(1, Math.abs(truth[k]!))) ** 2;
  });
  return Math.sqrt(squares.reduce((sum, x) => sum + x, 0) / squares.length);
}

/** Solve and gradient together over the solve alone. */
const ratioOf = ({ forward, recorded, backward }: Round): number => (recorded + backward) / forward;

const ms = (name: string, description: string): Column => ({ name, unit: "ms", description });
const COLUMNS: readonly Column[] = [
  { name: "method", description: "Runge–Kutta method" },
  { name: "steps", description: "how many of equal length, or the relative and absolute tolerance of adaptive ones" },
  { name: "trajectories", description: "each with its own ρ" },
  ms("forward", "median of run() without a record"),
  ms("recorded", "median of run() that records its steps"),
  ms("backward", "median of gradient(), gradients on the host"),
  { name: "ratio", description: "recorded and backward over forward in the same round, median" },
  { name: "lower", description: "lower quartile of the ratio" },
  { name: "upper", description: "upper quartile of the ratio" },
  { name: "rounds", description: "timed" },
  { name: "error", description: "of the derivative by ρ, root mean square, relative to the larger of 1 and its size" },
  { name: "record", unit: "MiB", description: "device memory of the record" },
  { name: "checkpoint every", description: "steps from one recorded state to the next" },
  { name: "status", description: "measured, failed or stopped (Ctrl-C)" },
  { name: "reason", description: "why a row has no times" },
];

/** Table and claims; nothing without a gradient. */
export function gradientsResult(timed: readonly TimedGradient[]): Pick<SuiteResult, "tables" | "claims" | "notes"> {
  if (timed.length === 0) return { tables: [], claims: [], notes: [] };
  return {
    tables: [
      {
        name: "ode-gradients",
        description: "d Σ|y(t1)|² by initial states and parameters: record and replay of the steps taken.",
        columns: COLUMNS,
        rows: timed.map(rowOf),
      },
    ],
    claims: timed.filter(({ rounds }) => rounds.length > 0).map(claimOf),
    notes: ["Solve and gradient take turns; the ratio is that of both together to a solve that records nothing."],
  };
}

function rowOf(one: TimedGradient): Record<string, Cell> {
  const { method, trajectories, status, rounds, error, recordBytes, checkpointEvery, reason } = one;
  const of = (value: (round: Round) => number, q: number): Cell =>
    rounds.length === 0 ? null : quantile(rounds.map(value), q);
  return {
    method: method.method,
    steps: method.text,
    trajectories,
    forward: of(({ forward }) => forward, 0.5),
    recorded: of(({ recorded }) => recorded, 0.5),
    backward: of(({ backward }) => backward, 0.5),
    ratio: of(ratioOf, 0.5),
    lower: of(ratioOf, 0.25),
    upper: of(ratioOf, 0.75),
    rounds: rounds.length,
    error: error ?? null,
    record: recordBytes === undefined ? null : recordBytes / 2 ** 20,
    "checkpoint every": checkpointEvery ?? null,
    status,
    reason: reason ?? null,
  };
}

function claimOf({ method, trajectories, rounds }: TimedGradient): Claim {
  const ratios = rounds.map(ratioOf);
  const { interval, confidence } = medianInterval(ratios);
  const passes = { max: MOST_RATIO };
  const measured = median(ratios);
  return {
    id: `ode-gradient-${method.method}-${method.steps.kind}-${trajectories}`,
    statement: `A solve with its gradient costs at most ${MOST_RATIO} solves (${method.method}, ${method.text} steps, ${trajectories} trajectories)`,
    source: "measured for this project",
    measured,
    interval,
    confidence,
    passes,
    verdict: judge(measured, passes, interval),
  };
}
