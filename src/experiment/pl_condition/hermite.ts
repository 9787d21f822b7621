/** Hermite coefficients of an activation, in float64. */
import { EVD, Matrix } from "ml-matrix";
import type { Activation } from "../../config/dense.ts";
import { activation, activationDerivative } from "../../reference/activations.ts";

export interface GaussHermite {
  readonly nodes: readonly number[];
  /** Sum 1: the rule is for the standard normal law. */
  readonly weights: readonly number[];
}

/**
 * Gauss's rule for the standard normal law (Golub and Welsch, Math. Comp. 23, 1969): the nodes are the eigenvalues of the Jacobi matrix of
 * the probabilists' Hermite polynomials, zero diagonal and √k beside it; the weights are the squared first entries of its eigenvectors.
 */
export function gaussHermite(count: number): GaussHermite {
  const jacobi = Matrix.zeros(count, count);
  for (let k = 1; k < count; k++) {
    jacobi.set(k - 1, k, Math.sqrt(k));
    jacobi.set(k, k - 1, Math.sqrt(k));
  }
  const { realEigenvalues, eigenvectorMatrix } = new EVD(jacobi, { assumeSymmetric: true });
  return { nodes: realEigenvalues, weights: eigenvectorMatrix.getRow(0).map((value) => value ** 2) };
}

/** Nodes of the rule: twice as many change the first ten coefficients of tanh, erf, sin and gelu by less than 1e-9. */
const NODES = 128;
let rule: GaussHermite | undefined;

/**
 * η_r = E[σ(Z) He_r(Z)] / √(r!), Z standard normal, r = 0 … `last`: coefficients in the normalised probabilists' Hermite polynomials.
 * With a kink (relu) the quadrature is off by about 1e-3.
 */
export function hermiteCoefficients(name: Activation, last: number): number[] {
  rule ??= gaussHermite(NODES);
  const { nodes, weights } = rule;
  const sums = new Array<number>(last + 1).fill(0);
  for (const [i, x] of nodes.entries()) {
    let [before, current] = [0, 1];
    for (let r = 0; r <= last; r++) {
      sums[r]! += weights[i]! * activation(name, x) * current;
      [before, current] = [current, (x * current - Math.sqrt(r) * before) / Math.sqrt(r + 1)];
    }
  }
  return sums;
}

/** The r in 2 … `last` with the largest |η_r|: any with η_r ≠ 0 will do for Lemma 21, and this one gives the largest floor. */
export function strongestCoefficient(name: Activation, last: number): { readonly r: number; readonly eta: number } {
  const coefficients = hermiteCoefficients(name, last);
  let r = 2;
  for (let i = 3; i <= last; i++) if (Math.abs(coefficients[i]!) > Math.abs(coefficients[r]!)) r = i;
  return { r, eta: Math.abs(coefficients[r]!) };
}

/** K_σ = sup |σ'|, on a grid of step 1e-3 in [−8, 8]: beyond, σ' of every activation here is within 1e-6 of its limit or periodic. */
export function lipschitzConstant(name: Activation): number {
  let largest = 0;
  for (let i = -8000; i <= 8000; i++) largest = Math.max(largest, Math.abs(activationDerivative(name, i / 1000)));
  return largest;
}
