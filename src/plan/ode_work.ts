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
