import { hermiteWeights, type Tableau } from "../method.ts";

const B = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0];

// CONTD5 of Hairer, Nørsett and Wanner (Solving Ordinary Differential Equations I, section II.6): the Hermite cubic and
// θ² (1 − θ)² h Σ d_s k_s; it is the quartic through Shampine's midpoint value (Math. Comp. 46, 1986).
const D = [
  -12715105075 / 11282082432,
  0,
  87487479700 / 32700410799,
  -10690763975 / 1880347072,
  701980252875 / 199316789632,
  -1453857185 / 822651844,
  69997945 / 29380423,
];

/** Dormand–Prince 5(4) (J. Comp. Appl. Math. 6, 1980), with an interpolant of order 4; the last stage is the next first. */
export const DOPRI5: Tableau = {
  kind: "explicit",
  name: "dopri5",
  order: 5,
  a: [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
  ],
  b: B,
  c: [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
  error: [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40],
  errorOrder: 4,
  fsal: true,
  dense: {
    order: 4,
    extraA: [],
    extraC: [],
    weights: hermiteWeights(B, 0, 6).map(([linear, quadratic, cubic], s) => [
      linear,
      quadratic + D[s],
      cubic - 2 * D[s],
      D[s],
    ]),
  },
};
