// One explicit Runge–Kutta step backwards. With w the cotangent of its end and, at places θ of the step, cotangents c of the
//   interpolant: k̄_s = h (b_s w + Σ_c w_s(θ) c + Σ_{r>s} a_{r,s} ȳ_r), (ȳ_s, p̄_s, t̄_s) = k̄_sᵀ ∂f/∂(y, p, t) at (t + c_s h, Y_s);
//   ∂loss/∂(y, p) = (w + Σ_c c + Σ_s ȳ_s, Σ_s p̄_s). The tableau has every stage as a row of A, and B filled up
//   with zeros: ODE_INNER stages make the step, those up to ODE_TOTAL only the interpolant.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field};
import package::common::ode_derivatives::vector_field_vjp;

const ODE_INNER = 2u;
const ODE_TOTAL = 3u;
const ODE_DEGREE = 3u;
const ODE_A = array<f32, 9>(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0); // [ODE_TOTAL, ODE_TOTAL]
const ODE_B = array<f32, 3>(0.5, 0.5, 0.0);
const ODE_C = array<f32, 3>(0.0, 1.0, 1.0);
const ODE_WEIGHTS = array<f32, 9>(1.0, -0.5, 0.0, 0.0, 1.5, -1.0, 0.0, -1.0, 1.0); // [ODE_TOTAL, ODE_DEGREE]

alias OdeStages = array<State, ODE_TOTAL>;

// Cotangents inside a step: of the stages, of the state it begins with, and by its start and its length through θ.
struct OdeInner {
  any: bool,
  stages: OdeStages,
  y: State,
  t: f32,
  h: f32,
}

// ∂loss/∂(y, p) of a step, and by its start and its length.
struct OdeStepGradient {
  y: State,
  p: Params,
  t: f32,
  h: f32,
}

// Takes the step again, with slopes k and arguments `at` of its stages; returns its end.
fn retake_step(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) -> State {
  (*at)[0] = y;
  (*k)[0] = vector_field(t, y, p);
  //@unroll
  for (var s = 1u; s < ODE_INNER; s++) {
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (ODE_A[s * ODE_TOTAL + r] != 0.0) { sum += ODE_A[s * ODE_TOTAL + r] * (*k)[r][i]; }
      }
      (*at)[s][i] = y[i] + h * sum;
    }
    (*k)[s] = vector_field(t + ODE_C[s] * h, (*at)[s], p);
  }
  var y1 = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var r = 0u; r < ODE_INNER; r++) {
      if (ODE_B[r] != 0.0) { sum += ODE_B[r] * (*k)[r][i]; }
    }
    y1[i] = y[i] + h * sum;
  }
  return y1;
}

// The stages that only the interpolant takes.
fn retake_extra_stages(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) {
  //@unroll
  for (var s = ODE_INNER; s < ODE_TOTAL; s++) {
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (ODE_A[s * ODE_TOTAL + r] != 0.0) { sum += ODE_A[s * ODE_TOTAL + r] * (*k)[r][i]; }
      }
      (*at)[s][i] = y[i] + h * sum;
    }
    (*k)[s] = vector_field(t + ODE_C[s] * h, (*at)[s], p);
  }
}

// k̄ = h · unscaled through the stage at (t + c h, at) with slope k; returns ȳ.
fn reverse_stage(
  c: f32,
  t: f32,
  h: f32,
  p: Params,
  unscaled: State,
  at: State,
  k: State,
  gradient: ptr<function, OdeStepGradient>,
) -> State {
  var bar = unscaled;
  var along = 0.0;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    bar[i] = h * unscaled[i];
    along += unscaled[i] * k[i];
  }
  let product = vector_field_vjp(t + c * h, at, p, bar);
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*gradient).y[i] += product.y[i];
  }
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    (*gradient).p[i] += product.p[i];
  }
  (*gradient).t += product.t;
  (*gradient).h += along + c * product.t;
  return product.y;
}

fn reverse_step(
  t: f32,
  h: f32,
  w: State,
  p: Params,
  k: ptr<function, OdeStages>,
  at: ptr<function, OdeStages>,
  inner: ptr<function, OdeInner>,
) -> OdeStepGradient {
  var gradient = OdeStepGradient(w, Params(), (*inner).t, (*inner).h);
  if (ODE_TOTAL > ODE_INNER) {
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      gradient.y[i] += (*inner).y[i];
    }
  }
  var bars = OdeStages(); // ȳ
  if (ODE_TOTAL > ODE_INNER) {
    // As loops, branches that are rarely taken cost next to nothing on the software adapter.
    for (var once = (*inner).any; once; once = false) {
      //@unroll
      for (var n = 0u; n < ODE_TOTAL - ODE_INNER; n++) {
        var unscaled = (*inner).stages[ODE_TOTAL - 1u - n];
        //@unroll
        for (var r = ODE_TOTAL - n; r < ODE_TOTAL; r++) {
          if (ODE_A[r * ODE_TOTAL + ODE_TOTAL - 1u - n] != 0.0) {
            //@unroll
            for (var i = 0u; i < DIM; i++) {
              unscaled[i] += ODE_A[r * ODE_TOTAL + ODE_TOTAL - 1u - n] * bars[r][i];
            }
          }
        }
        bars[ODE_TOTAL - 1u - n] = reverse_stage(ODE_C[ODE_TOTAL - 1u - n], t, h, p, unscaled, (*at)[ODE_TOTAL - 1u - n],
          (*k)[ODE_TOTAL - 1u - n], &gradient);
      }
    }
  }
  //@unroll
  for (var n = 0u; n < ODE_INNER; n++) {
    var unscaled = State();
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      unscaled[i] = ODE_B[ODE_INNER - 1u - n] * w[i];
      if (ODE_TOTAL > ODE_INNER) { unscaled[i] += (*inner).stages[ODE_INNER - 1u - n][i]; }
      //@unroll
      for (var r = ODE_INNER - n; r < ODE_TOTAL; r++) {
        if (ODE_A[r * ODE_TOTAL + ODE_INNER - 1u - n] != 0.0) {
          unscaled[i] += ODE_A[r * ODE_TOTAL + ODE_INNER - 1u - n] * bars[r][i];
        }
      }
    }
    bars[ODE_INNER - 1u - n] = reverse_stage(ODE_C[ODE_INNER - 1u - n], t, h, p, unscaled, (*at)[ODE_INNER - 1u - n],
      (*k)[ODE_INNER - 1u - n], &gradient);
  }
  return gradient;
}
