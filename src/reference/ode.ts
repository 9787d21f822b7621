import { ConfigError } from "../config/errors.ts";
import {
  CONTROLLERS,
  type ControllerName,
  control,
  type ErrorNorm,
  errorNorm,
  initialHistory,
  initialStep,
  type Round,
  type SolveStatus,
  type Tolerances,
} from "../ode/controllers.ts";
import { METHODS, type Method, type MethodName } from "../ode/tableaus.ts";
import {
  type Attempt,
  type Counters,
  createStepper,
  machineEpsilon,
  type NewtonOptions,
  type OdeSystem,
  type Stepper,
} from "./ode_steps.ts";

/** Steps of equal signed length dt from t0, the last one shorter where dt does not divide t1 − t0. */
export interface FixedSteps {
  readonly kind: "fixed";
  /** Length of a step, > 0; or give `count`, for (t1 − t0)/count. */
  readonly dt?: number;
  readonly count?: number;
}

export interface AdaptiveSteps extends Tolerances {
  readonly kind: "adaptive";
  /** Default `diffrax-i`. */
  readonly controller?: ControllerName;
  /** Default `rms`. */
  readonly norm?: ErrorNorm;
  /** First step; default by `initialStep`. */
  readonly dt0?: number;
  /** Default 0: only a step that does not change t is too short. */
  readonly dtMin?: number;
  readonly dtMax?: number;
}

/** `end`: only y(t1); `grid`: at these times, from t0 to t1, interpolated; `steps`: after every n-th accepted step. */
export type SaveAt =
  | { readonly kind: "end" }
  | { readonly kind: "grid"; readonly times: ArrayLike<number> }
  | { readonly kind: "steps"; readonly every: number };

/** A zero crossing of `value` along the solution. */
export interface OdeEvent {
  value(t: number, y: Float64Array, parameters: ArrayLike<number>): number;
  /** Crossings that count: 1 from negative to positive as the solve proceeds, −1 the other way, 0 both. Default 0. */
  readonly direction?: -1 | 0 | 1;
  /** The solve ends there; otherwise the crossing is counted and recorded. */
  readonly terminal: boolean;
  /** Derivatives of `value`, for gradients of a solve that ended there: writes into both arrays, returns that by t. */
  gradient?(
    t: number,
    y: Float64Array,
    parameters: ArrayLike<number>,
    gradY: Float64Array,
    gradParameters: Float64Array,
  ): number;
}

export interface OdeOptions {
  readonly method: MethodName | Method;
  readonly t0: number;
  /** Before or after t0. */
  readonly t1: number;
  readonly y0: ArrayLike<number>;
  readonly parameters?: ArrayLike<number>;
  readonly steps: FixedSteps | AdaptiveSteps;
  readonly save?: SaveAt;
  readonly events?: readonly OdeEvent[];
  /** Accepted and rejected steps together. Default 1,000,000. */
  readonly maxSteps?: number;
  /** Defaults: tolerances and norm of the adaptive steps (fixed: rtol = atol = 1e-6), κ = 0.01, 10 iterations. */
  readonly newton?: Partial<NewtonOptions>;
  readonly compensated?: boolean;
  /** Default: float64. */
  readonly round?: Round;
}

export interface EventRecord {
  readonly count: number;
  readonly times: readonly number[];
}

export interface OdeSolution {
  readonly status: SolveStatus;
  /** Where the solve ended: t1, the event, or the last accepted step. */
  readonly t: number;
  readonly y: Float64Array;
  readonly accepted: number;
  readonly rejected: number;
  readonly evaluations: number;
  readonly jacobians: number;
  /** Signed lengths of the accepted steps: with t0 the mesh of `replay`. */
  readonly steps: Float64Array;
  /** Saved times, and states [times, dimension]. */
  readonly times: Float64Array;
  readonly states: Float64Array;
  readonly events: readonly EventRecord[];
  /** Index of the terminal event, and its place 0 < θ ≤ 1 within the last step. */
  readonly ended?: { readonly event: number; readonly theta: number };
}

/** The step is stretched to t1 when less than this part of it would be left. */
const STRETCH = 1.01;

function expect(holds: boolean, field: string, rule: string, value: unknown): void {
  if (!holds) throw new ConfigError(field, rule, value);
}

function validate(system: OdeSystem, options: OdeOptions, method: Method): void {
  const { t0, t1, y0, steps, save, maxSteps } = options;
  expect(Number.isFinite(t0) && Number.isFinite(t1), "t0, t1", "must be finite", [t0, t1]);
  expect(y0.length === system.dimension, "y0", `must hold ${system.dimension} numbers`, y0.length);
  expect(maxSteps === undefined || maxSteps >= 0, "maxSteps", "must be at least 0", maxSteps);
  if (steps.kind === "fixed") {
    const { dt, count } = steps;
    expect((dt === undefined) !== (count === undefined), "steps", "must have either dt or count", steps);
    expect(dt === undefined || dt > 0, "steps.dt", "must be positive", dt);
    expect(
      count === undefined || (Number.isInteger(count) && count > 0),
      "steps.count",
      "must be an integer ≥ 1",
      count,
    );
  } else {
    expect(method.errorOrder !== undefined, "method", "must have an embedded method for adaptive steps", method.name);
    expect(steps.rtol >= 0, "steps.rtol", "must be at least 0", steps.rtol);
    expect(steps.dt0 === undefined || steps.dt0 > 0, "steps.dt0", "must be positive", steps.dt0);
  }
  if (save?.kind === "steps") {
    expect(Number.isInteger(save.every) && save.every > 0, "save.every", "must be an integer ≥ 1", save.every);
  }
  if (save?.kind === "grid") {
    let before = t0;
    for (const time of Array.from(save.times)) {
      const inOrder = t1 >= t0 ? time >= before && time <= t1 : time <= before && time >= t1;
      expect(inOrder, "save.times", `must run from t0 = ${t0} to t1 = ${t1}`, time);
      before = time;
    }
  }
}

/** Sign changes of one event over a step from value g0 to g1; a step that starts at 0 has none. */
function crosses(direction: -1 | 0 | 1, g0: number, g1: number): boolean {
  return (direction >= 0 && g0 < 0 && g1 >= 0) || (direction <= 0 && g0 > 0 && g1 <= 0);
}

/** A mesh: start of every step, and its signed length. `next` is undefined at the end. */
interface Pace {
  /** Start, length and end of the step to try. */
  next(): { t: number; h: number; t1: number } | "dt_min" | undefined;
  /** Takes the step's outcome; says whether it is accepted. */
  judge(attempt: Attempt, finite: boolean): boolean;
}

/** Step i starts at t0 + i dt; the number of steps is the least with t0 + count·dt at t1 or beyond it, up to 8 ε. */
class FixedPace implements Pace {
  readonly #t0: number;
  readonly #t1: number;
  readonly #dt: number;
  readonly #count: number;
  readonly #round: Round;
  #step = 0;

  constructor(t0: number, t1: number, { dt, count }: FixedSteps, round: Round) {
    this.#t0 = t0;
    this.#t1 = t1;
    this.#round = round;
    const span = round(t1 - t0);
    if (dt === undefined) {
      this.#count = span === 0 ? 0 : count!;
      this.#dt = round(span / count!);
    } else {
      this.#dt = round(Math.sign(span) * dt);
      this.#count = Math.ceil(round(Math.abs(span) / round(dt)) * (1 - 8 * machineEpsilon(round)));
    }
  }

  next(): { t: number; h: number; t1: number } | undefined {
    if (this.#step === this.#count) return undefined;
    const round = this.#round;
    const at = (i: number) => (i === 0 ? this.#t0 : round(this.#t0 + round(i * this.#dt)));
    const t = at(this.#step);
    if (this.#step === this.#count - 1) return { t, h: round(this.#t1 - t), t1: this.#t1 };
    return { t, h: this.#dt, t1: at(this.#step + 1) };
  }

  judge(attempt: Attempt, finite: boolean): boolean {
    if (attempt.failed || !finite) return false;
    this.#step++;
    return true;
  }
}

/** Time is a sum of two numbers, so that thousands of steps do not shift it; the last step ends at t1 exactly. */
class AdaptivePace implements Pace {
  #t: number;
  #low = 0;
  #h: number;
  #tried = { t: 0, h: 0, t1: 0 };
  #history: ReturnType<typeof initialHistory>;

  constructor(
    t0: number,
    readonly t1: number,
    h: number,
    readonly steps: AdaptiveSteps,
    readonly k: number,
    readonly round: Round,
  ) {
    this.#t = t0;
    this.#h = h;
    this.#history = initialHistory(CONTROLLERS[steps.controller ?? "diffrax-i"]);
  }

  next(): { t: number; h: number; t1: number } | "dt_min" | undefined {
    const { round, t1, steps } = this;
    const left = round(round(t1 - this.#t) - this.#low);
    if (this.#t === t1) return undefined;
    const least = steps.dtMin === undefined ? 0 : round(steps.dtMin);
    if (Math.abs(this.#h) < least) return "dt_min";
    if (round(round(STRETCH) * Math.abs(this.#h)) >= Math.abs(left)) this.#tried = { t: this.#t, h: left, t1 };
    else {
      const end = round(this.#t + round(this.#h + this.#low));
      if (end === this.#t) return "dt_min";
      this.#tried = { t: this.#t, h: this.#h, t1: end };
    }
    return this.#tried;
  }

  judge(attempt: Attempt, finite: boolean): boolean {
    const { round, steps, k } = this;
    const { t, h, t1 } = this.#tried;
    const usable = finite && !attempt.failed && attempt.error !== undefined;
    const error = usable
      ? errorNorm(steps.norm ?? "rms", steps, attempt.error!, attempt.y, attempt.y1, round)
      : Number.POSITIVE_INFINITY;
    const decision = control(CONTROLLERS[steps.controller ?? "diffrax-i"], k, error, this.#history, round);
    this.#history = decision.history;
    if (decision.accepted) {
      const whole = round(h + this.#low);
      this.#low = t1 === this.t1 ? 0 : round(whole - round(t1 - t));
      this.#t = t1;
    }
    const next = round(h * decision.factor);
    this.#h = steps.dtMax === undefined ? next : Math.sign(next) * Math.min(Math.abs(next), round(steps.dtMax));
    return decision.accepted;
  }
}

/** Where g, of one sign at θ = 0 and of the other at θ = 1, has changed it: bisection down to one unit of θ. */
function locate(value: (theta: number) => number, before: number, epsilon: number): number {
  let [low, high] = [0, 1];
  for (let halvings = Math.round(-Math.log2(epsilon)); halvings > 0; halvings--) {
    const middle = (low + high) / 2;
    if (Math.sign(value(middle)) === Math.sign(before)) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Integrates one trajectory in float64, or operation by operation in the arithmetic of `round`. Order of the operations:
 * the steps as at `createStepper`, the error norm, the controller and the first step as in `ode/controllers.ts`.
 *
 * Time: with fixed steps, step i starts at t0 + i·dt; with adaptive steps t is carried as t + low with |low| below one unit
 * of t, stages are evaluated at t + c h, and a step that would end within 1 % of its length of t1 ends at t1. A step whose
 * result is not finite, or whose implicit stage has no solution, ends a solve with fixed steps and is tried again with
 * factorMin times its length by adaptive ones. Events are looked for at the ends of accepted steps and located on the
 * interpolant by bisection (52 halvings, 23 in float32).
 *
 * What goes wrong in the solve is a status, with the last accepted t and y; a wrong option is a ConfigError.
 */
export function integrate(system: OdeSystem, options: OdeOptions): OdeSolution {
  const round: Round = options.round ?? ((x) => x);
  const method: Method = typeof options.method === "string" ? METHODS[options.method] : options.method;
  validate(system, options, method);
  const { steps, save = { kind: "end" }, events = [] } = options;
  const parameters = Float64Array.from(options.parameters ?? [], round);
  const [t0, t1] = [round(options.t0), round(options.t1)];
  const adaptive = steps.kind === "adaptive" ? steps : undefined;
  const counters: Counters = { evaluations: 0, jacobians: 0 };
  const stepper = createStepper(system, method, {
    parameters,
    round,
    counters,
    compensated: options.compensated ?? false,
    newton: {
      rtol: adaptive?.rtol ?? 1e-6,
      atol: adaptive?.atol ?? 1e-6,
      norm: adaptive?.norm ?? "rms",
      kappa: 0.01,
      iterations: 10,
      ...options.newton,
    },
  });
  let t = t0;
  let y: Float64Array = Float64Array.from(options.y0, round);
  const pace = paceOf(stepper, t0, t1, y, steps, method, round);

  const lengths: number[] = [];
  const times: number[] = [];
  const states: number[] = [];
  const record = (time: number, state: Float64Array): void => {
    times.push(time);
    states.push(...state);
  };
  const grid = save.kind === "grid" ? Array.from(save.times, round) : [];
  let gridAt = 0;
  for (; gridAt < grid.length && grid[gridAt] === t0; gridAt++) record(t0, y);
  const crossings: number[][] = events.map(() => []);
  let values = events.map((event) => round(event.value(t, y, parameters)));
  let rejected = 0;
  // Why the last rejected step was: it names the end of a solve whose steps become too short.
  let failure: SolveStatus = "dt_min";
  let ended: OdeSolution["ended"];

  const finish = (status: SolveStatus): OdeSolution => ({
    status,
    t,
    y,
    accepted: lengths.length,
    rejected,
    ...counters,
    steps: Float64Array.from(lengths),
    times: Float64Array.from(times),
    states: Float64Array.from(states),
    events: crossings.map((list) => ({ count: list.length, times: list })),
    ...(ended && { ended }),
  });

  for (;;) {
    const trial = pace.next();
    if (trial === undefined) return finish("done");
    if (trial === "dt_min") return finish(failure);
    if (lengths.length + rejected >= (options.maxSteps ?? 1_000_000)) return finish("max_steps");
    const attempt = stepper.attempt(trial.t, trial.h, y);
    const finite = attempt.y1.every(Number.isFinite) && (attempt.error?.every(Number.isFinite) ?? true);
    if (!pace.judge(attempt, finite)) {
      failure = attempt.failed ? "newton_fail" : finite ? "dt_min" : "non_finite";
      if (!adaptive) return finish(failure);
      rejected++;
      continue;
    }
    lengths.push(trial.h);

    const found = findEvents(stepper, attempt, events, values, parameters, round);
    values = found.values;
    const end = found.terminal?.theta ?? 1;
    for (const { event, theta } of found.crossings) crossings[event].push(round(trial.t + round(theta * trial.h)));
    const reached = found.terminal ? round(trial.t + round(end * trial.h)) : trial.t1;
    for (; gridAt < grid.length && (reached - grid[gridAt]) * Math.sign(trial.h) >= 0; gridAt++) {
      const theta = round(round(grid[gridAt] - trial.t) / trial.h);
      const atEnd = grid[gridAt] === trial.t1 || theta >= 1;
      record(grid[gridAt], atEnd ? attempt.y1 : stepper.interpolate(attempt, theta));
    }
    y = found.terminal && end < 1 ? stepper.interpolate(attempt, end) : attempt.y1;
    t = reached;
    if (save.kind === "steps" && lengths.length % save.every === 0) record(t, y);
    if (found.terminal) {
      ended = found.terminal;
      return finish("event");
    }
    stepper.accept(attempt);
  }
}

function paceOf(
  stepper: Stepper,
  t0: number,
  t1: number,
  y0: Float64Array,
  steps: FixedSteps | AdaptiveSteps,
  method: Method,
  round: Round,
): Pace {
  if (steps.kind === "fixed") return new FixedPace(t0, t1, steps, round);
  const direction = Math.sign(t1 - t0);
  const span = Math.abs(round(t1 - t0));
  const k = method.errorOrder! + 1;
  let first = steps.dt0 === undefined ? undefined : round(steps.dt0);
  if (first === undefined && span > 0) {
    const start = { t0, y0, f0: stepper.slope(t0, y0), direction, span };
    const evaluate = (t: number, y: Float64Array) => stepper.evaluate(t, y);
    first = initialStep(evaluate, start, k, steps.norm ?? "rms", steps, round);
  }
  const h = Math.min(first ?? 0, steps.dtMax === undefined ? Number.POSITIVE_INFINITY : round(steps.dtMax));
  return new AdaptivePace(t0, t1, direction * h, steps, k, round);
}

interface Crossing {
  readonly event: number;
  readonly theta: number;
}

/** Crossings within a step up to the first terminal one, and the events' values at its end. */
function findEvents(
  stepper: Stepper,
  attempt: Attempt,
  events: readonly OdeEvent[],
  before: readonly number[],
  parameters: ArrayLike<number>,
  round: Round,
): { values: number[]; crossings: Crossing[]; terminal: Crossing | undefined } {
  const { t, h, y1 } = attempt;
  const values = events.map((event) => round(event.value(round(t + h), y1, parameters)));
  const found: Crossing[] = [];
  events.forEach((event, i) => {
    if (!crosses(event.direction ?? 0, before[i], values[i])) return;
    const value = (theta: number): number =>
      event.value(round(t + round(theta * h)), stepper.interpolate(attempt, theta), parameters);
    found.push({ event: i, theta: locate(value, before[i], machineEpsilon(round)) });
  });
  let terminal: Crossing | undefined;
  for (const crossing of found) {
    if (events[crossing.event].terminal && (!terminal || crossing.theta < terminal.theta)) terminal = crossing;
  }
  const last = terminal?.theta ?? 1;
  return { values, crossings: found.filter(({ theta }) => theta <= last), terminal };
}
