/** Gradients of ensemble solves by the continuous adjoint: an ensemble solve of the adjoint system from t1 back to t0. */
import { ConfigError } from "../config/errors.ts";
import { type EnsembleInput, MOST_COMPONENTS, type UserField } from "../config/ode.ts";
import type { Gpu } from "../gpu/device.ts";
import { adjointField } from "./adjoint_field.ts";
import type { EnsembleSolve } from "./ensemble.ts";
import { checkCotangents, requirePullback } from "./ensemble_gradient.ts";
import type { Setup } from "./ensemble_setup.ts";
import type {
  EnsembleCotangents,
  EnsembleGradient,
  EnsembleProblem,
  EnsembleRunOptions,
  SavedPoints,
} from "./ensemble_types.ts";
import { evaluateField } from "./evaluate_field.ts";
import { traitsOf } from "./method_constants.ts";
import { reconstruction } from "./reconstruction.ts";

type CreateSolve = (gpu: Gpu, problem: EnsembleProblem, options: EnsembleInput) => Promise<EnsembleSolve>;
type Signal = Pick<EnsembleRunOptions, "signal">;

/** Points of a field evaluated together. */
const EVALUATED = 65_536;
/** So much of a step is taken for a rounding error of the span. */
const ROUNDING = 8 * 2 ** -23;

export class EnsembleBacksolve {
  readonly #setup: Setup;
  readonly #field: UserField;
  readonly #createSolve: CreateSolve;

  private constructor(setup: Setup, field: UserField, createSolve: CreateSolve) {
    this.#setup = setup;
    this.#field = field;
    this.#createSolve = createSolve;
  }

  /**
   * Checks that there is an adjoint system and that a kernel can hold it; `createSolve` makes its solves.
   * @throws ConfigError for a field without derivatives, a method or an event that does not allow it, too many components;
   * FieldError for wrong derivatives.
   */
  static async create(
    gpu: Gpu,
    problem: EnsembleProblem,
    setup: Setup,
    createSolve: CreateSolve,
  ): Promise<EnsembleBacksolve> {
    const { field, config, method } = setup;
    const { dimension, parameters } = field;
    const refuse = (rule: string) => new ConfigError("adjoint", rule, config.adjoint);
    if (config.event?.terminal) throw refuse("must be replay for a solve that an event may end");
    if (method.kind === "symplectic")
      throw refuse(`must not be backsolve with ${method.name}: the adjoint system is not separable`);
    const most = traitsOf(method).mostComponents ?? MOST_COMPONENTS;
    if (2 * dimension + parameters > most) {
      throw refuse(
        `must be replay with ${dimension} components and ${parameters} parameters: of the 2 × ${dimension} + ${parameters} numbers of the adjoint system a kernel with ${method.name} holds at most ${most}`,
      );
    }
    await requirePullback(gpu, problem, setup);
    return new EnsembleBacksolve(setup, adjointField(field), createSolve);
  }

  /**
   * Gradient of a loss of what `solve` computed. Where cotangents of saved points are given, every trajectory is solved back
   * from point to point, each time from the state that was saved.
   * @throws ConfigError for cotangents of a wrong length, or of what the solve does not save.
   */
  async gradient(solve: EnsembleSolve, given: EnsembleCotangents, { signal }: Signal = {}): Promise<EnsembleGradient> {
    const setup = this.#setup;
    checkCotangents(setup, given);
    const { gpu } = solve;
    const points = given.saved && (await solve.saved());
    const states = await solve.states();
    const { status, accepted } = await solve.status();
    const ways: WayBack[] = [];
    for (let j = 0; j < setup.n; j++) {
      if (status[j] === "done") ways.push(new WayBack(setup, j, states, accepted[j]!, given, points));
    }
    let recordBytes = 0;
    for (let under = ways; ; ) {
      under = under.filter((way) => !way.failed && way.time !== way.target);
      if (under.length === 0) break;
      signal?.throwIfAborted();
      recordBytes = Math.max(recordBytes, await this.#solveBack(gpu, under, signal));
    }
    const arrived = ways.filter(({ failed }) => !failed);
    const wayOf = new Map(ways.map((way) => [way.j, way]));
    return {
      ...(await this.#gather(gpu, arrived, states, given)),
      missing: setup.n - arrived.length,
      checkpointEvery: 0,
      recordBytes,
      reconstruction: reconstruction(setup, (j) => wayOf.get(j)),
    };
  }

  /** Takes every trajectory back to its next point, or to t0; returns the bytes that took. */
  async #solveBack(gpu: Gpu, ways: readonly WayBack[], signal: AbortSignal | undefined): Promise<number> {
    const { field, config, parameters, sharedParameters, shape, rtol, atol } = this.#setup;
    const width = this.#field.dimension;
    const initial = new Float32Array(ways.length * width);
    ways.forEach(({ y, a }, k) => {
      initial.set(y, k * width);
      initial.set(a, k * width + field.dimension);
    });
    const numbers = (of: (way: WayBack) => number) => Float32Array.from(ways, of);
    const own = field.parameters;
    const solve = await this.#createSolve(
      gpu,
      {
        field: this.#field,
        initial,
        parameters: sharedParameters
          ? Float32Array.from(parameters)
          : Float32Array.from({ length: ways.length * own }, (_, at) => {
              return parameters[ways[Math.floor(at / own)]!.j * own + (at % own)]!;
            }),
        start: numbers(({ time }) => time),
        end: numbers(({ target }) => target),
        ...(shape.adaptive && {
          rtol: numbers(({ j }) => rtol(j)),
          ...(shape.atolRows === 1 && { atol: numbers(({ j }) => atol(j, 0)) }),
        }),
      },
      { method: config.method, steps: this.#steps(ways), chunk: config.chunk },
    );
    try {
      await solve.run({ signal });
      signal?.throwIfAborted();
      const states = await solve.states();
      const { status, accepted } = await solve.status();
      ways.forEach((way, k) => {
        way.arrive(status[k] === "done", states.subarray(k * width, (k + 1) * width), accepted[k]!);
      });
      return solve.plan.bytes;
    } finally {
      solve.destroy();
    }
  }

  /** Those of the solve: a and g, whose cotangents have size 1, have the coarsest of its absolute tolerances. */
  #steps(ways: readonly WayBack[]): EnsembleInput["steps"] {
    const { config, start, end } = this.#setup;
    const { steps } = config;
    if (steps.kind === "adaptive") {
      const { initialStep: _, atol, ...rest } = steps;
      if (typeof atol === "number") return { ...rest, atol };
      const coarsest = Math.max(...atol);
      return { ...rest, atol: Array.from({ length: this.#field.dimension }, (_, i) => atol[i] ?? coarsest) };
    }
    if (steps.count === undefined) return steps;
    // A part of the span takes its part of the steps.
    const parts = ways.map(({ j, time, target }) => Math.abs((time - target) / (end(j) - start(j))));
    return { kind: "fixed", count: Math.max(1, Math.ceil(steps.count * Math.max(...parts) * (1 - ROUNDING))) };
  }

  async #gather(
    gpu: Gpu,
    ways: readonly WayBack[],
    states: Float32Array,
    { endTimes }: EnsembleCotangents,
  ): Promise<Pick<EnsembleGradient, "initial" | "parameters" | "start" | "end">> {
    const { n, field, sharedParameters, initial: y0, start: t0, end: t1 } = this.#setup;
    const { dimension, parameters } = field;
    const nothing = (length: number) => new Float32Array(length).fill(Number.NaN);
    const initial = nothing(n * dimension);
    const sums = new Float64Array(parameters);
    const own = nothing(sharedParameters ? 0 : n * parameters);
    for (const { j, a, g, unit } of ways) {
      for (let i = 0; i < dimension; i++) initial[j * dimension + i] = unit * a[i]!;
      for (let i = 0; i < parameters; i++) {
        sums[i] += unit * g[i]!;
        if (!sharedParameters) own[j * parameters + i] = unit * g[i]!;
      }
    }
    // A span that ends later adds f at its end, one that begins later takes it away at its start.
    const start = nothing(n);
    const end = nothing(n);
    const atEnd = await this.#slopes(gpu, ways, t1, states);
    const atStart = await this.#slopes(gpu, ways, t0, y0);
    ways.forEach(({ j, unit, last, first }, k) => {
      let [later, earlier] = [0, 0];
      for (let i = 0; i < dimension; i++) {
        later += last[i]! * atEnd[k * dimension + i]!;
        earlier += first[i]! * atStart[k * dimension + i]!;
      }
      end[j] = unit * later + (endTimes?.[j] ?? 0);
      start[j] = -unit * earlier;
    });
    return { initial, parameters: sharedParameters ? Float32Array.from(sums) : own, start, end };
  }

  /** f(t, y) of every trajectory of `ways`, [ways, dimension]. */
  async #slopes(gpu: Gpu, ways: readonly WayBack[], time: (j: number) => number, y: Float32Array) {
    const { field, parameters, sharedParameters } = this.#setup;
    const { dimension, parameters: own } = field;
    const slopes = new Float32Array(ways.length * dimension);
    for (let from = 0; from < ways.length; from += EVALUATED) {
      const some = ways.slice(from, from + EVALUATED);
      const points = {
        t: Float32Array.from(some, ({ j }) => time(j)),
        y: new Float32Array(some.length * dimension),
        p: new Float32Array(some.length * own),
      };
      some.forEach(({ j }, k) => {
        points.y.set(y.subarray(j * dimension, (j + 1) * dimension), k * dimension);
        const first = sharedParameters ? 0 : j * own;
        points.p.set(parameters.subarray(first, first + own), k * own);
      });
      const values = await evaluateField(gpu, { ...field, functions: ["vector_field"] }, points);
      slopes.set(values.slopes, from * dimension);
    }
    return slopes;
  }
}

/** A trajectory on its way back. a and g are in units of a power of two, so that cotangents are about 1 whatever the loss is. */
class WayBack {
  readonly j: number;
  readonly unit: number;
  time: number;
  /** Where it goes next; t0 once it is there. */
  target: number;
  y: Float32Array;
  a: Float32Array;
  readonly g: Float64Array;
  /** a at t1 with the points that were saved there, and at t0 without those. */
  readonly last: Float32Array;
  first: Float32Array;
  error = 0;
  size = 0;
  steps: number;
  failed = false;
  readonly #start: number;
  readonly #initial: Float32Array;
  readonly #points: SavedPoints | undefined;
  readonly #cotangents: Float32Array | undefined;
  /** Saved points not yet passed: from `#firstPoint` up to below `#endPoint`. */
  readonly #firstPoint: number;
  #endPoint: number;

  constructor(
    { field: { dimension, parameters }, start, end, initial }: Setup,
    j: number,
    states: Float32Array,
    accepted: number,
    given: EnsembleCotangents,
    points: SavedPoints | undefined,
  ) {
    const row = (x: Float32Array) => x.slice(j * dimension, (j + 1) * dimension);
    this.j = j;
    this.time = end(j);
    this.y = row(states);
    this.a = given.states ? row(given.states) : new Float32Array(dimension);
    this.g = new Float64Array(parameters);
    this.steps = accepted;
    this.#start = start(j);
    this.#initial = row(initial);
    this.#points = points;
    this.#cotangents = given.saved;
    this.#firstPoint = points?.offsets[j] ?? 0;
    const room = points ? points.offsets[j + 1]! - this.#firstPoint : 0;
    this.#endPoint = this.#firstPoint + Math.min(room, points?.counts[j] ?? 0);
    this.size = Math.max(sizeOf(this.y), sizeOf(this.#initial));
    const saved = given.saved?.subarray(this.#firstPoint * dimension, this.#endPoint * dimension);
    const size = Math.max(sizeOf(this.a), saved ? sizeOf(saved) : 0);
    this.unit = size > 0 && size < Number.POSITIVE_INFINITY ? 2 ** Math.round(Math.log2(size)) : 1;
    this.a = this.a.map((c) => c / this.unit);
    this.#passPoints();
    this.last = this.a;
    this.first = this.a;
    this.target = this.#nextTarget();
  }

  /** Takes (y, a, g) over at the target of a solve, or that there is none. */
  arrive(isThere: boolean, state: Float32Array, accepted: number): void {
    const dimension = this.y.length;
    this.steps += accepted;
    const known = this.#known();
    for (let i = 0; i < dimension; i++) this.error = Math.max(this.error, Math.abs(state[i]! - known[i]!));
    this.size = Math.max(this.size, sizeOf(known));
    this.failed = !isThere;
    this.time = this.target;
    this.y = known;
    this.a = state.slice(dimension, 2 * dimension);
    this.first = this.a;
    this.g.forEach((sum, i) => {
      this.g[i] = sum + state[2 * dimension + i]!;
    });
    this.#passPoints();
    this.target = this.#nextTarget();
  }

  /** y at the target. */
  #known(): Float32Array {
    const dimension = this.y.length;
    const point = this.#endPoint - 1;
    return point >= this.#firstPoint
      ? this.#points!.states.slice(point * dimension, (point + 1) * dimension)
      : this.#initial;
  }

  /** Adds the cotangents of points that were saved at this time. */
  #passPoints(): void {
    const dimension = this.y.length;
    while (this.#endPoint > this.#firstPoint && this.#points!.times[this.#endPoint - 1] === this.time) {
      this.#endPoint--;
      this.a = this.a.map((a, i) => a + this.#cotangents![this.#endPoint * dimension + i]! / this.unit);
    }
  }

  #nextTarget(): number {
    return this.#endPoint > this.#firstPoint ? this.#points!.times[this.#endPoint - 1]! : this.#start;
  }
}

function sizeOf(x: Float32Array): number {
  return x.reduce((size, number) => Math.max(size, Math.abs(number)), 0);
}
