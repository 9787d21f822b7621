import { FIELDS } from "../../src/ode/fields.ts";
import type { OdeEvent } from "../../src/reference/ode.ts";
import type { OdeSystem } from "../../src/reference/ode_steps.ts";

/** A loss cᵀ y(t1) with its gradient in closed form; that by t1 is cᵀ f(t1, y(t1)). */
export interface GradientProblem {
  readonly id: string;
  readonly system: OdeSystem;
  readonly t0: number;
  readonly t1: number;
  readonly y0: readonly number[];
  readonly parameters: readonly number[];
  /** c. */
  readonly cotangent: readonly number[];
  readonly loss: number;
  readonly gradY0: readonly number[];
  readonly gradParameters: readonly number[];
}

/** y' = −θ y². */
export const QUADRATIC_DECAY: OdeSystem = {
  dimension: 1,
  autonomous: true,
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = -round(p[0] * round(y[0] * y[0]));
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = -2 * p[0] * y[0] * w[0];
    gradParameters[0] = -y[0] * y[0] * w[0];
    return 0;
  },
};

/** y' = w(t) y, w piecewise linear through the parameters at equidistant knots 0, h, …, 1; w is constant beyond them. */
export const WEIGHTED_GROWTH: OdeSystem = {
  dimension: 1,
  evaluate: (t, y, p, dydt, round) => {
    const { left, part } = knot(t, p.length);
    dydt[0] = round(((1 - part) * p[left] + part * p[left + 1]) * y[0]);
  },
  vjp: (t, y, p, w, gradY, gradParameters) => {
    const { left, part } = knot(t, p.length);
    gradY[0] = ((1 - part) * p[left] + part * p[left + 1]) * w[0];
    gradParameters.fill(0);
    gradParameters[left] = (1 - part) * y[0] * w[0];
    gradParameters[left + 1] = part * y[0] * w[0];
    return (p[left + 1] - p[left]) * (p.length - 1) * y[0] * w[0];
  },
};

function knot(t: number, knots: number): { left: number; part: number } {
  const at = Math.min(Math.max(t, 0), 1) * (knots - 1);
  const left = Math.min(Math.floor(at), knots - 2);
  return { left, part: at - left };
}

/** y' = A y with A [n, n] the parameters, row-major. */
export function linearSystem(n: number): OdeSystem {
  return {
    dimension: n,
    autonomous: true,
    evaluate: (_t, y, p, dydt, round) => {
      for (let i = 0; i < n; i++) {
        dydt[i] = 0;
        for (let j = 0; j < n; j++) dydt[i] = round(dydt[i] + round(p[i * n + j] * y[j]));
      }
    },
    vjp: (_t, y, p, w, gradY, gradParameters) => {
      for (let j = 0; j < n; j++) {
        gradY[j] = 0;
        for (let i = 0; i < n; i++) {
          gradY[j] += p[i * n + j] * w[i];
          gradParameters[i * n + j] = w[i] * y[j];
        }
      }
      return 0;
    },
  };
}

/** exp(M) of an n × n matrix, row-major: Taylor series of M/2^s with norm below 1/2, squared s times. */
export function matrixExponential(matrix: ArrayLike<number>, n: number): Float64Array {
  const norm = Math.max(...Array.from(matrix, Math.abs)) * n;
  const squarings = Math.max(0, Math.ceil(Math.log2(norm)) + 1);
  const product = (a: Float64Array, b: Float64Array): Float64Array =>
    Float64Array.from({ length: n * n }, (_, at) => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[Math.floor(at / n) * n + k] * b[k * n + (at % n)];
      return sum;
    });
  const scaled = Float64Array.from(matrix, (x) => x / 2 ** squarings);
  let term = Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
  let result = term.slice();
  for (let k = 1; k <= 20; k++) {
    term = Float64Array.from(product(term, scaled), (x) => x / k);
    result = result.map((x, at) => x + term[at]);
  }
  for (let s = 0; s < squarings; s++) result = Float64Array.from(product(result, result));
  return result;
}

const KNOTS = [0.3, -0.8, 1.1, 0.4, -0.2];
const MATRIX = [-0.3, 1.1, 0.2, -0.7, 0.1, 0.5, 0.4, -0.6, -0.2];
const LINEAR_START = [1, -0.5, 2];
const LINEAR_COTANGENT = [0.3, 1, -0.7];

/** L = cᵀ e^{AT} v: ∂L/∂A is the upper right block of exp(T ((Aᵀ, c vᵀ), (0, Aᵀ))). */
function linearGradient(time: number): GradientProblem {
  const n = LINEAR_START.length;
  const exponential = matrixExponential(
    MATRIX.map((x) => time * x),
    n,
  );
  const block = new Float64Array(4 * n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      block[i * 2 * n + j] = time * MATRIX[j * n + i];
      block[(i + n) * 2 * n + j + n] = time * MATRIX[j * n + i];
      block[i * 2 * n + j + n] = time * LINEAR_COTANGENT[i] * LINEAR_START[j];
    }
  }
  const both = matrixExponential(block, 2 * n);
  const gradY0 = LINEAR_START.map((_, j) =>
    LINEAR_COTANGENT.reduce((sum, c, i) => sum + c * exponential[i * n + j], 0),
  );
  return {
    id: "G5",
    system: linearSystem(n),
    t0: 0,
    t1: time,
    y0: LINEAR_START,
    parameters: MATRIX,
    cotangent: LINEAR_COTANGENT,
    loss: LINEAR_START.reduce((sum, v, j) => sum + v * gradY0[j], 0),
    gradY0,
    gradParameters: MATRIX.map((_, at) => both[Math.floor(at / n) * 2 * n + (at % n) + n]),
  };
}

function scalarGradient(
  id: string,
  system: OdeSystem,
  t1: number,
  y0: number,
  parameters: readonly number[],
  solution: { y: number; byStart: number; byParameters: readonly number[] },
): GradientProblem {
  return {
    id,
    system,
    t0: 0,
    t1,
    y0: [y0],
    parameters,
    cotangent: [1],
    loss: solution.y,
    gradY0: [solution.byStart],
    gradParameters: solution.byParameters,
  };
}

function logisticGradient(): GradientProblem {
  const [r, K, y0, t] = [0.7, 3, 0.4, 2];
  const E = Math.exp(-r * t);
  const D = 1 + (K / y0 - 1) * E;
  const y = K / D;
  return scalarGradient("G3", FIELDS.logistic, t, y0, [r, K], {
    y,
    byStart: ((K / y0) ** 2 * E) / (D * D),
    byParameters: [y * (1 - y / K) * t, (1 - E) / (D * D)],
  });
}

function growthGradient(): GradientProblem {
  const h = 1 / (KNOTS.length - 1);
  const trapezium = KNOTS.reduce((sum, w, i) => sum + w * (i === 0 || i === KNOTS.length - 1 ? h / 2 : h), 0);
  const y = 1.5 * Math.exp(trapezium);
  return scalarGradient("G4", WEIGHTED_GROWTH, 1, 1.5, KNOTS, {
    y,
    byStart: y / 1.5,
    byParameters: KNOTS.map((_, i) => y * (i === 0 || i === KNOTS.length - 1 ? h / 2 : h)),
  });
}

/**
 * Gradients in closed form: G1 y' = λy; G2 y' = −θy²; G3 logistic, by r, K and y0; G4 y' = w(t) y by the knots of w; G5
 * cᵀ e^{AT} v by A and v; G6 cos ωt by ω and by the initial state.
 */
export const GRADIENT_PROBLEMS: readonly GradientProblem[] = [
  scalarGradient("G1", FIELDS.exponential, 2, 1.3, [-0.7], {
    y: 1.3 * Math.exp(-1.4),
    byStart: Math.exp(-1.4),
    byParameters: [2 * 1.3 * Math.exp(-1.4)],
  }),
  scalarGradient("G2", QUADRATIC_DECAY, 2, 1.3, [0.7], {
    y: 1.3 / (1 + 0.7 * 2 * 1.3),
    byStart: 1 / (1 + 0.7 * 2 * 1.3) ** 2,
    byParameters: [-(2 * 1.3 ** 2) / (1 + 0.7 * 2 * 1.3) ** 2],
  }),
  logisticGradient(),
  growthGradient(),
  linearGradient(1.5),
  {
    id: "G6",
    system: FIELDS["harmonic-oscillator"],
    t0: 0,
    t1: 3,
    y0: [1, 0],
    parameters: [1.4],
    cotangent: [1, 0],
    loss: Math.cos(1.4 * 3),
    gradY0: [Math.cos(1.4 * 3), Math.sin(1.4 * 3) / 1.4],
    gradParameters: [-3 * Math.sin(1.4 * 3)],
  },
];

/** The body reaches x = 0. */
export const LANDING: OdeEvent = {
  terminal: true,
  direction: -1,
  value: (_t, y) => y[0],
  gradient: (_t, _y, _p, gradY, gradParameters) => {
    gradY.set([1, 0]);
    gradParameters[0] = 0;
    return 0;
  },
};

/** G7, a body dropped from x0 under g = 8: landing time √(2 x0/g), speed −√(2 g x0), and their derivatives. */
export function landing(x0: number, g: number) {
  return {
    time: Math.sqrt((2 * x0) / g),
    speed: -Math.sqrt(2 * g * x0),
    timeByX0: 1 / Math.sqrt(2 * g * x0),
    timeByG: -Math.sqrt(x0 / (2 * g ** 3)),
    speedByX0: -Math.sqrt(g / (2 * x0)),
    speedByG: -Math.sqrt(x0 / (2 * g)),
  };
}

/** G11, y' = λ(1 − y): integrated backwards it forgets nothing of a rounding error, which grows by e^{λT}. */
export const RELAXATION: OdeSystem = {
  dimension: 1,
  autonomous: true,
  evaluate: (_t, y, p, dydt, round) => {
    dydt[0] = round(p[0] * round(1 - y[0]));
  },
  vjp: (_t, y, p, w, gradY, gradParameters) => {
    gradY[0] = -p[0] * w[0];
    gradParameters[0] = (1 - y[0]) * w[0];
    return 0;
  },
};
