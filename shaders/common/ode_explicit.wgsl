// Explicit Runge–Kutta steps: k_s = f(t + c_s h, y + h Σ_{r<s} a_{s,r} k_r), y1 = y + h Σ_s b_s k_s, error = h Σ_s e_s k_s; dense output
//   y(t + θ h) = y + h Σ_s w_s(θ) k_s, w_s(θ) = Σ_j WEIGHTS_{s,j} θ^{j+1}. Sums run over increasing s and leave out zero coefficients.
import package::common::ode_field::{DIM, State, Params, vector_field};
import package::common::ode_solve::{OdeGiven, OdeTrajectory};

const ODE_STAGES = 2u;
const ODE_TOTAL = 3u; // with the stages that only the interpolant needs
const ODE_INNER = 2u; // stages before y1 is known
const ODE_FSAL = false; // the last stage is f(t + h, y1)
const ODE_LAST = ODE_STAGES - 1u;
const ODE_END = 2u; // the extra stage that is f(t + h, y1); ODE_TOTAL if none is
const ODE_DEGREE = 3u;
const ODE_A = array<f32, 9>(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0); // [ODE_TOTAL, ODE_TOTAL]
const ODE_B = array<f32, 2>(0.5, 0.5);
const ODE_C = array<f32, 3>(0.0, 1.0, 1.0);
const ODE_ERROR = array<f32, 2>(-0.5, 0.5);
const ODE_WEIGHTS = array<f32, 9>(1.0, -0.5, 0.0, 0.0, 1.5, -1.0, 0.0, -1.0, 1.0); // [ODE_TOTAL, ODE_DEGREE]

const ODE_EXTRA_EVALUATIONS = ODE_TOTAL - ODE_STAGES;

alias OdeStages = array<State, ODE_TOTAL>;

// Fills the stages after k_0 = f(t, y), which is given; returns y1.
fn explicit_step(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>) -> State {
  //@unroll
  for (var s = 1u; s < ODE_INNER; s++) {
    var at = y;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (ODE_A[s * ODE_TOTAL + r] != 0.0) { sum += ODE_A[s * ODE_TOTAL + r] * (*k)[r][i]; }
      }
      at[i] = y[i] + h * sum;
    }
    (*k)[s] = vector_field(t + ODE_C[s] * h, at, p);
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
  if (ODE_FSAL) { (*k)[ODE_LAST] = vector_field(t + h, y1, p); }
  return y1;
}

fn method_start(x: OdeTrajectory) -> OdeStages {
  var k = OdeStages();
  k[0] = x.slope;
  return k;
}

fn method_step(given: OdeGiven, t: f32, h: f32, y: State, k: ptr<function, OdeStages>) -> State {
  return explicit_step(t, h, y, given.p, k);
}

fn method_evaluations(k: ptr<function, OdeStages>) -> u32 {
  return ODE_STAGES - 1u;
}

fn method_solved(k: ptr<function, OdeStages>) -> bool {
  return true;
}

fn method_keep(h: f32, k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  (*x).has_slope = ODE_FSAL;
  if (ODE_FSAL) { (*x).slope = (*k)[ODE_LAST]; }
}

fn method_keep_extra(k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  if (ODE_END < ODE_TOTAL) {
    (*x).slope = (*k)[min(ODE_END, ODE_TOTAL - 1u)];
    (*x).has_slope = true;
  }
}

fn method_error(h: f32, k: ptr<function, OdeStages>) -> State {
  var error = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var r = 0u; r < ODE_STAGES; r++) {
      if (ODE_ERROR[r] != 0.0) { sum += ODE_ERROR[r] * (*k)[r][i]; }
    }
    error[i] = h * sum;
  }
  return error;
}

// The stages that the interpolant takes beyond those of the step.
fn method_extra_stages(given: OdeGiven, t: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) {
  //@unroll
  for (var s = ODE_STAGES; s < ODE_TOTAL; s++) {
    var at = y1;
    if (s != ODE_END) {
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        var sum = 0.0;
        //@unroll
        for (var r = 0u; r < s; r++) {
          if (ODE_A[s * ODE_TOTAL + r] != 0.0) { sum += ODE_A[s * ODE_TOTAL + r] * (*k)[r][i]; }
        }
        at[i] = y[i] + h * sum;
      }
    }
    (*k)[s] = vector_field(t + ODE_C[s] * h, at, given.p);
  }
}

fn method_interpolate(theta: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) -> State {
  var sum = State();
  //@unroll
  for (var s = 0u; s < ODE_TOTAL; s++) {
    var weight = 0.0;
    //@unroll
    for (var j = 0u; j < ODE_DEGREE; j++) {
      weight = weight * theta + ODE_WEIGHTS[s * ODE_DEGREE + (ODE_DEGREE - 1u - j)];
    }
    weight *= theta;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      sum[i] += weight * (*k)[s][i];
    }
  }
  var value = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    value[i] = y[i] + h * sum[i];
  }
  return value;
}
