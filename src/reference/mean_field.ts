import { expectLength } from "./lengths.ts";

/** Chizat's residual network (2509.10167): h_l = h_{l−1} + 1/(LM) Σ_j v_jl tanh(u_jl · h_{l−1}/D), f = B h_L. */
export interface MeanFieldNetwork {
  readonly L: number;
  readonly M: number;
  readonly D: number;
  /** [L,M,D] each. */
  readonly u: Float64Array;
  readonly v: Float64Array;
  /** B [d',D]. */
  readonly B: Float64Array;
}

/** States h_0 … h_L of one sample, D numbers each. */
export function meanFieldStates({ L, M, D, u, v }: MeanFieldNetwork, first: Float64Array): Float64Array[] {
  const states = [first];
  for (let l = 0; l < L; l++) {
    const h = states[l]!;
    const next = h.slice();
    for (let j = 0; j < M; j++) {
      const at = (l * M + j) * D;
      let z = 0;
      for (let i = 0; i < D; i++) z += (u[at + i]! * h[i]!) / D;
      for (let i = 0; i < D; i++) next[i]! += (v[at + i]! * Math.tanh(z)) / (L * M);
    }
    states.push(next);
  }
  return states;
}

/**
 * One step of gradient descent on u and v at the rate η L M D, in place; loss: mean over n samples and d' outputs of (f − y)².
 * `first`: h_0 [n,D], `targets`: [n,d'].
 */
export function meanFieldStep(
  net: MeanFieldNetwork,
  first: Float64Array,
  targets: ArrayLike<number>,
  rate: number,
): void {
  const { L, M, D, u, v, B } = net;
  const outputs = B.length / D;
  const samples = first.length / D;
  expectLength("targets", targets, samples * outputs);
  const du = new Float64Array(u.length);
  const dv = new Float64Array(v.length);
  for (let s = 0; s < samples; s++) {
    const states = meanFieldStates(net, first.slice(s * D, (s + 1) * D));
    let p = new Float64Array(D);
    for (let o = 0; o < outputs; o++) {
      let f = 0;
      for (let i = 0; i < D; i++) f += B[o * D + i]! * states[L]![i]!;
      const error = (2 * (f - targets[s * outputs + o]!)) / (samples * outputs);
      for (let i = 0; i < D; i++) p[i]! += error * B[o * D + i]!;
    }
    for (let l = L - 1; l >= 0; l--) {
      const h = states[l]!;
      const before = p.slice();
      for (let j = 0; j < M; j++) {
        const at = (l * M + j) * D;
        let z = 0;
        let vp = 0;
        for (let i = 0; i < D; i++) {
          z += (u[at + i]! * h[i]!) / D;
          vp += v[at + i]! * p[i]!;
        }
        const active = Math.tanh(z);
        const g = (vp * (1 - active ** 2)) / (L * M * D);
        for (let i = 0; i < D; i++) {
          dv[at + i]! += (p[i]! * active) / (L * M);
          du[at + i]! += g * h[i]!;
          before[i]! += g * u[at + i]!;
        }
      }
      p = before;
    }
  }
  for (let i = 0; i < u.length; i++) {
    u[i]! -= rate * L * M * D * du[i]!;
    v[i]! -= rate * L * M * D * dv[i]!;
  }
}
