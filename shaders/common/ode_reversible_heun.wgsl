// Reversible Heun: ŷ1 = 2 y − ŷ + h f(t, ŷ), y1 = y + (h/2) (f(t, ŷ) + f(t + h, ŷ1)), error (h/2) (f(t + h, ŷ1) − f(t, ŷ)); ŷ and its slope
//   go from step to step. A step of −h from (y1, ŷ1, f(t + h, ŷ1)) undoes it. Dense output is the cubic Hermite polynomial of these slopes.
import package::common::ode_field::{DIM, State, vector_field};
import package::common::ode_hermite::hermite_value;
import package::common::ode_solve::{OdeGiven, OdeTrajectory};

const ODE_FSAL = true; // the slope at ŷ1 is the next step's first
const ODE_EXTRA_EVALUATIONS = 0u;

struct OdeStages {
  auxiliary: State, // ŷ, then ŷ1
  f0: State,
  f1: State,
}

fn method_start(x: OdeTrajectory) -> OdeStages {
  return OdeStages(x.auxiliary, x.slope, x.slope);
}

fn method_step(given: OdeGiven, t: f32, h: f32, y: State, k: ptr<function, OdeStages>) -> State {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*k).auxiliary[i] = (2.0 * y[i] - (*k).auxiliary[i]) + h * (*k).f0[i];
  }
  (*k).f1 = vector_field(t + h, (*k).auxiliary, given.p);
  var y1 = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y1[i] = y[i] + (0.5 * h) * ((*k).f0[i] + (*k).f1[i]);
  }
  return y1;
}

fn method_evaluations(k: ptr<function, OdeStages>) -> u32 {
  return 1u;
}

fn method_solved(k: ptr<function, OdeStages>) -> bool {
  return true;
}

fn method_keep(h: f32, k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  (*x).auxiliary = (*k).auxiliary;
  (*x).slope = (*k).f1;
}

fn method_keep_extra(k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
}

fn method_error(h: f32, k: ptr<function, OdeStages>) -> State {
  var error = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    error[i] = (0.5 * h) * ((*k).f1[i] - (*k).f0[i]);
  }
  return error;
}

fn method_extra_stages(given: OdeGiven, t: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) {
}

fn method_interpolate(theta: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) -> State {
  return hermite_value(theta, h, y, y1, (*k).f0, (*k).f1);
}
