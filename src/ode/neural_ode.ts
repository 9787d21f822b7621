import type { DenseShape, Loss } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import { type NeuralMethod, type NeuralShape, type NeuralSolver, neuralOdeSchema } from "../config/neural.ts";
import type { Gpu } from "../gpu/device.ts";
import { type DenseData, DensePass } from "../model/dense_pass.ts";
import { type CanonicalWeights, DenseStack } from "../model/dense_stack.ts";
import type { InitialWeights } from "../model/initialisation.ts";
import { evaluateDepth, inverseMass, stageBasis, unitCoefficients } from "../plan/basis.ts";
import type { DensePlanOptions } from "../plan/dense.ts";
import type { DepthSolver } from "../plan/stages.ts";
import { METHODS } from "./tableaus.ts";

/**
 * What the adjoint of a pass leaves for the coefficients θ_j of the weights: `l2` the gradient of the loss as a function of depth,
 * M⁻¹ ∂ℓ/∂θ with M_ij = ∫ φ_i φ_j ds; `coefficients` the gradient with respect to the numbers, K ∂ℓ/∂θ. Both are what a
 * `GradientFlow` moves against; for piecewise constant weights (M = 1/K) they are one, the paper's dZ_k/dt = −L ∂ℓ/∂Z_k.
 */
export const DEPTH_METRICS = ["l2", "coefficients"] as const;
export type DepthMetric = (typeof DEPTH_METRICS)[number];

export interface NeuralPassOptions extends Omit<DensePlanOptions, "rows" | "solver"> {
  /** Another method and number of steps than the equation was made with. */
  readonly method?: NeuralMethod;
  readonly steps?: number;
  /** Default `l2`. */
  readonly metric?: DepthMetric;
}

/**
 * A neural ODE with weights over depth, on the device (Marion, Wu, Sander, Biau, ICLR 2024, eq. 6):
 *
 *     H(0) = A x,  dH/ds = s_m V(s) σ(s_q W(s) H),  F = B H(1),  V(s) = Σ_j φ_j(s) V_j,  W(s) = Σ_j φ_j(s) W_j.
 *
 * Its coefficients V_j, W_j are the layers of a stack of depth K, so whatever trains, saves and measures a stack does the same to
 * them: `GradientFlow.create(ode.coefficients, await ode.pass(…), …)`. With Euler's method, K steps and a piecewise constant
 * basis it is the residual network of depth K, to the bit.
 */
export class NeuralOde {
  readonly shape: NeuralShape;
  readonly solver: NeuralSolver;
  /** A, B, and the coefficients V_j, W_j as its layers. */
  readonly coefficients: DenseStack;

  private constructor(shape: NeuralShape, solver: NeuralSolver, coefficients: DenseStack) {
    this.shape = shape;
    this.solver = solver;
    this.coefficients = coefficients;
  }

  /**
   * Uploads initial weights: with `tied` one V [q,m] and W [m,q] for all s, else the coefficients V [K,q,m] and W [K,m,q].
   * @throws ConfigError when shape, solver or the lengths of the weights do not fit.
   */
  static create(gpu: Gpu, shape: NeuralShape, solver: NeuralSolver, initial: InitialWeights): NeuralOde {
    const parsed = neuralOdeSchema.safeParse({ shape, solver });
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      throw new ConfigError(path.join("."), message);
    }
    const { basis } = parsed.data.solver;
    checkWeights(shape, initial, initial.tied ? 1 : basis.count);
    const unit = unitCoefficients(basis);
    const constant = initial.tied && unit.some((value) => value !== 1);
    const start: InitialWeights = constant
      ? { ...initial, V: inBasis(unit, initial.V), W: inBasis(unit, initial.W), tied: false }
      : initial;
    const coefficients = DenseStack.create(gpu, { ...shape, depth: basis.count, beta: 1 }, start);
    return new NeuralOde(parsed.data.shape, parsed.data.solver, coefficients);
  }

  /**
   * A residual network of depth L read as an ODE: V(s) and W(s) are L^{1−β} V_k and W_k on [k/L, (k+1)/L), k = 0 … L−1, for a
   * `constant` basis, or for a `linear` one interpolate them at s = k/(L−1) (the paper's eq. 8). Euler's method with L steps and
   * `constant` is the network itself; any other method and number of steps solves the same equation.
   * @throws ConfigError for another basis, and for a linear one of a single layer.
   */
  static fromStack(
    gpu: Gpu,
    shape: DenseShape,
    weights: CanonicalWeights,
    reading: { readonly kind: "constant" | "linear"; readonly method: NeuralMethod; readonly steps: number },
  ): NeuralOde {
    const { depth, beta, ...field } = shape;
    const { kind, method, steps } = reading;
    if (kind !== "constant" && kind !== "linear")
      throw new ConfigError("kind", "must be constant or linear: a stack has its layers, no coefficients", kind);
    const factor = depth ** (1 - beta);
    const V = factor === 1 ? weights.V : weights.V.map((value) => factor * value);
    const initial = { ...weights, V, tied: false };
    return NeuralOde.create(gpu, field, { basis: { kind, count: depth }, method, steps }, initial);
  }

  get gpu(): Gpu {
    return this.coefficients.gpu;
  }

  /**
   * Forward, loss and adjoint on one batch of data.
   * @throws ConfigError when the data or the plan do not fit.
   */
  pass(data: DenseData, loss: Loss, options: NeuralPassOptions): Promise<DensePass> {
    const { method = this.solver.method, steps = this.solver.steps, metric = "l2", ...plan } = options;
    const solver = depthSolver({ basis: this.solver.basis, method, steps }, metric);
    return DensePass.create(this.coefficients, data, loss, { ...plan, solver });
  }

  /** V(s) and W(s) at `times` in [0,1] as they stand now: V [times,q,m] and W [times,m,q], in float64. */
  async weightsAt(times: readonly number[]): Promise<{ V: Float64Array; W: Float64Array }> {
    const { V, W } = await this.coefficients.readWeights();
    const at = (coefficients: Float32Array) => evaluateDepth({ basis: this.solver.basis, coefficients }, times);
    return { V: at(V), W: at(W) };
  }

  destroy(): void {
    this.coefficients.destroy();
  }
}

/** The steps and matrices that a pass takes. */
export function depthSolver({ basis, method, steps }: NeuralSolver, metric: DepthMetric): DepthSolver {
  const { a, b, c } = neededStages(method);
  if (basis.kind === "constant" && b.length === 1 && steps === basis.count) return { steps, a, b };
  const toStages = stageBasis(basis, steps, c);
  if (metric === "coefficients" || basis.kind === "constant") return { steps, a, b, blend: { toStages } };
  // A flow multiplies the gradients of K layers by K: M⁻¹ has that factor in it already.
  const inverse = inverseMass(basis).map((value) => value / basis.count);
  return { steps, a, b, blend: { toStages, metric: inverse } };
}

/** An explicit method without trailing stages of weight 0: those serve error estimates and the next step, of no use here. */
export function neededStages(method: NeuralMethod): Pick<(typeof METHODS)[NeuralMethod], "a" | "b" | "c"> {
  const { a, b, c } = METHODS[method];
  let stages = b.length;
  while (b[stages - 1] === 0) stages--;
  return { a: a.slice(0, stages), b: b.slice(0, stages), c: c.slice(0, stages) };
}

function inBasis(unit: Float64Array, values: Float32Array): Float32Array<ArrayBuffer> {
  const coefficients = new Float32Array(unit.length * values.length);
  for (let j = 0; j < unit.length; j++)
    for (let i = 0; i < values.length; i++) coefficients[j * values.length + i] = unit[j]! * values[i]!;
  return coefficients;
}

function checkWeights({ inputs, width, hidden, outputs }: NeuralShape, weights: InitialWeights, layers: number): void {
  const lengths = { A: width * inputs, V: layers * width * hidden, W: layers * width * hidden, B: outputs * width };
  for (const name of ["A", "V", "W", "B"] as const)
    if (weights[name].length !== lengths[name])
      throw new ConfigError(name, `must hold ${lengths[name]} numbers`, weights[name].length);
}
