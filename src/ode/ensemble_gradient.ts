/** Gradients of ensemble solves by record and replay: the solve leaves its steps behind, and a reverse sweep goes through them. */
import { ConfigError } from "../config/errors.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import { DeviceError } from "../gpu/errors.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { Params, Recorder } from "../gpu/recorder.ts";
import { type EnsemblePlan, type EnsembleRange, rangeOf, rowsGrid, SLICE, trajectoryGrid } from "../plan/ode.ts";
import {
  carriedRows,
  emptyRecord,
  guessedCapacities,
  mostOfSlices,
  planRecord,
  planRecords,
  type RecordLimits,
  type RecordPlan,
  type RecordShape,
} from "../plan/ode_record.ts";
import { SOLVE_STATUSES } from "./controllers.ts";
import { type EnsembleBuffers, pick, readRows } from "./ensemble_buffers.ts";
import { replayConstants, replayGroup, reversibleConstants } from "./ensemble_kernels.ts";
import { type Setup, shaderPart } from "./ensemble_setup.ts";
import type { EnsembleCotangents, EnsembleGradient, EnsembleProblem, EnsembleRunOptions } from "./ensemble_types.ts";
import { reconstruction, type WayBack } from "./reconstruction.ts";

/** A range whose steps are recorded. */
export interface RecordedRange extends EnsembleBuffers {
  readonly record: RecordPlan;
  readonly started: boolean;
}

/** What the sweep asks of the solve. */
export interface ReplayedSolve {
  readonly recorder: Recorder;
  readonly parts: readonly RecordedRange[];
  /** Milliseconds of a step attempt of a whole range. */
  readonly attemptMs: number;
  /** Parameters of the kernels that do not change from dispatch to dispatch. */
  params(range: EnsembleRange): Params;
  /** Solves a range again, to its end. */
  resolve(range: EnsembleRange, record: RecordPlan): Promise<RecordedRange>;
  release(part: RecordedRange): void;
}

/** y, ŷ and f(ŷ) of reversible Heun, and the cotangents of the latter two. */
const REVERSIBLE_STATES = 5;
/** A step backwards is taken for this many forwards until it is measured. */
const REVERSE_FACTOR = 4;

interface Ends {
  /** Of each trajectory: its status where it got to its end, else undefined. */
  readonly reached: readonly ("done" | "event" | undefined)[];
  /** Most steps of such a trajectory of each slice. */
  readonly tops: Uint32Array<ArrayBuffer>;
}

export class EnsembleReplay {
  readonly #gpu: Gpu;
  readonly #setup: Setup;
  readonly #plan: EnsemblePlan;
  readonly #sum: Kernel;
  readonly #shape: RecordShape;
  readonly #limits: RecordLimits;
  /** Steps are undone instead of recorded. */
  readonly #reversible: boolean;
  /** Time of a step of a whole range, once measured. */
  #stepMs: number | undefined;

  private constructor(gpu: Gpu, setup: Setup, plan: EnsemblePlan, sum: Kernel) {
    const { field, config, shape } = setup;
    const { maxBindingBytes, maxBufferBytes } = gpu.profile;
    this.#gpu = gpu;
    this.#setup = setup;
    this.#plan = plan;
    this.#sum = sum;
    const { dimension, parameters } = field;
    this.#reversible = config.adjoint === "reversible";
    this.#shape = {
      dimension,
      parameters,
      adaptive: shape.adaptive,
      ...(this.#reversible
        ? { group: 1, carried: REVERSIBLE_STATES * dimension }
        : { group: replayGroup(setup, gpu.profile) }),
    };
    this.#limits = {
      bytes: config.record.bytes,
      bindingBytes: Math.min(maxBindingBytes, maxBufferBytes),
      every: config.record.every,
    };
  }

  /**
   * Checks that the field has the derivatives, and compiles the sweep.
   * @throws ConfigError for a field without them, or a method whose steps cannot be replayed; FieldError for wrong ones.
   */
  static async create(gpu: Gpu, problem: EnsembleProblem, setup: Setup, plan: EnsemblePlan): Promise<EnsembleReplay> {
    const { config } = setup;
    const reversible = config.adjoint === "reversible";
    if (reversible && setup.method.kind !== "reversible-heun")
      throw new ConfigError("adjoint", "must be replay: only steps of reversible-heun can be undone", config.method);
    if (reversible && config.event?.terminal)
      throw new ConfigError("adjoint", "must not be reversible for a solve that an event may end", config.adjoint);
    if (!reversible && setup.method.kind === "reversible-heun")
      throw new ConfigError("adjoint", "must be reversible for this method", config.method);
    if (!reversible && setup.method.kind === "rosenbrock") {
      const rule =
        "must be none or backsolve for this method: explicit ones, kvaerno3, kvaerno5 and leapfrog can be replayed";
      throw new ConfigError("adjoint", rule, config.method);
    }
    if (!reversible && setup.method.kind === "symplectic" && (config.event || config.save.kind === "grid"))
      throw new ConfigError(
        "adjoint",
        "must be none with an event or a grid: leapfrog is replayed from node to node",
        config.method,
      );
    await requirePullback(gpu, problem, setup);
    const replay = new EnsembleReplay(gpu, setup, plan, await gpu.kernel("ode/sum_trajectories"));
    const variants = new Set(plan.ranges.map((range) => 2 ** replay.recordOf(range).shift > replay.#shape.group));
    await Promise.all(Array.from(variants, (segments) => replay.#kernel(segments)));
    return replay;
  }

  /** What a solve records of a range as it goes: all of its steps if they fit, else none. */
  recordOf({ first, count }: EnsembleRange): RecordPlan {
    const { config, mesh } = this.#setup;
    const { steps } = config;
    const slices = Math.ceil(count / SLICE);
    const capacities =
      steps.kind === "fixed"
        ? mostOfSlices(count, (j) => mesh(first + j).count)
        : guessedCapacities(slices, steps.maxSteps);
    const limits = { ...this.#limits, bytes: this.#limits.bytes / this.#plan.ranges.length };
    return planRecord(this.#shape, capacities, limits) ?? emptyRecord(this.#shape, slices);
  }

  /** @throws ConfigError for cotangents of a wrong length, or of what the solve does not save. */
  async gradient(
    solve: ReplayedSolve,
    cotangents: EnsembleCotangents,
    { signal }: Pick<EnsembleRunOptions, "signal"> = {},
  ): Promise<EnsembleGradient> {
    checkCotangents(this.#setup, cotangents);
    const { n, field, sharedParameters } = this.#setup;
    const slices = Math.ceil(n / SLICE);
    const nothing = (length: number) => new Float32Array(length).fill(Number.NaN);
    const gradient = {
      initial: nothing(n * field.dimension),
      parameters: nothing((sharedParameters ? 1 : n) * field.parameters),
      start: nothing(n),
      end: nothing(n),
      missing: 0,
      checkpointEvery: this.#reversible ? 0 : 1,
      recordBytes: 0,
    };
    const ways = new Map<number, WayBack>();
    const sums = sharedParameters ? this.#gpu.tensor("gradient sums", 4 * field.parameters * slices) : undefined;
    try {
      for (const part of solve.parts) {
        const ends = await this.#ends(part);
        const isRecorded = ends.tops.every((top, s) => top <= part.record.capacities[s]!);
        for (const record of isRecorded ? [part.record] : this.#records(ends.tops)) {
          signal?.throwIfAborted();
          const first = record.firstSlice * SLICE;
          const count = Math.min(record.capacities.length * SLICE, part.range.count - first);
          const range = rangeOf(this.#setup.shape, part.range.first + first, count);
          const recorded = isRecorded ? part : await solve.resolve(range, record);
          const own = {
            reached: ends.reached.slice(first, first + count),
            tops: ends.tops.slice(record.firstSlice, record.firstSlice + record.capacities.length),
          };
          try {
            await this.#sweep(solve, recorded, own, cotangents, gradient, sums, ways);
          } finally {
            if (!isRecorded) solve.release(recorded);
          }
          if (!this.#reversible) gradient.checkpointEvery = Math.max(gradient.checkpointEvery, 2 ** record.shift);
          gradient.recordBytes = Math.max(gradient.recordBytes, 4 * (record.recordWords + record.sweepWords));
        }
        gradient.missing += ends.reached.filter((end) => end === undefined).length;
      }
      if (sums) {
        gradient.parameters.set(await sumRows(this.#gpu, solve.recorder, this.#sum, sums, field.parameters, slices));
      }
      if (!this.#reversible) return gradient;
      return { ...gradient, reconstruction: reconstruction(this.#setup, (j) => ways.get(j)) };
    } finally {
      this.#gpu.release(sums);
    }
  }

  /** Takes a recorded range from its end to its start, and its part of the gradient off the device. */
  async #sweep(
    solve: ReplayedSolve,
    part: RecordedRange,
    { reached, tops }: Ends,
    given: EnsembleCotangents,
    gradient: EnsembleGradient,
    sums: Tensor | undefined,
    ways: Map<number, WayBack>,
  ): Promise<void> {
    const { range, record, tensors } = part;
    const { first, count } = range;
    const { dimension, parameters } = this.#setup.field;
    const { recorder } = solve;
    const kernel = await this.#kernel(2 ** record.shift > this.#shape.group);
    const slots = Math.max(1, parameters);
    const own = {
      cotangents: this.#gpu.upload(`ensemble cotangents ${first}`, this.#cotangentsOf(range, given)),
      sweep: this.#gpu.tensor(`ensemble sweep ${first}`, 4 * record.sweepWords),
      list: this.#gpu.upload(`ensemble tops ${first}`, tops),
    };
    try {
      recorder.clear({ tensor: own.sweep, bytes: 4 * carriedRows(this.#shape) * count });
      const least = this.#reversible ? 1 : 2 ** record.shift;
      const most = Math.ceil(Math.max(...tops.map(Number)) / least) * least;
      const rows = this.#reversible ? carriedRows(this.#shape) + dimension : slots + 2;
      let words: [Float32Array, Float32Array] | undefined;
      for (let top = most; words === undefined; ) {
        const attempts = Math.min(top, this.#chunk(solve, least));
        const bottom = top - attempts;
        const started = performance.now();
        recorder.dispatch(
          kernel,
          pick({ ...tensors, ...own }, kernel),
          { ...solve.params(range), count, listed: 0, attempts, first_step: bottom },
          trajectoryGrid(count, 1, this.#gpu.profile),
        );
        const w = recorder.read(own.cotangents, 0, 4 * (bottom === 0 ? dimension * count : 1));
        const rest = recorder.read(own.sweep, 0, 4 * (bottom === 0 ? rows * count : 1));
        recorder.submit(this.#stepMs === undefined ? 0 : 0.5 * this.#stepMs * attempts);
        const read = [new Float32Array(await w), new Float32Array(await rest)] as [Float32Array, Float32Array];
        if (attempts > 0) this.#stepMs = (performance.now() - started) / attempts;
        if (bottom === 0) words = read;
        top = bottom;
      }
      if (sums) {
        const grid = rowsGrid(Math.ceil(count / SLICE), parameters, this.#gpu.profile);
        const [stride, firstOut] = [Math.ceil(this.#setup.n / SLICE), first / SLICE];
        const params = { rows: parameters, count, stride: count, out_stride: stride, first_out: firstOut };
        recorder.dispatch(this.#sum, { x: own.sweep, sums }, params, grid);
        recorder.submit();
      }
      const [w, rest] = words;
      for (let j = 0; j < count; j++) {
        const end = reached[j];
        if (end === undefined) continue;
        const at = first + j;
        for (let i = 0; i < dimension; i++) gradient.initial[at * dimension + i] = w[i * count + j]!;
        if (!sums) {
          for (let i = 0; i < parameters; i++) gradient.parameters[at * parameters + i] = rest[i * count + j]!;
        }
        gradient.start[at] = rest[slots * count + j]!;
        // A trajectory that ended at t1 ended at a time that is t1.
        const time = end === "done" ? (given.endTimes?.[at] ?? 0) : 0;
        gradient.end[at] = rest[(slots + 1) * count + j]! + time;
      }
      if (this.#reversible) await this.#measureWays(part, reached, rest, ways);
    } finally {
      this.#gpu.release(...Object.values(own));
    }
  }

  /** Compares the states that the steps were undone to, in the last rows of `rest`, with y0. */
  async #measureWays(
    { range, tensors }: RecordedRange,
    reached: Ends["reached"],
    rest: Float32Array,
    ways: Map<number, WayBack>,
  ): Promise<void> {
    const { field, initial } = this.#setup;
    const { dimension } = field;
    const { first, count } = range;
    const last = await readRows(this.#gpu, tensors.state, count, 0, dimension);
    const steps = new Uint32Array(
      (await readRows(this.#gpu, tensors.state, count, this.#plan.rows.status + 1, 1)).buffer,
    );
    for (let j = 0; j < count; j++) {
      if (reached[j] === undefined) continue;
      let [error, size] = [0, 0];
      for (let i = 0; i < dimension; i++) {
        const y0 = initial[(first + j) * dimension + i]!;
        error = Math.max(error, Math.abs(rest[(carriedRows(this.#shape) + i) * count + j]! - y0));
        size = Math.max(size, Math.abs(y0), Math.abs(last[i * count + j]!));
      }
      ways.set(first + j, { error, size, steps: 2 * steps[j]! });
    }
  }

  /** Steps of a dispatch within the budget, a multiple of `least`. */
  #chunk({ attemptMs }: ReplayedSolve, least: number): number {
    const { chunk } = this.#setup.config;
    const affordable = chunk.milliseconds / (this.#stepMs ?? REVERSE_FACTOR * attemptMs);
    return Math.max(1, Math.floor((chunk.steps ?? affordable) / least)) * least;
  }

  #kernel(segments: boolean): Promise<Kernel> {
    const { source } = this.#setup.field;
    if (this.#reversible) {
      const constants = reversibleConstants(this.#setup);
      return this.#gpu.kernel("ode/reverse_reversible_heun", constants, shaderPart(source));
    }
    const part = { source, replaces: ["vector_field", "event_value", "vector_field_vjp", "jacobian"] };
    const { method } = this.#setup;
    if (method.kind === "rosenbrock" || method.kind === "reversible-heun")
      throw new Error(`${method.name} cannot be replayed`);
    const constants = replayConstants(this.#setup, method, this.#shape.group, segments);
    return this.#gpu.kernel(`ode/replay_${method.kind}`, constants, part);
  }

  #records(tops: Uint32Array): RecordPlan[] {
    try {
      return planRecords(this.#shape, tops, this.#limits);
    } catch (error) {
      if (error instanceof RangeError) throw new DeviceError("out_of_memory", error.message, "ensemble record");
      throw error;
    }
  }

  async #ends({ range: { count }, tensors, started }: RecordedRange): Promise<Ends> {
    const rows = await readRows(this.#gpu, tensors.state, count, this.#plan.rows.status, 2);
    const words = new Uint32Array(rows.buffer);
    const reached = Array.from({ length: count }, (_, j) => {
      const code = words[j]! & 0xff;
      if (!started) return undefined;
      return code === SOLVE_STATUSES.done ? "done" : code === SOLVE_STATUSES.event ? "event" : undefined;
    });
    return { reached, tops: mostOfSlices(count, (j) => (reached[j] === undefined ? 0 : words[count + j]!)) };
  }

  /** Rows of `cotangents`: of the states, of the end times, of saved points. */
  #cotangentsOf({ first, count, plane }: EnsembleRange, given: EnsembleCotangents): Float32Array<ArrayBuffer> {
    const { field, shape } = this.#setup;
    const { dimension } = field;
    const words = new Float32Array((dimension + 1) * count + dimension * plane);
    for (let j = 0; j < count; j++) {
      const at = first + j;
      for (let i = 0; i < dimension; i++) words[i * count + j] = given.states?.[at * dimension + i] ?? 0;
      words[dimension * count + j] = given.endTimes?.[at] ?? 0;
    }
    if (!given.saved) return words;
    const { points } = shape;
    const common = typeof points === "number";
    for (let j = 0; j < count; j++) {
      const offset = common ? (first + j) * points : points[first + j]!;
      const length = common ? points : points[first + j + 1]! - offset;
      for (let point = 0; point < length; point++) {
        const place = common ? point * count + j : offset - points[first]! + point;
        for (let i = 0; i < dimension; i++) {
          words[(dimension + 1) * count + i * plane + place] = given.saved[(offset + point) * dimension + i]!;
        }
      }
    }
    return words;
  }
}

/**
 * Products with ∂f/∂(y, p, t), those of a user compared with differences.
 * @throws ConfigError for a field without them, FieldError for wrong ones.
 */
export async function requirePullback(gpu: Gpu, problem: EnsembleProblem, { field, config }: Setup): Promise<void> {
  if (!field.functions.includes("vector_field_vjp")) {
    throw new ConfigError(
      "adjoint",
      "needs a field that declares fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback with the products wᵀ ∂f/∂(y, p, t)",
      config.adjoint,
    );
  }
  if (field.user) {
    const { requireDerivatives } = await import("./check_vjp.ts");
    await requireDerivatives(gpu, field.user, problem);
  }
}

/** @throws ConfigError for cotangents of a wrong length, or of what the solve does not save. */
export function checkCotangents(
  { n, field, shape, config }: Setup,
  { states, saved, endTimes }: EnsembleCotangents,
): void {
  const expect = (name: string, array: Float32Array | undefined, length: number, what: string) => {
    if (array && array.length !== length)
      throw new ConfigError(`cotangents.${name}`, `must hold ${what}`, array.length);
  };
  const { dimension } = field;
  expect("states", states, n * dimension, `${n} × ${dimension} numbers`);
  expect("endTimes", endTimes, n, `${n} numbers`);
  if (saved && config.save.kind !== "grid" && config.save.kind !== "steps")
    throw new ConfigError("cotangents.saved", "needs a solve that saves a grid or steps", config.save.kind);
  const points = typeof shape.points === "number" ? n * shape.points : shape.points[n]!;
  expect("saved", saved, points * dimension, `${points} × ${dimension} numbers, as many as saved points`);
}

/** Sums of rows x [rows, count], of 64 neighbours, then of 64 such sums, and so on. */
export async function sumRows(
  gpu: Gpu,
  recorder: Recorder,
  kernel: Kernel,
  x: Tensor,
  rows: number,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  const made: Tensor[] = [];
  let [from, length] = [x, count];
  while (length > 1) {
    const slices = Math.ceil(length / SLICE);
    const sums = gpu.tensor("sums of rows", 4 * rows * slices);
    made.push(sums);
    const params = { rows, count: length, stride: length, out_stride: slices, first_out: 0 };
    recorder.dispatch(kernel, { x: from, sums }, params, rowsGrid(slices, rows, gpu.profile));
    [from, length] = [sums, slices];
  }
  recorder.submit();
  try {
    return await gpu.read(from, 0, 4 * rows);
  } finally {
    gpu.release(...made);
  }
}
