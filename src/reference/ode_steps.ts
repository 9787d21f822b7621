import { ConfigError } from "../config/errors.ts";
import { type ErrorNorm, errorNorm, type Round, type Tolerances } from "../ode/controllers.ts";
import type {
  EsdirkTableau,
  Interpolant,
  Method,
  RosenbrockTableau,
  SymplecticMethod,
  Tableau,
} from "../ode/tableaus.ts";
import { type Factors, factorise, solveFactored } from "./linear_solve.ts";

/** An initial-value problem's right-hand side, dy/dt = f(t, y; parameters), y of `dimension` numbers. */
export interface OdeSystem {
  readonly dimension: number;
  /** Writes f into `dydt`; `round` is applied to the result of every operation when float32 is emulated. */
  evaluate(t: number, y: Float64Array, parameters: ArrayLike<number>, dydt: Float64Array, round: Round): void;
  /**
   * Vector–Jacobian products of a row w: writes wᵀ ∂f/∂y into `gradY` and wᵀ ∂f/∂parameters into `gradParameters`, returns
   * wᵀ ∂f/∂t.
   */
  vjp?(
    t: number,
    y: Float64Array,
    parameters: ArrayLike<number>,
    w: Float64Array,
    gradY: Float64Array,
    gradParameters: Float64Array,
  ): number;
  /** Writes ∂f_i/∂y_j into `matrix[i · dimension + j]`. */
  jacobian?(t: number, y: Float64Array, parameters: ArrayLike<number>, matrix: Float64Array): void;
  /** f does not depend on t; only Rosenbrock methods ask. */
  readonly autonomous?: boolean;
}

/** Evaluations of f (those for differences included) and of the Jacobian. */
export interface Counters {
  evaluations: number;
  jacobians: number;
}

export interface NewtonOptions extends Tolerances {
  readonly norm: ErrorNorm;
  /** An iterate is kept when the estimated distance to the solution, in the scaled norm, is at most this. */
  readonly kappa: number;
  readonly iterations: number;
}

export interface StepperSettings {
  readonly parameters: ArrayLike<number>;
  readonly round: Round;
  readonly newton: NewtonOptions;
  /** Keep the part of y that rounding cuts off, and add it to the next step (explicit and Rosenbrock methods). */
  readonly compensated: boolean;
  readonly counters: Counters;
}

/** A step from (t, y) of signed length h that was tried. */
export interface Attempt {
  readonly t: number;
  readonly h: number;
  readonly y: Float64Array;
  readonly y1: Float64Array;
  /** Estimate of y1 − y(t + h); undefined when the method has none. */
  readonly error: Float64Array | undefined;
  /** k_s of an explicit method, u_s of a Rosenbrock method, γ h k_s of an ESDIRK method; extra stages come last. */
  readonly stages: Float64Array[];
  /** Arguments of f in the stages. */
  readonly arguments: Float64Array[];
  /** A stage of an implicit method has no solution; y1 is meaningless. */
  readonly failed: boolean;
}

export interface Stepper {
  attempt(t: number, h: number, y: Float64Array): Attempt;
  /** Takes the attempt as the step: the next one starts from its end. */
  accept(attempt: Attempt): void;
  /** y(t + θ h) within an attempt. */
  interpolate(attempt: Attempt, theta: number): Float64Array;
  /** f(t, y) at the start of the next step, evaluated once. */
  slope(t: number, y: Float64Array): Float64Array;
  evaluate(t: number, y: Float64Array): Float64Array;
}

/** 2⁻⁵² for the identity, 2⁻²³ for `Math.fround`. */
export function machineEpsilon(round: Round): number {
  return round(1 + 2 ** -40) === 1 ? 2 ** -23 : 2 ** -52;
}

/** Coefficients as the device has them, each rounded once. */
function rounded(rows: readonly (readonly number[])[], round: Round, divisor = 1): number[][] {
  return rows.map((row) => row.map((x) => round(x / divisor)));
}

/** Σ_s weights_s v_s, s increasing, coefficients 0 left out. */
function combine(weights: readonly number[], vectors: readonly Float64Array[], n: number, round: Round): Float64Array {
  const sum = new Float64Array(n);
  for (let s = 0; s < weights.length; s++) {
    if (weights[s] === 0) continue;
    for (let i = 0; i < n; i++) sum[i] = round(sum[i] + round(weights[s] * vectors[s][i]));
  }
  return sum;
}

/** y + factor · x. */
function add(y: Float64Array, factor: number, x: Float64Array, round: Round): Float64Array {
  return y.map((value, i) => round(value + (factor === 1 ? x[i] : round(factor * x[i]))));
}

/** w_s(θ) = Σ_j weights_{s,j} θ^{j+1}, by Horner's rule from the highest power. */
export function interpolantWeights(
  { weights }: Pick<Interpolant, "weights">,
  theta: number,
  round: Round = (x) => x,
): number[] {
  return weights.map((row) => {
    let value = 0;
    for (let j = row.length - 1; j >= 0; j--) value = round(round(value * theta) + round(row[j]));
    return round(value * theta);
  });
}

/**
 * Steps of one trajectory in plain loops, every operation rounded by `round`, so that a kernel can follow them one by one.
 *
 * Explicit, for s = 1, 2, …: Y_s = y + h (Σ_r a_{s,r} k_r), k_s = f(t + c_s h, Y_s); y1 = y + h (Σ_s b_s k_s);
 * error = h (Σ_s e_s k_s). Rosenbrock: W = I − (γ h) J, factorised once a step; Y_s = y + (Σ_r a_{s,r} u_r);
 * right-hand side γ (((h f) + (Σ_r coupling_{s,r} u_r)) + (d_s (h h)) f_t); y1 = y + (Σ_s b_s u_s). ESDIRK, in z_s = (γ h) k_s:
 * base = y + (Σ_{r<s} (a_{s,r}/γ) z_r); z_s = Σ_r predictor_{s,r} z_r, then z_s += W⁻¹ ((γ h) f(t + c_s h, base + z_s) − z_s)
 * until the rule of `newtonConverged` holds, W = I − (γ h) J(t, y). Sums run over increasing s and leave out coefficients
 * that are 0; a coefficient (a/γ, e/γ) is rounded once, from float64. A stage that is evaluated at (t + h, y1) is the first
 * slope of the next step; so is z_last/(γ h) of an ESDIRK method. Every attempt takes derivatives of its own: those by differences
 * depend on h, and a replay of the accepted steps knows no other.
 */
export function createStepper(system: OdeSystem, method: Method, settings: StepperSettings): Stepper {
  if (settings.compensated && method.kind !== "explicit" && method.kind !== "rosenbrock") {
    throw new ConfigError("compensated", "must be false unless the method is explicit or Rosenbrock", method.name);
  }
  switch (method.kind) {
    case "explicit":
      return new ExplicitStepper(system, method, settings);
    case "rosenbrock":
      return new RosenbrockStepper(system, method, settings);
    case "esdirk":
      return new EsdirkStepper(system, method, settings);
    case "symplectic":
      return new SymplecticStepper(system, method, settings);
    case "reversible-heun":
      return new ReversibleHeunStepper(system, settings);
  }
}

/** What all steppers share: f, its Jacobian and the slope at the start of the step. */
abstract class StepperBase {
  protected readonly round: Round;
  protected readonly n: number;
  #slope: Float64Array | undefined;
  #low: Float64Array;

  constructor(
    protected readonly system: OdeSystem,
    protected readonly settings: StepperSettings,
  ) {
    this.round = settings.round;
    this.n = system.dimension;
    this.#low = new Float64Array(this.n);
  }

  evaluate(t: number, y: Float64Array): Float64Array {
    const dydt = new Float64Array(this.n);
    this.settings.counters.evaluations++;
    this.system.evaluate(t, y, this.settings.parameters, dydt, this.round);
    return dydt;
  }

  slope(t: number, y: Float64Array): Float64Array {
    this.#slope ??= this.evaluate(t, y);
    return this.#slope;
  }

  /** t + c h. */
  protected at(t: number, c: number, h: number): number {
    return c === 0 ? t : this.round(t + (c === 1 ? h : this.round(c * h)));
  }

  /** y + increment with the part that rounding has cut off so far, and what it cuts off now (Knuth's two-sum). */
  protected advance(y: Float64Array, increment: Float64Array): { y1: Float64Array; low: Float64Array } {
    const { round } = this;
    const low = new Float64Array(this.n);
    if (!this.settings.compensated) return { y1: add(y, 1, increment, round), low };
    const y1 = new Float64Array(this.n);
    for (let i = 0; i < this.n; i++) {
      const whole = round(increment[i] + this.#low[i]);
      y1[i] = round(y[i] + whole);
      const virtual = round(y1[i] - y[i]);
      low[i] = round(round(y[i] - round(y1[i] - virtual)) + round(whole - virtual));
    }
    return { y1, low };
  }

  protected next(slope: Float64Array | undefined, low?: Float64Array): void {
    this.#slope = slope;
    if (low) this.#low = low;
  }

  /**
   * ∂f/∂y at (t, y), [n, n]: given, or from vector–Jacobian products, or by forward differences with
   * δ_j = √ε max(|y_j|, |h f_j|, atol_j). `slopeAt` is asked for f(t, y) then: the real one, for a slope that is off by the
   * tolerance of Newton's method makes differences of no use.
   */
  protected jacobian(
    t: number,
    h: number,
    y: Float64Array,
    slopeAt = (time: number, state: Float64Array) => this.slope(time, state),
  ): Float64Array {
    const { n, round, system, settings } = this;
    const matrix = new Float64Array(n * n);
    settings.counters.jacobians++;
    if (system.jacobian) {
      system.jacobian(t, y, settings.parameters, matrix);
      return matrix.map(round);
    }
    if (system.vjp) return linearisation(system, t, y, settings.parameters).jacobian.map(round);
    const slope = slopeAt(t, y);
    const { atol } = settings.newton;
    const root = round(Math.sqrt(machineEpsilon(round)));
    for (let j = 0; j < n; j++) {
      const least = round(typeof atol === "number" ? atol : atol[j]);
      const moved = y.slice();
      moved[j] = round(y[j] + round(root * Math.max(Math.abs(y[j]), Math.abs(round(h * slope[j])), least)));
      const step = round(moved[j] - y[j]);
      const there = this.evaluate(t, moved);
      for (let i = 0; i < n; i++) matrix[i * n + j] = round(round(there[i] - slope[i]) / step);
    }
    return matrix;
  }

  /**
   * ∂f/∂t at (t, y), undefined when f does not depend on t: from vector–Jacobian products, or by a forward difference with
   * δ = √ε max(|t|, |h|).
   */
  protected timeDerivative(t: number, h: number, y: Float64Array): Float64Array | undefined {
    const { round } = this;
    if (this.system.autonomous) return undefined;
    if (this.system.vjp) return linearisation(this.system, t, y, this.settings.parameters).time.map(round);
    const root = round(Math.sqrt(machineEpsilon(round)));
    const moved = round(t + round(root * Math.max(Math.abs(t), Math.abs(h))));
    const slope = this.slope(t, y);
    return this.evaluate(moved, y).map((there, i) => round(round(there - slope[i]) / round(moved - t)));
  }

  /** Factors of I − (γ h) J. */
  protected shifted(matrix: Float64Array, gammaH: number): Factors {
    const { n, round } = this;
    const shifted = matrix.map((entry, at) => round((at % (n + 1) === 0 ? 1 : 0) - round(gammaH * entry)));
    return factorise(shifted, n, round);
  }
}

/** ∂f/∂y, [n, n], and ∂f/∂t, a row a product. */
export function linearisation(
  system: OdeSystem,
  t: number,
  y: Float64Array,
  parameters: ArrayLike<number>,
): { jacobian: Float64Array; time: Float64Array } {
  const n = system.dimension;
  const jacobian = new Float64Array(n * n);
  const time = new Float64Array(n);
  const unused = new Float64Array(parameters.length);
  for (let i = 0; i < n; i++) {
    const unit = new Float64Array(n);
    unit[i] = 1;
    time[i] = system.vjp!(t, y, parameters, unit, jacobian.subarray(i * n, (i + 1) * n), unused);
  }
  return { jacobian, time };
}

interface OneStep extends Attempt {
  readonly low: Float64Array;
}

class ExplicitStepper extends StepperBase implements Stepper {
  readonly #a: number[][];
  readonly #b: number[];
  readonly #c: number[];
  readonly #error: number[] | undefined;
  readonly #extraA: number[][];
  readonly #extraC: number[];
  /** The extra stage that is f(t + h, y1), or −1. */
  readonly #end: number;

  constructor(
    system: OdeSystem,
    readonly method: Tableau,
    settings: StepperSettings,
  ) {
    super(system, settings);
    const { a, b, c, error, dense } = method;
    this.#a = rounded(a, this.round);
    [this.#b, this.#c] = rounded([b, c], this.round);
    this.#error = error?.map(this.round);
    this.#extraA = rounded(dense.extraA, this.round);
    this.#extraC = dense.extraC.map(this.round);
    this.#end = dense.extraA.findIndex((row, s) => dense.extraC[s] === 1 && b.every((weight, r) => row[r] === weight));
  }

  attempt(t: number, h: number, y: Float64Array): OneStep {
    const { n, round } = this;
    const stages = [this.slope(t, y)];
    const points = [y];
    const count = this.#b.length;
    const stage = (s: number, at: Float64Array): void => {
      points.push(at);
      stages.push(this.evaluate(this.at(t, this.#c[s], h), at));
    };
    const last = this.method.fsal ? count - 1 : count;
    for (let s = 1; s < last; s++) stage(s, add(y, h, combine(this.#a[s], stages, n, round), round));
    const increment = combine(this.#b, stages, n, round).map((x) => round(h * x));
    const { y1, low } = this.advance(y, increment);
    if (this.method.fsal) stage(last, y1);
    const error = this.#error && combine(this.#error, stages, n, round).map((x) => round(h * x));
    return { t, h, y, y1, error, stages, arguments: points, failed: false, low };
  }

  accept(attempt: OneStep): void {
    const { stages, low } = attempt;
    const count = this.#b.length;
    const end = this.method.fsal ? count - 1 : this.#end < 0 ? stages.length : count + this.#end;
    this.next(stages[end], low);
  }

  interpolate({ t, h, y, y1, stages, arguments: points }: Attempt, theta: number): Float64Array {
    const { n, round } = this;
    for (let s = stages.length - this.#b.length; s < this.#extraA.length; s++) {
      points.push(s === this.#end ? y1 : add(y, h, combine(this.#extraA[s], stages, n, round), round));
      stages.push(this.evaluate(this.at(t, this.#extraC[s], h), points[points.length - 1]));
    }
    const weights = interpolantWeights(this.method.dense, theta, round);
    return add(y, h, combine(weights, stages, n, round), round);
  }
}

class RosenbrockStepper extends StepperBase implements Stepper {
  readonly #a: number[][];
  readonly #coupling: number[][];
  readonly #b: number[];
  readonly #c: number[];
  readonly #d: number[];
  readonly #error: number[];

  constructor(
    system: OdeSystem,
    readonly method: RosenbrockTableau,
    settings: StepperSettings,
  ) {
    super(system, settings);
    const { a, coupling, b, c, d, error } = method;
    this.#a = rounded(a, this.round);
    this.#coupling = rounded(coupling, this.round);
    [this.#b, this.#c, this.#d, this.#error] = rounded([b, c, d, error], this.round);
  }

  attempt(t: number, h: number, y: Float64Array): OneStep & { endSlope: Float64Array | undefined } {
    const { n, round } = this;
    const gamma = round(this.method.gamma);
    const slope = this.slope(t, y);
    const time = this.timeDerivative(t, h, y);
    const factors = this.shifted(this.jacobian(t, h, y), round(gamma * h));
    const count = this.#b.length;
    const stages: Float64Array[] = [];
    const points: Float64Array[] = [];
    // With FSAL the last stage has weight 0, so y1 is known before it.
    let end = this.method.fsal ? undefined : { y1: y, low: y };
    let endSlope: Float64Array | undefined;
    for (let s = 0; s < count; s++) {
      let f = slope;
      if (s === 0) points.push(y);
      else if (this.method.fsal && s === count - 1) {
        end = this.advance(y, combine(this.#b, stages, n, round));
        points.push(end.y1);
      } else points.push(add(y, 1, combine(this.#a[s], stages, n, round), round));
      if (s > 0) f = this.evaluate(this.at(t, this.#c[s], h), points[s]);
      if (this.method.fsal && s === count - 1) endSlope = f;
      const coupled = combine(this.#coupling[s], stages, n, round);
      const right = f.map((value, i) => {
        let sum = round(round(h * value) + coupled[i]);
        if (time && this.#d[s] !== 0) sum = round(sum + round(round(this.#d[s] * round(h * h)) * time[i]));
        return round(gamma * sum);
      });
      stages.push(solveFactored(factors, right, round));
    }
    if (!this.method.fsal) end = this.advance(y, combine(this.#b, stages, n, round));
    const error = combine(this.#error, stages, n, round);
    return { t, h, y, ...end!, error, stages, arguments: points, failed: false, endSlope };
  }

  accept(attempt: Attempt): void {
    const { low, endSlope } = attempt as ReturnType<RosenbrockStepper["attempt"]>;
    this.next(endSlope, low);
  }

  interpolate({ y, stages }: Attempt, theta: number): Float64Array {
    const weights = interpolantWeights(this.method.dense, theta, this.round);
    return add(y, 1, combine(weights, stages, this.n, this.round), this.round);
  }
}

/**
 * Whether Newton's method may stop after a correction of scaled size `now`, the one before being `before` (0 in the first
 * iteration): with the rate ρ = now/before, the estimated distance to the solution is ρ/(1 − ρ) now, in the first iteration
 * `now` itself; "yes" when it is at most κ, or `now` at most `rounding`, what roundings leave of a correction in any case;
 * "failed" when the corrections do not shrink or are not finite.
 */
export function newtonConverged(
  now: number,
  before: number,
  kappa: number,
  rounding: number,
  round: Round,
): "yes" | "no" | "failed" {
  if (!Number.isFinite(now)) return "failed";
  if (now <= rounding) return "yes";
  if (before === 0) return now <= kappa ? "yes" : "no";
  const rate = round(now / before);
  if (rate >= 1) return "failed";
  return round(round(rate / round(1 - rate)) * now) <= kappa ? "yes" : "no";
}

class EsdirkStepper extends StepperBase implements Stepper {
  readonly #a: number[][];
  readonly #c: number[];
  readonly #error: number[];
  readonly #predictor: number[][];
  readonly #weights: number[][];

  constructor(
    system: OdeSystem,
    readonly method: EsdirkTableau,
    settings: StepperSettings,
  ) {
    super(system, settings);
    const { a, c, error, gamma, predictor, dense } = method;
    this.#a = rounded(a, this.round, gamma);
    [this.#error] = rounded([error], this.round, gamma);
    this.#c = c.map(this.round);
    this.#predictor = rounded(predictor, this.round);
    this.#weights = rounded(dense.weights, this.round, gamma);
  }

  attempt(t: number, h: number, y: Float64Array): Attempt {
    const { n, round } = this;
    const { newton } = this.settings;
    const gammaH = round(round(this.method.gamma) * h);
    const slope = this.slope(t, y);
    const matrix = this.jacobian(t, h, y, (time, state) => this.evaluate(time, state));
    const factors = this.shifted(matrix, gammaH);
    const stages: Float64Array[] = [slope.map((f) => round(gammaH * f))];
    const points = [y];
    // Four roundings.
    const unit = 4 * machineEpsilon(round);
    for (let s = 1; s < this.#c.length; s++) {
      const base = add(y, 1, combine(this.#a[s].slice(0, s), stages, n, round), round);
      let z: Float64Array = combine(this.#predictor[s], stages, n, round);
      let before = 0;
      let verdict: ReturnType<typeof newtonConverged> = "no";
      for (let m = 0; m < newton.iterations && verdict === "no"; m++) {
        const point = add(base, 1, z, round);
        const f = this.evaluate(this.at(t, this.#c[s], h), point);
        const residual = f.map((value, i) => round(round(gammaH * value) - z[i]));
        const correction = solveFactored(factors, residual, round);
        z = add(z, 1, correction, round);
        const now = errorNorm(newton.norm, newton, correction, y, y, round);
        const rounding = errorNorm(
          newton.norm,
          newton,
          point.map((x) => round(unit * x)),
          y,
          y,
          round,
        );
        verdict = newtonConverged(now, before, round(newton.kappa), rounding, round);
        before = now;
      }
      if (verdict !== "yes") return { t, h, y, y1: y, error: undefined, stages, arguments: points, failed: true };
      stages.push(z);
      points.push(add(base, 1, z, round));
    }
    const error = combine(this.#error, stages, n, round);
    return { t, h, y, y1: points[points.length - 1], error, stages, arguments: points, failed: false };
  }

  accept({ h, stages }: Attempt): void {
    if (h === 0) return;
    const { round } = this;
    const gammaH = round(round(this.method.gamma) * h);
    this.next(stages[stages.length - 1].map((z) => round(z / gammaH)));
  }

  interpolate({ y, stages }: Attempt, theta: number): Float64Array {
    const weights = interpolantWeights({ weights: this.#weights }, theta, this.round);
    return add(y, 1, combine(weights, stages, this.n, this.round), this.round);
  }
}

/** y0 + (3θ² − 2θ³) (y1 − y0) + h ((θ − 2θ² + θ³) f0 + (θ³ − θ²) f1). */
function hermiteValue(
  { h, y, y1 }: Attempt,
  f0: Float64Array,
  f1: Float64Array,
  theta: number,
  round: Round,
): Float64Array {
  const square = round(theta * theta);
  const step = round(square * round(3 - round(2 * theta)));
  const start = round(theta * round(round(1 - theta) * round(1 - theta)));
  const end = round(square * round(theta - 1));
  return y.map((value, i) => {
    const slopes = round(round(start * f0[i]) + round(end * f1[i]));
    return round(round(value + round(step * round(y1[i] - value))) + round(h * slopes));
  });
}

interface SymplecticStep extends Attempt {
  /** f at both ends, once something between them is asked for. */
  ends: [Float64Array, Float64Array] | undefined;
}

/** Kick and drift in turn; f is evaluated whole, and half of it used. The first kick's slope is that of the last one before. */
class SymplecticStepper extends StepperBase implements Stepper {
  constructor(
    system: OdeSystem,
    readonly method: SymplecticMethod,
    settings: StepperSettings,
  ) {
    super(system, settings);
    if (system.dimension % 2 !== 0) {
      throw new ConfigError("dimension", `must be even for ${method.name}: y = (q, p)`, system.dimension);
    }
  }

  attempt(t: number, h: number, y: Float64Array): SymplecticStep {
    const { n, round } = this;
    const { kicks, drifts } = this.method;
    const half = n / 2;
    const state = y.slice();
    const stages: Float64Array[] = [];
    const points: Float64Array[] = [];
    const evaluate = (fraction: number): Float64Array => {
      points.push(state.slice());
      stages.push(this.evaluate(this.at(t, round(fraction), h), state));
      return stages[stages.length - 1];
    };
    let kicked = 0;
    let drifted = 0;
    for (let s = 0; s < kicks.length; s++) {
      if (s === 0) {
        points.push(y);
        stages.push(this.slope(t, y));
      } else evaluate(drifted);
      const force = stages[stages.length - 1];
      for (let i = half; i < n; i++) state[i] = round(state[i] + round(round(round(kicks[s]) * h) * force[i]));
      kicked += kicks[s];
      if (s === drifts.length) break;
      const velocity = evaluate(kicked);
      for (let i = 0; i < half; i++) state[i] = round(state[i] + round(round(round(drifts[s]) * h) * velocity[i]));
      drifted += drifts[s];
    }
    return { t, h, y, y1: state, error: undefined, stages, arguments: points, failed: false, ends: undefined };
  }

  accept({ stages }: Attempt): void {
    this.next(stages[stages.length - 1]);
  }

  interpolate(attempt: Attempt, theta: number): Float64Array {
    const { t, h, y, y1 } = attempt;
    const step = attempt as SymplecticStep;
    step.ends ??= [this.evaluate(t, y), this.evaluate(this.at(t, 1, h), y1)];
    return hermiteValue(attempt, ...step.ends, theta, this.round);
  }
}

/** y_{n+1} − y_n and ŷ of the other end of a step, h of either sign. */
function otherEnd(
  y: Float64Array,
  auxiliary: Float64Array,
  h: number,
  slope: Float64Array,
  round: Round,
): Float64Array {
  return y.map((value, i) => round(round(round(2 * value) - auxiliary[i]) + round(h * slope[i])));
}

function meanStep(y: Float64Array, h: number, a: Float64Array, b: Float64Array, round: Round): Float64Array {
  return y.map((value, i) => round(value + round(round(h / 2) * round(a[i] + b[i]))));
}

/** `slope` is f(t, ŷ); `stages` of an attempt are f(t, ŷ) and f(t + h, ŷ1), `arguments` ŷ and ŷ1. */
class ReversibleHeunStepper extends StepperBase implements Stepper {
  #auxiliary: Float64Array | undefined;

  attempt(t: number, h: number, y: Float64Array): Attempt {
    const { round } = this;
    const auxiliary = this.#auxiliary ?? y;
    const f0 = this.slope(t, auxiliary);
    const auxiliary1 = otherEnd(y, auxiliary, h, f0, round);
    const f1 = this.evaluate(this.at(t, 1, h), auxiliary1);
    const y1 = meanStep(y, h, f0, f1, round);
    const error = f1.map((f, i) => round(round(h / 2) * round(f - f0[i])));
    return { t, h, y, y1, error, stages: [f0, f1], arguments: [auxiliary, auxiliary1], failed: false };
  }

  accept({ h, stages, arguments: points }: Attempt): void {
    // ŷ ↦ 2y − ŷ is no identity: a step of length 0 is left out.
    if (h === 0) return;
    this.#auxiliary = points[1];
    this.next(stages[1]);
  }

  interpolate(attempt: Attempt, theta: number): Float64Array {
    const [f0, f1] = attempt.stages;
    return hermiteValue(attempt, f0, f1, theta, this.round);
  }
}

/** State of reversible Heun: y, ŷ and f(t, ŷ). */
export interface ReversibleState {
  readonly y: Float64Array;
  readonly auxiliary: Float64Array;
  readonly slope: Float64Array;
}

/** The state at t from that at t + h: the step of `ReversibleHeun` undone algebraically. */
export function undoReversibleHeun(
  system: OdeSystem,
  parameters: ArrayLike<number>,
  t: number,
  h: number,
  { y, auxiliary, slope }: ReversibleState,
  round: Round = (x) => x,
): ReversibleState {
  const auxiliary0 = otherEnd(y, auxiliary, -h, slope, round);
  const slope0 = new Float64Array(system.dimension);
  system.evaluate(t, auxiliary0, parameters, slope0, round);
  return { y: meanStep(y, -h, slope0, slope, round), auxiliary: auxiliary0, slope: slope0 };
}
