import { type DenseShape, denseScales, type Loss } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import { activation, activationDerivative } from "./activations.ts";
import { expectLength } from "./lengths.ts";
import { addOuterProduct, multiply, multiplyTransposed } from "./matrices.ts";

/** Weights in the canonical layouts, row-major float64: A [q,d], V [L,q,m], W [L,m,q], B [d',q]. */
export interface DenseWeights {
  A: Float64Array;
  V: Float64Array;
  W: Float64Array;
  B: Float64Array;
}

/** Target values [n,d'] for the squared losses, n class labels for cross-entropy. */
export type DenseTarget = ArrayLike<number>;

/** n samples: inputs [n,d] and their targets. */
export interface DenseData {
  n: number;
  inputs: ArrayLike<number>;
  targets: DenseTarget;
}

export interface DenseForward {
  /** h_0 … h_L, [L+1,n,q]. */
  states: Float64Array;
  /** F, [n,d']. */
  output: Float64Array;
}

export interface DenseLoss {
  loss: number;
  /** ∂loss/∂F, [n,d'] (with the 1/n of the mean in it). */
  gradOutput: Float64Array;
  /** Samples whose largest output (the first of equals) stands at the label, or at the largest target. */
  correct: number;
}

export interface DenseGradients extends DenseForward {
  loss: number;
  correct: number;
  dA: Float64Array;
  dV: Float64Array;
  dW: Float64Array;
  dB: Float64Array;
}

/** Which groups move; V and W are the two halves of Z. */
export interface DenseTrained {
  A: boolean;
  V: boolean;
  W: boolean;
  B: boolean;
}

function expectWeights(shape: DenseShape, { A, V, W, B }: DenseWeights): void {
  const { inputs, width, hidden, outputs, depth } = shape;
  expectLength("A", A, width * inputs);
  expectLength("V", V, depth * width * hidden);
  expectLength("W", W, depth * hidden * width);
  expectLength("B", B, outputs * width);
}

/** z = s_q W_{k+1} h, the argument of σ in layer k (0-based), [m]; h stands at states[at..at+q]. */
function preActivation(shape: DenseShape, W: Float64Array, k: number, states: Float64Array, at: number): Float64Array {
  const { width, hidden } = shape;
  const z = multiply(W, k * hidden * width, hidden, width, states, at);
  const { inner } = denseScales(shape);
  for (let i = 0; i < hidden; i++) z[i] *= inner;
  return z;
}

/**
 * The stack in float64 (Marion et al., ICLR 2024, eq. 3): h_0 = A x, h_{k+1} = h_k + s V_{k+1} σ(s_q W_{k+1} h_k), F = B h_L.
 * `x` is [n,d]. Throws ConfigError when an array has not the length its shape asks for.
 */
export function denseForward(shape: DenseShape, weights: DenseWeights, x: ArrayLike<number>, n: number): DenseForward {
  const { inputs, width, hidden, outputs, depth } = shape;
  expectWeights(shape, weights);
  expectLength("inputs", x, n * inputs);
  const { outer } = denseScales(shape);
  const states = new Float64Array((depth + 1) * n * width);
  const output = new Float64Array(n * outputs);
  for (let i = 0; i < n; i++) {
    states.set(multiply(weights.A, 0, width, inputs, x, i * inputs), i * width);
    for (let k = 0; k < depth; k++) {
      const at = (k * n + i) * width;
      const z = preActivation(shape, weights.W, k, states, at);
      const active = z.map((value) => activation(shape.activation, value));
      const update = multiply(weights.V, k * width * hidden, width, hidden, active, 0);
      for (let j = 0; j < width; j++) states[at + n * width + j] = states[at + j] + outer * update[j];
    }
    output.set(multiply(weights.B, 0, outputs, width, states, (depth * n + i) * width), i * outputs);
  }
  return { states, output };
}

/** Index of the largest of values[at..at+count], the first of equals. */
function argmax(values: ArrayLike<number>, at: number, count: number): number {
  let best = 0;
  for (let j = 1; j < count; j++) if (values[at + j] > values[at + best]) best = j;
  return best;
}

/**
 * Loss of `output` [n,d'] and its gradient (definitions at `LOSSES`). `targets`: [n,d'] values, or n labels for cross-entropy.
 * Throws ConfigError for a wrong length or a label that is not an integer in [0, d').
 */
export function denseLoss(
  loss: Loss,
  output: Float64Array,
  targets: DenseTarget,
  n: number,
  outputs: number,
): DenseLoss {
  expectLength("output", output, n * outputs);
  expectLength("targets", targets, loss === "cross-entropy" ? n : n * outputs);
  const gradOutput = new Float64Array(n * outputs);
  let sum = 0;
  let correct = 0;
  for (let i = 0; i < n; i++) {
    const at = i * outputs;
    const highest = argmax(output, at, outputs);
    if (loss === "cross-entropy") {
      const label = targets[i];
      if (!Number.isInteger(label) || label < 0 || label >= outputs) {
        throw new ConfigError(`targets[${i}]`, `must be a label in 0..${outputs - 1}`, label);
      }
      let total = 0;
      for (let j = 0; j < outputs; j++) total += Math.exp(output[at + j] - output[at + highest]);
      sum += Math.log(total) + output[at + highest] - output[at + label];
      for (let j = 0; j < outputs; j++) {
        const probability = Math.exp(output[at + j] - output[at + highest]) / total;
        gradOutput[at + j] = (probability - (j === label ? 1 : 0)) / n;
      }
      if (highest === label) correct++;
    } else {
      const count = loss === "mean-square" ? n * outputs : n;
      for (let j = 0; j < outputs; j++) {
        const error = output[at + j] - targets[at + j];
        sum += error * error;
        gradOutput[at + j] = (2 * error) / count;
      }
      if (highest === argmax(targets, at, outputs)) correct++;
    }
  }
  return { loss: sum / (loss === "mean-square" ? n * outputs : n), gradOutput, correct };
}

/** What the adjoint of the layers gives: p_0 … p_L, [L+1,n,q], and the gradients of V and W. */
export interface DenseAdjoint {
  adjoints: Float64Array;
  dV: Float64Array;
  dW: Float64Array;
}

/**
 * Discrete adjoint of the layers of eq. 3 of Marion et al. (ICLR 2024), from their states h_0 … h_{L-1} ([≥ L,n,q]) and
 * p_L [n,q]: u = V_kᵀ p_k, g = s u ⊙ σ'(z); dV_k = s Σ p_k σ(z)ᵀ; dW_k = s_q Σ g h_{k-1}ᵀ; p_{k-1} = p_k + s_q W_kᵀ g.
 */
export function denseAdjoint(
  shape: DenseShape,
  { V, W }: Pick<DenseWeights, "V" | "W">,
  states: Float64Array,
  last: ArrayLike<number>,
  n: number,
): DenseAdjoint {
  const { width, hidden, depth, activation: name } = shape;
  const { outer, inner } = denseScales(shape);
  const dV = new Float64Array(depth * width * hidden);
  const dW = new Float64Array(depth * hidden * width);
  const adjoints = new Float64Array((depth + 1) * n * width);
  adjoints.set(last, depth * n * width);
  for (let i = 0; i < n; i++) {
    const p = adjoints.slice((depth * n + i) * width, (depth * n + i + 1) * width);
    for (let k = depth - 1; k >= 0; k--) {
      const at = (k * n + i) * width;
      const z = preActivation(shape, W, k, states, at);
      const active = z.map((t) => activation(name, t));
      addOuterProduct(dV, k * width * hidden, outer, p, active, 0, hidden);
      const g = multiplyTransposed(V, k * width * hidden, width, hidden, p);
      for (let j = 0; j < hidden; j++) g[j] *= outer * activationDerivative(name, z[j]);
      addOuterProduct(dW, k * hidden * width, inner, g, states, at, width);
      const back = multiplyTransposed(W, k * hidden * width, hidden, width, g);
      for (let j = 0; j < width; j++) p[j] += inner * back[j];
      adjoints.set(p, at);
    }
  }
  return { adjoints, dV, dW };
}

/**
 * Loss and all its gradients: p_L = Bᵀ ∂loss/∂F, then {@link denseAdjoint}. The gradients are those of the loss itself: no
 * factor L.
 */
export function denseGradients(shape: DenseShape, weights: DenseWeights, data: DenseData, loss: Loss): DenseGradients {
  const { inputs, width, outputs, depth } = shape;
  const { n } = data;
  const { states, output } = denseForward(shape, weights, data.inputs, n);
  const { loss: value, gradOutput, correct } = denseLoss(loss, output, data.targets, n, outputs);
  const dA = new Float64Array(width * inputs);
  const dB = new Float64Array(outputs * width);
  const last = new Float64Array(n * width);
  for (let i = 0; i < n; i++) {
    const gradF = gradOutput.slice(i * outputs, (i + 1) * outputs);
    addOuterProduct(dB, 0, 1, gradF, states, (depth * n + i) * width, width);
    last.set(multiplyTransposed(weights.B, 0, outputs, width, gradF), i * width);
  }
  const { adjoints, dV, dW } = denseAdjoint(shape, weights, states, last, n);
  for (let i = 0; i < n; i++)
    addOuterProduct(dA, 0, 1, adjoints.slice(i * width, (i + 1) * width), data.inputs, i * inputs, inputs);
  return { loss: value, correct, states, output, dA, dV, dW, dB };
}

function descend(weights: Float64Array, gradient: Float64Array, rate: number): void {
  for (let i = 0; i < weights.length; i++) weights[i] -= rate * gradient[i];
}

/**
 * One explicit Euler step of the gradient flow (Marion et al., ICLR 2024, eq. 4), in place:
 * A -= η dA, Z_k -= L η dZ_k, B -= η dB, each group only where `trained` says so. η = `rate` is the step in training time.
 * Returns loss, states and gradients before the step.
 */
export function gradientFlowStep(
  shape: DenseShape,
  weights: DenseWeights,
  data: DenseData,
  loss: Loss,
  rate: number,
  trained: DenseTrained,
): DenseGradients {
  const before = denseGradients(shape, weights, data, loss);
  if (trained.A) descend(weights.A, before.dA, rate);
  if (trained.V) descend(weights.V, before.dV, shape.depth * rate);
  if (trained.W) descend(weights.W, before.dW, shape.depth * rate);
  if (trained.B) descend(weights.B, before.dB, rate);
  return before;
}

/** Statistics over k = 1..L-1 of the Frobenius norm of Z_{k+1} - Z_k; all 0 when there is one layer. */
export interface StepNorms {
  max: number;
  mean: number;
  sumOfSquares: number;
}

function differenceNorms(z: Float64Array, depth: number): StepNorms {
  const elements = z.length / depth;
  let max = 0;
  let total = 0;
  let sumOfSquares = 0;
  for (let k = 1; k < depth; k++) {
    let square = 0;
    for (let i = k * elements; i < (k + 1) * elements; i++) square += (z[i] - z[i - elements]) ** 2;
    max = Math.max(max, Math.sqrt(square));
    total += Math.sqrt(square);
    sumOfSquares += square;
  }
  return { max, mean: depth > 1 ? total / (depth - 1) : 0, sumOfSquares };
}

/**
 * Layer-to-layer differences of V [L,q,m] and W [L,m,q]: `max` is the quantity of Prop. 3 of Marion et al. (ICLR 2024),
 * and the square root of `sumOfSquares`, summed over recorded steps, is what the code behind their figure 1 (left) accumulates.
 */
export function stepNorms(V: Float64Array, W: Float64Array, shape: DenseShape): { V: StepNorms; W: StepNorms } {
  const elements = shape.depth * shape.width * shape.hidden;
  expectLength("V", V, elements);
  expectLength("W", W, elements);
  return { V: differenceNorms(V, shape.depth), W: differenceNorms(W, shape.depth) };
}
