// Explicit Runge–Kutta steps: k_s = f(t + c_s h, y + h Σ_{r<s} a_{s,r} k_r), y1 = y + h Σ_s b_s k_s, error = h Σ_s e_s k_s; dense output
//   y(t + θ h) = y + h Σ_s w_s(θ) k_s, w_s(θ) = Σ_j WEIGHTS_{s,j} θ^{j+1}. Sums run over increasing s and leave out zero coefficients.
import package::common::ode_field::{DIM, State, Params, vector_field};

const STAGES = 2u;
const TOTAL = 3u; // with the stages that only the interpolant needs
const INNER = 2u; // stages before y1 is known
const FSAL = false; // the last stage is f(t + h, y1)
const LAST = STAGES - 1u;
const END = 2u; // the extra stage that is f(t + h, y1); TOTAL if none is
const DEGREE = 3u;
const A = array<f32, 9>(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0); // [TOTAL, TOTAL]
const B = array<f32, 2>(0.5, 0.5);
const C = array<f32, 3>(0.0, 1.0, 1.0);
const ERROR = array<f32, 2>(-0.5, 0.5);
const WEIGHTS = array<f32, 9>(1.0, -0.5, 0.0, 0.0, 1.5, -1.0, 0.0, -1.0, 1.0); // [TOTAL, DEGREE]

alias Stages = array<State, TOTAL>;

// Fills the stages after k_0 = f(t, y), which is given; returns y1.
fn explicit_step(t: f32, h: f32, y: State, p: Params, k: ptr<function, Stages>) -> State {
  //@unroll
  for (var s = 1u; s < INNER; s++) {
    var at = y;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      var sum = 0.0;
      //@unroll
      for (var r = 0u; r < s; r++) {
        if (A[s * TOTAL + r] != 0.0) { sum += A[s * TOTAL + r] * (*k)[r][i]; }
      }
      at[i] = y[i] + h * sum;
    }
    (*k)[s] = vector_field(t + C[s] * h, at, p);
  }
  var y1 = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var r = 0u; r < INNER; r++) {
      if (B[r] != 0.0) { sum += B[r] * (*k)[r][i]; }
    }
    y1[i] = y[i] + h * sum;
  }
  if (FSAL) { (*k)[LAST] = vector_field(t + h, y1, p); }
  return y1;
}

fn explicit_error(h: f32, k: ptr<function, Stages>) -> State {
  var error = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    var sum = 0.0;
    //@unroll
    for (var r = 0u; r < STAGES; r++) {
      if (ERROR[r] != 0.0) { sum += ERROR[r] * (*k)[r][i]; }
    }
    error[i] = h * sum;
  }
  return error;
}

// The stages that the interpolant takes beyond those of the step.
fn explicit_extra_stages(t: f32, h: f32, y: State, y1: State, p: Params, k: ptr<function, Stages>) {
  //@unroll
  for (var s = STAGES; s < TOTAL; s++) {
    var at = y1;
    if (s != END) {
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        var sum = 0.0;
        //@unroll
        for (var r = 0u; r < s; r++) {
          if (A[s * TOTAL + r] != 0.0) { sum += A[s * TOTAL + r] * (*k)[r][i]; }
        }
        at[i] = y[i] + h * sum;
      }
    }
    (*k)[s] = vector_field(t + C[s] * h, at, p);
  }
}

fn explicit_interpolate(theta: f32, h: f32, y: State, k: ptr<function, Stages>) -> State {
  var sum = State();
  //@unroll
  for (var s = 0u; s < TOTAL; s++) {
    var weight = 0.0;
    //@unroll
    for (var j = 0u; j < DEGREE; j++) {
      weight = weight * theta + WEIGHTS[s * DEGREE + (DEGREE - 1u - j)];
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
