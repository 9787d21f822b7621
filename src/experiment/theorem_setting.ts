/** The setting of Proposition 5 and Theorem 6 of Marion, Wu, Sander, Biau (ICLR 2024): d = d' = q/2, ‖x_i‖ = √q, paper parametrisation. */
import type { Activation, DenseShape } from "../config/dense.ts";
import type { DenseData } from "../model/dense_pass.ts";
import { RandomStream } from "../model/random.ts";

/** Bounded, C², Lipschitz, and zero at zero: what the paper assumes of σ. */
export const THEOREM_ACTIVATIONS = ["tanh", "erf", "sin"] as const satisfies readonly Activation[];
export type TheoremActivation = (typeof THEOREM_ACTIVATIONS)[number];

export interface TheoremSizes {
  readonly activation: TheoremActivation;
  /** n. */
  readonly samples: number;
  /** q, even. */
  readonly width: number;
  /** m. */
  readonly hidden: number;
}

export function theoremShape({ activation, width, hidden }: TheoremSizes, depth: number): DenseShape {
  const half = width / 2;
  return { inputs: half, width, hidden, outputs: half, depth, activation, widthFactors: "paper", beta: 1 };
}

/** n points [n, q/2], independent and uniform on the sphere of radius √q. */
export function spherePoints(samples: number, width: number, seed: number, stream: string): Float32Array<ArrayBuffer> {
  const half = width / 2;
  const points = new RandomStream(seed, stream).fillNormal(new Float32Array(samples * half));
  for (let i = 0; i < samples; i++) {
    const row = points.subarray(i * half, (i + 1) * half);
    const norm = Math.hypot(...row);
    for (let j = 0; j < half; j++) row[j] = (row[j]! * Math.sqrt(width)) / norm;
  }
  return points;
}

/** Inputs on the sphere; targets independent N(0, I). */
export function theoremData({ samples, width }: TheoremSizes, seed: number): DenseData {
  const targets = new RandomStream(seed, "Y").fillNormal(new Float32Array((samples * width) / 2));
  return { inputs: spherePoints(samples, width, seed, "X"), targets, rows: samples };
}
