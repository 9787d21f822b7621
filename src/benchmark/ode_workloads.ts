/** Whole ensemble solves on the device: a sweep of the Lorenz equations by fixed and by adaptive steps. */
import type { Cell, Claim, Column, Table } from "../experiment/record.ts";
import { judge } from "../experiment/statistics.ts";
import { formatBytes, type Gpu } from "../gpu/device.ts";
import { EnsembleSolve } from "../ode/ensemble.ts";
import { gradientsResult, type TimedGradient, timeGradient } from "./ode_gradients.ts";
import {
  type AnswerError,
  answerError,
  DIMENSION,
  FIXED_STEPS,
  type LorenzSweep,
  lorenzStepFlops,
  lorenzSweep,
  METHODS,
  type Method,
  problemOf,
  trueAnswers,
} from "./ode_problem.ts";
import { type MedianInterval, medianInterval } from "./step_points.ts";
import type { SuiteResult } from "./suite.ts";
import { summarise, warmUp } from "./timing.ts";

export interface OdeWorkloadOptions {
  /** Default 10,000, on hardware up to 8,388,608. */
  readonly trajectories?: readonly number[] | undefined;
  /** Timed solves of a row, at least; short ones are repeated for a second or 31 times. Default 5. */
  readonly solves?: number | undefined;
  /** A row expected to take longer is skipped. Default 60. */
  readonly secondsPerRow?: number | undefined;
  /** Device memory a solve may take. Default: only the adapter's own limits. */
  readonly memoryBytes?: number | undefined;
  /** Rows after its abort say so. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

const SIZES = {
  software: [10_000],
  hardware: [10_000, 131_072, 1_048_576, 8_388_608],
};
const MOST_FOR_GRADIENTS = 1_048_576;

const MIB = 2 ** 20;
const SHORT_SOLVES_MS = 1000;
const MOST_SOLVES = 31;

interface Measured {
  /** Milliseconds of `run()`, of it with `states()`, and of these with `create()`. */
  readonly run: readonly number[];
  readonly withStates: readonly number[];
  readonly whole: readonly number[];
  readonly accepted: number;
  readonly rejected: number;
  readonly error: AnswerError;
  readonly deviceBytes: number;
}

/** A method at a number of trajectories and what became of it. */
interface Row {
  readonly method: Method;
  readonly trajectories: number;
  readonly status: "measured" | "skipped" | "failed" | "stopped";
  readonly measured?: Measured;
  readonly reason?: string;
}

/**
 * Every method over the Lorenz sweep at each number of trajectories, its answers held against float64. Rows that would take
 * too long or do not fit say so.
 * @param ceiling of multiply-adds in GFLOP/s; without it there are no shares
 * @throws ConfigError for fewer than two trajectories
 */
export async function odeSuite(gpu: Gpu, ceiling?: number, options: OdeWorkloadOptions = {}): Promise<SuiteResult> {
  const { trajectories = SIZES[gpu.facts.software ? "software" : "hardware"], onProgress } = options;
  const sweeps = trajectories.map(lorenzSweep);
  const rows: Row[] = [];
  const gradients: TimedGradient[] = [];
  for (const sweep of sweeps) {
    const truth = trueAnswers(sweep);
    for (const method of METHODS) {
      const before = rows.findLast((row) => row.method === method && row.measured);
      const row = await timeRow(gpu, method, sweep, truth, before, options);
      rows.push(row);
      const result = row.measured
        ? `${summarise(row.measured.run).median.toPrecision(3)} ms`
        : `${row.status}, ${row.reason}`;
      if (row.status !== "stopped")
        onProgress?.(`${method.method}, ${method.text}, ${sweep.trajectories} trajectories: ${result}`);
      // Beyond, the record is recomputed piece by piece, and a row would take minutes.
      if (method.gradient && row.measured && sweep.trajectories <= MOST_FOR_GRADIENTS)
        gradients.push(await timeGradient(gpu, method, sweep, options));
    }
  }
  const gradient = gradientsResult(gradients);
  return {
    tables: [solvesTable(rows, ceiling), ...gradient.tables],
    figures: [],
    claims: [...shareClaims(rows, ceiling, gpu), ...prototypeClaims(rows, gpu), ...gradient.claims],
    notes: [
      ...gradient.notes,
      "A solve is timed from the call of run() to its end, the host's waits between chunks included. With states: and its final states on the host. Whole: from arrays on the host to final states on the host, kernels compiled before.",
      "Operations are those of the formula of a step attempt; what compensates a sum or counts steps is not useful work.",
    ],
  };
}

async function timeRow(
  gpu: Gpu,
  method: Method,
  sweep: LorenzSweep,
  truth: Float64Array,
  before: Row | undefined,
  options: OdeWorkloadOptions,
): Promise<Row> {
  const { trajectories } = sweep;
  const { solves = 5, secondsPerRow = 60, memoryBytes = Number.POSITIVE_INFINITY, signal } = options;
  const without = (status: Row["status"], reason: string): Row => ({ method, trajectories, status, reason });
  if (signal?.aborted) return without("stopped", "Ctrl-C");
  if (before?.measured) {
    const growth = trajectories / before.trajectories;
    const seconds = (Math.max(...before.measured.whole) * growth * (2 + solves)) / 1000;
    if (seconds > secondsPerRow)
      return without(
        "skipped",
        `${2 + solves} solves would take ${seconds.toFixed(0)} s by the ${before.trajectories} trajectories before; the limit of a row is ${secondsPerRow} s`,
      );
    const bytes = before.measured.deviceBytes * growth;
    if (bytes > memoryBytes)
      return without(
        "skipped",
        `does not fit: needs ${formatBytes(bytes)} on the device, ${formatBytes(memoryBytes)} are allowed`,
      );
  }
  try {
    gpu.check();
    return { method, trajectories, status: "measured", measured: await measure(gpu, method, sweep, truth, solves) };
  } catch (error) {
    return without("failed", (error as Error).message.split("\n")[0]!);
  }
}

async function measure(
  gpu: Gpu,
  { method, steps }: Method,
  sweep: LorenzSweep,
  truth: Float64Array,
  solves: number,
): Promise<Measured> {
  const problem = problemOf(sweep);
  const times = { run: [] as number[], withStates: [] as number[], whole: [] as number[] };
  let states: Float32Array = new Float32Array();
  let counts = { accepted: 0, rejected: 0 };
  const peakBefore = gpu.peakBytes;
  gpu.peakBytes = gpu.bytesInUse;
  const solveOnce = async () => {
    const start = performance.now();
    const solve = await EnsembleSolve.create(gpu, problem, { method, steps });
    try {
      const created = performance.now();
      const summary = await solve.run();
      const ran = performance.now();
      states = await solve.states();
      const end = performance.now();
      if (summary.counts.done !== sweep.trajectories)
        throw new Error(`only ${summary.counts.done} of ${sweep.trajectories} trajectories got to their end`);
      counts = summary;
      times.run.push(ran - created);
      times.withStates.push(end - created);
      times.whole.push(end - start);
    } finally {
      solve.destroy();
    }
  };
  try {
    await warmUp(solveOnce);
    for (const list of Object.values(times)) list.length = 0;
    let sum = 0;
    while (times.whole.length < solves || (sum < SHORT_SOLVES_MS && times.whole.length < MOST_SOLVES)) {
      await solveOnce();
      sum += times.whole.at(-1)!;
    }
    const answers = sweep.checked.flatMap((j) => [...states.subarray(DIMENSION * j, DIMENSION * (j + 1))]);
    return {
      ...times,
      accepted: counts.accepted / sweep.trajectories,
      rejected: counts.rejected / sweep.trajectories,
      error: answerError(answers, truth),
      deviceBytes: gpu.peakBytes,
    };
  } finally {
    gpu.peakBytes = Math.max(peakBefore, gpu.peakBytes);
  }
}

/** Operations of a solve, in units of 1e9. */
function gigaflops({ method, trajectories, measured }: Row): number {
  const attempts = measured!.accepted + measured!.rejected;
  return (trajectories * attempts * lorenzStepFlops(method.method, method.steps.kind === "adaptive")) / 1e9;
}

const ms = (name: string, description: string): Column => ({ name, unit: "ms", description });
const COLUMNS: readonly Column[] = [
  { name: "method", description: "Runge–Kutta method" },
  { name: "steps", description: "how many of equal length, or the relative and absolute tolerance of adaptive ones" },
  { name: "trajectories", description: "each with its own ρ" },
  ms("median", "of run()"),
  ms("lower", "lower quartile"),
  ms("upper", "upper quartile"),
  ms("min", "quickest run()"),
  ms("with states", "median of run() and states()"),
  ms("whole", "median of create(), run() and states()"),
  { name: "solves", description: "timed" },
  { name: "per trajectory", unit: "µs", description: "median over trajectories" },
  { name: "rate", unit: "trajectories/s", description: "trajectories over median" },
  { name: "step rate", unit: "steps/s", description: "step attempts of all trajectories over median" },
  { name: "arithmetic", unit: "GFLOP/s", description: "operations of the step attempts over median" },
  { name: "share", unit: "%", description: "of the rate of multiply-adds from registers" },
  { name: "accepted", description: "steps of a trajectory, mean" },
  { name: "rejected", description: "steps of a trajectory, mean" },
  {
    name: "error",
    description: "root mean square over trajectories, against float64; relative to the larger of 1 and |y|",
  },
  { name: "largest error", description: "of a trajectory" },
  { name: "device memory", unit: "MiB", description: "peak of live buffers" },
  { name: "status", description: "measured, skipped, failed or stopped (Ctrl-C)" },
  { name: "reason", description: "why a row has no times" },
];

function solvesTable(rows: readonly Row[], ceiling?: number): Table {
  return {
    name: "ode-solves",
    description: "Ensembles of the Lorenz equations, ρ from 0 to 21, from t = 0 to 1 in float32.",
    columns: COLUMNS,
    rows: rows.map((row): Record<string, Cell> => {
      const { method, trajectories, status, measured, reason } = row;
      const common = { method: method.method, steps: method.text, trajectories, status, reason: reason ?? null };
      if (!measured) return { ...Object.fromEntries(COLUMNS.map(({ name }) => [name, null])), ...common };
      const run = summarise(measured.run);
      const seconds = run.median / 1000;
      const arithmetic = gigaflops(row) / seconds;
      return {
        ...common,
        median: run.median,
        lower: run.lower,
        upper: run.upper,
        min: run.min,
        "with states": summarise(measured.withStates).median,
        whole: summarise(measured.whole).median,
        solves: run.samples,
        "per trajectory": (1000 * run.median) / trajectories,
        rate: trajectories / seconds,
        "step rate": (trajectories * (measured.accepted + measured.rejected)) / seconds,
        arithmetic,
        share: ceiling === undefined ? null : (100 * arithmetic) / ceiling,
        accepted: measured.accepted,
        rejected: measured.rejected,
        error: measured.error.rms,
        "largest error": measured.error.largest,
        "device memory": measured.deviceBytes / MIB,
      };
    }),
  };
}

const SOURCE = "measured for this project";

/** A share of the ceiling by fixed steps at the largest ensemble; only a GPU decides it. */
function shareClaims(rows: readonly Row[], ceiling: number | undefined, gpu: Gpu): Claim[] {
  if (ceiling === undefined) return [];
  return METHODS.filter(({ steps }) => steps.kind === "fixed").flatMap((method): Claim[] => {
    const row = rows.findLast((one) => one.method === method && one.measured);
    if (!row) return [];
    const share = (ms: number) => gigaflops(row) / (ms / 1000) / ceiling;
    const { interval, confidence } = medianInterval(row.measured!.run);
    const measured = share(summarise(row.measured!.run).median);
    const between = [share(interval[1]), share(interval[0])] as const;
    const passes = { min: 0.5 };
    return [
      {
        id: `ode-share-${method.method}`,
        statement: `${method.method} with ${FIXED_STEPS} fixed steps, ${row.trajectories} trajectories: share of the rate of multiply-adds from registers`,
        source: SOURCE,
        measured,
        interval: between,
        confidence,
        passes,
        verdict: gpu.facts.software ? "not decided" : judge(measured, passes, between),
        ...(gpu.facts.software && { note: "the goal is one for a GPU, this is a software adapter" }),
      },
    ];
  });
}

/** Milliseconds of the first prototype for 10,000 trajectories on two cores of SwiftShader 5.0 (2026-11). */
const PROTOTYPE = { trajectories: 10_000, cores: 2, fixed: 47, adaptive: 22 };

/** As fast as the prototype; only SwiftShader on two cores, where the prototype was timed, decides it. */
function prototypeClaims(rows: readonly Row[], gpu: Gpu): Claim[] {
  if (!gpu.facts.software) return [];
  const cores = gpu.profile.parallelGroups;
  return rows.flatMap(({ method, trajectories, measured }): Claim[] => {
    const compared = method.method === (method.steps.kind === "fixed" ? "rk4" : "dopri5");
    if (!measured || !compared || trajectories !== PROTOTYPE.trajectories) return [];
    const passes = { max: PROTOTYPE[method.steps.kind] };
    const { interval, confidence }: MedianInterval = medianInterval(measured.run);
    const comparable = /swiftshader/i.test(gpu.name) && cores === PROTOTYPE.cores;
    const { median } = summarise(measured.run);
    return [
      {
        id: `ode-prototype-${method.method}`,
        statement: `${method.method}, ${method.text} steps, ${trajectories} trajectories take at most the prototype's ${passes.max} ms: milliseconds`,
        source: SOURCE,
        measured: median,
        interval,
        confidence,
        passes,
        verdict: comparable ? judge(median, passes, interval) : "not decided",
        ...(!comparable && {
          note: `the prototype was timed on ${PROTOTYPE.cores} cores of SwiftShader, this is ${gpu.name} on ${cores}`,
        }),
      },
    ];
  });
}
