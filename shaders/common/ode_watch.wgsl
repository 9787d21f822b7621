// What is looked at after an accepted step: a zero crossing of event_value, located on the interpolant by bisection
//   down to one unit of θ (23 halvings), and points to save. Order of the operations as in src/reference/ode.ts.
import package::common::ode_field::{DIM, State, event_value};
import package::common::ode_method::{ODE_EXTRA_EVALUATIONS, OdeStages, method_extra_stages, method_interpolate};
import package::common::ode_save::{
  ODE_SAVE, ODE_SAVE_GRID, ODE_SAVE_STEPS, ODE_SAVE_STATISTICS, OdeStatistics, grid_points, grid_time, save_point, add_statistics,
};
import package::common::ode_solve::{OdeGiven, OdeWatched, params, events};

const ODE_EVENT = false;
const ODE_EVENT_DIRECTION = 0;
const ODE_WATCHES = false; // there is an event, or something to save

struct OdeTaken {
  t: f32,
  h: f32,
  end: f32,
}

struct OdeReached {
  t: f32,
  y: State,
  stopped: bool, // by the event
  theta: f32, // its part of the step
  extra: bool, // the interpolant's stages are known
}

fn crosses(g0: f32, g1: f32) -> bool {
  return (ODE_EVENT_DIRECTION >= 0 && g0 < 0.0 && g1 >= 0.0) || (ODE_EVENT_DIRECTION <= 0 && g0 > 0.0 && g1 <= 0.0);
}

// −1, 0 or 1.
fn side(x: f32) -> i32 {
  return select(0, 1, x > 0.0) - select(0, 1, x < 0.0);
}

fn reached(time: f32, t: f32, forward: bool) -> bool {
  return select(time >= t, time <= t, forward);
}

// Looks at the step from y to y1.
fn watch_step(
  given: OdeGiven,
  step: OdeTaken,
  y: State,
  y1: State,
  k: ptr<function, OdeStages>,
  watched: ptr<function, OdeWatched>,
  statistics: ptr<function, OdeStatistics>,
) -> OdeReached {
  var t = step.end;
  var value = y1;
  var stopped = false;
  var part = 1.0;
  let g0 = (*watched).event_value;
  var crossed = false;
  if (ODE_EVENT) {
    let g1 = event_value(step.t + step.h, y1, given.p);
    crossed = crosses(g0, g1);
    (*watched).event_value = g1;
  }
  let forward = step.h > 0.0;
  var due = false;
  var points = 0u;
  if (ODE_SAVE == ODE_SAVE_GRID) {
    points = grid_points(given.index);
    due = (*watched).saved < points && reached((*watched).next_save, step.end, forward);
  }
  let first_theta = ((*watched).next_save - step.t) / step.h;
  let inside = due && (*watched).next_save != step.end && first_theta < 1.0;
  let extra = crossed || inside || ODE_SAVE == ODE_SAVE_STATISTICS;
  if (ODE_EXTRA_EVALUATIONS > 0u) {
    if (extra) {
      method_extra_stages(given, step.t, step.h, y, y1, k);
    }
  }
  if (ODE_EVENT && crossed) {
    var low = 0.0;
    var high = 1.0;
    for (var halving = 0u; halving < 23u; halving++) {
      let middle = 0.5 * (low + high);
      let there = method_interpolate(middle, step.h, y, y1, k);
      let same = side(event_value(step.t + middle * step.h, there, given.p)) == side(g0);
      low = select(low, middle, same);
      high = select(middle, high, same);
    }
    let crossing_time = step.t + high * step.h;
    var crossing = method_interpolate(high, step.h, y, y1, k);
    if (high == 1.0) { crossing = y1; }
    let count = (*watched).event_count;
    if (count < params.event_maximum) {
      let place = count * params.stride + given.index;
      let plane = params.event_maximum * params.stride;
      events[place] = crossing_time;
      //@unroll
      for (var i = 0u; i < DIM; i++) {
        events[(i + 1u) * plane + place] = crossing[i];
      }
    }
    (*watched).event_count = count + 1u;
    stopped = count + 1u == params.event_end;
    if (stopped) {
      t = crossing_time;
      part = high;
      value = crossing;
    }
  }
  if (ODE_SAVE == ODE_SAVE_GRID) {
    for (var more = due; more; ) {
      more = (*watched).saved < points && reached((*watched).next_save, t, forward);
      if (more) {
        let theta = ((*watched).next_save - step.t) / step.h;
        var there = method_interpolate(theta, step.h, y, y1, k);
        if ((*watched).next_save == step.end || theta >= 1.0) { there = y1; }
        save_point(given.index, (*watched).saved, (*watched).next_save, there);
        (*watched).saved++;
        (*watched).next_save = grid_time(given.index, (*watched).saved);
      }
    }
  }
  if (ODE_SAVE == ODE_SAVE_STEPS) {
    (*watched).until_save--;
    if ((*watched).until_save == 0u) {
      (*watched).until_save = params.every;
      if ((*watched).saved < params.points) { save_point(given.index, (*watched).saved, t, value); }
      (*watched).saved++;
    }
  }
  if (ODE_SAVE == ODE_SAVE_STATISTICS) {
    let middle = method_interpolate(0.5 * ((t - step.t) / step.h), step.h, y, y1, k);
    *statistics = add_statistics(*statistics, y, middle, value, abs(t - step.t));
  }
  return OdeReached(t, value, stopped, part, extra);
}
