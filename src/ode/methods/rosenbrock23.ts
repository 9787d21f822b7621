import type { RosenbrockTableau } from "../method.ts";

const SQRT2 = Math.sqrt(2);
const D = 1 / (2 + SQRT2);
// The paper's e_32; Γ, with γ_21 = −d, γ_31 = d (e_32 − 2), γ_32 = −d e_32, has the inverse (2 + √2) ((1), (1, 1), (2, e_32, 1)).
const E32 = 6 + SQRT2;
const INVERSE = 2 + SQRT2;

/**
 * ode23s, of order 2 with an estimate of order 3, L-stable (Shampine and Reichelt, SIAM J. Sci. Comput. 18, 1997), with its
 * interpolant, which is y_n + (θ(1−θ) h k_1 + θ(θ−2d) h k_2)/(1−2d); here in the variables u = Γ h k.
 */
export const ROSENBROCK23: RosenbrockTableau = {
  kind: "rosenbrock",
  name: "rosenbrock23",
  order: 2,
  gamma: D,
  a: [[], [INVERSE / 2], [INVERSE, INVERSE]],
  coupling: [[], [-INVERSE], [-2 * INVERSE, -E32 * INVERSE]],
  b: [INVERSE, INVERSE, 0],
  c: [0, 1 / 2, 1],
  d: [D, 0, -D],
  error: [-INVERSE / 6, ((2 - E32) * INVERSE) / 6, -INVERSE / 6],
  errorOrder: 2,
  fsal: true,
  dense: {
    order: 2,
    weights: [
      [INVERSE, 0],
      [(-2 * D * INVERSE) / (1 - 2 * D), INVERSE / (1 - 2 * D)],
      [0, 0],
    ],
  },
};
