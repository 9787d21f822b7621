// A trajectory from and to its rows. Rows of `state`: y [DIM], t, status, accepted, evaluations, saved, event value, events; with
//   ODE_KEEPS_SLOPE f(t, y) [DIM]; with ODE_ADAPTIVE rejected, low, h, E', E''. Rows of `problem`: t1, then rtol and atol [ODE_ATOL_ROWS], or with
//   fixed steps t0, dt and the number of steps.
import package::common::ode_field::{DIM, PARAMETERS, State, Params};
import package::common::ode_solve::{
  ODE_STATUS_BITS, ODE_HAS_SLOPE, ODE_FAILURE, ODE_FAILURE_BITS, ODE_NOT_FINISHED, OdeGiven, OdeMesh, OdePace, OdeTrajectory, OdeWatched, parameters, problem, list, state,
  params,
};

const ODE_ADAPTIVE = true;
const ODE_KEEPS_SLOPE = true; // f(t, y) at the end of a step is not evaluated again
const ODE_KEEPS_AUXILIARY = false; // a second state, behind f(t, y)
const ODE_PACE_ROW = 2u * DIM + 7u + select(0u, DIM, ODE_KEEPS_AUXILIARY); // of adaptive steps, behind all others
const ODE_ATOL_ROWS = 1u;
const ODE_FIXED_TOLERANCE = 1e-6; // rtol and atol with fixed steps: of Newton's method, and of differences

fn word(row: u32, index: u32) -> u32 {
  return state[row * params.stride + index];
}

fn set_word(row: u32, index: u32, value: u32) {
  state[row * params.stride + index] = value;
}

fn float_word(row: u32, index: u32) -> f32 {
  return bitcast<f32>(word(row, index));
}

fn set_float(row: u32, index: u32, value: f32) {
  set_word(row, index, bitcast<u32>(value));
}

fn load_parameters(index: u32) -> Params {
  var p = Params();
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    p[i] = parameters[i * params.parameter_stride + index * params.parameter_step];
  }
  return p;
}

fn problem_number(row: u32, index: u32) -> f32 {
  return problem[row * params.stride + index];
}

// Trajectory number `position` of this dispatch.
fn load_given(position: u32) -> OdeGiven {
  var index = min(position, params.count - 1u);
  if (params.listed == 1u) { index = list[index]; }
  var rtol = ODE_FIXED_TOLERANCE;
  var atol = State();
  if (ODE_ADAPTIVE) { rtol = problem_number(1u, index); }
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    atol[i] = ODE_FIXED_TOLERANCE;
    if (ODE_ADAPTIVE) { atol[i] = problem_number(2u + min(i, ODE_ATOL_ROWS - 1u), index); }
  }
  let unfinished = (word(DIM + 1u, index) & ODE_STATUS_BITS) == ODE_NOT_FINISHED;
  return OdeGiven(index, position < params.count && unfinished, load_parameters(index), problem_number(0u, index), rtol, atol);
}

fn load_trajectory(index: u32) -> OdeTrajectory {
  var y = State();
  var slope = State();
  var auxiliary = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = float_word(i, index);
    if (ODE_KEEPS_SLOPE) { slope[i] = float_word(DIM + 7u + i, index); }
    if (ODE_KEEPS_AUXILIARY) { auxiliary[i] = float_word(2u * DIM + 7u + i, index); }
  }
  let status = word(DIM + 1u, index);
  return OdeTrajectory(
    y,
    float_word(DIM, index),
    status & ODE_STATUS_BITS,
    word(DIM + 2u, index),
    word(DIM + 3u, index),
    (status & ODE_HAS_SLOPE) != 0u,
    slope,
    auxiliary,
  );
}

fn load_mesh(index: u32) -> OdeMesh {
  return OdeMesh(problem_number(1u, index), problem_number(2u, index), bitcast<u32>(problem_number(3u, index)));
}

fn load_pace(index: u32) -> OdePace {
  return OdePace(
    word(ODE_PACE_ROW, index),
    float_word(ODE_PACE_ROW + 1u, index),
    float_word(ODE_PACE_ROW + 2u, index),
    float_word(ODE_PACE_ROW + 3u, index),
    float_word(ODE_PACE_ROW + 4u, index),
    (word(DIM + 1u, index) / ODE_FAILURE) & ODE_FAILURE_BITS,
  );
}

fn load_watched(index: u32) -> OdeWatched {
  return OdeWatched(word(DIM + 4u, index), 0.0, 0u, float_word(DIM + 5u, index), word(DIM + 6u, index));
}

fn store_trajectory(index: u32, x: OdeTrajectory, failure: u32) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    set_float(i, index, x.y[i]);
    if (ODE_KEEPS_SLOPE) { set_float(DIM + 7u + i, index, x.slope[i]); }
    if (ODE_KEEPS_AUXILIARY) { set_float(2u * DIM + 7u + i, index, x.auxiliary[i]); }
  }
  set_float(DIM, index, x.t);
  set_word(DIM + 1u, index, x.status | select(0u, ODE_HAS_SLOPE, x.has_slope) | (failure * ODE_FAILURE));
  set_word(DIM + 2u, index, x.accepted);
  set_word(DIM + 3u, index, x.evaluations);
}

fn store_pace(index: u32, pace: OdePace) {
  set_word(ODE_PACE_ROW, index, pace.rejected);
  set_float(ODE_PACE_ROW + 1u, index, pace.low);
  set_float(ODE_PACE_ROW + 2u, index, pace.h);
  set_float(ODE_PACE_ROW + 3u, index, pace.previous);
  set_float(ODE_PACE_ROW + 4u, index, pace.before_previous);
}

fn store_watched(index: u32, watched: OdeWatched) {
  set_word(DIM + 4u, index, watched.saved);
  set_float(DIM + 5u, index, watched.event_value);
  set_word(DIM + 6u, index, watched.event_count);
}
