/** Explicit Runge–Kutta methods: y_{n+1} = y_n + dt Σ b_s v_s, v_s = f(y_n + dt Σ_{r<s} a_{s,r} v_r). */
export interface Tableau {
  readonly name: string;
  readonly order: number;
  /** Strictly lower triangular, one row a stage. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  /** Times of the stages, c_s = Σ_r a_{s,r}. */
  readonly c: readonly number[];
  /** b − b̂ of the embedded method: the error estimate is dt Σ e_s v_s. */
  readonly error?: readonly number[];
  /** Order of the lower of the pair, for step-size control. */
  readonly errorOrder?: number;
}

export const EULER: Tableau = { name: "euler", order: 1, a: [[]], b: [1], c: [0] };

/** Heun's method of order 2 (explicit trapezoidal rule). */
export const HEUN: Tableau = { name: "heun", order: 2, a: [[], [1]], b: [1 / 2, 1 / 2], c: [0, 1] };

/** The classical method of order 4 (Kutta 1901). */
export const RK4: Tableau = {
  name: "rk4",
  order: 4,
  a: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]],
  b: [1 / 6, 1 / 3, 1 / 3, 1 / 6],
  c: [0, 1 / 2, 1 / 2, 1],
};

/** Bogacki–Shampine 3(2) (Appl. Math. Lett. 2, 1989); its last stage is the first of the next step. */
export const BOSH3: Tableau = {
  name: "bosh3",
  order: 3,
  a: [[], [1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
  b: [2 / 9, 1 / 3, 4 / 9, 0],
  c: [0, 1 / 2, 3 / 4, 1],
  error: [2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8],
  errorOrder: 2,
};
