import { hermite, type Tableau } from "../method.ts";

export const EULER: Tableau = {
  kind: "explicit",
  name: "euler",
  order: 1,
  a: [[]],
  b: [1],
  c: [0],
  fsal: false,
  dense: hermite(1, [1], false),
};

const HEUN_B = [1 / 2, 1 / 2];
/** Heun's method of order 2 (explicit trapezoidal rule), with Euler's method embedded. */
export const HEUN: Tableau = {
  kind: "explicit",
  name: "heun",
  order: 2,
  a: [[], [1]],
  b: HEUN_B,
  c: [0, 1],
  error: [-1 / 2, 1 / 2],
  errorOrder: 1,
  fsal: false,
  dense: hermite(2, HEUN_B, false),
};

const MIDPOINT_B = [0, 1];
/** The explicit midpoint rule (Runge 1895), with Euler's method embedded. */
export const MIDPOINT: Tableau = {
  kind: "explicit",
  name: "midpoint",
  order: 2,
  a: [[], [1 / 2]],
  b: MIDPOINT_B,
  c: [0, 1 / 2],
  error: [-1, 1],
  errorOrder: 1,
  fsal: false,
  dense: hermite(2, MIDPOINT_B, false),
};

const RALSTON_B = [1 / 4, 3 / 4];
/**
 * Ralston's method of order 2 (Mathematics of Computation 16, 1962), of least bound on the truncation error, with Euler's
 * method embedded. Its second stage stands at 2/3; with 3/4, as sometimes printed, the method has order 1.
 */
export const RALSTON: Tableau = {
  kind: "explicit",
  name: "ralston",
  order: 2,
  a: [[], [2 / 3]],
  b: RALSTON_B,
  c: [0, 2 / 3],
  error: [-3 / 4, 3 / 4],
  errorOrder: 1,
  fsal: false,
  dense: hermite(2, RALSTON_B, false),
};

const RK4_B = [1 / 6, 1 / 3, 1 / 3, 1 / 6];
/** The classical method of order 4 (Kutta 1901). */
export const RK4: Tableau = {
  kind: "explicit",
  name: "rk4",
  order: 4,
  a: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]],
  b: RK4_B,
  c: [0, 1 / 2, 1 / 2, 1],
  fsal: false,
  dense: hermite(4, RK4_B, false),
};

const RK38_B = [1 / 8, 3 / 8, 3 / 8, 1 / 8];
/** The 3/8 rule of order 4 (Kutta 1901). */
export const RK38: Tableau = {
  kind: "explicit",
  name: "rk38",
  order: 4,
  a: [[], [1 / 3], [-1 / 3, 1], [1, -1, 1]],
  b: RK38_B,
  c: [0, 1 / 3, 2 / 3, 1],
  fsal: false,
  dense: hermite(4, RK38_B, false),
};

const BOSH3_B = [2 / 9, 1 / 3, 4 / 9, 0];
/** Bogacki–Shampine 3(2) (Appl. Math. Lett. 2, 1989); its last stage is the first of the next step. */
export const BOSH3: Tableau = {
  kind: "explicit",
  name: "bosh3",
  order: 3,
  a: [[], [1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
  b: BOSH3_B,
  c: [0, 1 / 2, 3 / 4, 1],
  error: [2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8],
  errorOrder: 2,
  fsal: true,
  dense: hermite(3, BOSH3_B, true),
};
