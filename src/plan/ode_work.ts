/**
 * What a dispatch of an ODE solver has to do; conventions as in `plan/work.ts`: only the formula counts, a multiply-add is 2
 * operations, division, root and power are 1 each, comparisons and absolute values none. Pure.
 */
import type { Work } from "./work.ts";

const FLOAT = 4;

/** An explicit Runge–Kutta step by the numbers of its coefficients that are not 0. */
export interface StepSize {
  readonly dimension: number;
  /** Evaluations of f, and operations of each. */
  readonly evaluations: number;
  readonly fieldFlops: number;
  /** Operations of f that wait for each other. */
  readonly fieldDepth: number;
  /** Coefficients in each row of a whose argument is formed, and in b. */
  readonly rows: readonly number[];
  /** Coefficients of the error estimate; with them the step is an adaptive one. */
  readonly error?: number;
}

/** y + h Σ_r a_r k_r: m products, m − 1 sums, and a product and a sum with h. */
const combination = (coefficients: number) => 2 * coefficients + 1;
/** |e|/(atol + rtol max(|y0|, |y1|)), squared and added. */
const SCALED_COMPONENT = 5;
/** Mean and root of the norm. */
const NORM = 2;
/** SAFETY · E^p, clipping, and the next step. */
const CONTROLLER = 3;
/** t1 − t − low and 1.01 |h|; t + (h + low) and what it cuts off. */
const TIME = 8;

/** Operations of one step attempt of one trajectory. */
export function stepFlops({ dimension, evaluations, fieldFlops, rows, error }: StepSize): number {
  const stages = evaluations * fieldFlops + dimension * rows.reduce((sum, m) => sum + combination(m), 0);
  if (error === undefined) return stages;
  return stages + dimension * (2 * error + SCALED_COMPONENT) + NORM + CONTROLLER + TIME;
}

/** `attempts` step attempts of each of `trajectories`, whose states of `rows` words go in and out, and `given` words in. */
export function stepsWork(step: StepSize, attempts: number, trajectories: number, rows: number, given: number): Work {
  return {
    flops: trajectories * attempts * stepFlops(step),
    bytes: FLOAT * trajectories * (2 * rows + given),
    // A stage waits for the one before it: its slope times a, times h, and f of that.
    sequential: attempts * step.evaluations * (2 + step.fieldDepth),
  };
}

/**
 * `steps` steps backwards of each of `trajectories`: each is taken again, then a product wᵀ ∂f/∂(y, p) a stage, whose cotangent
 * is formed of those of later stages. `read`: words of the record of a trajectory.
 */
export function replayWork(
  step: StepSize,
  parameters: number,
  pullbackFlops: number,
  steps: number,
  trajectories: number,
  read: number,
): Work {
  const { dimension, evaluations, rows } = step;
  const cotangents = dimension * rows.reduce((sum, m) => sum + 2 * m, 0) + dimension * evaluations;
  const stages = evaluations * (pullbackFlops + dimension + parameters);
  return {
    flops: trajectories * steps * (stepFlops(step) + cotangents + stages),
    bytes: FLOAT * trajectories * (read + 2 * (dimension + parameters)),
    // The cotangent of a stage waits for the product of the one after it.
    sequential: steps * evaluations * (2 + step.fieldDepth),
  };
}

/**
 * `steps` steps of reversible Heun undone and reversed, of each of `trajectories`: f, a product wᵀ ∂f/∂(y, p), and 22 operations a
 * component for two states, three cotangents and the derivative by the length of the step.
 */
export function undoneStepsWork(
  dimension: number,
  parameters: number,
  fieldFlops: number,
  fieldDepth: number,
  pullbackFlops: number,
  steps: number,
  trajectories: number,
): Work {
  return {
    flops: trajectories * steps * (fieldFlops + pullbackFlops + 22 * dimension + parameters),
    // y, ŷ and f, read once; the cotangent of y both ways, that of p written.
    bytes: FLOAT * trajectories * (5 * dimension + 2 * parameters),
    // A step waits for the slope that the one after it found.
    sequential: steps * (2 + fieldDepth),
  };
}

/** Sums of the 64 neighbours of each of `rows` rows. */
export function sumTrajectoriesWork(rows: number, trajectories: number): Work {
  return { flops: rows * trajectories, bytes: FLOAT * rows * trajectories, sequential: 0 };
}

/** f(t0, y0), and a second f for the length of the first step, with three norms. */
export function startWork(
  { dimension, fieldFlops }: Pick<StepSize, "dimension" | "fieldFlops">,
  trajectories: number,
  rows: number,
  given: number,
): Work {
  const norms = 3 * (dimension * SCALED_COMPONENT + NORM);
  return {
    flops: trajectories * (2 * fieldFlops + 3 * dimension + norms + 5),
    bytes: FLOAT * trajectories * (2 * rows + given),
    sequential: 0,
  };
}

/** Status and steps of each trajectory; those that are not finished are listed. */
export function tallyWork(trajectories: number, unfinished: number): Work {
  return { flops: 0, bytes: FLOAT * (3 * trajectories + unfinished), sequential: 0 };
}

/** Welford's update of a number: 7 operations; the status of a trajectory is read for each row. */
export function momentsWork(rows: number, trajectories: number): Work {
  return { flops: 7 * rows * trajectories, bytes: FLOAT * (rows + 1) * trajectories, sequential: 0 };
}

/** Two partial results into one: 10 operations. */
export function momentsJoinWork(rows: number, slices: number): Work {
  return { flops: 10 * rows * slices, bytes: FLOAT * 5 * rows * slices, sequential: 0 };
}

export function histogramWork(rows: number, trajectories: number): Work {
  return { flops: 2 * rows * trajectories, bytes: FLOAT * (rows + 1) * trajectories, sequential: 0 };
}

/** f and its derivatives at n points; `rows` of words of each point go in and out. */
export function evaluateWork(
  flops: { readonly fieldFlops: number; readonly pullbackFlops: number; readonly jacobianFlops: number },
  points: number,
  rows: readonly number[],
): Work {
  return {
    flops: points * (flops.fieldFlops + flops.pullbackFlops + flops.jacobianFlops),
    bytes: FLOAT * points * rows.reduce((a, b) => a + b, 0),
    sequential: 0,
  };
}

/** A step of an implicit method by the numbers of its coefficients that are not 0. */
export interface ImplicitStepSize extends StepSize {
  readonly jacobianFlops: number;
  /** Systems solved with the factors of I − γ h J. */
  readonly solves: number;
}

/** Operations of Gaussian elimination of n rows: Σ_k (n − 1 − k) divisions and as many rows times a factor. */
function factorFlops(n: number): number {
  let flops = 0;
  for (let below = n - 1; below > 0; below--) flops += below * (1 + 2 * below);
  return flops;
}

/** `attempts` fixed steps of an implicit method of each of `trajectories`, with J, the factors and the solves; memory as in `stepsWork`. */
export function implicitStepsWork(
  step: ImplicitStepSize,
  attempts: number,
  trajectories: number,
  rows: number,
  given: number,
): Work {
  const { dimension: n, jacobianFlops, solves } = step;
  const matrix = jacobianFlops + 2 * n * n + factorFlops(n);
  const explicit = stepsWork(step, attempts, trajectories, rows, given);
  return {
    flops: explicit.flops + trajectories * attempts * (matrix + solves * 2 * n * n),
    bytes: explicit.bytes,
    // A solve waits for the one before: a product and a sum for each row, forwards and back.
    sequential: explicit.sequential + attempts * (solves * 4 * n + 3 * n),
  };
}
