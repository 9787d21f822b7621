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
