import type { OdeSystem } from "./ode_steps.ts";

/** An initial-value problem whose solution is known, at all times or at the end. */
export interface OdeProblem {
  readonly id: string;
  readonly system: OdeSystem;
  readonly t0: number;
  readonly t1: number;
  readonly y0: readonly number[];
  readonly parameters: readonly number[];
  readonly exact: (t: number) => number[];
}

type Slope = (t: number, y: Float64Array, p: ArrayLike<number>) => readonly number[];

function system(dimension: number, slope: Slope): OdeSystem {
  return {
    dimension,
    evaluate: (t, y, p, dydt, round) => {
      slope(t, y, p).forEach((value, i) => {
        dydt[i] = round(value);
      });
    },
  };
}

function problem(
  id: string,
  y0: readonly number[],
  slope: Slope,
  exact: (t: number) => number[],
  [t0, t1]: readonly [number, number] = [0, 20],
): OdeProblem {
  return { id, system: system(y0.length, slope), t0, t1, y0, parameters: [], exact };
}

/** y' = M y with M the tridiagonal matrix (1, −2, 1) of N rows, y0 = e_1: by its eigenvectors. */
function heat(id: string, rows: number): OdeProblem {
  const y0 = Array.from({ length: rows }, (_, i) => (i === 0 ? 1 : 0));
  const slope: Slope = (_t, y) =>
    Array.from(y, (value, i) => (i > 0 ? y[i - 1] : 0) - 2 * value + (i < rows - 1 ? y[i + 1] : 0));
  const exact = (t: number) =>
    y0.map((_, i) => {
      let sum = 0;
      for (let k = 1; k <= rows; k++) {
        const angle = (k * Math.PI) / (rows + 1);
        sum += Math.sin(angle) * Math.sin((i + 1) * angle) * Math.exp(-4 * Math.sin(angle / 2) ** 2 * t);
      }
      return (2 / (rows + 1)) * sum;
    });
  return problem(id, y0, slope, exact);
}

/** Orbit of eccentricity ε from its pericentre, by Kepler's equation u − ε sin u = t. */
function orbit(id: string, eccentricity: number): OdeProblem {
  const e = eccentricity;
  const slope: Slope = (_t, y) => {
    const cube = (y[0] * y[0] + y[1] * y[1]) ** 1.5;
    return [y[2], y[3], -y[0] / cube, -y[1] / cube];
  };
  const exact = (t: number) => {
    let u = t;
    for (let i = 0; i < 60; i++) u -= (u - e * Math.sin(u) - t) / (1 - e * Math.cos(u));
    const [w, b] = [1 - e * Math.cos(u), Math.sqrt(1 - e * e)];
    return [Math.cos(u) - e, b * Math.sin(u), -Math.sin(u) / w, (b * Math.cos(u)) / w];
  };
  return problem(id, [1 - e, 0, 0, Math.sqrt((1 + e) / (1 - e))], slope, exact);
}

/** sn, cn, dn (t | m) by descending Landen transformations (Abramowitz and Stegun 16.4). */
function jacobiElliptic(t: number, m: number): [number, number, number] {
  const a = [1];
  const c = [Math.sqrt(m)];
  let b = Math.sqrt(1 - m);
  while (c[c.length - 1] > 1e-17) {
    const mean = a[a.length - 1];
    a.push((mean + b) / 2);
    c.push((mean - b) / 2);
    b = Math.sqrt(mean * b);
  }
  const last = a.length - 1;
  let angle = 2 ** last * a[last] * t;
  for (let i = last; i > 0; i--) angle = (angle + Math.asin((c[i] / a[i]) * Math.sin(angle))) / 2;
  return [Math.sin(angle), Math.cos(angle), Math.sqrt(1 - m * Math.sin(angle) ** 2)];
}

const chain = (slope: (i: number, y: Float64Array) => number): Slope => {
  return (_t, y) => Array.from(y, (_, i) => slope(i, y));
};
const FIRST_OF_TEN = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const FALL = Math.sqrt(0.0128);

/**
 * The problems of DETEST (Hull, Enright, Fellen and Sedgwick, SIAM J. Numer. Anal. 9, 1972) that have closed forms, t in
 * [0, 20], with their solutions: A1–A4, B2, B4, B5, C1–C4, D1–D5, E1, E4, E5. (A5, B1, B3, E2, E3: `REFERENCE_VALUES`.)
 */
export const DETEST: readonly OdeProblem[] = [
  problem(
    "A1",
    [1],
    (_t, y) => [-y[0]],
    (t) => [Math.exp(-t)],
  ),
  problem(
    "A2",
    [1],
    (_t, y) => [-(y[0] ** 3) / 2],
    (t) => [1 / Math.sqrt(1 + t)],
  ),
  problem(
    "A3",
    [1],
    (t, y) => [y[0] * Math.cos(t)],
    (t) => [Math.exp(Math.sin(t))],
  ),
  problem(
    "A4",
    [1],
    (_t, y) => [(y[0] / 4) * (1 - y[0] / 20)],
    (t) => [20 / (1 + 19 * Math.exp(-t / 4))],
  ),
  problem(
    "B2",
    [2, 0, 1],
    (_t, y) => [y[1] - y[0], y[0] - 2 * y[1] + y[2], y[1] - y[2]],
    (t) => {
      const [slow, fast] = [Math.exp(-t) / 2, Math.exp(-3 * t) / 2];
      return [1 + slow + fast, 1 - 2 * fast, 1 - slow + fast];
    },
  ),
  problem(
    "B4",
    [3, 0, 0],
    (_t, y) => {
      const r = Math.hypot(y[0], y[1]);
      return [-y[1] - (y[0] * y[2]) / r, y[0] - (y[1] * y[2]) / r, y[0] / r];
    },
    (t) => [(2 + Math.cos(t)) * Math.cos(t), (2 + Math.cos(t)) * Math.sin(t), Math.sin(t)],
  ),
  problem(
    "B5",
    [0, 1, 1],
    (_t, y) => [y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]],
    (t) => jacobiElliptic(t, 0.51),
  ),
  problem(
    "C1",
    FIRST_OF_TEN,
    chain((i, y) => (i > 0 ? y[i - 1] : 0) - (i < 9 ? y[i] : 0)),
    (t) => {
      const y: number[] = [];
      for (let i = 0, term = Math.exp(-t); i < 9; term *= t / ++i) y.push(term);
      return [...y, 1 - y.reduce((sum, value) => sum + value, 0)];
    },
  ),
  problem(
    "C2",
    FIRST_OF_TEN,
    chain((i, y) => (i > 0 ? i * y[i - 1] : 0) - (i < 9 ? (i + 1) * y[i] : 0)),
    (t) => FIRST_OF_TEN.map((_, i) => (i < 9 ? Math.exp(-t) : 1) * (1 - Math.exp(-t)) ** i),
  ),
  heat("C3", 10),
  heat("C4", 51),
  orbit("D1", 0.1),
  orbit("D2", 0.3),
  orbit("D3", 0.5),
  orbit("D4", 0.7),
  orbit("D5", 0.9),
  problem(
    "E1",
    [Math.sqrt(2 / Math.PI) * Math.sin(1), Math.sqrt(2 / Math.PI) * (Math.cos(1) - Math.sin(1) / 2)],
    (t, y) => [y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])],
    (t) => {
      const [s, scale] = [t + 1, Math.sqrt(2 / (Math.PI * (t + 1)))];
      return [scale * Math.sin(s), scale * (Math.cos(s) - Math.sin(s) / (2 * s))];
    },
  ),
  problem(
    "E4",
    [30, 0],
    (_t, y) => [y[1], 0.032 - 0.4 * y[1] ** 2],
    (t) => [30 + Math.log(Math.cosh(FALL * t)) / 0.4, Math.sqrt(0.08) * Math.tanh(FALL * t)],
  ),
  problem(
    "E5",
    [0, 0],
    (t, y) => [y[1], Math.sqrt(1 + y[1] ** 2) / (25 - t)],
    (t) => {
      const s = 25 - t;
      return [(-25 * Math.log(s / 25) - (625 - s * s) / 50) / 2, (25 / s - s / 25) / 2];
    },
  ),
];

/**
 * More closed forms: L1 and S1 of the SciML problem library; N1, not autonomous, which finds wrong stage times; T1–T3 of
 * torchdiffeq's tests.
 */
export const CLOSED_FORMS: readonly OdeProblem[] = [
  problem(
    "L1",
    [0.5],
    (_t, y) => [1.01 * y[0]],
    (t) => [0.5 * Math.exp(1.01 * t)],
    [0, 1],
  ),
  problem(
    "S1",
    [1],
    (_t, y) => [Math.sin(y[0])],
    (t) => [2 * Math.atan(Math.exp(t) * Math.tan(0.5))],
    [0, 0.5],
  ),
  problem(
    "N1",
    [1.1, 2.2],
    (t, y) => [t * y[0] + y[1], t * y[1]],
    (t) => [Math.exp((t * t) / 2) * (1.1 + 2.2 * t), Math.exp((t * t) / 2) * 2.2],
    [0, 1],
  ),
  problem(
    "T1",
    [3.2],
    (t, y) => [0.2 + (y[0] - (0.2 * t + 3)) ** 5],
    (t) => [0.2 * t + 3],
    [1, 8],
  ),
  problem(
    "T2",
    [sineSolution(1)],
    (t, y) => [(2 * y[0]) / t + t ** 4 * Math.sin(2 * t) - t ** 2 + 4 * t ** 3],
    (t) => [sineSolution(t)],
    [1, 8],
  ),
  problem(
    "T3",
    [Math.exp(-0.1)],
    (t) => [-0.1 * Math.exp(-0.1 * t)],
    (t) => [Math.exp(-0.1 * t)],
    [1, 8],
  ),
];

function sineSolution(t: number): number {
  const [cos, sin] = [Math.cos(2 * t), Math.sin(2 * t)];
  return (
    -(t ** 4 * cos) / 2 + (t ** 3 * sin) / 2 + (t ** 2 * cos) / 4 - t ** 3 + 2 * t ** 4 + (Math.PI - 0.25) * t ** 2
  );
}

/** A state at time `t` computed elsewhere to more digits than float64 has; `field` is a built-in right-hand side. */
export interface ReferenceValue {
  readonly id: string;
  readonly field?: string;
  readonly system?: OdeSystem;
  readonly parameters: readonly number[];
  readonly y0: readonly number[];
  readonly t: number;
  readonly y: readonly number[];
}

/**
 * End states from t = 0 by Gragg–Bulirsch–Stoer extrapolation in 40 digits (two settings agree to 1e-23), and A5 from its
 * invariant √(t² + y²) exp(−atan2(t, y)) = 4.
 */
export const REFERENCE_VALUES: readonly ReferenceValue[] = [
  {
    id: "A5",
    system: system(1, (t, y) => [(y[0] - t) / (y[0] + t)]),
    parameters: [],
    y0: [4],
    t: 20,
    y: [-0.7887826688957982],
  },
  {
    id: "B1",
    field: "lotka-volterra",
    parameters: [2, 2, 1, 1],
    y0: [1, 3],
    t: 20,
    y: [0.6761876008576607, 0.186081609964003],
  },
  {
    id: "B3",
    system: system(3, (_t, y) => [-y[0], y[0] - y[1] ** 2, y[1] ** 2]),
    parameters: [],
    y0: [1, 0, 0],
    t: 20,
    y: [2.061153622438558e-9, 0.05257228022048513, 0.9474277177183613],
  },
  {
    id: "E2",
    field: "van-der-pol",
    parameters: [1],
    y0: [2, 0],
    t: 20,
    y: [2.0081497621749484, -0.04250887527320214],
  },
  {
    id: "E3",
    system: system(2, (t, y) => [y[1], y[0] ** 3 / 6 - y[0] + 2 * Math.sin(2.78535 * t)]),
    parameters: [],
    y0: [0, 0],
    t: 20,
    y: [-0.10041788586472407, 0.2411400132095956],
  },
  {
    id: "lorenz, t = 1",
    field: "lorenz",
    parameters: [10, 28, 8 / 3],
    y0: [1, 0, 0],
    t: 1,
    y: [-9.408450567056036, -9.09619907118648, 28.58162762439234],
  },
  {
    id: "lorenz, t = 10",
    field: "lorenz",
    parameters: [10, 28, 8 / 3],
    y0: [1, 0, 0],
    t: 10,
    y: [-5.85768538242409, -5.8310824864261, 23.932132987027565],
  },
  {
    id: "lorenz, ρ = 21",
    field: "lorenz",
    parameters: [10, 21, 8 / 3],
    y0: [1, 0, 0],
    t: 1,
    y: [-6.450579147318907, -8.895211478667793, 14.649145866604444],
  },
  {
    id: "lorenz, ρ = 21, β = 2.666",
    field: "lorenz",
    parameters: [10, 21, 2.666],
    y0: [1, 0, 0],
    t: 1,
    y: [-6.449569984928028, -8.892590675196615, 14.651992898750294],
  },
  {
    id: "lorenz, ρ = 10.5",
    field: "lorenz",
    parameters: [10, 10.5, 8 / 3],
    y0: [1, 0, 0],
    t: 1,
    y: [2.8322908390996573, 1.2839456187820175, 11.107086851934168],
  },
  {
    id: "lotka-volterra",
    field: "lotka-volterra",
    parameters: [1.5, 1, 3, 1],
    y0: [1, 1],
    t: 10,
    y: [1.026344767575089, 0.9096910781360416],
  },
  {
    id: "rigid body",
    system: system(3, (_t, y) => [-2 * y[1] * y[2], 1.25 * y[0] * y[2], -0.5 * y[0] * y[1]]),
    parameters: [],
    y0: [1, 0, 0.9],
    t: 20,
    y: [0.6062038539648222, 0.6287472104501779, 0.8073851485760255],
  },
  {
    id: "van der Pol",
    field: "van-der-pol",
    parameters: [1],
    y0: [2, 0],
    t: 10,
    y: [-2.0083407825797126, 0.032907065863324064],
  },
  {
    id: "brusselator",
    field: "brusselator",
    parameters: [1, 3],
    y0: [1.5, 3],
    t: 20,
    y: [0.49863707126834783, 4.596780349452011],
  },
  {
    id: "pendulum",
    field: "pendulum",
    parameters: [1],
    y0: [1, 0],
    t: 10,
    y: [-0.9989498146238506, -0.042033377534212296],
  },
];

/** The Robertson problem, stiff: states by Kværnø 5(4) at tolerance 1e-20 in quadruple precision (diffrax's test). */
export const ROBERTSON_VALUES: readonly ReferenceValue[] = [
  {
    id: "robertson, t = 1",
    field: "robertson",
    parameters: [0.04, 3e7, 1e4],
    y0: [1, 0, 0],
    t: 1,
    y: [0.966459737333013, 3.0746265785786866e-5, 0.033509516401211095],
  },
  {
    id: "robertson, t = 100",
    field: "robertson",
    parameters: [0.04, 3e7, 1e4],
    y0: [1, 0, 0],
    t: 100,
    y: [0.6172348823960672, 6.153591274638884e-6, 0.3827589640126406],
  },
];
