import type { Round } from "./controllers.ts";

export const FIELD_NAMES = [
  "exponential",
  "harmonic-oscillator",
  "logistic",
  "lorenz",
  "lotka-volterra",
  "van-der-pol",
  "robertson",
  "pendulum",
  "kepler",
  "fitzhugh-nagumo",
  "brusselator",
  "rossler",
  "falling-body",
] as const;
export type FieldName = (typeof FIELD_NAMES)[number];

/** A number that stays the same along every solution. */
export interface Invariant {
  readonly name: string;
  value(y: Float64Array, parameters: ArrayLike<number>): number;
}

/** A built-in right-hand side dy/dt = f(y; parameters); none depends on t. */
export interface VectorField {
  readonly name: FieldName;
  /** The equations, for people. */
  readonly equations: string;
  readonly dimension: number;
  readonly components: readonly string[];
  readonly parameters: readonly string[];
  readonly defaults: readonly number[];
  /** A usual initial state and time span. */
  readonly initial: readonly number[];
  readonly span: readonly [number, number];
  readonly autonomous: true;
  /** y = (q, p) with q' = G(p), p' = F(q): for symplectic methods. */
  readonly separable: boolean;
  readonly invariants: readonly Invariant[];
  /** Writes f; `round` is applied to the result of every operation, in the order a kernel has them. */
  evaluate(t: number, y: Float64Array, parameters: ArrayLike<number>, dydt: Float64Array, round: Round): void;
  /** Writes ∂f_i/∂y_j into `matrix[i · dimension + j]`. */
  jacobian(t: number, y: Float64Array, parameters: ArrayLike<number>, matrix: Float64Array): void;
  /** Writes wᵀ ∂f/∂y and wᵀ ∂f/∂parameters; returns wᵀ ∂f/∂t. */
  vjp(
    t: number,
    y: Float64Array,
    parameters: ArrayLike<number>,
    w: Float64Array,
    gradY: Float64Array,
    gradParameters: Float64Array,
  ): number;
  /**
   * The same in WGSL, in the same order of operations: `vector_field`, `vector_field_vjp` and `jacobian` over `State`,
   * `Params` and `Pullback` as src/ode/field_source.ts describes them.
   */
  readonly source: string;
}

const EXPONENTIAL: VectorField = {
  name: "exponential",
  equations: "y' = λ y",
  dimension: 1,
  components: ["y"],
  parameters: ["λ"],
  defaults: [-1],
  initial: [1],
  span: [0, 1],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(p[0] * y[0]);
  },
  jacobian: (_t, _y, p, matrix) => {
    matrix[0] = p[0];
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = p[0] * w[0];
    gradParameters[0] = y[0] * w[0];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(p[0] * y[0]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(p[0] * w[0]), Params(y[0] * w[0]), 0.0);
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(p[0]));
}
`,
};

const HARMONIC_OSCILLATOR: VectorField = {
  name: "harmonic-oscillator",
  equations: "q' = p, p' = −ω² q",
  dimension: 2,
  components: ["q", "p"],
  parameters: ["ω"],
  defaults: [1],
  initial: [1, 0],
  span: [0, 10],
  autonomous: true,
  separable: true,
  invariants: [{ name: "energy", value: (y, p) => (y[1] * y[1] + p[0] * p[0] * y[0] * y[0]) / 2 }],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = y[1];
    dydt[1] = -round(round(p[0] * p[0]) * y[0]);
  },
  jacobian: (_t, _y, p, matrix) => {
    matrix.set([0, 1, -p[0] * p[0], 0]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = -p[0] * p[0] * w[1];
    gradY[1] = w[0];
    gradParameters[0] = -2 * p[0] * y[0] * w[1];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(y[1], -(p[0] * p[0] * y[0]));
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(-(p[0] * p[0] * w[1]), w[0]), Params(-2.0 * p[0] * y[0] * w[1]), 0.0);
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(0.0, 1.0), State(-(p[0] * p[0]), 0.0));
}
`,
};

const LOGISTIC: VectorField = {
  name: "logistic",
  equations: "y' = r y (1 − y/K)",
  dimension: 1,
  components: ["y"],
  parameters: ["r", "K"],
  defaults: [1, 1],
  initial: [0.1],
  span: [0, 10],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(round(p[0] * y[0]) * round(1 - round(y[0] / p[1])));
  },
  jacobian: (_t, y, p, matrix) => {
    matrix[0] = p[0] * (1 - (2 * y[0]) / p[1]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = p[0] * (1 - (2 * y[0]) / p[1]) * w[0];
    gradParameters[0] = y[0] * (1 - y[0] / p[1]) * w[0];
    gradParameters[1] = p[0] * (y[0] / p[1]) ** 2 * w[0];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(p[0] * y[0] * (1.0 - y[0] / p[1]));
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let share = y[0] / p[1];
  return Pullback(
    State(p[0] * (1.0 - 2.0 * share) * w[0]),
    Params(y[0] * (1.0 - share) * w[0], p[0] * share * share * w[0]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(p[0] * (1.0 - 2.0 * y[0] / p[1])));
}
`,
};

/** Lorenz, J. Atmos. Sci. 20, 1963. */
const LORENZ: VectorField = {
  name: "lorenz",
  equations: "x' = σ (y − x), y' = x (ρ − z) − y, z' = x y − β z",
  dimension: 3,
  components: ["x", "y", "z"],
  parameters: ["σ", "ρ", "β"],
  defaults: [10, 28, 8 / 3],
  initial: [1, 0, 0],
  span: [0, 1],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(p[0] * round(y[1] - y[0]));
    dydt[1] = round(round(y[0] * round(p[1] - y[2])) - y[1]);
    dydt[2] = round(round(y[0] * y[1]) - round(p[2] * y[2]));
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([-p[0], p[0], 0, p[1] - y[2], -1, -y[0], y[1], y[0], -p[2]]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = -p[0] * w[0] + (p[1] - y[2]) * w[1] + y[1] * w[2];
    gradY[1] = p[0] * w[0] - w[1] + y[0] * w[2];
    gradY[2] = -y[0] * w[1] - p[2] * w[2];
    gradParameters[0] = (y[1] - y[0]) * w[0];
    gradParameters[1] = y[0] * w[1];
    gradParameters[2] = -y[2] * w[2];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(p[0] * (y[1] - y[0]), y[0] * (p[1] - y[2]) - y[1], y[0] * y[1] - p[2] * y[2]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(
    State(
      -p[0] * w[0] + (p[1] - y[2]) * w[1] + y[1] * w[2],
      p[0] * w[0] - w[1] + y[0] * w[2],
      -y[0] * w[1] - p[2] * w[2],
    ),
    Params((y[1] - y[0]) * w[0], y[0] * w[1], -y[2] * w[2]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(
    State(-p[0], p[0], 0.0),
    State(p[1] - y[2], -1.0, -y[0]),
    State(y[1], y[0], -p[2]),
  );
}
`,
};

const LOTKA_VOLTERRA: VectorField = {
  name: "lotka-volterra",
  equations: "x' = α x − β x y, y' = −γ y + δ x y",
  dimension: 2,
  components: ["x", "y"],
  parameters: ["α", "β", "γ", "δ"],
  defaults: [1.5, 1, 3, 1],
  initial: [1, 1],
  span: [0, 10],
  autonomous: true,
  separable: false,
  invariants: [
    {
      name: "δ x − γ ln x + β y − α ln y",
      value: (y, p) => p[3] * y[0] - p[2] * Math.log(y[0]) + p[1] * y[1] - p[0] * Math.log(y[1]),
    },
  ],
  evaluate: (_t, y, p, dydt, round) => {
    const xy = round(y[0] * y[1]);
    dydt[0] = round(round(p[0] * y[0]) - round(p[1] * xy));
    dydt[1] = round(round(p[3] * xy) - round(p[2] * y[1]));
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([p[0] - p[1] * y[1], -p[1] * y[0], p[3] * y[1], p[3] * y[0] - p[2]]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = (p[0] - p[1] * y[1]) * w[0] + p[3] * y[1] * w[1];
    gradY[1] = -p[1] * y[0] * w[0] + (p[3] * y[0] - p[2]) * w[1];
    gradParameters[0] = y[0] * w[0];
    gradParameters[1] = -y[0] * y[1] * w[0];
    gradParameters[2] = -y[1] * w[1];
    gradParameters[3] = y[0] * y[1] * w[1];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  let xy = y[0] * y[1];
  return State(p[0] * y[0] - p[1] * xy, p[3] * xy - p[2] * y[1]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let xy = y[0] * y[1];
  return Pullback(
    State(
      (p[0] - p[1] * y[1]) * w[0] + p[3] * y[1] * w[1],
      -p[1] * y[0] * w[0] + (p[3] * y[0] - p[2]) * w[1],
    ),
    Params(y[0] * w[0], -xy * w[0], -y[1] * w[1], xy * w[1]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(
    State(p[0] - p[1] * y[1], -p[1] * y[0]),
    State(p[3] * y[1], p[3] * y[0] - p[2]),
  );
}
`,
};

const VAN_DER_POL: VectorField = {
  name: "van-der-pol",
  equations: "x' = v, v' = μ (1 − x²) v − x",
  dimension: 2,
  components: ["x", "v"],
  parameters: ["μ"],
  defaults: [1],
  initial: [2, 0],
  span: [0, 10],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = y[1];
    dydt[1] = round(round(round(p[0] * round(1 - round(y[0] * y[0]))) * y[1]) - y[0]);
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([0, 1, -2 * p[0] * y[0] * y[1] - 1, p[0] * (1 - y[0] * y[0])]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = (-2 * p[0] * y[0] * y[1] - 1) * w[1];
    gradY[1] = w[0] + p[0] * (1 - y[0] * y[0]) * w[1];
    gradParameters[0] = (1 - y[0] * y[0]) * y[1] * w[1];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(y[1], p[0] * (1.0 - y[0] * y[0]) * y[1] - y[0]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let damping = 1.0 - y[0] * y[0];
  return Pullback(
    State((-2.0 * p[0] * y[0] * y[1] - 1.0) * w[1], w[0] + p[0] * damping * w[1]),
    Params(damping * y[1] * w[1]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(
    State(0.0, 1.0),
    State(-2.0 * p[0] * y[0] * y[1] - 1.0, p[0] * (1.0 - y[0] * y[0])),
  );
}
`,
};

/** Robertson 1966; stiff. */
const ROBERTSON: VectorField = {
  name: "robertson",
  equations: "a' = −k1 a + k3 b c, b' = k1 a − k2 b² − k3 b c, c' = k2 b²",
  dimension: 3,
  components: ["a", "b", "c"],
  parameters: ["k1", "k2", "k3"],
  defaults: [0.04, 3e7, 1e4],
  initial: [1, 0, 0],
  span: [0, 100],
  autonomous: true,
  separable: false,
  invariants: [{ name: "a + b + c", value: (y) => y[0] + y[1] + y[2] }],
  evaluate: (_t, y, p, dydt, round) => {
    const decay = round(p[0] * y[0]);
    const pair = round(p[1] * round(y[1] * y[1]));
    const back = round(p[2] * round(y[1] * y[2]));
    dydt[0] = round(back - decay);
    dydt[1] = round(round(decay - pair) - back);
    dydt[2] = pair;
  },
  jacobian: (_t, y, p, matrix) => {
    const [byB, backB, backC] = [2 * p[1] * y[1], p[2] * y[2], p[2] * y[1]];
    matrix.set([-p[0], backB, backC, p[0], -byB - backB, -backC, 0, byB, 0]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    const [decay, back, pair] = [w[1] - w[0], w[0] - w[1], w[2] - w[1]];
    gradY[0] = p[0] * decay;
    gradY[1] = p[2] * y[2] * back + 2 * p[1] * y[1] * pair;
    gradY[2] = p[2] * y[1] * back;
    gradParameters[0] = y[0] * decay;
    gradParameters[1] = y[1] * y[1] * pair;
    gradParameters[2] = y[1] * y[2] * back;
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  let decay = p[0] * y[0];
  let pair = p[1] * (y[1] * y[1]);
  let back = p[2] * (y[1] * y[2]);
  return State(back - decay, decay - pair - back, pair);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let decay = w[1] - w[0];
  let back = w[0] - w[1];
  let pair = w[2] - w[1];
  return Pullback(
    State(p[0] * decay, p[2] * y[2] * back + 2.0 * p[1] * y[1] * pair, p[2] * y[1] * back),
    Params(y[0] * decay, y[1] * y[1] * pair, y[1] * y[2] * back),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  let by_b = 2.0 * p[1] * y[1];
  let back_b = p[2] * y[2];
  let back_c = p[2] * y[1];
  return array<State, DIM>(
    State(-p[0], back_b, back_c),
    State(p[0], -by_b - back_b, -back_c),
    State(0.0, by_b, 0.0),
  );
}
`,
};

/**
 * sin and cos to 1e-7, as shaders/common/activation.wgsl has them: WGSL promises its own only to 2^-11, and SwiftShader's is
 * off by 9e-5 (2026-11).
 */
export const SIN_PAIR = `fn sin_pair(x: f32) -> vec2f {
  let n = floor(x * 0.3183098861837907 + 0.5);
  let reduced = ((x - n * 3.140625) - n * 0.0009675025939941406) - n * 1.5099579909782485e-7;
  let r = select(0.0, reduced, abs(reduced) < 1.6);
  let u = r * r;
  let sine = r + r * u * (-0.166666595 + u * (0.00833306521 + u * (-0.000198095215 + u * 2.60559028e-06)));
  let cosine = (1.0 - 0.5 * u) + u * u * (0.0416666557 + u * (-0.0013888568 + u * (2.47692233e-05 + u * -2.61921207e-07)));
  let flip = 1.0 - 2.0 * (n - 2.0 * floor(0.5 * n));
  return flip * vec2f(sine, cosine);
}
`;

const PENDULUM: VectorField = {
  name: "pendulum",
  equations: "θ' = ω, ω' = −k sin θ",
  dimension: 2,
  components: ["θ", "ω"],
  parameters: ["k"],
  defaults: [1],
  initial: [1, 0],
  span: [0, 10],
  autonomous: true,
  separable: true,
  invariants: [{ name: "energy", value: (y, p) => (y[1] * y[1]) / 2 - p[0] * Math.cos(y[0]) }],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = y[1];
    dydt[1] = -round(p[0] * round(Math.sin(y[0])));
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([0, 1, -p[0] * Math.cos(y[0]), 0]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = -p[0] * Math.cos(y[0]) * w[1];
    gradY[1] = w[0];
    gradParameters[0] = -Math.sin(y[0]) * w[1];
    return 0;
  },
  source: `${SIN_PAIR}fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(y[1], -(p[0] * sin_pair(y[0]).x));
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let turn = sin_pair(y[0]);
  return Pullback(State(-p[0] * turn.y * w[1], w[0]), Params(-turn.x * w[1]), 0.0);
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(0.0, 1.0), State(-p[0] * sin_pair(y[0]).y, 0.0));
}
`,
};

const KEPLER: VectorField = {
  name: "kepler",
  equations: "x' = u, y' = v, u' = −μ x/r³, v' = −μ y/r³, r = √(x² + y²)",
  dimension: 4,
  components: ["x", "y", "u", "v"],
  parameters: ["μ"],
  defaults: [1],
  initial: [1, 0, 0, 1],
  span: [0, 20],
  autonomous: true,
  separable: true,
  invariants: [
    {
      name: "energy",
      value: (y, p) => (y[2] * y[2] + y[3] * y[3]) / 2 - p[0] / Math.sqrt(y[0] * y[0] + y[1] * y[1]),
    },
    { name: "angular momentum", value: (y) => y[0] * y[3] - y[1] * y[2] },
  ],
  evaluate: (_t, y, p, dydt, round) => {
    const square = round(round(y[0] * y[0]) + round(y[1] * y[1]));
    const pull = round(p[0] / round(square * round(Math.sqrt(square))));
    dydt[0] = y[2];
    dydt[1] = y[3];
    dydt[2] = -round(pull * y[0]);
    dydt[3] = -round(pull * y[1]);
  },
  jacobian: (_t, y, p, matrix) => {
    const square = y[0] * y[0] + y[1] * y[1];
    const pull = p[0] / (square * Math.sqrt(square));
    const bend = (3 * pull) / square;
    const cross = bend * y[0] * y[1];
    matrix.fill(0);
    matrix.set([1, 0], 2);
    matrix.set([0, 1], 6);
    matrix.set([bend * y[0] * y[0] - pull, cross], 8);
    matrix.set([cross, bend * y[1] * y[1] - pull], 12);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    const square = y[0] * y[0] + y[1] * y[1];
    const inverseCube = 1 / (square * Math.sqrt(square));
    const pull = p[0] * inverseCube;
    const along = y[0] * w[2] + y[1] * w[3];
    const bend = (3 * pull * along) / square;
    gradY[0] = bend * y[0] - pull * w[2];
    gradY[1] = bend * y[1] - pull * w[3];
    gradY[2] = w[0];
    gradY[3] = w[1];
    gradParameters[0] = -inverseCube * along;
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  let square = y[0] * y[0] + y[1] * y[1];
  let pull = p[0] / (square * sqrt(square));
  return State(y[2], y[3], -(pull * y[0]), -(pull * y[1]));
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let square = y[0] * y[0] + y[1] * y[1];
  let cube = square * sqrt(square);
  let pull = p[0] / cube;
  let along = y[0] * w[2] + y[1] * w[3];
  let bend = 3.0 * pull * along / square;
  return Pullback(
    State(bend * y[0] - pull * w[2], bend * y[1] - pull * w[3], w[0], w[1]),
    Params(-along / cube),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  let square = y[0] * y[0] + y[1] * y[1];
  let pull = p[0] / (square * sqrt(square));
  let bend = 3.0 * pull / square;
  let twist = bend * y[0] * y[1];
  return array<State, DIM>(
    State(0.0, 0.0, 1.0, 0.0),
    State(0.0, 0.0, 0.0, 1.0),
    State(bend * y[0] * y[0] - pull, twist, 0.0, 0.0),
    State(twist, bend * y[1] * y[1] - pull, 0.0, 0.0),
  );
}
`,
};

/** FitzHugh, Biophysical J. 1, 1961; Nagumo, Arimoto and Yoshizawa, Proc. IRE 50, 1962. */
const FITZHUGH_NAGUMO: VectorField = {
  name: "fitzhugh-nagumo",
  equations: "v' = v − v³/3 − w + I, w' = (v + a − b w)/τ",
  dimension: 2,
  components: ["v", "w"],
  parameters: ["a", "b", "τ", "I"],
  defaults: [0.7, 0.8, 12.5, 0.5],
  initial: [-1, 1],
  span: [0, 100],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    const cube = round(round(round(y[0] * y[0]) * y[0]) / 3);
    dydt[0] = round(round(round(y[0] - cube) - y[1]) + p[3]);
    dydt[1] = round(round(round(y[0] + p[0]) - round(p[1] * y[1])) / p[2]);
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([1 - y[0] * y[0], -1, 1 / p[2], -p[1] / p[2]]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    const slow = w[1] / p[2];
    gradY[0] = (1 - y[0] * y[0]) * w[0] + slow;
    gradY[1] = -w[0] - p[1] * slow;
    gradParameters[0] = slow;
    gradParameters[1] = -y[1] * slow;
    gradParameters[2] = (-(y[0] + p[0] - p[1] * y[1]) * slow) / p[2];
    gradParameters[3] = w[0];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  let cube = y[0] * y[0] * y[0] / 3.0;
  return State(y[0] - cube - y[1] + p[3], (y[0] + p[0] - p[1] * y[1]) / p[2]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let slow = w[1] / p[2];
  return Pullback(
    State((1.0 - y[0] * y[0]) * w[0] + slow, -w[0] - p[1] * slow),
    Params(slow, -y[1] * slow, -(y[0] + p[0] - p[1] * y[1]) * slow / p[2], w[0]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(1.0 - y[0] * y[0], -1.0), State(1.0 / p[2], -p[1] / p[2]));
}
`,
};

const BRUSSELATOR: VectorField = {
  name: "brusselator",
  equations: "x' = A + x² y − (B + 1) x, y' = B x − x² y",
  dimension: 2,
  components: ["x", "y"],
  parameters: ["A", "B"],
  defaults: [1, 3],
  initial: [1.5, 3],
  span: [0, 20],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    const make = round(round(y[0] * y[0]) * y[1]);
    const use = round(p[1] * y[0]);
    dydt[0] = round(round(round(p[0] + make) - use) - y[0]);
    dydt[1] = round(use - make);
  },
  jacobian: (_t, y, p, matrix) => {
    const [byX, byY] = [2 * y[0] * y[1], y[0] * y[0]];
    matrix.set([byX - p[1] - 1, byY, p[1] - byX, -byY]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    const difference = w[0] - w[1];
    gradY[0] = (2 * y[0] * y[1] - p[1]) * difference - w[0];
    gradY[1] = y[0] * y[0] * difference;
    gradParameters[0] = w[0];
    gradParameters[1] = -y[0] * difference;
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  let make = y[0] * y[0] * y[1];
  let use_up = p[1] * y[0];
  return State(p[0] + make - use_up - y[0], use_up - make);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let difference = w[0] - w[1];
  return Pullback(
    State((2.0 * y[0] * y[1] - p[1]) * difference - w[0], y[0] * y[0] * difference),
    Params(w[0], -y[0] * difference),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  let by_x = 2.0 * y[0] * y[1];
  let by_y = y[0] * y[0];
  return array<State, DIM>(State(by_x - p[1] - 1.0, by_y), State(p[1] - by_x, -by_y));
}
`,
};

/** Rössler, Physics Letters A 57, 1976. */
const ROSSLER: VectorField = {
  name: "rossler",
  equations: "x' = −y − z, y' = x + a y, z' = b + z (x − c)",
  dimension: 3,
  components: ["x", "y", "z"],
  parameters: ["a", "b", "c"],
  defaults: [0.2, 0.2, 5.7],
  initial: [1, 1, 1],
  span: [0, 20],
  autonomous: true,
  separable: false,
  invariants: [],
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(-y[1] - y[2]);
    dydt[1] = round(y[0] + round(p[0] * y[1]));
    dydt[2] = round(p[1] + round(y[2] * round(y[0] - p[2])));
  },
  jacobian: (_t, y, p, matrix) => {
    matrix.set([0, -1, -1, 1, p[0], 0, y[2], 0, y[0] - p[2]]);
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = w[1] + y[2] * w[2];
    gradY[1] = -w[0] + p[0] * w[1];
    gradY[2] = -w[0] + (y[0] - p[2]) * w[2];
    gradParameters[0] = y[1] * w[1];
    gradParameters[1] = w[2];
    gradParameters[2] = -y[2] * w[2];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(-y[1] - y[2], y[0] + p[0] * y[1], p[1] + y[2] * (y[0] - p[2]));
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(
    State(w[1] + y[2] * w[2], -w[0] + p[0] * w[1], -w[0] + (y[0] - p[2]) * w[2]),
    Params(y[1] * w[1], w[2], -y[2] * w[2]),
    0.0,
  );
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(
    State(0.0, -1.0, -1.0),
    State(1.0, p[0], 0.0),
    State(y[2], 0.0, y[0] - p[2]),
  );
}
`,
};

const FALLING_BODY: VectorField = {
  name: "falling-body",
  equations: "x' = v, v' = −g",
  dimension: 2,
  components: ["x", "v"],
  parameters: ["g"],
  defaults: [8],
  initial: [10, 0],
  span: [0, 2],
  autonomous: true,
  separable: true,
  invariants: [{ name: "energy", value: (y, p) => (y[1] * y[1]) / 2 + p[0] * y[0] }],
  evaluate: (_t, y, p, dydt) => {
    dydt[0] = y[1];
    dydt[1] = -p[0];
  },
  jacobian: (_t, _y, _p, matrix) => {
    matrix.set([0, 1, 0, 0]);
  },
  vjp: (_t, _y, _p, w, gradY, gradParameters) => {
    gradY[0] = 0;
    gradY[1] = w[0];
    gradParameters[0] = -w[1];
    return 0;
  },
  source: `fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(y[1], -p[0]);
}
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(State(0.0, w[0]), Params(-w[1]), 0.0);
}
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  return array<State, DIM>(State(0.0, 1.0), State(0.0, 0.0));
}
`,
};

/** Every built-in right-hand side by its name. */
export const FIELDS: Readonly<Record<FieldName, VectorField>> = {
  exponential: EXPONENTIAL,
  "harmonic-oscillator": HARMONIC_OSCILLATOR,
  logistic: LOGISTIC,
  lorenz: LORENZ,
  "lotka-volterra": LOTKA_VOLTERRA,
  "van-der-pol": VAN_DER_POL,
  robertson: ROBERTSON,
  pendulum: PENDULUM,
  kepler: KEPLER,
  "fitzhugh-nagumo": FITZHUGH_NAGUMO,
  brusselator: BRUSSELATOR,
  rossler: ROSSLER,
  "falling-body": FALLING_BODY,
};
