// One ESDIRK step backwards. With w the cotangent of its end and c cotangents of the interpolant at places θ: k̄_s = h (b_s w + Σ_c w_s(θ) c
//   + Σ_{r>s} a_{r,s} ȳ_r), u_s = (I − γ h J_s)⁻ᵀ k̄_s (u_0 = k̄_0), (ȳ_s, p̄_s, t̄_s) = u_sᵀ ∂f/∂(y, p, t) at (t + c_s h, Y_s);
//   ∂loss/∂(y, p) = (w + Σ_c c + Σ_s ȳ_s, Σ_s p̄_s). J row by row from the products of the field.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field};
import package::common::ode_derivatives::vector_field_vjp;
import package::common::ode_linear::{OdeMatrix, solve_factored, solve_transposed};
import package::common::ode_linearise::shifted_factors;

const ODE_TOTAL = 2u;
const ODE_GAMMA = 0.5;
const ODE_DEGREE = 1u;
const ODE_A = array<f32, 4>(0.0, 0.0, 0.5, 0.5); // [ODE_TOTAL, ODE_TOTAL], with γ on the diagonal
const ODE_B = array<f32, 2>(0.5, 0.5);
const ODE_C = array<f32, 2>(0.0, 1.0);
const ODE_PREDICTOR = array<f32, 4>(0.0, 0.0, 1.0, 0.0); // [ODE_TOTAL, ODE_TOTAL]
const ODE_WEIGHTS = array<f32, 2>(0.5, 0.5); // [ODE_TOTAL, ODE_DEGREE]
// With J of every iterate, Newton's method leaves nothing but rounding of a stage that the solve accepted.
const ODE_ITERATIONS = 6u;

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

fn jacobian_by_rows(t: f32, y: State, p: Params) -> OdeMatrix {
  var matrix = OdeMatrix();
  for (var i = 0u; i < DIM; i++) {
    var row = State();
    row[i] = 1.0;
    matrix[i] = vector_field_vjp(t, y, p, row).y;
  }
  return matrix;
}

// Takes the step again, with slopes k and arguments `at` of its stages; returns its end.
fn retake_step(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) -> State {
  let gamma_h = ODE_GAMMA * h;
  (*at)[0] = y;
  (*k)[0] = vector_field(t, y, p);
  //@unroll
  for (var s = 1u; s < ODE_TOTAL; s++) {
    var base = y;
    var z = State();
    var there = y;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (ODE_A[s * ODE_TOTAL + r] != 0.0) { sum += ODE_A[s * ODE_TOTAL + r] * (*k)[r][i]; }
        if (ODE_PREDICTOR[s * ODE_TOTAL + r] != 0.0) { z[i] += ODE_PREDICTOR[s * ODE_TOTAL + r] * gamma_h * (*k)[r][i]; }
      }
      base[i] = y[i] + h * sum;
      there[i] = base[i] + z[i];
    }
    for (var iteration = 0u; iteration < ODE_ITERATIONS; iteration++) {
      let time = t + ODE_C[s] * h;
      let f = vector_field(time, there, p);
      var factors = shifted_factors(jacobian_by_rows(time, there, p), gamma_h);
      var residual = State();
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        residual[i] = gamma_h * f[i] - z[i];
      }
      let correction = solve_factored(&factors, residual);
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        z[i] += correction[i];
        there[i] = base[i] + z[i];
      }
    }
    (*at)[s] = there;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      (*k)[s][i] = z[i] / gamma_h;
    }
  }
  return (*at)[ODE_TOTAL - 1u];
}

fn retake_extra_stages(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) {
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
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    gradient.y[i] += (*inner).y[i];
  }
  var bars = OdeStages(); // ȳ
  //@unroll
  for (var n = 0u; n < ODE_TOTAL; n++) {
    let time = t + ODE_C[ODE_TOTAL - 1u - n] * h;
    var row = State();
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = ODE_B[ODE_TOTAL - 1u - n] * w[i] + (*inner).stages[ODE_TOTAL - 1u - n][i];
      //@unroll
      for (var r = ODE_TOTAL - n; r < ODE_TOTAL; r++) {
        if (ODE_A[r * ODE_TOTAL + ODE_TOTAL - 1u - n] != 0.0) {
          sum += ODE_A[r * ODE_TOTAL + ODE_TOTAL - 1u - n] * bars[r][i];
        }
      }
      gradient.h += sum * (*k)[ODE_TOTAL - 1u - n][i];
      row[i] = h * sum;
    }
    if (ODE_TOTAL - 1u - n > 0u) {
      var factors = shifted_factors(jacobian_by_rows(time, (*at)[ODE_TOTAL - 1u - n], p), ODE_GAMMA * h);
      row = solve_transposed(&factors, row);
    }
    let product = vector_field_vjp(time, (*at)[ODE_TOTAL - 1u - n], p, row);
    bars[ODE_TOTAL - 1u - n] = product.y;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      gradient.y[i] += product.y[i];
      gradient.h += ODE_A[(ODE_TOTAL - 1u - n) * (ODE_TOTAL + 1u)] * product.y[i] * (*k)[ODE_TOTAL - 1u - n][i];
    }
    //@unroll
    for (var i = 0u; i < PARAMETERS; i++) {
      gradient.p[i] += product.p[i];
    }
    gradient.t += product.t;
    gradient.h += ODE_C[ODE_TOTAL - 1u - n] * product.t;
  }
  return gradient;
}
