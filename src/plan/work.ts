/**
 * How much a dispatch has to do, whatever kernel does it: what a measured time is held against. Pure.
 *
 * Conventions:
 * - a fused multiply-add is 2 operations; one activation σ, and one derivative σ', are 1 each, however they are computed,
 *   so that a cheaper formula is seen as a shorter time and not as less work. The builtins exp, log and sqrt are 1.
 * - only the formula counts. What a layout adds to it (z recomputed in the adjoint sweep, padding, compensation terms,
 *   partial sums of one gradient in several workgroups) is not useful work and not in here.
 * - integer operations are not floating-point operations: `random/normal` counts its two scalings only.
 * - bytes are compulsory traffic: each tensor that enters or leaves the dispatch, once.
 */
import type { DenseShape, Loss } from "../config/dense.ts";
import type { DensePlan } from "./dense.ts";

export interface Work {
  /** Floating-point operations. */
  readonly flops: number;
  /** Bytes that must at least move between memory and the device's cores. */
  readonly bytes: number;
  /**
   * Dependent multiply-adds of one result when every sum runs in order, as the kernels promise: times the latency of one
   * of them, the least time of a single row. 0 where no chain grows with the problem, or a layout may cut it freely.
   */
  readonly sequential: number;
}

const FLOAT = 4;

/** Numbers of V and W of a layer, 2qm. */
function layerNumbers({ width, hidden }: DenseShape): number {
  return 2 * width * hidden;
}

/**
 * Dependent multiply-adds of a layer, forward or backward: a dot product over q, the activation (or the product with its
 * derivative), a dot product over m, and the step h + scale · sum.
 */
function layerChain({ width, hidden }: DenseShape): number {
  return width + 1 + hidden + 1;
}

/** Forward sweep of `layers` layers over n rows: h ← h + s V σ(s_q W h). `stored`: every state is written, else the last. */
export function denseForwardWork(shape: DenseShape, rows: number, layers: number, stored: boolean): Work {
  const { width, hidden } = shape;
  const state = rows * width;
  return {
    flops: layers * rows * (4 * width * hidden + hidden + 2 * width),
    bytes: FLOAT * (layers * layerNumbers(shape) + state + (stored ? layers : 1) * state),
    sequential: layers * layerChain(shape),
  };
}

/**
 * Adjoint sweep over the states of `layers` layers, without gradients of the weights: p ← p + s s_q Wᵀ((Vᵀ p) ∘ σ'(z)).
 * σ(z) and σ'(z) are known from the forward sweep in principle: z costs nothing here. `stored`: every p is written.
 */
export function denseAdjointWork(shape: DenseShape, rows: number, layers: number, stored: boolean): Work {
  const { width, hidden } = shape;
  const state = rows * width;
  return {
    flops: layers * rows * (4 * width * hidden + 2 * hidden + 2 * width),
    bytes: FLOAT * (layers * layerNumbers(shape) + layers * state + state + (stored ? layers : 1) * state),
    sequential: layers * layerChain(shape),
  };
}

/** Gradients Σ_rows g hᵀ and Σ_rows p σ(z)ᵀ of all weights of `layers` layers, from stored states and adjoints. */
export function denseGradientWork(shape: DenseShape, rows: number, layers: number): Work {
  const { width, hidden } = shape;
  return {
    flops: layers * rows * 4 * width * hidden,
    bytes: FLOAT * layers * (2 * layerNumbers(shape) + 2 * rows * width),
    sequential: 0,
  };
}

/** Adjoint sweep with the gradients of all weights in the same dispatch: adjoints are kept, gradients are written. */
export function denseBackwardWork(shape: DenseShape, rows: number, layers: number): Work {
  const sweep = denseAdjointWork(shape, rows, layers, false);
  return {
    flops: sweep.flops + denseGradientWork(shape, rows, layers).flops,
    bytes: sweep.bytes + FLOAT * layers * layerNumbers(shape),
    sequential: sweep.sequential,
  };
}

/**
 * Product [rows, inner] · [inner, columns] with its epilogue: 0 store, 1 σ, 2 σ and σ', 3 times a matrix, 4 added to a
 * matrix (compensated: the compensation is not counted).
 */
export function matmulWork(rows: number, columns: number, inner: number, epilogue: 0 | 1 | 2 | 3 | 4 = 0): Work {
  const results = rows * columns;
  return {
    flops: 2 * results * inner + [0, 1, 2, 1, 2][epilogue]! * results,
    bytes: FLOAT * (rows * inner + inner * columns + [1, 1, 2, 2, 2][epilogue]! * results),
    sequential: inner,
  };
}

/** Σ_j matrix[i, j] · Σ_g x[g, j] over `nonzeros` entries of a matrix [rows, columns] of layers; the sum over g is made once. */
export function blendWork(
  { rows, columns, nonzeros }: { readonly rows: number; readonly columns: number; readonly nonzeros: number },
  groups: number,
  layerFloats: number,
): Work {
  return {
    flops: layerFloats * (2 * nonzeros + columns * (groups - 1)),
    bytes: FLOAT * (nonzeros + layerFloats * (groups * columns + rows)),
    sequential: 0,
  };
}

/** share · base + Σ_r c_r slopes[r], the end of a step: also the next base, with its compensation (not counted as work). */
export function stageWork(numbers: number, slopes: number): Work {
  return { flops: numbers * (2 * slopes + 1), bytes: FLOAT * numbers * (slopes + 3), sequential: 0 };
}

/** Loss of n rows and its gradient with respect to the outputs [n,d']. */
export function lossWork(loss: Loss, rows: number, outputs: number): Work {
  const entropy = loss === "cross-entropy";
  const results = rows * outputs;
  return {
    // Squares: difference, square, sum, gradient. Cross-entropy: difference, exp, sum, quotient, scale.
    flops: (entropy ? 5 : 4) * results,
    bytes: FLOAT * (2 * results + (entropy ? rows : results) + 2 * rows),
    sequential: 0,
  };
}

export interface UpdateSize {
  /** Numbers trained. */
  readonly numbers: number;
  /** Numbers of the initial value: those of one layer where layers are tied. */
  readonly initial: number;
  /** Partial sums of the gradient that the dispatch is given. */
  readonly groups: number;
  readonly optimiser: "descent" | "momentum" | "adam" | "adamw";
}

/** One step of an optimiser: change ← change − η u, weights = initial + change, u from the sum of `groups` partial gradients. */
export function updateWork({ numbers, initial, groups, optimiser }: UpdateSize): Work {
  // Scale, step (2), weights; decay and momentum 2 each; Adam's moments 7, corrections 2, root, sum and quotient.
  const each = { descent: 4, momentum: 8, adam: 18, adamw: 18 }[optimiser];
  const moments = { descent: 0, momentum: 1, adam: 2, adamw: 2 }[optimiser];
  // The decay reads the weights, which the plain descent only writes.
  const weights = optimiser === "descent" ? 1 : 2;
  return {
    flops: numbers * (each + groups - 1),
    bytes: FLOAT * (numbers * (groups + 2 + weights + 2 * moments) + initial),
    sequential: 0,
  };
}

/** Sum of `groups` partial gradients, scaled. */
export function gradientWork(numbers: number, groups: number): Work {
  return { flops: numbers * groups, bytes: FLOAT * numbers * (groups + 1), sequential: 0 };
}

/** min(1, bound / ‖factor · gradient_k‖) of every layer. */
export function normScaleWork(layers: number, layerFloats: number): Work {
  return { flops: 2 * layers * layerFloats, bytes: FLOAT * layers * (layerFloats + 1), sequential: 0 };
}

/** Gradient of a penalty on the differences of neighbouring layers, added to the gradient; a neighbour is read where it lies in a cache. */
export function depthPenaltyWork(numbers: number): Work {
  return { flops: 6 * numbers, bytes: FLOAT * 3 * numbers, sequential: 0 };
}

/** Gradients replaced by their mean over the layers: two walks of each number's `depth` values. */
export function depthMeanWork(numbers: number): Work {
  return { flops: numbers, bytes: FLOAT * 2 * numbers, sequential: 0 };
}

/** change = base + Σ_s c_s v_s over `stages` gradients, weights = initial + change. */
export function combineWork(numbers: number, initial: number, stages: number): Work {
  return { flops: numbers * (3 * stages + 2), bytes: FLOAT * (numbers * (stages + 3) + initial), sequential: 0 };
}

/** Σ (e / (atol + rtol max(|base|, |change|)))², e = Σ_s d_s v_s. */
export function stageErrorWork(numbers: number, stages: number): Work {
  return { flops: numbers * (3 * stages + 5), bytes: FLOAT * numbers * (stages + 2), sequential: 0 };
}

/** Squared Frobenius norms of every layer and of its difference to the next. `initial`: numbers of the initial value. */
export function depthDifferenceWork(depth: number, layerFloats: number, initial: number): Work {
  const numbers = depth * layerFloats;
  return { flops: 8 * numbers, bytes: FLOAT * (numbers + initial + 4 * depth), sequential: 0 };
}

/**
 * Squared Frobenius distances of `count` pairs of layers, of which the stack has `depth` and the reference
 * `referenceDepth` distinct ones that are read; both initial values are those of one layer.
 */
export function depthDistanceWork(count: number, depth: number, referenceDepth: number, layerFloats: number): Work {
  return {
    flops: 5 * count * layerFloats,
    bytes: FLOAT * ((depth + referenceDepth + 2) * layerFloats + 4 * count),
    sequential: 0,
  };
}

/** Sum of `count` pairs. */
export function sumWork(count: number): Work {
  return { flops: 2 * count, bytes: FLOAT * 2 * (count + 1), sequential: 0 };
}

/** Sum of squares of `count` numbers. */
export function sumSquaresWork(count: number): Work {
  return { flops: 2 * count, bytes: FLOAT * count, sequential: 0 };
}

/** Largest root, sum of roots and sum of `count` vectors of four. */
export function summaryWork(count: number): Work {
  return { flops: 16 * count, bytes: FLOAT * 4 * (count + 3), sequential: 0 };
}

/** `count` normal random numbers. */
export function normalWork(count: number): Work {
  return { flops: 2 * count, bytes: FLOAT * count, sequential: 0 };
}

/**
 * One step of explicit Euler with V and W trained (A and B fixed, so h_0 is known): forward, loss, adjoint with the
 * gradients, update. `flops` is useful work (12 q m n L and lower terms): what a plan recomputes is not in it. `bytes` takes
 * the gradients as updated where they are made, states as written and read once, and tied initial values; `sequential` is the
 * chain along depth, forward and back.
 */
export function denseStepWork(plan: DensePlan): Work {
  const { shape, rows } = plan;
  const { depth, width, outputs } = shape;
  const numbers = depth * layerNumbers(shape);
  const parts = [
    denseForwardWork(shape, rows, depth, true),
    matmulWork(rows, outputs, width),
    lossWork("squared-norm", rows, outputs),
    matmulWork(rows, width, outputs),
    denseBackwardWork(shape, rows, depth),
    updateWork({ numbers, initial: layerNumbers(shape), groups: 1, optimiser: "descent" }),
  ];
  const sum = (field: keyof Work) => parts.reduce((total, part) => total + part[field], 0);
  return {
    flops: sum("flops"),
    bytes: sum("bytes") - 2 * FLOAT * numbers,
    sequential: 2 * depth * layerChain(shape),
  };
}
