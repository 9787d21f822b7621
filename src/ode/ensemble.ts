import { ConfigError } from "../config/errors.ts";
import { type EnsembleConfig, type EnsembleInput, type Reduction, reductionSchema } from "../config/ode.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import { DeviceError } from "../gpu/errors.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { type Params, Recorder } from "../gpu/recorder.ts";
import { type EnsemblePlan, type EnsembleRange, planEnsemble, tallyGrid, trajectoryGrid } from "../plan/ode.ts";
import type { RecordPlan } from "../plan/ode_record.ts";
import { SOLVE_STATUSES, type SolveStatus } from "./controllers.ts";
import { EnsembleBacksolve } from "./ensemble_backsolve.ts";
import { type EnsembleBuffers, pick, readRows, uploadRange } from "./ensemble_buffers.ts";
import { EnsembleReplay } from "./ensemble_gradient.ts";
import { variantsOf } from "./ensemble_kernels.ts";
import { reduceEnsemble } from "./ensemble_reduce.ts";
import { parse, requireJacobian, resolveField, type Setup, setUp } from "./ensemble_setup.ts";
import type {
  EnsembleCotangents,
  EnsembleGradient,
  EnsembleProblem,
  EnsembleRunOptions,
  EnsembleSummary,
  EventPoints,
  ReductionResult,
  SavedPoints,
  TimeStatistics,
  TrajectoryStatus,
} from "./ensemble_types.ts";

export type * from "./ensemble_types.ts";

const STATUS_NAMES = Object.keys(SOLVE_STATUSES) as SolveStatus[];
const NO_STEP_LIMIT = 3.4e38;
const TOTALS_WORDS = 12;
/** Once the unfinished trajectories are fewer than this part, only they are dispatched. */
const COMPACT_BELOW = 0.75;
/** A chunk has at most this many times the step attempts of the one before. */
const CHUNK_GROWTH = 8;

interface Totals {
  /** Trajectories by status code. */
  readonly counts: readonly number[];
  readonly accepted: number;
  readonly rejected: number;
}

interface Part extends EnsembleBuffers {
  readonly record: RecordPlan | undefined;
  started: boolean;
  /** Step attempts dispatched so far. */
  attempts: number;
  totals: Totals;
}

interface Kernels {
  readonly start: Kernel;
  readonly solve: Kernel;
  readonly tally: Kernel;
  readonly replay: EnsembleReplay | undefined;
  readonly backsolve: EnsembleBacksolve | undefined;
}

/**
 * Integrates an ensemble of trajectories on the device, one trajectory an invocation, each with its own steps. A solve is a
 * sequence of chunks: dispatches of a bounded number of step attempts, between which all state lies in buffers. Results do
 * not depend by a bit on the chunks, nor on a trajectory's neighbours.
 *
 * What goes wrong in a trajectory is a status of that trajectory, with its last good state; the others go on.
 */
export class EnsembleSolve {
  readonly gpu: Gpu;
  readonly config: EnsembleConfig;
  readonly plan: EnsemblePlan;
  readonly #setup: Setup;
  readonly #kernels: Kernels;
  readonly #recorder: Recorder;
  readonly #totals: Tensor;
  readonly #parts: readonly Part[];
  #status: EnsembleSummary["status"] = "running";
  /** Time of a step attempt of a whole range: a guess, then measured; and the attempts of the chunk before. */
  #attemptMs: number;
  #attemptsBefore = Number.POSITIVE_INFINITY;

  private constructor(gpu: Gpu, setup: Setup, plan: EnsemblePlan, kernels: Kernels) {
    this.gpu = gpu;
    this.config = setup.config;
    this.plan = plan;
    this.#setup = setup;
    this.#kernels = kernels;
    this.#recorder = new Recorder(gpu);
    this.#totals = gpu.tensor("ensemble totals", 4 * TOTALS_WORDS);
    this.#attemptMs = 1 / plan.firstAttemptsPerMillisecond;
    this.#parts = plan.ranges.map((range) => this.#upload(range, kernels.replay?.recordOf(range)));
  }

  /**
   * Uploads the problem and compiles its kernels.
   * @throws ConfigError for a problem or options that break a rule, DeviceError `out_of_memory` for what does not fit.
   */
  static async create(gpu: Gpu, problem: EnsembleProblem, options: EnsembleInput = {}): Promise<EnsembleSolve> {
    const setup = setUp(problem, await resolveField(gpu, problem.field), options);
    await requireJacobian(gpu, problem, setup);
    const plan = planOf(setup, gpu);
    const { name, start, solve } = variantsOf(setup, plan);
    const { part } = setup.field;
    const [startKernel, solveKernel, tally] = await Promise.all([
      gpu.kernel("ode/start", start, part),
      gpu.kernel(name, solve, part),
      gpu.kernel("ode/tally"),
    ]);
    const { adjoint } = setup.config;
    const backsolve =
      adjoint === "backsolve" ? await EnsembleBacksolve.create(gpu, problem, setup, EnsembleSolve.create) : undefined;
    const recorded = adjoint === "replay" || adjoint === "reversible";
    const replay = recorded ? await EnsembleReplay.create(gpu, problem, setup, plan) : undefined;
    return new EnsembleSolve(gpu, setup, plan, { start: startKernel, solve: solveKernel, tally, replay, backsolve });
  }

  get trajectories(): number {
    return this.#setup.n;
  }

  get dimension(): number {
    return this.#setup.field.dimension;
  }

  get summary(): EnsembleSummary {
    const count = (code: number) => this.#parts.reduce((sum, { totals }) => sum + totals.counts[code]!, 0);
    const counts = Object.fromEntries(STATUS_NAMES.map((name) => [name, count(SOLVE_STATUSES[name])]));
    if (this.#status === "cancelled") {
      counts.cancelled = counts.not_finished!;
      counts.not_finished = 0;
    }
    return {
      status: this.#status,
      trajectories: this.trajectories,
      counts: counts as Record<SolveStatus, number>,
      accepted: this.#parts.reduce((sum, { totals }) => sum + totals.accepted, 0),
      rejected: this.#parts.reduce((sum, { totals }) => sum + totals.rejected, 0),
    };
  }

  /** Advances every trajectory to its end, or until the signal aborts: then between two chunks. */
  async run(options: EnsembleRunOptions = {}): Promise<EnsembleSummary> {
    this.#status = "running";
    for (const part of this.#parts) {
      while (this.#status === "running" && left(part) > 0) {
        if (options.signal?.aborted) this.#status = "cancelled";
        else {
          await this.#runChunk(part);
          options.onProgress?.(this.summary);
        }
      }
    }
    if (this.#status === "running") this.#status = "done";
    return this.summary;
  }

  /** Where each trajectory stands, [n, dimension]: y(t1), or its last good state. */
  async states(): Promise<Float32Array> {
    const states = new Float32Array(this.trajectories * this.dimension);
    await this.#eachRow(0, this.dimension, (rows, { first, count }) =>
      transpose(rows, this.dimension, count, states, first * this.dimension),
    );
    return states;
  }

  /** The time of each of `states()`. */
  async times(): Promise<Float32Array> {
    const times = new Float32Array(this.trajectories);
    await this.#eachRow(this.plan.rows.time, 1, (rows, { first }) => times.set(rows, first));
    return times;
  }

  async status(): Promise<TrajectoryStatus> {
    const { rows } = this.plan;
    const n = this.trajectories;
    const status: SolveStatus[] = [];
    const accepted = new Uint32Array(n);
    const rejected = new Uint32Array(n);
    const evaluations = new Uint32Array(n);
    const names =
      this.#status === "cancelled" ? STATUS_NAMES.with(SOLVE_STATUSES.not_finished, "cancelled") : STATUS_NAMES;
    await this.#eachRow(rows.status, 3, (words, { first, count }, part) => {
      const numbers = new Uint32Array(words.buffer);
      // Before the first chunk nothing is there yet.
      for (let j = 0; j < count; j++) {
        status.push(part.started ? names[numbers[j]! & 0xff]! : names[SOLVE_STATUSES.not_finished]!);
      }
      accepted.set(numbers.subarray(count, 2 * count), first);
      evaluations.set(numbers.subarray(2 * count, 3 * count), first);
    });
    if (rows.rejected >= 0) {
      await this.#eachRow(rows.rejected, 1, (words, { first }) => rejected.set(new Uint32Array(words.buffer), first));
    }
    return { status, accepted, rejected, evaluations };
  }

  /** Saved points. @throws ConfigError when the solve saves none. */
  async saved(): Promise<SavedPoints> {
    const { save } = this.config;
    if (save.kind !== "grid" && save.kind !== "steps") {
      throw new ConfigError("save.kind", "must be grid or steps for saved points", save.kind);
    }
    const { shape, times: grid } = this.#setup;
    const n = this.trajectories;
    const dimension = this.dimension;
    const ragged = typeof shape.points !== "number";
    const offsets = ragged ? shape.points : Uint32Array.from({ length: n + 1 }, (_, j) => j * (shape.points as number));
    const total = offsets[n]!;
    const times = new Float32Array(total).fill(Number.NaN);
    const states = new Float32Array(total * dimension).fill(Number.NaN);
    const counts = await this.#savedCounts();
    for (const { range, tensors } of this.#parts) {
      if (range.savedWords === 0) continue;
      const words = await this.gpu.read(tensors.saved, 0, 4 * range.savedWords);
      for (let j = 0; j < range.count; j++) {
        const at = range.first + j;
        const offset = offsets[at]!;
        const points = offsets[at + 1]! - offset;
        const place = (point: number) => (ragged ? offset - offsets[range.first]! + point : point * range.count + j);
        for (let point = 0; point < Math.min(points, counts[at]!); point++) {
          for (let i = 0; i < dimension; i++) {
            states[(offset + point) * dimension + i] = words[i * range.plane + place(point)]!;
          }
          if (save.kind === "steps") times[offset + point] = words[dimension * range.plane + place(point)]!;
        }
        if (grid) times.set(grid instanceof Float32Array ? grid : grid[at]!, offset);
      }
    }
    return { times, states, offsets, counts };
  }

  /** Crossings of the event. @throws ConfigError when the solve has none. */
  async events(): Promise<EventPoints> {
    const { event } = this.config;
    if (!event) throw new ConfigError("event", "must be given for event points");
    const n = this.trajectories;
    const dimension = this.dimension;
    const counts = new Uint32Array(n);
    const times = new Float32Array(n * event.maximum).fill(Number.NaN);
    const states = new Float32Array(n * event.maximum * dimension).fill(Number.NaN);
    await this.#eachRow(this.plan.rows.status + 5, 1, (words, { first }) =>
      counts.set(new Uint32Array(words.buffer), first),
    );
    for (const { range, tensors } of this.#parts) {
      const words = await readRows(this.gpu, tensors.events, range.count, 0, this.plan.rows.events);
      const plane = event.maximum * range.count;
      for (let j = 0; j < range.count; j++) {
        const at = range.first + j;
        for (let e = 0; e < Math.min(event.maximum, counts[at]!); e++) {
          const point = at * event.maximum + e;
          times[point] = words[e * range.count + j]!;
          for (let i = 0; i < dimension; i++)
            states[point * dimension + i] = words[(i + 1) * plane + e * range.count + j]!;
        }
      }
    }
    return { counts, times, states };
  }

  /** Statistics over the time of each trajectory so far. @throws ConfigError when the solve keeps none. */
  async statistics(): Promise<TimeStatistics> {
    const { save } = this.config;
    if (save.kind !== "statistics") throw new ConfigError("save.kind", "must be statistics", save.kind);
    const dimension = this.dimension;
    const all = [0, 1, 2, 3].map(() => new Float32Array(this.trajectories * dimension));
    for (const { range, tensors } of this.#parts) {
      const { first, count } = range;
      const words = await readRows(this.gpu, tensors.saved, count, 0, 4 * dimension + 1);
      all.forEach((numbers, which) => {
        const rows = words.subarray(which * dimension * count, (which + 1) * dimension * count);
        transpose(rows, dimension, count, numbers, first * dimension);
      });
      const duration = words.subarray(4 * dimension * count);
      const spread = all[3]!;
      for (let j = 0; j < count; j++) {
        for (let i = 0; i < dimension; i++) {
          const at = (first + j) * dimension + i;
          spread[at] = duration[j] === 0 ? 0 : spread[at]! / duration[j]!;
        }
      }
    }
    const [minimum, maximum, mean, variance] = all as [Float32Array, Float32Array, Float32Array, Float32Array];
    return { minimum, maximum, mean, variance };
  }

  /**
   * Mean, sample variance, extremes, histogram or mean square distance to a target over the trajectories that got to their
   * end, computed on the device in a fixed order.
   * @throws ConfigError for a reduction that breaks a rule, or of `saved` without a grid common to all trajectories.
   */
  async reduce(reduction: Reduction): Promise<ReductionResult> {
    const checked = parse(reductionSchema, reduction, "reduction");
    const points = checked.of === "saved" ? this.#commonPoints() : 0;
    return reduceEnsemble(this.gpu, this.#recorder, this.#parts, this.plan, checked, this.dimension, points);
  }

  /**
   * Gradient of a loss of what the solve computed, given the derivatives of the loss by that; may be asked for again with
   * other ones. Where the steps were not all recorded, trajectories are solved again, as many at a time as the memory holds.
   * @throws ConfigError when the solve was not made with an `adjoint`, or for cotangents that do not fit.
   */
  async gradient(
    cotangents: EnsembleCotangents,
    options: Pick<EnsembleRunOptions, "signal"> = {},
  ): Promise<EnsembleGradient> {
    const { replay, backsolve } = this.#kernels;
    if (backsolve) return backsolve.gradient(this, cotangents, options);
    if (!replay) throw new ConfigError("adjoint", "must be replay, reversible or backsolve for gradients", "none");
    const solve = {
      recorder: this.#recorder,
      parts: this.#parts as readonly (Part & { record: RecordPlan })[],
      attemptMs: this.#attemptMs,
      params: (range: EnsembleRange) => this.#params(range),
      resolve: async (range: EnsembleRange, record: RecordPlan) => {
        const part = this.#upload(range, record);
        while (left(part) > 0) await this.#runChunk(part);
        return { ...part, record };
      },
      release: ({ tensors }: EnsembleBuffers) => this.gpu.release(...Object.values(tensors)),
    };
    return replay.gradient(solve, cotangents, options);
  }

  /** Frees all device memory of the solve. */
  destroy(): void {
    for (const { tensors } of this.#parts) this.gpu.release(...Object.values(tensors));
    this.gpu.release(this.#totals);
    this.#recorder.destroy();
  }

  #upload(range: EnsembleRange, record: RecordPlan | undefined): Part {
    const buffers = uploadRange(this.gpu, this.#setup, this.plan, range, record);
    return { ...buffers, record, started: false, attempts: 0, totals: unfinished(range) };
  }

  async #runChunk(part: Part): Promise<void> {
    const recorder = this.#recorder;
    const { gpu, plan } = this;
    const { range, tensors } = part;
    const { list, state } = tensors;
    const waiting = left(part);
    const listed = part.started && waiting < COMPACT_BELOW * range.count;
    const dispatched = listed ? waiting : range.count;
    const attempts = this.#chunkAttempts(part);
    const params = {
      ...this.#params(range),
      count: dispatched,
      listed: listed ? 1 : 0,
      attempts,
      first_step: part.attempts,
    };
    const started = performance.now();
    if (!part.started) {
      recorder.dispatch(
        this.#kernels.start,
        pick(tensors, this.#kernels.start),
        { ...params, count: range.count, listed: 0 },
        trajectoryGrid(range.count, 1, gpu.profile),
      );
      part.started = true;
    }
    recorder.dispatch(
      this.#kernels.solve,
      pick(tensors, this.#kernels.solve),
      params,
      trajectoryGrid(dispatched, plan.lanes, gpu.profile),
    );
    recorder.clear({ tensor: this.#totals });
    recorder.dispatch(
      this.#kernels.tally,
      { state, list, totals: this.#totals },
      {
        count: range.count,
        stride: range.count,
        status_row: plan.rows.status,
        rejected_row: Math.max(0, plan.rows.rejected),
      },
      tallyGrid(range.count, gpu.profile),
    );
    const reading = recorder.read(this.#totals, 0, 4 * TOTALS_WORDS);
    // Trajectories end, and a small chunk is mostly overhead: a wait of half the time is on the safe side.
    recorder.submit(part.attempts > 0 ? 0.5 * this.#attemptMs * attempts : 0);
    part.totals = totalsOf(new Uint32Array(await reading));
    part.attempts += attempts;
    this.#attemptMs = (performance.now() - started) / attempts;
    this.#attemptsBefore = attempts;
  }

  #chunkAttempts({ steps, attempts }: Part): number {
    const { chunk } = this.config;
    const affordable = Math.max(1, Math.floor(chunk.milliseconds / this.#attemptMs));
    const wanted = chunk.steps ?? Math.min(affordable, CHUNK_GROWTH * this.#attemptsBefore);
    const most = this.#setup.shape.adaptive ? 2 ** 31 : Math.max(1, steps - attempts);
    return Math.min(wanted, most);
  }

  /** Parameters of the kernels that do not change from chunk to chunk. */
  #params(range: EnsembleRange): Params {
    const { shape, sharedParameters, config } = this.#setup;
    const { steps, save, event } = config;
    const adaptive = steps.kind === "adaptive" ? steps : undefined;
    return {
      stride: range.count,
      max_steps: adaptive?.maxSteps ?? 0,
      parameter_stride: sharedParameters ? 1 : range.count,
      parameter_step: sharedParameters ? 0 : 1,
      points: typeof shape.points === "number" ? shape.points : 0,
      ragged: typeof shape.points === "number" ? 0 : 1,
      plane: range.plane,
      every: save.kind === "steps" ? save.every : 1,
      event_maximum: event?.maximum ?? 0,
      event_end: event?.terminal ? event.count : 0,
      zero: 0,
      dt_min: adaptive?.minStep ?? 0,
      dt_max: adaptive?.maxStep ?? NO_STEP_LIMIT,
    };
  }

  async #eachRow(
    row: number,
    rows: number,
    take: (words: Float32Array<ArrayBuffer>, range: EnsembleRange, part: Part) => void,
  ): Promise<void> {
    for (const part of this.#parts) {
      take(await readRows(this.gpu, part.tensors.state, part.range.count, row, rows), part.range, part);
    }
  }

  async #savedCounts(): Promise<Uint32Array> {
    const counts = new Uint32Array(this.trajectories);
    await this.#eachRow(this.plan.rows.status + 3, 1, (words, { first }) =>
      counts.set(new Uint32Array(words.buffer), first),
    );
    return counts;
  }

  #commonPoints(): number {
    const { points } = this.#setup.shape;
    if (this.config.save.kind !== "grid" || typeof points !== "number") {
      throw new ConfigError("of", "must be states unless a grid common to all trajectories is saved", "saved");
    }
    return points;
  }
}

function planOf({ shape }: Setup, gpu: Gpu): EnsemblePlan {
  try {
    return planEnsemble(shape, gpu.profile);
  } catch (error) {
    if (error instanceof RangeError) throw new DeviceError("out_of_memory", error.message, "ensemble");
    throw error;
  }
}

function unfinished({ count }: EnsembleRange): Totals {
  const counts = STATUS_NAMES.map(() => 0);
  counts[SOLVE_STATUSES.not_finished] = count;
  return { counts, accepted: 0, rejected: 0 };
}

function left({ totals }: Part): number {
  return totals.counts[SOLVE_STATUSES.not_finished]!;
}

function totalsOf(words: Uint32Array): Totals {
  const sum = (at: number) => words[at]! + 2 ** 32 * words[at + 1]!;
  return { counts: Array.from(words.subarray(0, 8)), accepted: sum(8), rejected: sum(10) };
}

/** [rows, count] → [count, rows], into `to` from `at`. */
function transpose(from: Float32Array, rows: number, count: number, to: Float32Array, at: number): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < count; j++) to[at + j * rows + i] = from[i * count + j]!;
  }
}
