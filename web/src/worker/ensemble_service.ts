import { ConfigError, FieldError } from "../../../src/config/errors.ts";
import type { EnsembleInput, UserField } from "../../../src/config/ode.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { DeviceError } from "../../../src/gpu/errors.ts";
import { RandomStream } from "../../../src/model/random.ts";
import type { SolveStatus } from "../../../src/ode/controllers.ts";
import { type EnsembleProblem, EnsembleSolve } from "../../../src/ode/ensemble.ts";
import type {
  EnsembleChoice,
  EnsembleFrame,
  EnsembleReply,
  EnsembleRequest,
  EnsembleStatus,
  Range,
  View,
} from "../ensembles/protocol.ts";
import { FIELD_NAME, isFixed } from "../ensembles/settings.ts";
import { DensityPicture } from "./density.ts";
import type { DeviceHost } from "./device_host.ts";

/** Time of a dispatch, ms: a GPU that also draws the page must come back within a frame; a processor need not. */
const CHUNK_MS = { hardware: 8, software: 60 };
/** Least time from picture to picture, ms: a screen shows no more of them. */
const PICTURE_MS = 1000 / 60;
/** Rates are means over about this long, ms. */
const RATE_MS = 1000;

/** Where every trajectory stands. */
interface Ensemble {
  readonly choice: EnsembleChoice;
  readonly field: UserField;
  /** [trajectories, parameters], or [parameters] where all have the same. */
  readonly parameters: Float32Array;
  /** Of the trajectories still integrated, [live, dimension], and which those are; undefined: all. */
  states: Float32Array;
  live: Uint32Array | undefined;
  /** The last good states of the others, with their times. */
  readonly ended: Map<number, { readonly status: SolveStatus; readonly t: number; readonly state: Float32Array }>;
  pictures: number;
  accepted: number;
  rejected: number;
}

/**
 * Integrates one ensemble from picture to picture, as fast as the screen shows them. A picture is a solve of its own from the
 * states of the one before, so that the states at its time depend on the choices alone. Requests are served in order.
 */
export class EnsembleService {
  readonly #device: DeviceHost;
  readonly #post: (reply: EnsembleReply, transfer?: Transferable[]) => void;
  readonly #picture = new DensityPicture();
  #ensemble: Ensemble | undefined;
  #view: View | undefined;
  #queue: Promise<void> = Promise.resolve();
  #running = false;
  #stop = new AbortController();
  #rates = { steps: 0, pictures: 0 };

  constructor(device: DeviceHost, post: (reply: EnsembleReply, transfer?: Transferable[]) => void) {
    this.#device = device;
    this.#post = post;
  }

  receive(request: EnsembleRequest): void {
    if (request.kind === "view") {
      this.#view = request.view;
      // A run draws its next picture that way.
      if (!this.#running) this.#show();
      return;
    }
    if (request.kind === "save") {
      this.#save();
      return;
    }
    // Whatever else comes ends the present run, within the dispatch under way.
    this.#stop.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.#running = request.kind === "run";
    switch (request.kind) {
      case "configure":
        this.#enqueue(() => this.#configure(request.choice, stop.signal));
        break;
      case "run":
        this.#enqueue(() => this.#run(stop.signal));
        break;
      case "pause":
        this.#enqueue(async () => this.#tellStatus());
        break;
      case "step":
        this.#enqueue(async () => {
          await this.#advance(stop.signal);
          this.#show();
          this.#tellStatus();
        });
        break;
    }
  }

  #enqueue(task: () => Promise<void>): void {
    this.#queue = this.#queue.then(task).catch((error: unknown) => {
      this.#running = false;
      // A lost device is the host's to tell.
      if (this.#device.lost(error)) return;
      if (error instanceof FieldError) this.#post({ kind: "wrong-field", message: error.rule, place: error.place });
      else if (error instanceof ConfigError || (error instanceof DeviceError && error.kind === "out_of_memory"))
        this.#post({ kind: "refused", message: error.message });
      else this.#post({ kind: "failed", message: (error as Error).message });
    });
  }

  async #configure(choice: EnsembleChoice, signal: AbortSignal): Promise<void> {
    // Another one is on its way.
    if (signal.aborted) return;
    this.#ensemble = undefined;
    this.#picture.forget();
    this.#rates = { steps: 0, pictures: 0 };
    this.#status("building");
    const { components, parameters, source, trajectories, initialRanges, parameterRanges, seed } = choice;
    const same = parameterRanges.every(([from, to]) => from === to);
    const ensemble: Ensemble = {
      choice,
      field: { name: FIELD_NAME, dimension: components.length, parameters: [...parameters], source },
      parameters: drawn(parameterRanges, same ? 1 : trajectories, new RandomStream(seed, "parameters")),
      states: drawn(initialRanges, trajectories, new RandomStream(seed, "initial")),
      live: undefined,
      ended: new Map(),
      pictures: 0,
      accepted: 0,
      rejected: 0,
    };
    // Compiles the field and the solver, and says what is wrong with either.
    const gpu = await this.#device.open();
    (await EnsembleSolve.create(gpu, problemOf(ensemble), optionsOf(choice, gpu))).destroy();
    this.#ensemble = ensemble;
    this.#show();
    this.#tellStatus();
  }

  async #run(signal: AbortSignal): Promise<void> {
    if (!this.#ensemble || signal.aborted) return;
    this.#status("running");
    let started = performance.now();
    while (!signal.aborted && !isDone(this.#ensemble)) {
      const before = this.#ensemble.accepted + this.#ensemble.rejected;
      if (!(await this.#advance(signal))) break;
      this.#show();
      const rest = PICTURE_MS - (performance.now() - started);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
      const now = performance.now();
      this.#rate(now - started, this.#ensemble.accepted + this.#ensemble.rejected - before);
      started = now;
    }
    if (!signal.aborted) this.#running = false;
    this.#show();
    this.#tellStatus();
  }

  #rate(elapsed: number, steps: number): void {
    const { pictures } = this.#rates;
    const weight = pictures === 0 ? 1 : Math.min(1, elapsed / RATE_MS);
    this.#rates.steps += weight * ((1000 * steps) / elapsed - this.#rates.steps);
    this.#rates.pictures += weight * (1000 / elapsed - pictures);
  }

  /** @returns false when it was stopped first: the states then are those of before */
  async #advance(signal: AbortSignal): Promise<boolean> {
    const ensemble = this.#ensemble;
    if (!ensemble || isDone(ensemble) || signal.aborted) return false;
    const gpu = await this.#device.open();
    const solve = await EnsembleSolve.create(gpu, problemOf(ensemble), optionsOf(ensemble.choice, gpu));
    try {
      const { status, counts, accepted, rejected } = await solve.run({ signal });
      if (status !== "done") return false;
      const states = await solve.states();
      const all = counts.done === solve.trajectories;
      const [{ status: ends }, times] = all ? [{ status: [] }, []] : [await solve.status(), await solve.times()];
      // All at once: what is saved between two pictures is whole.
      ensemble.states = states;
      ensemble.pictures++;
      ensemble.accepted += accepted;
      ensemble.rejected += rejected;
      if (!all) retire(ensemble, ends, times);
      return true;
    } finally {
      solve.destroy();
    }
  }

  #show(): void {
    const ensemble = this.#ensemble;
    if (!ensemble) return;
    const { choice, states, accepted, rejected, ended } = ensemble;
    const failed: Partial<Record<SolveStatus, number>> = {};
    for (const { status } of ended.values()) failed[status] = (failed[status] ?? 0) + 1;
    const frame: EnsembleFrame = {
      t: timeOf(ensemble),
      trajectories: choice.trajectories,
      failed,
      accepted,
      rejected,
      stepsPerSecond: this.#rates.steps,
      picturesPerSecond: this.#rates.pictures,
      picture: this.#view && this.#picture.draw(states, choice.components.length, this.#view),
    };
    this.#post({ kind: "frame", frame }, frame.picture ? [frame.picture.pixels.buffer] : []);
  }

  #tellStatus(): void {
    if (this.#ensemble) this.#status(isDone(this.#ensemble) ? "done" : "paused");
  }

  #status(status: EnsembleStatus): void {
    this.#post({ kind: "status", status });
  }

  #save(): void {
    if (this.#ensemble) this.#post({ kind: "saved", csv: new Blob(csvOf(this.#ensemble), { type: "text/csv" }) });
  }
}

/** [count, ranges], each number uniform in its range. */
function drawn(ranges: readonly Range[], count: number, stream: RandomStream): Float32Array {
  const numbers = new Float32Array(count * ranges.length);
  for (let i = 0; i < numbers.length; i++) {
    const [from, to] = ranges[i % ranges.length]!;
    numbers[i] = from === to ? from : from + (to - from) * stream.uniform(i);
  }
  return numbers;
}

function timeOf({ choice, pictures }: Ensemble, ahead = 0): number {
  return Math.min(choice.end, (pictures + ahead) * choice.interval);
}

function isDone(ensemble: Ensemble): boolean {
  return timeOf(ensemble) >= ensemble.choice.end || ensemble.live?.length === 0;
}

/** From the present picture to the next. */
function problemOf(ensemble: Ensemble): EnsembleProblem {
  const { field, states, live, parameters, choice } = ensemble;
  const own = choice.parameters.length;
  return {
    field,
    initial: states,
    parameters: live && parameters.length > own ? rowsOf(parameters, own, live) : parameters,
    start: timeOf(ensemble),
    end: timeOf(ensemble, 1),
  };
}

function optionsOf({ method, tolerance, stepsPerPicture }: EnsembleChoice, gpu: Gpu): EnsembleInput {
  return {
    method,
    steps: isFixed(method)
      ? { kind: "fixed", count: stepsPerPicture }
      : { kind: "adaptive", rtol: tolerance, atol: tolerance },
    chunk: { milliseconds: CHUNK_MS[gpu.profile.kind] },
  };
}

/** Leaves the trajectories that did not get to the picture's time behind. */
function retire(ensemble: Ensemble, ends: readonly SolveStatus[], times: ArrayLike<number>): void {
  const dimension = ensemble.choice.components.length;
  const stay: number[] = [];
  for (const [j, each] of ends.entries()) {
    if (each === "done") {
      stay.push(j);
      continue;
    }
    const state = ensemble.states.slice(j * dimension, (j + 1) * dimension);
    ensemble.ended.set(ensemble.live?.[j] ?? j, { status: each, t: times[j]!, state });
  }
  ensemble.states = rowsOf(ensemble.states, dimension, stay);
  ensemble.live = Uint32Array.from(stay, (j) => ensemble.live?.[j] ?? j);
}

function rowsOf(table: Float32Array, columns: number, rows: ArrayLike<number>): Float32Array {
  const taken = new Float32Array(rows.length * columns);
  for (let i = 0; i < rows.length; i++)
    taken.set(table.subarray(rows[i]! * columns, (rows[i]! + 1) * columns), i * columns);
  return taken;
}

/** A line a trajectory: its number, how it stands, its time, state and parameters. */
function csvOf(ensemble: Ensemble): string[] {
  const { choice, states, ended, parameters } = ensemble;
  const { components, parameters: names, trajectories } = choice;
  const [dimension, own] = [components.length, names.length];
  const t = timeOf(ensemble);
  const lines = [`${["trajectory", "status", "t", ...components, ...names].join(",")}\n`];
  let next = 0;
  for (let j = 0; j < trajectories; j++) {
    const end = ended.get(j);
    const state = end?.state ?? states.subarray(next * dimension, (next + 1) * dimension);
    if (!end) next++;
    const first = parameters.length > own ? j * own : 0;
    const line = [j, end?.status ?? "done", end?.t ?? t, ...state, ...parameters.subarray(first, first + own)];
    lines.push(`${line.join(",")}\n`);
  }
  return lines;
}
