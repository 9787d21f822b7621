import { type Activation, LEAKY_SLOPE } from "../config/dense.ts";

const SQRT_HALF = Math.SQRT1_2;
const INVERSE_SQRT_PI = 0.5641895835477563;
const INVERSE_SQRT_TWO_PI = 0.3989422804014327;
const SQRT_TWO_OVER_PI = 0.7978845608028654;
/** Cubic coefficient of gelu-tanh (Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv 1606.08415). */
const GELU_TANH_CUBIC = 0.044715;

// Rational Chebyshev approximations of W. J. Cody, "Rational Chebyshev approximations for the error function",
// Mathematics of Computation 23 (1969), 631-637, in the coefficients of his public program CALERF (netlib, specfun/erf).
// Each array runs from the highest power of the nested scheme down, its last entry is the constant term.
const ERF_NUMERATOR = [
  0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694,
];
const ERF_DENOMINATOR = [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171];
const ERFC_NUMERATOR = [
  2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769,
  1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
];
const ERFC_DENOMINATOR = [
  1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
  4362.619090143247, 3439.3676741437216, 1230.3393548037495,
];
const TAIL_NUMERATOR = [
  0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275,
  0.0006587491615298378,
];
const TAIL_DENOMINATOR = [
  1, 2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918,
];

function horner(coefficients: readonly number[], x: number): number {
  let sum = coefficients[0];
  for (let i = 1; i < coefficients.length; i++) sum = sum * x + coefficients[i];
  return sum;
}

/** exp(-y²) for y >= 0 with y² split exactly (Cody 1969), so that the rounding of y² does not show at large y. */
function expMinusSquare(y: number): number {
  const head = Math.trunc(y * 16) / 16;
  return Math.exp(-head * head) * Math.exp(-(y - head) * (y + head));
}

/** erfc(y) for y > 0.46875, with a small relative error down to the smallest double. */
function erfcUpper(y: number): number {
  if (y > 27.3) return 0; // erfc(27.3) is below the smallest positive double
  const power = expMinusSquare(y);
  if (y <= 4) return (power * horner(ERFC_NUMERATOR, y)) / horner(ERFC_DENOMINATOR, y);
  const z = 1 / (y * y);
  const correction = (z * horner(TAIL_NUMERATOR, z)) / horner(TAIL_DENOMINATOR, z);
  return (power * (INVERSE_SQRT_PI - correction)) / y;
}

/** Error function; absolute error about 2e-16 (Cody 1969, cited above). */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const y = Math.abs(x);
  if (y <= 0.46875) return (x * horner(ERF_NUMERATOR, y * y)) / horner(ERF_DENOMINATOR, y * y);
  return Math.sign(x) * (0.5 - erfcUpper(y) + 0.5);
}

/** Complementary error function 1 - erf(x); relative error about 1e-15 until it underflows at x = 27. */
export function erfc(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) <= 0.46875) return 1 - erf(x);
  return x > 0 ? erfcUpper(x) : 2 - erfcUpper(-x);
}

/** Standard normal distribution function; relative accuracy in the lower tail as of `erfc`. */
export function normalCdf(x: number): number {
  return 0.5 * erfc(-x * SQRT_HALF);
}

/** Standard normal density. */
export function normalDensity(x: number): number {
  return INVERSE_SQRT_TWO_PI * expMinusSquare(Math.min(Math.abs(x), 60) * SQRT_HALF);
}

/** 1 / (1 + exp(-x)) without overflow and relatively accurate for x far below 0. */
export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/** x · s, where s = 0 wins over x = ±∞ (the limit of every activation below). */
function damped(x: number, s: number): number {
  return s === 0 ? 0 : x * s;
}

/** Twice the argument of the tanh in gelu-tanh, and its derivative. */
function geluTanhArgument(x: number): { value: number; slope: number } {
  const square = x * x;
  return {
    value: 2 * SQRT_TWO_OVER_PI * x * (1 + GELU_TANH_CUBIC * square),
    slope: 2 * SQRT_TWO_OVER_PI * (1 + 3 * GELU_TANH_CUBIC * square),
  };
}

const VALUES: Record<Activation, (x: number) => number> = {
  gelu: (x) => damped(x, normalCdf(x)),
  "gelu-tanh": (x) => damped(x, sigmoid(geluTanhArgument(x).value)),
  relu: (x) => Math.max(x, 0),
  "leaky-relu": (x) => (x > 0 ? x : LEAKY_SLOPE * x),
  tanh: (x) => Math.tanh(x),
  erf,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  silu: (x) => damped(x, sigmoid(x)),
  sin: (x) => Math.sin(x),
  identity: (x) => x,
};

const DERIVATIVES: Record<Activation, (x: number) => number> = {
  gelu: (x) => normalCdf(x) + damped(x, normalDensity(x)),
  "gelu-tanh": (x) => {
    const { value, slope } = geluTanhArgument(x);
    const s = sigmoid(value);
    return s + damped(x * slope, s * sigmoid(-value));
  },
  relu: (x) => (x > 0 ? 1 : 0),
  "leaky-relu": (x) => (x > 0 ? 1 : LEAKY_SLOPE),
  tanh: (x) => {
    const e = Math.exp(-2 * Math.abs(x));
    return (4 * e) / ((1 + e) * (1 + e));
  },
  erf: (x) => 2 * INVERSE_SQRT_PI * expMinusSquare(Math.min(Math.abs(x), 40)),
  softplus: sigmoid,
  silu: (x) => {
    const s = sigmoid(x);
    return s + damped(x, s * sigmoid(-x));
  },
  sin: (x) => Math.cos(x),
  identity: () => 1,
};

/**
 * σ(x) in float64, without overflow for finite x: gelu x Φ(x), gelu-tanh its tanh form (1606.08415), relu, leaky-relu
 * (slope 0.01), tanh, erf, softplus log(1 + e^x), silu x / (1 + e^-x), sin, identity.
 */
export function activation(name: Activation, x: number): number {
  return VALUES[name](x);
}

/** σ'(x) in float64; at the kink of relu and leaky-relu the left derivative (0 and 0.01), as PyTorch has it. */
export function activationDerivative(name: Activation, x: number): number {
  return DERIVATIVES[name](x);
}
