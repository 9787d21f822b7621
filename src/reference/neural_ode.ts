import { denseScales, type Loss } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { NeuralShape } from "../config/neural.ts";
import type { Tableau } from "../ode/tableaus.ts";
import { activation, activationDerivative } from "./activations.ts";
import { type DenseData, type DenseTrained, denseLoss } from "./dense.ts";
import { addOuterProduct, multiply, multiplyTransposed } from "./matrices.ts";

/** Weights of a neural ODE, row-major float64: A [q,d], coefficients V [K,q,m] and W [K,m,q], B [d',q]. */
export interface NeuralWeights {
  A: Float64Array;
  V: Float64Array;
  W: Float64Array;
  B: Float64Array;
}

/** N equal steps from s = 0 to 1 by an explicit method, and the basis functions at the stages. */
export interface NeuralMesh {
  steps: number;
  tableau: Pick<Tableau, "a" | "b">;
  /** Φ [N, stages, K]. */
  basis: Float64Array;
}

export interface NeuralForward {
  /** H at the ends of the steps, s = 0, 1/N … 1: [N+1,n,q]. */
  states: Float64Array;
  /** Arguments of the right-hand side at the stages, [N,stages,n,q]. */
  stages: Float64Array;
  /** F, [n,d']. */
  output: Float64Array;
}

export interface NeuralGradients extends NeuralForward {
  loss: number;
  correct: number;
  dA: Float64Array;
  /** ∂loss/∂V_j of the coefficients, [K,q,m]. */
  dV: Float64Array;
  /** ∂loss/∂W_j of the coefficients, [K,m,q]. */
  dW: Float64Array;
  dB: Float64Array;
  /** ∂loss/∂x, [n,d]. */
  dInputs: Float64Array;
}

function stagesOf({ steps, tableau }: NeuralMesh): number {
  return steps * tableau.b.length;
}

function coefficientCount(mesh: NeuralMesh): number {
  const count = mesh.basis.length / stagesOf(mesh);
  if (!Number.isInteger(count) || count === 0)
    throw new ConfigError("basis", `must hold a multiple of ${stagesOf(mesh)} numbers`, mesh.basis.length);
  return count;
}

function expectSizes(shape: NeuralShape, weights: NeuralWeights, mesh: NeuralMesh, data: DenseData): void {
  const { inputs, width, hidden, outputs } = shape;
  const layers = coefficientCount(mesh) * width * hidden;
  const sizes = { A: width * inputs, V: layers, W: layers, B: outputs * width };
  for (const key of ["A", "V", "W", "B"] as const)
    if (weights[key].length !== sizes[key])
      throw new ConfigError(key, `must hold ${sizes[key]} numbers`, weights[key].length);
  if (data.inputs.length !== data.n * inputs)
    throw new ConfigError("inputs", `must hold ${data.n * inputs} numbers`, data.inputs.length);
}

/** The width factors s_m and s_q. */
function widthFactors(shape: NeuralShape): { outer: number; inner: number } {
  return denseScales({ ...shape, depth: 1, beta: 0 });
}

/** Σ_j φ_j c_j at every stage of the mesh, [N·stages, size]. */
function atStages(mesh: NeuralMesh, coefficients: Float64Array): Float64Array {
  const count = coefficientCount(mesh);
  const size = coefficients.length / count;
  const out = new Float64Array(stagesOf(mesh) * size);
  for (let stage = 0; stage < stagesOf(mesh); stage++)
    for (let j = 0; j < count; j++) {
      const phi = mesh.basis[stage * count + j];
      for (let e = 0; e < size; e++) out[stage * size + e] += phi * coefficients[j * size + e];
    }
  return out;
}

/** The transpose of {@link atStages}: from gradients at the stages to gradients of the coefficients, [K, size]. */
function toCoefficients(mesh: NeuralMesh, atStage: Float64Array): Float64Array {
  const count = coefficientCount(mesh);
  const size = atStage.length / stagesOf(mesh);
  const out = new Float64Array(count * size);
  for (let stage = 0; stage < stagesOf(mesh); stage++)
    for (let j = 0; j < count; j++) {
      const phi = mesh.basis[stage * count + j];
      for (let e = 0; e < size; e++) out[j * size + e] += phi * atStage[stage * size + e];
    }
  return out;
}

/** z = s_q W(s) y at a stage, [m]; y stands at values[at..at+q]. */
function preActivation(shape: NeuralShape, W: Float64Array, stage: number, values: Float64Array, at: number) {
  const { width, hidden } = shape;
  const { inner } = widthFactors(shape);
  return multiply(W, stage * hidden * width, hidden, width, values, at).map((value) => inner * value);
}

/**
 * The neural ODE in float64 (Marion et al., ICLR 2024, eq. 6): H(0) = A x, dH/ds = s_m V(s) σ(s_q W(s) H), F = B H(1), by N steps
 * of an explicit Runge–Kutta method, V(s) = Σ_j φ_j(s) V_j and W likewise. Throws ConfigError for an array of a wrong length.
 */
export function neuralForward(
  shape: NeuralShape,
  weights: NeuralWeights,
  mesh: NeuralMesh,
  data: DenseData,
): NeuralForward {
  expectSizes(shape, weights, mesh, data);
  const { inputs, width, hidden, outputs, activation: name } = shape;
  const { n } = data;
  const { steps, tableau } = mesh;
  const { a, b } = tableau;
  const h = 1 / steps;
  const { outer } = widthFactors(shape);
  const V = atStages(mesh, weights.V);
  const W = atStages(mesh, weights.W);
  const states = new Float64Array((steps + 1) * n * width);
  const stages = new Float64Array(stagesOf(mesh) * n * width);
  const output = new Float64Array(n * outputs);
  for (let i = 0; i < n; i++) {
    let y = multiply(weights.A, 0, width, inputs, data.inputs, i * inputs);
    states.set(y, i * width);
    for (let step = 0; step < steps; step++) {
      const slopes: Float64Array[] = [];
      for (let s = 0; s < b.length; s++) {
        const stage = step * b.length + s;
        const at = (stage * n + i) * width;
        for (let j = 0; j < width; j++) {
          let sum = 0;
          for (let r = 0; r < s; r++) sum += a[s][r] * slopes[r][j];
          stages[at + j] = y[j] + h * sum;
        }
        const active = preActivation(shape, W, stage, stages, at).map((z) => activation(name, z));
        const update = multiply(V, stage * width * hidden, width, hidden, active, 0);
        slopes.push(update.map((value) => outer * value));
      }
      y = y.map((value, j) => value + h * slopes.reduce((sum, k, s) => sum + b[s] * k[j], 0));
      states.set(y, ((step + 1) * n + i) * width);
    }
    output.set(multiply(weights.B, 0, outputs, width, y, 0), i * outputs);
  }
  return { states, stages, output };
}

/**
 * Loss and all its gradients by the exact adjoint of the discrete solve. In a step of length h, from λ = ∂loss/∂H at its end and
 * from the last stage to the first: κ_s = h (b_s λ + Σ_{r>s} a_{r,s} υ_r), υ_s = (∂f/∂H)ᵀ κ_s at the stage, and λ + Σ_s υ_s at its
 * start. With u = V(s)ᵀ κ and g = s_m u ⊙ σ'(z): υ = s_q W(s)ᵀ g; ∂loss/∂V(s) = s_m Σ κ σ(z)ᵀ, ∂loss/∂W(s) = s_q Σ g yᵀ, and the
 * coefficients' gradients are Σ φ_j(s) of these over the stages.
 */
export function neuralGradients(
  shape: NeuralShape,
  weights: NeuralWeights,
  mesh: NeuralMesh,
  data: DenseData,
  loss: Loss,
): NeuralGradients {
  const { inputs, width, hidden, outputs, activation: name } = shape;
  const { n } = data;
  const { steps, tableau } = mesh;
  const { a, b } = tableau;
  const h = 1 / steps;
  const { outer, inner } = widthFactors(shape);
  const forward = neuralForward(shape, weights, mesh, data);
  const { states, stages, output } = forward;
  const { loss: value, gradOutput, correct } = denseLoss(loss, output, data.targets, n, outputs);
  const V = atStages(mesh, weights.V);
  const W = atStages(mesh, weights.W);
  const dVAtStages = new Float64Array(V.length);
  const dWAtStages = new Float64Array(W.length);
  const dA = new Float64Array(width * inputs);
  const dB = new Float64Array(outputs * width);
  const dInputs = new Float64Array(n * inputs);
  for (let i = 0; i < n; i++) {
    const gradF = gradOutput.slice(i * outputs, (i + 1) * outputs);
    addOuterProduct(dB, 0, 1, gradF, states, (steps * n + i) * width, width);
    const lambda = multiplyTransposed(weights.B, 0, outputs, width, gradF);
    for (let step = steps - 1; step >= 0; step--) {
      const backs: Float64Array[] = [];
      for (let s = b.length - 1; s >= 0; s--) {
        const stage = step * b.length + s;
        const at = (stage * n + i) * width;
        const kappa = lambda.map((value, j) => {
          let sum = b[s] * value;
          for (let r = s + 1; r < b.length; r++) sum += a[r][s] * backs[r][j];
          return h * sum;
        });
        const z = preActivation(shape, W, stage, stages, at);
        const active = z.map((t) => activation(name, t));
        addOuterProduct(dVAtStages, stage * width * hidden, outer, kappa, active, 0, hidden);
        const g = multiplyTransposed(V, stage * width * hidden, width, hidden, kappa);
        for (let j = 0; j < hidden; j++) g[j] *= outer * activationDerivative(name, z[j]);
        addOuterProduct(dWAtStages, stage * hidden * width, inner, g, stages, at, width);
        const back = multiplyTransposed(W, stage * hidden * width, hidden, width, g);
        backs[s] = back.map((value) => inner * value);
      }
      for (const back of backs) for (let j = 0; j < width; j++) lambda[j] += back[j];
    }
    addOuterProduct(dA, 0, 1, lambda, data.inputs, i * inputs, inputs);
    dInputs.set(multiplyTransposed(weights.A, 0, width, inputs, lambda), i * inputs);
  }
  return {
    ...forward,
    loss: value,
    correct,
    dA,
    dV: toCoefficients(mesh, dVAtStages),
    dW: toCoefficients(mesh, dWAtStages),
    dB,
    dInputs,
  };
}

/** The training of a neural ODE: what moves, on what, with which inner product of functions of depth. */
export interface NeuralFlow {
  shape: NeuralShape;
  mesh: NeuralMesh;
  /** M⁻¹ [K,K], M_ij = ∫ φ_i φ_j. */
  inverseMass: Float64Array;
  data: DenseData;
  loss: Loss;
  trained: DenseTrained;
}

/** Right-hand sides of the flow; V and W are coefficients of functions of depth. */
export interface NeuralDirections extends NeuralWeights {
  loss: number;
  /** −dℓ/dt: ‖∂ℓ/∂A‖² + ∫ ‖∂ℓ/∂Z(s)‖² ds + ‖∂ℓ/∂B‖² over the trained groups. */
  energyRate: number;
}

/**
 * dA/dt = −∂ℓ/∂A, dB/dt = −∂ℓ/∂B, and dV/dt(s) = −the gradient of ℓ in L²([0,1]) within the span of the basis, whose
 * coefficients are M⁻¹ ∂ℓ/∂V_j; W likewise. Groups that are not trained are 0. With Euler's method and a piecewise constant
 * basis of as many cells as steps, M = 1/L: the flow of a residual network (Marion et al., ICLR 2024, eq. 4); as basis and mesh
 * are refined, the limiting dynamics of their section A.5.
 */
export function neuralDirections(flow: NeuralFlow, weights: NeuralWeights): NeuralDirections {
  const { shape, mesh, inverseMass, data, loss, trained } = flow;
  const gradients = neuralGradients(shape, weights, mesh, data, loss);
  const count = coefficientCount(mesh);
  let energyRate = 0;
  const direction = (moves: boolean, gradient: Float64Array, rise: Float64Array): Float64Array => {
    if (!moves) return new Float64Array(gradient.length);
    for (let e = 0; e < gradient.length; e++) energyRate += gradient[e] * rise[e];
    return rise.map((value) => -value);
  };
  const overDepth = (gradient: Float64Array): Float64Array => {
    const size = gradient.length / count;
    const rise = new Float64Array(gradient.length);
    for (let i = 0; i < count; i++)
      for (let j = 0; j < count; j++)
        for (let e = 0; e < size; e++) rise[i * size + e] += inverseMass[i * count + j] * gradient[j * size + e];
    return rise;
  };
  const { dA, dV, dW, dB } = gradients;
  const A = direction(trained.A, dA, dA);
  const V = direction(trained.V, dV, overDepth(dV));
  const W = direction(trained.W, dW, overDepth(dW));
  const B = direction(trained.B, dB, dB);
  return { A, V, W, B, loss: gradients.loss, energyRate };
}

const KEYS = ["A", "V", "W", "B"] as const;

/** One step of length `rate` in training time of the flow by an explicit method, in place; returns the loss before it. */
export function neuralFlowStep(
  flow: NeuralFlow,
  weights: NeuralWeights,
  { a, b }: Pick<Tableau, "a" | "b">,
  rate: number,
): number {
  const slopes: NeuralDirections[] = [];
  const moved = (coefficients: readonly number[]): NeuralWeights => {
    const at = (key: (typeof KEYS)[number]) =>
      weights[key].map((value, i) => value + rate * coefficients.reduce((sum, c, s) => sum + c * slopes[s][key][i], 0));
    return { A: at("A"), V: at("V"), W: at("W"), B: at("B") };
  };
  for (const row of a) slopes.push(neuralDirections(flow, moved(row)));
  Object.assign(weights, moved(b));
  return slopes[0].loss;
}
