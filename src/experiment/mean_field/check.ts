/** The smallest network of a run against float64 arithmetic in the variables u and v of the paper. */
import { meanFieldStates, meanFieldStep } from "../../reference/mean_field.ts";
import type { Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { weightsOf } from "../training.ts";
import type { NetworkState } from "./claims.ts";
import { type Case, casesOf, type MeanFieldConfig } from "./config.ts";

/** h_L [n,D] before and after training, from the same weights and data. */
export function float64States({ size, spec, recordSteps }: Case): Map<number, Float64Array> {
  const { L, M, D } = size;
  const { inputs, targets, rows } = spec.data;
  const { A, B, V, W } = weightsOf(spec);
  const first = new Float64Array(rows * D);
  const d = inputs.length / rows;
  for (let s = 0; s < rows; s++)
    for (let i = 0; i < D; i++) for (let j = 0; j < d; j++) first[s * D + i]! += A[i * d + j]! * inputs[s * d + j]!;
  const u = Float64Array.from(W, (value) => D * value);
  const v = new Float64Array(L * M * D);
  // V is [L,D,M].
  for (let l = 0; l < L; l++)
    for (let j = 0; j < M; j++) for (let i = 0; i < D; i++) v[(l * M + j) * D + i] = M * V[(l * D + i) * M + j]!;
  const net = { L, M, D, u, v, B: Float64Array.from(B) };
  const found = new Map<number, Float64Array>();
  for (let step = 0; step <= recordSteps.at(-1)!; step++) {
    if (recordSteps.includes(step)) {
      const last = new Float64Array(rows * D);
      for (let s = 0; s < rows; s++) last.set(meanFieldStates(net, first.slice(s * D, (s + 1) * D))[L]!, s * D);
      found.set(step, last);
    }
    meanFieldStep(net, first, targets, spec.flow.rate);
  }
  return found;
}

/** Relative error that float32 sums of LM terms and their 15 or so steps stay far below. */
const TOLERANCE = 1e-4;

export function checkClaims(config: MeanFieldConfig, states: ReadonlyMap<string, readonly NetworkState[]>): Claim[] {
  const parameters = ({ size: { L, M, D } }: Case) => L * M * D;
  const smallest = casesOf(config).reduce((least, one) => (parameters(one) < parameters(least) ? one : least));
  const expected = float64States(smallest);
  return (states.get(smallest.id) ?? []).map(({ step, last }) => {
    const truth = expected.get(step)!;
    const largest = Math.max(...truth.map(Math.abs));
    const measured = Math.max(...truth.map((value, i) => Math.abs(last[i]! - value))) / largest;
    const passes = { max: TOLERANCE };
    return {
      id: `float64-${step}`,
      statement: `h_L of ${smallest.label} after ${step} steps agrees with float64 in the variables u and v: largest error over the largest entry`,
      source: "measured for this project",
      measured,
      passes,
      verdict: judge(measured, passes),
    };
  });
}
