// What implicit methods need of f at (t, y): J = ∂f/∂y, ∂f/∂t and the factors of I − (γ h) J. A derivative that the field does not bring
//   is a forward difference with δ_j = √ε max(|y_j|, |h f_j|, atol_j), of time with √ε max(|t|, |h|). As in src/reference/ode_steps.ts.
import package::common::ode_field::{DIM, State, vector_field};
import package::common::ode_derivatives::jacobian;
import package::common::ode_linear::{OdeFactors, OdeMatrix, factorise};
import package::common::ode_solve::{OdeGiven, params};

const ODE_OWN_JACOBIAN = false; // the field declares one
const ODE_AUTONOMOUS = false; // f does not depend on t
const ODE_ROOT_EPSILON = 3.4526698300124393e-4; // 2^-11.5
const ODE_JACOBIAN_EVALUATIONS = select(DIM, 0u, ODE_OWN_JACOBIAN);
const ODE_TIME_EVALUATIONS = select(1u, 0u, ODE_AUTONOMOUS);

// a − b where a is b plus something: `zero` as in two_sum keeps a compiler from leaving the rounding out.
fn moved_by(a: f32, b: f32, zero: u32) -> f32 {
  return bitcast<f32>(bitcast<u32>(a) ^ zero) - b;
}

// `slope` is f(t, y).
fn jacobian_at(given: OdeGiven, t: f32, h: f32, y: State, slope: State) -> OdeMatrix {
  if (ODE_OWN_JACOBIAN) { return jacobian(t, y, given.p); }
  var matrix = OdeMatrix();
  let zero = params.zero;
  //@unroll up to 6
  for (var j = 0u; j < DIM; j++) {
    var moved = y;
    moved[j] = y[j] + ODE_ROOT_EPSILON * max(max(abs(y[j]), abs(h * slope[j])), given.atol[j]);
    let there = vector_field(t, moved, given.p);
    //@unroll up to 6
    for (var i = 0u; i < DIM; i++) {
      matrix[i][j] = (there[i] - slope[i]) / moved_by(moved[j], y[j], zero);
    }
  }
  return matrix;
}

fn time_derivative_at(given: OdeGiven, t: f32, h: f32, y: State, slope: State) -> State {
  var derivative = State();
  if (ODE_AUTONOMOUS) { return derivative; }
  let moved = t + ODE_ROOT_EPSILON * max(abs(t), abs(h));
  let there = vector_field(moved, y, given.p);
  let step = moved_by(moved, t, params.zero);
  //@unroll up to 6
  for (var i = 0u; i < DIM; i++) {
    derivative[i] = (there[i] - slope[i]) / step;
  }
  return derivative;
}

fn shifted_factors(matrix: OdeMatrix, gamma_h: f32) -> OdeFactors {
  var shifted = matrix;
  //@unroll up to 6
  for (var i = 0u; i < DIM; i++) {
    //@unroll up to 6
    for (var j = 0u; j < DIM; j++) {
      shifted[i][j] = select(0.0, 1.0, i == j) - gamma_h * matrix[i][j];
    }
  }
  return factorise(shifted);
}
