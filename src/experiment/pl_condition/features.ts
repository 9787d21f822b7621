/** The first layer's features at the start and their singular values, in float64 on the host. */
import { EVD, Matrix, SVD } from "ml-matrix";
import type { Activation, DenseShape } from "../../config/dense.ts";
import { activation } from "../../reference/activations.ts";
import { type DenseWeights, denseAdjoint, denseForward } from "../../reference/dense.ts";

export interface FeatureSizes {
  readonly activation: Activation;
  readonly samples: number;
  readonly width: number;
  readonly hidden: number;
}

/** Σ = σ(W A x_i / √q), [n, m], with A = (I; 0): the first q/2 columns of W meet the inputs. W is [m, q], inputs are [n, q/2]. */
export function features(sizes: FeatureSizes, W: ArrayLike<number>, inputs: ArrayLike<number>): Matrix {
  const { samples, width, hidden } = sizes;
  const half = width / 2;
  const out = Matrix.zeros(samples, hidden);
  for (let i = 0; i < samples; i++)
    for (let k = 0; k < hidden; k++) {
      let z = 0;
      for (let j = 0; j < half; j++) z += W[k * width + j]! * inputs[i * half + j]!;
      out.set(i, k, activation(sizes.activation, z / Math.sqrt(width)));
    }
  return out;
}

export interface Spectrum {
  /** Of the n singular values of Σ as a map from the n samples. */
  readonly smallest: number;
  readonly largest: number;
  /** Unit vector of the smallest, over samples [n] unless said otherwise. */
  readonly weakest: readonly number[];
}

/** With m < n, Σᵀ is completed by rows of zeros, which leaves its n singular values as they are. */
export function spectrumOf(sigma: Matrix): Spectrum {
  const transposed = sigma.transpose();
  const missing = Math.max(0, transposed.columns - transposed.rows);
  const completed = Matrix.zeros(transposed.rows + missing, transposed.columns);
  completed.setSubMatrix(transposed, 0, 0);
  const { diagonal, rightSingularVectors } = new SVD(completed, { computeLeftSingularVectors: false });
  const at = diagonal.indexOf(Math.min(...diagonal));
  return {
    smallest: diagonal[at]!,
    largest: Math.max(...diagonal),
    weakest: rightSingularVectors.getColumn(at),
  };
}

/**
 * The Polyak–Łojasiewicz ratio at V = 0 and F = 0 is Y ↦ tr(Yᵀ K Y)/‖Y‖² with K = (4/n)(ΣΣᵀ/m + XXᵀ + XXᵀ), the parts of V, A and B
 * (W has none): smallest and largest eigenvalue, and the unit vector of the smallest.
 */
export function startKernel(sigma: Matrix, inputs: ArrayLike<number>, maps: boolean): Spectrum {
  const { rows: n, columns: m } = sigma;
  const kernel = sigma.mmul(sigma.transpose()).div(m);
  if (maps) {
    const X = new Matrix(n, inputs.length / n);
    for (let i = 0; i < n; i++) for (let j = 0; j < X.columns; j++) X.set(i, j, inputs[i * X.columns + j]!);
    kernel.add(X.mmul(X.transpose()).mul(2));
  }
  return spectrumOfSymmetric(kernel.mul(4 / n));
}

export interface Tangent extends Spectrum {
  /** F at these weights, [n, d']. */
  readonly output: Float64Array;
}

/**
 * The Polyak–Łojasiewicz ratio at any weights is r ↦ rᵀ K r/‖r‖² in the residual r = F − Y, with K = (4/n) J Jᵀ [n d', n d'] and J the Jacobian of F by all
 * groups, Z in the metric of the flow (√L ∂F/∂Z_k): smallest and largest eigenvalue, and the residual [n, d'] of the smallest.
 */
export function tangentSpectrum(
  shape: DenseShape,
  weights: DenseWeights,
  inputs: ArrayLike<number>,
  n: number,
): Tangent {
  const { inputs: d, width, outputs, depth } = shape;
  const output = new Float64Array(n * outputs);
  const rows: Float64Array[] = [];
  for (let i = 0; i < n; i++) {
    const x = Array.from({ length: d }, (_, j) => inputs[i * d + j]!);
    const { states, output: own } = denseForward(shape, weights, x, 1);
    output.set(own, i * outputs);
    for (let o = 0; o < outputs; o++) {
      const { adjoints, dV, dW } = denseAdjoint(
        shape,
        weights,
        states,
        weights.B.subarray(o * width, (o + 1) * width),
        1,
      );
      const byMaps = new Float64Array(width * d + outputs * width);
      for (let a = 0; a < width; a++) for (let j = 0; j < d; j++) byMaps[a * d + j] = adjoints[a]! * x[j]!;
      byMaps.set(states.subarray(depth * width), width * d + o * width);
      const scale = Math.sqrt(depth);
      rows.push(Float64Array.of(...byMaps, ...dV.map((value) => scale * value), ...dW.map((value) => scale * value)));
    }
  }
  const kernel = Matrix.zeros(rows.length, rows.length);
  for (const [a, left] of rows.entries())
    for (let b = 0; b <= a; b++) {
      const right = rows[b]!;
      let sum = 0;
      for (let j = 0; j < left.length; j++) sum += left[j]! * right[j]!;
      kernel.set(a, b, (4 / n) * sum);
      kernel.set(b, a, (4 / n) * sum);
    }
  return { ...spectrumOfSymmetric(kernel), output };
}

function spectrumOfSymmetric(kernel: Matrix): Spectrum {
  const { realEigenvalues, eigenvectorMatrix } = new EVD(kernel, { assumeSymmetric: true });
  const at = realEigenvalues.indexOf(Math.min(...realEigenvalues));
  return {
    smallest: realEigenvalues[at]!,
    largest: Math.max(...realEigenvalues),
    weakest: eigenvectorMatrix.getColumn(at),
  };
}
