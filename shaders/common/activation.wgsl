// (σ(x), σ'(x)) of one activation, chosen by ACTIVATION = index of its name in ACTIVATIONS (src/config/dense.ts).    x: f32
// No work is split here: functions of one value, without branches at run time; the pair shares one exponential and one reciprocal.
// Host promises: ACTIVATION is 0..9. For |x| <= 1e30 nothing overflows; a NaN gives a value that is not finite.
//
// Maximum errors against float64, absolute then relative (where |σ| > 1e-36; below, f32 underflows), 2 × 40,000 points a range,
// SwiftShader 5.0.0, 2026-11-23. σ' of gelu, gelu-tanh, silu and sin has zeros, so only its absolute error is given; the relative
// errors of 1e-6..1e-5 in the lower tails are the builtin exp's. ns: one call of `activation` / of the pair on one core, same day.
//            | σ  |x| <= 1     | σ  1..12        | σ  12..60       | σ  60..1e4      | σ'  |x| <= 1    | σ'  1..1e4      | ns
// gelu       | 9.8e-8  5.1e-7  | 3.7e-7  7.5e-6  | 1.5e-37 7.1e-6  | 0       0       | 2.5e-7          | 1.4e-7          | 1.9 / 2.1
// gelu-tanh  | 1.0e-7  3.0e-7  | 5.2e-7  1.4e-5  | 0       0       | 0       0       | 1.9e-7          | 1.8e-7          | 1.5 / 1.9
// relu       | 0       0       | 0       0       | 0       0       | 0       0       | 0       0       | 0       0       | 0.0 / 0.1
// leaky-relu | 6.7e-10 8.1e-8  | 6.3e-9  8.1e-8  | 4.3e-8  8.1e-8  | 5.8e-6  8.1e-8  | 2.2e-10 2.2e-8  | 2.2e-10 2.2e-8  | 0.0 / 0.1
// tanh       | 1.4e-7  2.3e-7  | 1.4e-7  1.8e-7  | 7.6e-11 7.6e-11 | 0       0       | 2.6e-7  3.8e-7  | 1.4e-7  3.9e-6  | 1.8 / 1.9
// erf        | 1.4e-7  2.1e-7  | 7.1e-8  7.8e-8  | 0       0       | 0       0       | 3.0e-7  3.3e-7  | 1.4e-7  7.6e-6  | 2.4 / 2.5
// softplus   | 1.7e-7  2.4e-7  | 4.8e-7  9.5e-7  | 4.8e-7  3.5e-6  | 2.2e-32 3.6e-6  | 9.6e-8  2.1e-7  | 1.0e-7  3.7e-6  | 2.1 / 2.4
// silu       | 1.0e-7  2.7e-7  | 1.1e-6  1.0e-6  | 1.3e-6  3.6e-6  | 1.4e-30 3.7e-6  | 1.4e-7          | 1.9e-7          | 1.2 / 1.5
// sin        | 4.7e-8  6.4e-8  | 9.8e-8  1.1e-7  | 1.0e-7  1.1e-7  | 9.5e-8  1.2e-7  | 7.1e-8  1.3e-7  | 1.1e-7          | 0.8 / 1.4
// identity   | 0       0       | 0       0       | 0       0       | 0       0       | 0       0       | 0       0       | 0.0 / 0.0
// For comparison, same day: builtin exp 0.5 ns, tanh 1.3 ns, own exp from round and ldexp 2.7 ns, gelu-tanh by builtin tanh 1.9 ns.

const ACTIVATION = 0u;

const LEAKY_SLOPE = 0.01;

// Minimax fit, made for this file (Remez exchange in float64, relative weight): Φ(-a) = t P(t) exp(-a²/2),
// t = 1 / (1 + TAIL_C a), P of degree 7: relative error 9.8e-8 for 0 <= a <= 14.5, and 4.3e-7 with P
// evaluated in f32. TAIL_C is the best of a scan over [0.18, 0.40].
const TAIL_C = 0.305;

fn tail_over_exp(a: f32) -> f32 {
  let t = 1.0 / (1.0 + TAIL_C * a);
  return t * (0.121640242 + t * (0.122458682 + t * (0.103473691 + t * (0.120840402
    + t * (-0.0376206856 + t * (0.185314928 + t * (-0.152746091 + t * 0.0366388657)))))));
}

// |x|, at most `limit`, where exp(-…) is 0 in f32. A select passes NaN on, and min and max were 0.2 to 0.6 ns slower (2026-11-23,
// SwiftShader 5.0.0).
fn clamped_abs(x: f32, limit: f32) -> f32 {
  let a = abs(x);
  return select(a, limit, a > limit);
}

// x Φ(x). All sigmoid-like forms are x · s with s from the lower tail: relatively right for x -> -∞.
fn gelu_pair(x: f32) -> vec2f {
  let a = clamped_abs(x, 14.5);
  let e = exp(-0.5 * a * a);
  let tail = e * tail_over_exp(a);
  let cdf = select(tail, 1.0 - tail, x > 0.0);
  return vec2f(x * cdf, cdf + x * (e * 0.3989422804014327));
}

// x (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = √(2/π) (x + 0.044715 x³) (Hendrycks and Gimpel, arXiv 1606.08415).
fn gelu_tanh_pair(x: f32) -> vec2f {
  let a = clamped_abs(x, 12.0);
  let u = a * a;
  let e = exp(-a * (1.5957691216057308 + 0.0713548162726 * u));
  let r = 1.0 / (1.0 + e);
  let tail = e * r;
  let s = select(tail, r, x > 0.0);
  return vec2f(x * s, s + x * ((1.5957691216057308 + 0.2140644488178 * u) * tail * r));
}

fn relu_pair(x: f32) -> vec2f {
  let s = select(0.0, 1.0, x > 0.0);
  return vec2f(x * s, s);
}

fn leaky_relu_pair(x: f32) -> vec2f {
  let s = select(LEAKY_SLOPE, 1.0, x > 0.0);
  return vec2f(x * s, s);
}

// Below 0.55 the odd polynomial x + x³ Q(x²), Q of degree 3 (own minimax fit, relative error 3.5e-8); above,
// (1 - e) / (1 + e), e = exp(-2|x|).
fn tanh_pair(x: f32) -> vec2f {
  let a = clamped_abs(x, 52.0);
  let u = a * a;
  let e = exp(-2.0 * a);
  let r = 1.0 / (1.0 + e);
  let near = a + a * u * (-0.333329575 + u * (0.133209419 + u * (-0.0526841464 + u * 0.0164587635)));
  let value = select((1.0 - e) * r, near, a < 0.55);
  return vec2f(select(-value, value, x > 0.0), 4.0 * e * r * r);
}

// Below 0.7 the odd polynomial x R(x²), R of degree 4 (own minimax fit, relative error 3.7e-8); above 1 - 2 Φ(-√2 |x|).
fn erf_pair(x: f32) -> vec2f {
  let a = clamped_abs(x, 10.3);
  let u = a * a;
  let e = exp(-u);
  let near = a * (1.12837913 + u * (-0.376122216 + u * (0.11276999 + u * (-0.0264744777 + u * 0.00428179712))));
  let value = select(1.0 - 2.0 * e * tail_over_exp(1.4142135623730951 * a), near, a < 0.7);
  return vec2f(select(-value, value, x > 0.0), 1.1283791670955126 * e);
}

// max(x, 0) + log(1 + e), e = exp(-|x|); log(1 + e) = e R(e), R of degree 8 on [0, 1] (own minimax fit, relative error 3e-8).
fn softplus_pair(x: f32) -> vec2f {
  let e = exp(-clamped_abs(x, 104.0));
  let log1p = e * (0.99999997 + e * (-0.499994931 + e * (0.333190968 + e * (-0.248429824 + e * (0.191060073
    + e * (-0.136632471 + e * (0.0782259674 + e * (-0.0295052487 + e * 0.00523269681))))))));
  let positive = x > 0.0;
  return vec2f(select(0.0, x, positive) + log1p, select(e, 1.0, positive) / (1.0 + e));
}

fn silu_pair(x: f32) -> vec2f {
  let e = exp(-clamped_abs(x, 104.0));
  let r = 1.0 / (1.0 + e);
  let s = select(e, 1.0, x > 0.0) * r;
  return vec2f(x * s, s + x * (e * r * r));
}

// sin and cos of x = n π + r, |r| <= π/2 (π in three parts of 9, 11 and 24 bits: n times the first two is exact for n < 8192),
// then own minimax polynomials: sin odd of degree 9 (relative error 6e-9), cos even of degree 10 (4e-10). Accurate for |x| <= 1e4,
// bounded beyond. WGSL promises sin and cos only to 2^-11 on [-π, π].
fn sin_pair(x: f32) -> vec2f {
  let n = floor(x * 0.3183098861837907 + 0.5);
  let reduced = ((x - n * 3.140625) - n * 0.0009675025939941406) - n * 1.5099579909782485e-7;
  let r = select(0.0, reduced, abs(reduced) < 1.6);
  let u = r * r;
  let sine = r + r * u * (-0.166666595 + u * (0.00833306521 + u * (-0.000198095215 + u * 2.60559028e-06)));
  let cosine = (1.0 - 0.5 * u) + u * u * (0.0416666557 + u * (-0.0013888568 + u * (2.47692233e-05 + u * -2.61921207e-07)));
  let flip = 1.0 - 2.0 * (n - 2.0 * floor(0.5 * n));
  return flip * vec2f(sine, cosine);
}

// (σ(x), σ'(x)), sharing the exponential.
fn activation_pair(x: f32) -> vec2f {
  if (ACTIVATION == 0u) {
    return gelu_pair(x);
  } else if (ACTIVATION == 1u) {
    return gelu_tanh_pair(x);
  } else if (ACTIVATION == 2u) {
    return relu_pair(x);
  } else if (ACTIVATION == 3u) {
    return leaky_relu_pair(x);
  } else if (ACTIVATION == 4u) {
    return tanh_pair(x);
  } else if (ACTIVATION == 5u) {
    return erf_pair(x);
  } else if (ACTIVATION == 6u) {
    return softplus_pair(x);
  } else if (ACTIVATION == 7u) {
    return silu_pair(x);
  } else if (ACTIVATION == 8u) {
    return sin_pair(x);
  }
  return vec2f(x, 1.0);
}

// σ(x): the same bits as the first of the pair; compilers drop the unused derivative.
fn activation(x: f32) -> f32 {
  return activation_pair(x).x;
}
