import { ConfigError } from "../config/errors.ts";
import {
  type EsdirkTableau,
  METHODS,
  type Method,
  type MethodName,
  type RosenbrockTableau,
  type SymplecticMethod,
  type Tableau,
} from "../ode/tableaus.ts";
import { factorise, solveTransposed } from "./linear_solve.ts";
import type { OdeEvent } from "./ode.ts";
import {
  type Attempt,
  createStepper,
  interpolantWeights,
  linearisation,
  machineEpsilon,
  type OdeSystem,
  type Stepper,
} from "./ode_steps.ts";

/** A solve on a given mesh: t_0, t_{i+1} = t_i + steps_i. A step of length 0 changes nothing. */
export interface Replay {
  readonly method: MethodName | Method;
  readonly t0: number;
  readonly y0: ArrayLike<number>;
  readonly parameters?: ArrayLike<number>;
  readonly steps: ArrayLike<number>;
  /** Output times in the order of the solve, by the interpolant; one at a node of the mesh (to 4 ε) is that node's state. */
  readonly times?: ArrayLike<number>;
  /** The last step ends at this part θ of it, where an event stopped the recorded solve. */
  readonly theta?: number;
}

export interface ReplayResult {
  /** Nodes t_0 … t_N. */
  readonly mesh: Float64Array;
  /** State at the end, [dimension]. */
  readonly y: Float64Array;
  /** States at the output times, [times, dimension]. */
  readonly states: Float64Array;
}

/** Derivatives of a loss of the end state, of the output states and, after an event, of the end time. */
export interface Cotangents {
  readonly y: ArrayLike<number>;
  /** [times, dimension]. */
  readonly states?: ArrayLike<number>;
  /** The event that ended the recorded solve, and ∂loss/∂t of its time. */
  readonly event?: { readonly event: OdeEvent; readonly time: number };
}

export interface OdeGradient {
  readonly y0: Float64Array;
  readonly parameters: Float64Array;
  /** ∂loss/∂t_i of every node of the mesh, the others fixed; output times stay, unless they are nodes. */
  readonly mesh: Float64Array;
  /** mesh[0] and mesh[N]: the first and the last step change their length, the mesh between them stays. */
  readonly t0: number;
  readonly t1: number;
}

interface Output {
  /** Index among the output times. */
  readonly index: number;
  readonly theta: number;
}

interface Tape {
  readonly system: OdeSystem;
  readonly method: Method;
  readonly parameters: Float64Array;
  readonly stepper: Stepper;
  readonly mesh: Float64Array;
  readonly attempts: Attempt[];
  /** Outputs at node i, and inside step i. */
  readonly atNode: Output[][];
  readonly inside: Output[][];
}

/** Tolerances at which Newton's method leaves no error of its own. */
const NEWTON = { rtol: 1e-12, atol: 1e-14, norm: "max", kappa: 0.1, iterations: 100 } as const;

function forward(system: OdeSystem, replay: Replay): Tape {
  const method: Method = typeof replay.method === "string" ? METHODS[replay.method] : replay.method;
  const parameters = Float64Array.from(replay.parameters ?? []);
  const stepper = createStepper(system, method, {
    parameters,
    round: (x) => x,
    newton: NEWTON,
    compensated: false,
    counters: { evaluations: 0, jacobians: 0 },
  });
  const count = replay.steps.length;
  if (count === 0) throw new ConfigError("steps", "must hold at least one step", count);
  const mesh = new Float64Array(count + 1);
  mesh[0] = replay.t0;
  // The sum is carried in two numbers, as the recorded solve carried it.
  for (let i = 0, low = 0; i < count; i++) {
    const whole = replay.steps[i] + low;
    mesh[i + 1] = mesh[i] + whole;
    low = whole - (mesh[i + 1] - mesh[i]);
  }
  const attempts: Attempt[] = [];
  let y: Float64Array = Float64Array.from(replay.y0);
  for (let i = 0; i < count; i++) {
    const attempt = stepper.attempt(mesh[i], replay.steps[i], y);
    if (attempt.failed) throw new ConfigError(`steps[${i}]`, "must let the implicit stages converge", replay.steps[i]);
    attempts.push(attempt);
    stepper.accept(attempt);
    y = attempt.y1;
  }
  const atNode: Output[][] = Array.from(mesh, () => []);
  const inside: Output[][] = attempts.map(() => []);
  const direction = Math.sign(mesh[count] - mesh[0]);
  let i = 0;
  Array.from(replay.times ?? []).forEach((time, index) => {
    const near = (node: number) => Math.abs(time - node) <= 4 * machineEpsilon((x) => x) * Math.abs(time);
    while (i < count && !near(mesh[i]) && (near(mesh[i + 1]) || (time - mesh[i + 1]) * direction > 0)) i++;
    if (near(mesh[i])) atNode[i].push({ index, theta: 0 });
    else if (i < count) inside[i].push({ index, theta: (time - mesh[i]) / attempts[i].h });
    else throw new ConfigError(`times[${index}]`, `must lie between t0 and ${mesh[count]}`, time);
  });
  return { system, method, parameters, stepper, mesh, attempts, atNode, inside };
}

/** Solves on a given mesh in float64. */
export function replayMesh(system: OdeSystem, replay: Replay): ReplayResult {
  const { mesh, attempts, stepper, atNode, inside } = forward(system, replay);
  const n = system.dimension;
  const states = new Float64Array((replay.times?.length ?? 0) * n);
  atNode.forEach((outputs, i) => {
    for (const { index } of outputs) states.set(i === 0 ? attempts[0].y : attempts[i - 1].y1, index * n);
  });
  inside.forEach((outputs, i) => {
    for (const { index, theta } of outputs) states.set(stepper.interpolate(attempts[i], theta), index * n);
  });
  const last = attempts[attempts.length - 1];
  const y = replay.theta === undefined ? last.y1 : stepper.interpolate(last, replay.theta);
  return { mesh, y, states };
}

/** Cotangent of a value inside a step: by its place θ, which moves with the mesh when the time of the output is fixed. */
interface InnerCotangent {
  readonly theta: number;
  readonly w: Float64Array;
  readonly fixedTime: boolean;
}

/** Derivatives of a step with cotangent `w` of its end: of y at its start, and of its start time and its length. */
interface StepGradient {
  y: Float64Array;
  t: number;
  h: number;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function addTo(sum: Float64Array, factor: number, x: ArrayLike<number>): void {
  for (let i = 0; i < sum.length; i++) sum[i] += factor * x[i];
}

/** Derivatives of the interpolant's weights by θ. */
function weightSlopes(weights: readonly (readonly number[])[], theta: number): number[] {
  return weights.map((row) => row.reduce((sum, w, j) => sum + (j + 1) * w * theta ** j, 0));
}

/** Products of f with rows, parameter gradients summed up. */
class Products {
  readonly gradParameters: Float64Array;
  readonly #unused: Float64Array;

  constructor(
    readonly system: OdeSystem,
    readonly parameters: Float64Array,
  ) {
    if (!system.vjp) throw new ConfigError("system.vjp", "must be given for gradients");
    this.gradParameters = new Float64Array(parameters.length);
    this.#unused = new Float64Array(parameters.length);
  }

  /** wᵀ ∂f/∂y and wᵀ ∂f/∂t; adds factor · wᵀ ∂f/∂parameters to the gradient. */
  product(t: number, y: Float64Array, w: Float64Array, factor = 1): { y: Float64Array; t: number } {
    const gradY = new Float64Array(y.length);
    const gradT = this.system.vjp!(t, y, this.parameters, w, gradY, this.#unused);
    addTo(this.gradParameters, factor, this.#unused);
    return { y: gradY, t: gradT };
  }

  jacobian(t: number, y: Float64Array): Float64Array {
    if (!this.system.jacobian) return linearisation(this.system, t, y, this.parameters).jacobian;
    const matrix = new Float64Array(y.length ** 2);
    this.system.jacobian(t, y, this.parameters, matrix);
    return matrix;
  }

  /** x with (I − γh ∂f/∂y)ᵀ x = b. */
  solveShifted(t: number, y: Float64Array, gammaH: number, b: Float64Array): Float64Array {
    const n = y.length;
    const matrix = this.jacobian(t, y).map((entry, at) => (at % (n + 1) === 0 ? 1 : 0) - gammaH * entry);
    return solveTransposed(factorise(matrix, n), b);
  }
}

/**
 * Explicit and ESDIRK methods, k_s = f(t + c_s h, Y_s), Y_s = y + h Σ_r a_{s,r} k_r: with k̄_s = h b_s w + h Σ_{r>s} a_{r,s} ȳ_r,
 * ȳ_s = k̄_sᵀ (I − γ h J_s)⁻¹ J_s (γ = 0 in an explicit stage), ȳ = w + Σ_s ȳ_s.
 */
function reverseRungeKutta(
  products: Products,
  method: Tableau | EsdirkTableau,
  { t, h, y, stages, arguments: points }: Attempt,
  w: Float64Array,
  inner: readonly InnerCotangent[],
): StepGradient {
  const n = y.length;
  const gamma = method.kind === "esdirk" ? method.gamma : 0;
  const extra = method.kind === "explicit" ? method.dense : { extraA: [], extraC: [] };
  const a = [...method.a, ...extra.extraA];
  const c = [...method.c, ...extra.extraC];
  const k = gamma === 0 ? stages : stages.map((z) => z.map((value) => value / (gamma * h)));
  const bars = k.map(() => new Float64Array(n));
  const gradient: StepGradient = { y: w.slice(), t: 0, h: 0 };
  method.b.forEach((weight, s) => {
    addTo(bars[s], h * weight, w);
    gradient.h += weight * dot(w, k[s]);
  });
  for (const { theta, w: cotangent, fixedTime } of inner) {
    addTo(gradient.y, 1, cotangent);
    const slopes = weightSlopes(method.dense.weights, theta);
    interpolantWeights(method.dense, theta).forEach((weight, s) => {
      const along = dot(cotangent, k[s]);
      addTo(bars[s], h * weight, cotangent);
      gradient.h += weight * along;
      if (!fixedTime) return;
      gradient.t -= slopes[s] * along;
      gradient.h -= theta * slopes[s] * along;
    });
  }
  for (let s = k.length - 1; s >= 0; s--) {
    if (bars[s].every((value) => value === 0)) continue;
    const at = t + c[s] * h;
    const row = gamma > 0 && s > 0 ? products.solveShifted(at, points[s], gamma * h, bars[s]) : bars[s];
    const product = products.product(at, points[s], row);
    addTo(gradient.y, 1, product.y);
    gradient.t += product.t;
    gradient.h += c[s] * product.t;
    a[s].forEach((weight, r) => {
      gradient.h += weight * dot(product.y, k[r]);
      if (r < s) addTo(bars[r], h * weight, product.y);
    });
  }
  return gradient;
}

/**
 * Rosenbrock methods: with w_s = γ (I − γ h J)⁻ᵀ ū_s, stage s contributes h w_sᵀ f(t + c_s h, Y_s) + w_sᵀ Σ coupling u_r +
 * S_s, S_s = h w_sᵀ J u_s + d_s h² w_sᵀ f_t. The gradient of S_s is the derivative, along u_s in y and d_s h in t, of
 * the gradient of h w_sᵀ f at (t, y); it is taken by a central difference of vector–Jacobian products, exact to rounding
 * where f is a polynomial of degree 3 at most.
 */
function reverseRosenbrock(
  products: Products,
  { gamma, a, coupling, b, c, d, dense }: RosenbrockTableau,
  { t, h, y, stages, arguments: points }: Attempt,
  w: Float64Array,
  inner: readonly InnerCotangent[],
): StepGradient {
  const n = y.length;
  const gradient: StepGradient = { y: w.slice(), t: 0, h: 0 };
  const bars = stages.map(() => new Float64Array(n));
  b.forEach((weight, s) => {
    addTo(bars[s], weight, w);
  });
  for (const { theta, w: cotangent, fixedTime } of inner) {
    addTo(gradient.y, 1, cotangent);
    const slopes = weightSlopes(dense.weights, theta);
    interpolantWeights(dense, theta).forEach((weight, s) => {
      addTo(bars[s], weight, cotangent);
      if (!fixedTime) return;
      gradient.t -= (slopes[s] / h) * dot(cotangent, stages[s]);
      gradient.h -= ((theta * slopes[s]) / h) * dot(cotangent, stages[s]);
    });
  }
  const shifted = products.jacobian(t, y).map((entry, at) => (at % (n + 1) === 0 ? 1 : 0) - gamma * h * entry);
  const factors = factorise(shifted, n);
  for (let s = stages.length - 1; s >= 0; s--) {
    if (bars[s].every((value) => value === 0)) continue;
    const row = solveTransposed(factors, bars[s]).map((value) => gamma * value);
    coupling[s].forEach((weight, r) => {
      addTo(bars[r], weight, row);
    });
    const inStage = products.product(t + c[s] * h, points[s], row, h);
    const f = new Float64Array(n);
    products.system.evaluate(t + c[s] * h, points[s], products.parameters, f, (x) => x);
    gradient.h += dot(row, f) + h * c[s] * inStage.t;
    gradient.t += h * inStage.t;
    addTo(gradient.y, h, inStage.y);
    a[s].forEach((weight, r) => {
      addTo(bars[r], h * weight, inStage.y);
    });
    const u = stages[s];
    const start = products.product(t, y, row, 0);
    gradient.h += dot(start.y, u) + 2 * d[s] * h * start.t;
    const length = Math.max(...u.map(Math.abs), Math.abs(d[s] * h));
    if (length === 0) continue;
    const epsilon = (Math.cbrt(2 ** -52) * Math.max(1, ...y.map(Math.abs))) / length;
    for (const sign of [1, -1]) {
      const move = sign * epsilon;
      const moved = y.map((value, i) => value + move * u[i]);
      const factor = h / (2 * move);
      const product = products.product(t + move * d[s] * h, moved, row, factor);
      addTo(gradient.y, factor, product.y);
      gradient.t += factor * product.t;
    }
  }
  return gradient;
}

function reverseSymplectic(
  products: Products,
  { kicks, drifts }: SymplecticMethod,
  { t, h, y, stages, arguments: points }: Attempt,
  w: Float64Array,
): StepGradient {
  const n = y.length;
  const half = n / 2;
  const gradient: StepGradient = { y: w.slice(), t: 0, h: 0 };
  let kicked = kicks.reduce((sum, x) => sum + x, 0);
  let drifted = drifts.reduce((sum, x) => sum + x, 0);
  for (let s = stages.length - 1; s >= 0; s--) {
    const isKick = s % 2 === 0;
    const weight = isKick ? kicks[s / 2] : drifts[(s - 1) / 2];
    if (isKick) kicked -= weight;
    else drifted -= weight;
    const fraction = isKick ? drifted : kicked;
    const row = gradient.y.map((value, i) => (i >= half === isKick ? value : 0));
    gradient.h += weight * dot(row, stages[s]);
    const product = products.product(
      t + fraction * h,
      points[s],
      row.map((value) => weight * h * value),
    );
    addTo(gradient.y, 1, product.y);
    gradient.t += product.t;
    gradient.h += fraction * product.t;
  }
  return gradient;
}

/**
 * Gradient of a loss of the discrete solution on the given mesh: every operation of the steps is differentiated
 * ("discretise, then optimise"), the mesh is constant. Leapfrog and reversible Heun give outputs at nodes only.
 */
export function replayGradient(system: OdeSystem, replay: Replay, cotangents: Cotangents): OdeGradient {
  const tape = forward(system, replay);
  const { method, parameters, mesh, attempts, stepper, atNode, inside } = tape;
  const products = new Products(system, parameters);
  const n = system.dimension;
  const given = cotangents.states ?? new Float64Array((replay.times?.length ?? 0) * n);
  const rowOf = (index: number) => Float64Array.from({ length: n }, (_, i) => given[index * n + i]);
  const last = attempts.length - 1;
  const gradMesh = new Float64Array(mesh.length);

  let w: Float64Array = Float64Array.from(cotangents.y);
  const innerOf: InnerCotangent[][] = inside.map((outputs) =>
    outputs.map(({ index, theta }) => ({ theta, w: rowOf(index), fixedTime: true })),
  );
  if (replay.theta !== undefined) {
    const end = cotangents.event ? throughEvent(tape, products, replay.theta, w, cotangents.event) : { w, t: 0 };
    gradMesh[last] += (1 - replay.theta) * end.t;
    gradMesh[last + 1] += replay.theta * end.t;
    innerOf[last].push({ theta: replay.theta, w: end.w, fixedTime: false });
    w = new Float64Array(n);
  }
  for (const outputs of innerOf) {
    if (outputs.length > 0 && (method.kind === "symplectic" || method.kind === "reversible-heun")) {
      throw new ConfigError("times", `must be nodes of the mesh for ${method.name}`);
    }
  }
  // Stages that only the interpolant takes are part of the tape.
  innerOf.forEach((outputs, i) => {
    if (outputs.length > 0) stepper.interpolate(attempts[i], outputs[0].theta);
  });

  const reversible = { auxiliary: new Float64Array(n), slope: new Float64Array(n) };
  for (let i = last; i >= 0; i--) {
    for (const { index } of atNode[i + 1]) addTo(w, 1, rowOf(index));
    const attempt = attempts[i];
    let step: StepGradient;
    if (attempt.h === 0) {
      step = { y: w, t: 0, h: slopeAlong(products, attempt, w) };
    } else if (method.kind === "rosenbrock") step = reverseRosenbrock(products, method, attempt, w, innerOf[i]);
    else if (method.kind === "symplectic") step = reverseSymplectic(products, method, attempt, w);
    else if (method.kind === "reversible-heun") step = reverseReversibleHeun(products, attempt, w, reversible);
    else step = reverseRungeKutta(products, method, attempt, w, innerOf[i]);
    gradMesh[i] += step.t - step.h;
    gradMesh[i + 1] += step.h;
    w = step.y;
  }
  for (const { index } of atNode[0]) addTo(w, 1, rowOf(index));
  if (method.kind === "reversible-heun") {
    const product = products.product(mesh[0], attempts[0].y, reversible.slope);
    addTo(w, 1, reversible.auxiliary);
    addTo(w, 1, product.y);
    gradMesh[0] += product.t;
  }
  return {
    y0: w,
    parameters: products.gradParameters,
    mesh: gradMesh,
    t0: gradMesh[0],
    t1: gradMesh[gradMesh.length - 1],
  };
}

/** wᵀ f(t, y): the derivative of a step by its length where that is 0. */
function slopeAlong({ system, parameters }: Products, { t, y }: Attempt, w: Float64Array): number {
  const f = new Float64Array(y.length);
  system.evaluate(t, y, parameters, f, (x) => x);
  return dot(w, f);
}

/** Carries the cotangents of ŷ and f(ŷ) of a step's end to its start. */
function reverseReversibleHeun(
  products: Products,
  { t, h, stages: [f0, f1], arguments: [, auxiliary1] }: Attempt,
  w: Float64Array,
  carried: { auxiliary: Float64Array; slope: Float64Array },
): StepGradient {
  const slope1 = carried.slope.map((value, i) => value + (h / 2) * w[i]);
  const product = products.product(t + h, auxiliary1, slope1);
  const auxiliary1Bar = carried.auxiliary.map((value, i) => value + product.y[i]);
  carried.auxiliary = auxiliary1Bar.map((value) => -value);
  carried.slope = auxiliary1Bar.map((value, i) => h * value + (h / 2) * w[i]);
  return {
    y: w.map((value, i) => value + 2 * auxiliary1Bar[i]),
    t: product.t,
    h: product.t + dot(auxiliary1Bar, f0) + (dot(w, f0) + dot(w, f1)) / 2,
  };
}

/**
 * The cotangent of the interpolated end state with θ fixed, for a solve that ends where g(t_N + θ h, y(θ)) = 0: with ẏ the
 * derivative of the interpolant by θ, w − ∇g (wᵀ ẏ + h time)/(∇gᵀ ẏ + h ∂g/∂t).
 */
function throughEvent(
  { system, method, stepper, parameters, attempts }: Tape,
  products: Products,
  theta: number,
  w: Float64Array,
  { event, time }: { event: OdeEvent; time: number },
): { w: Float64Array; t: number } {
  if (!event.gradient) throw new ConfigError("event.gradient", "must be given for gradients through the event");
  if (method.kind === "symplectic" || method.kind === "reversible-heun") {
    throw new ConfigError("theta", `must not be given for ${method.name}`, theta);
  }
  const attempt = attempts[attempts.length - 1];
  const { t, h, stages } = attempt;
  const y = stepper.interpolate(attempt, theta);
  const n = system.dimension;
  const factor = method.kind === "explicit" ? h : method.kind === "esdirk" ? 1 / method.gamma : 1;
  const speed = new Float64Array(n);
  weightSlopes(method.dense.weights, theta).forEach((slope, s) => {
    addTo(speed, factor * slope, stages[s]);
  });
  const gradY = new Float64Array(n);
  const gradParameters = new Float64Array(parameters.length);
  const gradT = event.gradient(t + theta * h, y, parameters, gradY, gradParameters);
  const scale = (dot(w, speed) + h * time) / (dot(gradY, speed) + h * gradT);
  addTo(products.gradParameters, -scale, gradParameters);
  return { w: w.map((value, i) => value - scale * gradY[i]), t: time - scale * gradT };
}
