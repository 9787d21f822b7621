// Rosenbrock steps: W u_s = γ (h f(t + c_s h, y + Σ_{r<s} a_{s,r} u_r) + Σ_{r<s} coupling_{s,r} u_r + d_s h² ∂f/∂t), W = I − γ h J,
//   y1 = y + Σ_s b_s u_s, error = Σ_s e_s u_s; dense output y(t + θ h) = y + Σ_s w_s(θ) u_s, w_s(θ) = Σ_j WEIGHTS_{s,j} θ^{j+1}.
//   Sums run over increasing s and leave out zero coefficients; J and ∂f/∂t are taken at (t, y) for every attempt.
import package::common::ode_field::{DIM, State, vector_field};
import package::common::ode_linear::solve_factored;
import package::common::ode_linearise::{
  ODE_AUTONOMOUS, ODE_JACOBIAN_EVALUATIONS, ODE_TIME_EVALUATIONS, jacobian_at, time_derivative_at, shifted_factors,
};
import package::common::ode_solve::{OdeGiven, OdeTrajectory};

const ODE_STAGES = 2u;
const ODE_FSAL = false; // the last stage takes f(t + h, y1), and has weight 0
const ODE_GAMMA = 0.5;
const ODE_DEGREE = 1u;
const ODE_A = array<f32, 4>(0.0, 0.0, 1.0, 0.0); // [ODE_STAGES, ODE_STAGES]
const ODE_COUPLING = array<f32, 4>(0.0, 0.0, -4.0, 0.0); // [ODE_STAGES, ODE_STAGES]
const ODE_B = array<f32, 2>(1.5, 0.5);
const ODE_C = array<f32, 2>(0.0, 1.0);
const ODE_D = array<f32, 2>(0.5, -0.5);
const ODE_ERROR = array<f32, 2>(0.5, 0.5);
const ODE_WEIGHTS = array<f32, 2>(1.5, 0.5); // [ODE_STAGES, ODE_DEGREE]
const ODE_EXTRA_EVALUATIONS = 0u;

struct OdeStages {
  u: array<State, ODE_STAGES>,
  slope: State, // f(t, y)
  end_slope: State, // f(t + h, y1) with ODE_FSAL
}

fn method_start(x: OdeTrajectory) -> OdeStages {
  return OdeStages(array<State, ODE_STAGES>(), x.slope, x.slope);
}

fn method_step(given: OdeGiven, t: f32, h: f32, y: State, k: ptr<function, OdeStages>) -> State {
  let slope = (*k).slope;
  let time = time_derivative_at(given, t, h, y, slope);
  var factors = shifted_factors(jacobian_at(given, t, h, y, slope), ODE_GAMMA * h);
  var y1 = y;
  //@unroll
  for (var s = 0u; s < ODE_STAGES; s++) {
    if (ODE_FSAL && s + 1u == ODE_STAGES) { y1 = after_step(y, k); }
    var f = slope;
    if (s > 0u) {
      var at = y1;
      if (!(ODE_FSAL && s + 1u == ODE_STAGES)) {
        //@unroll
        for (var i = 0u; i < DIM; i++) {
          var sum = 0.0;
          //@unroll
          for (var r = 0u; r < s; r++) {
            if (ODE_A[s * ODE_STAGES + r] != 0.0) { sum += ODE_A[s * ODE_STAGES + r] * (*k).u[r][i]; }
          }
          at[i] = y[i] + sum;
        }
      }
      f = vector_field(t + ODE_C[s] * h, at, given.p);
      if (ODE_FSAL && s + 1u == ODE_STAGES) { (*k).end_slope = f; }
    }
    var right = State();
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var coupled = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (ODE_COUPLING[s * ODE_STAGES + r] != 0.0) { coupled += ODE_COUPLING[s * ODE_STAGES + r] * (*k).u[r][i]; }
      }
      var sum = h * f[i] + coupled;
      if (!ODE_AUTONOMOUS && ODE_D[s] != 0.0) { sum += (ODE_D[s] * (h * h)) * time[i]; }
      right[i] = ODE_GAMMA * sum;
    }
    (*k).u[s] = solve_factored(&factors, right);
  }
  if (!ODE_FSAL) { y1 = after_step(y, k); }
  return y1;
}

fn after_step(y: State, k: ptr<function, OdeStages>) -> State {
  var y1 = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var s = 0u; s < ODE_STAGES; s++) {
      if (ODE_B[s] != 0.0) { sum += ODE_B[s] * (*k).u[s][i]; }
    }
    y1[i] = y[i] + sum;
  }
  return y1;
}

fn method_evaluations(k: ptr<function, OdeStages>) -> u32 {
  return ODE_STAGES - 1u + ODE_JACOBIAN_EVALUATIONS + ODE_TIME_EVALUATIONS;
}

fn method_solved(k: ptr<function, OdeStages>) -> bool {
  return true;
}

fn method_keep(h: f32, k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  (*x).has_slope = ODE_FSAL;
  if (ODE_FSAL) { (*x).slope = (*k).end_slope; }
}

fn method_keep_extra(k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
}

fn method_error(h: f32, k: ptr<function, OdeStages>) -> State {
  var error = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var s = 0u; s < ODE_STAGES; s++) {
      if (ODE_ERROR[s] != 0.0) { sum += ODE_ERROR[s] * (*k).u[s][i]; }
    }
    error[i] = sum;
  }
  return error;
}

fn method_extra_stages(given: OdeGiven, t: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) {
}

fn method_interpolate(theta: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) -> State {
  var value = State();
  //@unroll
  for (var s = 0u; s < ODE_STAGES; s++) {
    var weight = 0.0;
    //@unroll
    for (var j = 0u; j < ODE_DEGREE; j++) {
      weight = weight * theta + ODE_WEIGHTS[s * ODE_DEGREE + (ODE_DEGREE - 1u - j)];
    }
    weight *= theta;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      value[i] += weight * (*k).u[s][i];
    }
  }
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    value[i] = y[i] + value[i];
  }
  return value;
}
