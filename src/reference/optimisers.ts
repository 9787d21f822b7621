import type { FlowConfig } from "../config/flow.ts";

/** What an optimiser needs of a flow's configuration. */
export type OptimiserSettings = Pick<
  FlowConfig,
  "optimiser" | "momentum" | "weightDecay" | "beta1" | "beta2" | "epsilon"
>;

/** Steps taken, and the moments of every number: the buffer of momentum, or both of Adam. */
export interface OptimiserState {
  step: number;
  readonly moment1: Float64Array;
  readonly moment2: Float64Array;
}

export function optimiserState(count: number): OptimiserState {
  return { step: 0, moment1: new Float64Array(count), moment2: new Float64Array(count) };
}

/**
 * One step of an optimiser in float64, in place, on `directions` u = clip(factor · gradient), [count]:
 * `descent` w −= η u; `momentum` torch.optim.SGD (b = μ b + u + λ w, w −= η b); `adam` torch.optim.Adam (L2 decay in u);
 * `adamw` torch.optim.AdamW (Loshchilov and Hutter, ICLR 2019: w −= η λ w apart from the moments).
 * Documentation of PyTorch 2: dampening 0, no Nesterov, no AMSGrad.
 */
export function optimiserStep(
  settings: OptimiserSettings,
  state: OptimiserState,
  weights: Float64Array,
  directions: ArrayLike<number>,
  rate: number,
): void {
  const { optimiser, momentum, weightDecay, beta1, beta2, epsilon } = settings;
  const { moment1, moment2 } = state;
  state.step++;
  for (let i = 0; i < weights.length; i++) {
    let u = directions[i];
    if (optimiser === "descent") {
      weights[i] -= rate * u;
      continue;
    }
    if (optimiser === "adamw") weights[i] *= 1 - rate * weightDecay;
    else u += weightDecay * weights[i];
    if (optimiser === "momentum") {
      moment1[i] = momentum * moment1[i] + u;
      weights[i] -= rate * moment1[i];
      continue;
    }
    moment1[i] = beta1 * moment1[i] + (1 - beta1) * u;
    moment2[i] = beta2 * moment2[i] + (1 - beta2) * u * u;
    const mean = moment1[i] / (1 - beta1 ** state.step);
    const square = moment2[i] / (1 - beta2 ** state.step);
    weights[i] -= (rate * mean) / (Math.sqrt(square) + epsilon);
  }
}
