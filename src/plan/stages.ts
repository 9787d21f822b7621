/** Explicit Runge–Kutta methods over depth as the sweeps take them: one layer a stage. Pure. */
import { ConfigError } from "../config/errors.ts";

/**
 * dH/ds = s_m V(s) σ(s_q W(s) H) over s in [0,1] by `steps` equal steps of an explicit Runge–Kutta method.
 * A layer of the sweeps is a stage; there are steps · stages of them.
 */
export interface DepthSolver {
  readonly steps: number;
  /** Strictly lower triangular, one row a stage. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  /** How the stack's layers become the weights of the stages; without it stage k has those of layer k. */
  readonly blend?: LayerBlend;
}

/** Row-major matrices between the stack's `depth` layers and the stages. */
export interface LayerBlend {
  /** [stages, depth]: the weights of a stage are Σ_j toStages[i, j] θ_j. Gradients come back by its transpose. */
  readonly toStages: Float64Array;
  /** [depth, depth]: what the gradients of the layers are then multiplied by. */
  readonly metric?: Float64Array;
}

/** @throws ConfigError when the method is not explicit or the matrices have other sizes. */
export function checkSolver({ steps, a, b, blend }: DepthSolver, depth: number): void {
  if (!Number.isInteger(steps) || steps < 1) throw new ConfigError("solver.steps", "must be an integer ≥ 1", steps);
  if (b.length === 0 || a.length !== b.length || a.some((row, s) => row.length > s))
    throw new ConfigError("solver.a", "must be strictly lower triangular with a row for each of solver.b");
  const stages = steps * b.length;
  if (!blend && stages !== depth)
    throw new ConfigError("solver.steps", `must make ${depth} stages, one a layer, without a blend`, steps);
  for (const [name, matrix, rows] of [
    ["toStages", blend?.toStages, stages],
    ["metric", blend?.metric, depth],
  ] as const)
    if (matrix && matrix.length !== rows * depth)
      throw new ConfigError(`solver.blend.${name}`, `must hold ${rows} × ${depth} numbers`, matrix.length);
}

/**
 * Constants of the forward sweeps. Row s of COMBINE [S, S] holds the coefficients of the slopes k_0 … k_s in what follows
 * stage s: the argument of stage s + 1, after the last one the state.
 */
export function forwardStages({ a, b }: DepthSolver) {
  const rows = [...a.slice(1), b];
  return { STAGES: b.length, COMBINE: rows.flatMap((row) => b.map((_, r) => row[r] ?? 0)) };
}

/**
 * Constants of the adjoint sweeps (Hager, Numerische Mathematik 87, 2000): before stage s > 0 comes p_{s-1} = b_{s-1} w +
 * Σ_{r≥s} a_{r,s-1} y_r, before stage 0 the adjoint of the step's start, w + Σ_r y_r.
 */
export function adjointStages({ a, b }: DepthSolver) {
  return {
    STAGES: b.length,
    COMBINE: b.flatMap((_, s) => b.map((_, r) => (r < s ? 0 : s === 0 ? 1 : (a[r]![s - 1] ?? 0)))),
    SHARE: [1, ...b.slice(0, -1)],
    LAST_SHARE: b.at(-1)!,
  };
}

/** Rows that an invocation of `dense/blend` makes together. */
const BLOCK = 4;

/** A matrix as `dense/blend` reads it: blocks of four rows [blocks, columns, 4], and (first, end) of the columns of each that are not 0. */
export function packBlend(
  matrix: ArrayLike<number>,
  rows: number,
  columns: number,
): { readonly matrix: Float32Array<ArrayBuffer>; readonly bands: Uint32Array<ArrayBuffer> } {
  const blocks = Math.ceil(rows / BLOCK);
  const packed = new Float32Array(blocks * columns * BLOCK);
  const bands = new Uint32Array(2 * blocks);
  for (let b = 0; b < blocks; b++) {
    let [first, end] = [columns, 0];
    for (let i = BLOCK * b; i < Math.min(rows, BLOCK * (b + 1)); i++)
      for (let j = 0; j < columns; j++) {
        const value = matrix[i * columns + j]!;
        if (value === 0) continue;
        packed[(b * columns + j) * BLOCK + (i % BLOCK)] = value;
        first = Math.min(first, j);
        end = Math.max(end, j + 1);
      }
    bands.set([Math.min(first, end), end], 2 * b);
  }
  return { matrix: packed, bands };
}

/** Numbers of the grid of `dense/blend`: those of a row for each block. */
export function blendNumbers(rows: number, layerFloats: number): number {
  return (Math.ceil(rows / BLOCK) + 1) * layerFloats;
}

/** [columns, rows] */
export function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(matrix, (_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)]!);
}
