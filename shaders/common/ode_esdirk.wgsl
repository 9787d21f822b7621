// ESDIRK steps in z_s = γ h k_s: z_0 = γ h f(t, y); for s > 0 z_s = γ h f(t + c_s h, base + z_s), base = y + Σ_{r<s} (a_{s,r}/γ) z_r, by
//   z += W⁻¹ (γ h f(t + c_s h, base + z) − z) from z = Σ_{r<s} predictor_{s,r} z_r, W = I − γ h J(t, y), J for every attempt;
//   y1 = base + z of the last stage, error = Σ_s (e_s/γ) z_s; dense output y(t + θ h) = y + Σ_s w_s(θ) z_s. A, ERROR and WEIGHTS are
//   divided by γ. Sums run over increasing s and leave out zero coefficients. Newton's rule is that of newtonConverged() of
//   src/reference/ode_steps.ts.
import package::common::ode_field::{DIM, State, vector_field};
import package::common::ode_error::{scaled_norm, is_infinite_or_nan};
import package::common::ode_linear::solve_factored;
import package::common::ode_linearise::{ODE_OWN_JACOBIAN, ODE_JACOBIAN_EVALUATIONS, jacobian_at, shifted_factors};
import package::common::ode_solve::{OdeGiven, OdeTrajectory};

const ODE_STAGES = 2u;
const ODE_FSAL = true; // z of the last stage is γ h f(t + h, y1)
const ODE_GAMMA = 0.5;
const ODE_DEGREE = 1u;
const ODE_A = array<f32, 4>(0.0, 0.0, 1.0, 1.0); // [ODE_STAGES, ODE_STAGES]
const ODE_C = array<f32, 2>(0.0, 1.0);
const ODE_ERROR = array<f32, 2>(1.0, -1.0);
const ODE_PREDICTOR = array<f32, 4>(0.0, 0.0, 1.0, 0.0); // [ODE_STAGES, ODE_STAGES]
const ODE_WEIGHTS = array<f32, 2>(1.0, 1.0); // [ODE_STAGES, ODE_DEGREE]
const ODE_KAPPA = 0.01; // the distance to the solution that is left, in the scaled norm
const ODE_NEWTON_ROUNDING = 4.76837158203125e-7; // or a correction of this part of the stage's argument: four roundings
const ODE_ITERATIONS = 10u;
const ODE_EXTRA_EVALUATIONS = 0u;

struct OdeStages {
  z: array<State, ODE_STAGES>,
  slope: State, // f(t, y)
  evaluations: u32,
  solved: bool,
}

fn method_start(x: OdeTrajectory) -> OdeStages {
  return OdeStages(array<State, ODE_STAGES>(), x.slope, ODE_JACOBIAN_EVALUATIONS, true);
}

fn method_step(given: OdeGiven, t: f32, h: f32, y: State, k: ptr<function, OdeStages>) -> State {
  let gamma_h = ODE_GAMMA * h;
  // `slope` is off by the tolerance of Newton's method: of no use for differences.
  var slope = (*k).slope;
  if (!ODE_OWN_JACOBIAN) {
    slope = vector_field(t, y, given.p);
    (*k).evaluations++;
  }
  var factors = shifted_factors(jacobian_at(given, t, h, y, slope), gamma_h);
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*k).z[0][i] = gamma_h * (*k).slope[i];
  }
  var at = y;
  //@unroll
  for (var s = 1u; s < ODE_STAGES; s++) {
    if ((*k).solved) {
      var base = y;
      var z = State();
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        var sum = 0.0;
        //@unroll
        for (var r = 0u; r < s; r++) {
          if (ODE_A[s * ODE_STAGES + r] != 0.0) { sum += ODE_A[s * ODE_STAGES + r] * (*k).z[r][i]; }
          if (ODE_PREDICTOR[s * ODE_STAGES + r] != 0.0) { z[i] += ODE_PREDICTOR[s * ODE_STAGES + r] * (*k).z[r][i]; }
        }
        base[i] = y[i] + sum;
      }
      var before = 0.0;
      var converged = false;
      var failed = false;
      for (var iteration = 0u; iteration < ODE_ITERATIONS && !converged && !failed; iteration++) {
        at = sum_of(base, z);
        let f = vector_field(t + ODE_C[s] * h, at, given.p);
        (*k).evaluations++;
        var residual = State();
        //@unroll
        for (var i = 0u; i < DIM; i++) {
          residual[i] = gamma_h * f[i] - z[i];
        }
        let correction = solve_factored(&factors, residual);
        z = sum_of(z, correction);
        let now = scaled_norm(correction, y, y, given.rtol, given.atol);
        let rate = now / before;
        let first = before == 0.0;
        var rounding = State();
        //@unroll
        for (var i = 0u; i < DIM; i++) {
          rounding[i] = ODE_NEWTON_ROUNDING * at[i];
        }
        let rounded = now <= scaled_norm(rounding, y, y, given.rtol, given.atol);
        failed = is_infinite_or_nan(now) || (!first && !rounded && rate >= 1.0);
        converged = !failed && (rounded || select((rate / (1.0 - rate)) * now, now, first) <= ODE_KAPPA);
        before = now;
      }
      (*k).solved = converged;
      (*k).z[s] = z;
      at = sum_of(base, z);
    }
  }
  return at;
}

fn sum_of(a: State, b: State) -> State {
  var sum = a;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    sum[i] = a[i] + b[i];
  }
  return sum;
}

fn method_evaluations(k: ptr<function, OdeStages>) -> u32 {
  return (*k).evaluations;
}

// Every stage has a solution.
fn method_solved(k: ptr<function, OdeStages>) -> bool {
  return (*k).solved;
}

fn method_keep(h: f32, k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  let gamma_h = ODE_GAMMA * h;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*x).slope[i] = (*k).z[ODE_STAGES - 1u][i] / gamma_h;
  }
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
      if (ODE_ERROR[s] != 0.0) { sum += ODE_ERROR[s] * (*k).z[s][i]; }
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
      value[i] += weight * (*k).z[s][i];
    }
  }
  return sum_of(y, value);
}
