/** Order conditions of Runge–Kutta and Rosenbrock methods by rooted trees (Hairer and Wanner, Solving ODEs I.2 and II.7). */
import { METHODS, type Method, type MethodName, type RosenbrockTableau } from "../ode/tableaus.ts";

/** A rooted tree is the list of the trees hanging from its root. */
export type Tree = readonly Tree[];

export function treeOrder(tree: Tree): number {
  return tree.reduce((sum, subtree) => sum + treeOrder(subtree), 1);
}

/** γ(t): the product of the orders of all subtrees. */
export function treeDensity(tree: Tree): number {
  return tree.reduce((product, subtree) => product * treeDensity(subtree), treeOrder(tree));
}

/** All rooted trees of 1 to `order` vertices, one list an order. */
export function rootedTrees(order: number): Tree[][] {
  const lists: Tree[][] = [[], [[]]];
  for (let n = 2; n <= order; n++) {
    const found: Tree[] = [];
    // Subtrees come in a fixed sequence (by order, then by place), so each multiset of them is met once.
    const extend = (left: number, size: number, place: number, chosen: readonly Tree[]): void => {
      if (left === 0) found.push(chosen);
      for (let s = Math.min(size, left); s >= 1; s--) {
        const last = s === size ? place : lists[s].length - 1;
        for (let i = last; i >= 0; i--) extend(left - s, s, i, [...chosen, lists[s][i]]);
      }
    };
    extend(n - 1, n - 1, lists[n - 1].length - 1, []);
    lists.push(found);
  }
  return lists.slice(1);
}

/**
 * Φ_s(t) = Π over the subtrees of Σ_r M_{s,r} Φ_r: elementary weights of the stages (Butcher). M = `a`; for a Rosenbrock
 * method M = `single` where the vertex carries one subtree only (Hairer and Wanner, Solving ODEs II, section IV.7).
 */
export function stageWeights(
  tree: Tree,
  a: readonly (readonly number[])[],
  single: readonly (readonly number[])[] = a,
): number[] {
  const matrix = tree.length === 1 ? single : a;
  const weights = matrix.map(() => 1);
  for (const subtree of tree) {
    const inner = stageWeights(subtree, a, single);
    matrix.forEach((row, s) => {
      weights[s] *= row.reduce((sum, entry, r) => sum + entry * inner[r], 0);
    });
  }
  return weights;
}

/** Largest |Σ_s b_s Φ_s(t) − θ^ρ(t)/γ(t)| over the trees of each order. */
export function orderResiduals(
  trees: readonly (readonly Tree[])[],
  a: readonly (readonly number[])[],
  b: readonly number[],
  { theta = 1, single = a }: { theta?: number; single?: readonly (readonly number[])[] } = {},
): number[] {
  return trees.map((list, i) =>
    list.reduce((worst, tree) => {
      const phi = stageWeights(tree, a, single);
      const sum = b.reduce((total, weight, s) => total + weight * phi[s], 0);
      return Math.max(worst, Math.abs(sum - theta ** (i + 1) / treeDensity(tree)));
    }, 0),
  );
}

/** Rounding of the order conditions: 2⁻⁵³ times the sum of the sizes of their terms, which is below 1,000 for every method here. */
export const ORDER_ROUNDING = 1000 * 2 ** -53;

/** The first `n` entries of each of `n` rows, 0 where there are none. */
export function square(rows: readonly (readonly number[])[], n: number): number[][] {
  return Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => rows[i]?.[j] ?? 0));
}

function multiply(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] {
  return a.map((row) => b[0].map((_, j) => row.reduce((total, x, k) => total + x * b[k][j], 0)));
}

/** Inverse of a lower triangular matrix by forward substitution. */
function inverseLower(matrix: readonly (readonly number[])[]): number[][] {
  const n = matrix.length;
  const inverse = square([], n);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let right = i === j ? 1 : 0;
      for (let k = j; k < i; k++) right -= matrix[i][k] * inverse[k][j];
      inverse[i][j] = right / matrix[i][i];
    }
  }
  return inverse;
}

/** α, Γ and a map of weights of u to weights of h k: u = Γ h k, coupling = 1/γ − Γ⁻¹, a = α Γ⁻¹; β = α + Γ. */
export function rosenbrockMatrices({ gamma, a, coupling, b }: RosenbrockTableau) {
  const n = b.length;
  const inverse = square(coupling, n).map((row, i) => row.map((x, j) => (i === j ? 1 / gamma : -x)));
  const Gamma = inverseLower(inverse);
  const alpha = multiply(square(a, n), Gamma);
  const beta = alpha.map((row, i) => row.map((x, j) => x + Gamma[i][j]));
  return { Gamma, alpha, beta, weights: (ofU: readonly number[]) => multiply([ofU], Gamma)[0] };
}

/**
 * Largest residual over the trees of each order 1 … `order` + 1 of a method: rounding up to its order, not beyond. Undefined
 * for partitioned and two-step methods, whose conditions are others.
 */
export function methodResiduals(name: MethodName): number[] | undefined {
  const method: Method = METHODS[name];
  if (method.kind === "symplectic" || method.kind === "reversible-heun") return undefined;
  const trees = rootedTrees(method.order + 1);
  if (method.kind !== "rosenbrock") return orderResiduals(trees, square(method.a, method.b.length), method.b);
  const { alpha, beta, weights } = rosenbrockMatrices(method);
  return orderResiduals(trees, alpha, weights(method.b), { single: beta });
}
