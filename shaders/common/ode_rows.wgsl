// A trajectory from and to its rows. Rows of `state`: y [DIM], t, status, accepted, evaluations, saved, event value, events; with
//   KEEPS_SLOPE f(t, y) [DIM]; with ADAPTIVE rejected, low, h, E', E''. Rows of `problem`: t1, then rtol and atol [ATOL_ROWS], or with
//   fixed steps t0, dt and the number of steps.
import package::common::ode_field::{DIM, PARAMETERS, State, Params};
import package::common::ode_solve::{
  STATUS_BITS, HAS_SLOPE, WAS_NON_FINITE, NOT_FINISHED, Given, Mesh, Pace, Trajectory, Watched, parameters, problem, list, state,
  params,
};

const ADAPTIVE = true;
const KEEPS_SLOPE = true; // f(t, y) at the end of a step is not evaluated again
const ATOL_ROWS = 1u;

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
fn load_given(position: u32) -> Given {
  var index = min(position, params.count - 1u);
  if (params.listed == 1u) { index = list[index]; }
  var rtol = 0.0;
  var atol = State();
  if (ADAPTIVE) {
    rtol = problem_number(1u, index);
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      atol[i] = problem_number(2u + min(i, ATOL_ROWS - 1u), index);
    }
  }
  let unfinished = (word(DIM + 1u, index) & STATUS_BITS) == NOT_FINISHED;
  return Given(index, position < params.count && unfinished, load_parameters(index), problem_number(0u, index), rtol, atol);
}

fn load_trajectory(index: u32) -> Trajectory {
  var y = State();
  var slope = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = float_word(i, index);
    if (KEEPS_SLOPE) { slope[i] = float_word(DIM + 7u + i, index); }
  }
  let status = word(DIM + 1u, index);
  return Trajectory(
    y,
    float_word(DIM, index),
    status & STATUS_BITS,
    word(DIM + 2u, index),
    word(DIM + 3u, index),
    (status & HAS_SLOPE) != 0u,
    slope,
  );
}

fn load_mesh(index: u32) -> Mesh {
  return Mesh(problem_number(1u, index), problem_number(2u, index), bitcast<u32>(problem_number(3u, index)));
}

fn load_pace(index: u32) -> Pace {
  return Pace(
    word(2u * DIM + 7u, index),
    float_word(2u * DIM + 8u, index),
    float_word(2u * DIM + 9u, index),
    float_word(2u * DIM + 10u, index),
    float_word(2u * DIM + 11u, index),
    (word(DIM + 1u, index) & WAS_NON_FINITE) != 0u,
  );
}

fn load_watched(index: u32) -> Watched {
  return Watched(word(DIM + 4u, index), 0.0, 0u, float_word(DIM + 5u, index), word(DIM + 6u, index));
}

fn store_trajectory(index: u32, x: Trajectory, was_non_finite: bool) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    set_float(i, index, x.y[i]);
    if (KEEPS_SLOPE) { set_float(DIM + 7u + i, index, x.slope[i]); }
  }
  set_float(DIM, index, x.t);
  set_word(DIM + 1u, index, x.status | select(0u, HAS_SLOPE, x.has_slope) | select(0u, WAS_NON_FINITE, was_non_finite));
  set_word(DIM + 2u, index, x.accepted);
  set_word(DIM + 3u, index, x.evaluations);
}

fn store_pace(index: u32, pace: Pace) {
  set_word(2u * DIM + 7u, index, pace.rejected);
  set_float(2u * DIM + 8u, index, pace.low);
  set_float(2u * DIM + 9u, index, pace.h);
  set_float(2u * DIM + 10u, index, pace.previous);
  set_float(2u * DIM + 11u, index, pace.before_previous);
}

fn store_watched(index: u32, watched: Watched) {
  set_word(DIM + 4u, index, watched.saved);
  set_float(DIM + 5u, index, watched.event_value);
  set_word(DIM + 6u, index, watched.event_count);
}
