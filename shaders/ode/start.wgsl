// Puts trajectories at their start: status, event value, points saved at t0; for adaptive steps f(t0, y0) and the length of the
//   first step, given or by the rule of Hairer, Nørsett and Wanner (Solving Ordinary Differential Equations I, section II.4).
// One invocation a trajectory. Operations in the order of initialStep() of src/ode/controllers.ts.
// Host promises: rows y and t of `state` are y0 and t0, row h (adaptive steps) the first step's length or 0, all others 0;
//   t0 and t1 finite; a grid runs from t0 to t1; the grid of workgroups covers `count` trajectories, none are listed.
import package::common::ode_field::{DIM, State, vector_field, event_value};
import package::common::ode_error::{scaled_norm, is_infinite_or_nan};
import package::common::ode_save::{
  ODE_SAVE, ODE_SAVE_GRID, ODE_SAVE_STATISTICS, OdeStatistics, grid_points, grid_time, save_point, store_statistics,
};
import package::common::ode_rows::{
  ODE_ADAPTIVE, load_given, load_pace, load_trajectory, load_watched, store_pace, store_trajectory, store_watched,
};
import package::common::ode_solve::{ODE_DONE, ODE_NOT_FINISHED, OdeGiven, OdeTrajectory, params};

const WORKGROUP = 64;
const ODE_EVENT = false;
const ODE_FIRST_SLOPE = true; // f(t0, y0) is asked for
const ODE_INVERSE_ORDER = 0.2; // 1/k, k the order of the error estimate in h
const ODE_INITIAL_ERROR = 1.0;

fn initial_step(given: OdeGiven, x: OdeTrajectory, direction: f32, span: f32) -> f32 {
  let d0 = scaled_norm(x.y, x.y, x.y, given.rtol, given.atol);
  let d1 = scaled_norm(x.slope, x.y, x.y, given.rtol, given.atol);
  let probe = select(0.01 * (d0 / d1), 1e-6, d0 < 1e-5 || d1 < 1e-5);
  let h0 = min(probe, span);
  let signed_h0 = direction * h0;
  var y = x.y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = x.y[i] + signed_h0 * x.slope[i];
  }
  var change = vector_field(x.t + signed_h0, y, given.p);
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    change[i] -= x.slope[i];
  }
  let d2 = scaled_norm(change, x.y, x.y, given.rtol, given.atol) / h0;
  let steepest = max(d1, d2);
  let h1 = select(pow(0.01 / steepest, ODE_INVERSE_ORDER), max(1e-6, h0 * 1e-3), steepest <= 1e-15);
  // A right-hand side that is not finite at t0: the first step finds it out.
  let unusable = is_infinite_or_nan(d0) || is_infinite_or_nan(d1) || is_infinite_or_nan(d2);
  return select(min(min(100.0 * h0, h1), span), span, unusable);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let position = (group.y * groups.x + group.x) * u32(WORKGROUP) + lane;
  if (position >= params.count) { return; }
  let given = load_given(position);
  let index = given.index;
  var x = load_trajectory(index);
  var watched = load_watched(index);
  let span = abs(given.t1 - x.t);
  x.status = select(ODE_NOT_FINISHED, ODE_DONE, span == 0.0);
  if (ODE_FIRST_SLOPE) {
    x.slope = vector_field(x.t, x.y, given.p);
    x.has_slope = span > 0.0;
    x.evaluations = select(0u, 1u, x.has_slope);
  }
  x.auxiliary = x.y;
  if (ODE_ADAPTIVE) {
    var pace = load_pace(index);
    let direction = select(-1.0, 1.0, given.t1 > x.t);
    let prescribed = pace.h > 0.0;
    let first = select(initial_step(given, x, direction, span), pace.h, prescribed);
    x.evaluations += select(1u, 0u, prescribed || span == 0.0);
    pace.h = direction * min(first, params.dt_max);
    pace.previous = ODE_INITIAL_ERROR;
    pace.before_previous = ODE_INITIAL_ERROR;
    store_pace(index, pace);
  }
  if (ODE_EVENT) { watched.event_value = event_value(x.t, x.y, given.p); }
  if (ODE_SAVE == ODE_SAVE_GRID) {
    let points = grid_points(index);
    while (watched.saved < points) {
      if (grid_time(index, watched.saved) != x.t) { break; }
      save_point(index, watched.saved, x.t, x.y);
      watched.saved++;
    }
  }
  if (ODE_SAVE == ODE_SAVE_STATISTICS) { store_statistics(index, OdeStatistics(x.y, x.y, x.y, State(), 0.0)); }
  store_watched(index, watched);
  store_trajectory(index, x, 0u);
}
