// Cotangents that enter a reverse sweep inside a step: of points saved on a grid, by the interpolant, and of a terminal event.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, event_value};
import package::common::ode_method::{ODE_TOTAL, ODE_DEGREE, ODE_WEIGHTS, OdeInner, OdeStages};
import package::common::ode_save::grid_time;
import package::common::ode_sweep::{OdeSweep, end_time_cotangent, saved_cotangent};

// Of a difference, in units of the size of what is changed: errors of its square and of a rounding divided by it are alike.
const ODE_DIFFERENCE = 0.0078125;

// (y(θ) − y) / h of the interpolant, and its derivative by θ.
fn retaken_interpolant(theta: f32, k: ptr<function, OdeStages>) -> array<State, 2> {
  var sums = array<State, 2>();
  //@unroll
  for (var s = 0u; s < ODE_TOTAL; s++) {
    var weight = 0.0;
    var slope = 0.0;
    //@unroll
    for (var j = 0u; j < ODE_DEGREE; j++) {
      slope = slope * theta + f32(ODE_DEGREE - j) * ODE_WEIGHTS[s * ODE_DEGREE + (ODE_DEGREE - 1u - j)];
      weight = weight * theta + ODE_WEIGHTS[s * ODE_DEGREE + (ODE_DEGREE - 1u - j)];
    }
    weight *= theta;
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      sums[0][i] += weight * (*k)[s][i];
      sums[1][i] += slope * (*k)[s][i];
    }
  }
  return sums;
}

// Adds a cotangent c of the interpolant at θ. `fixed_time`: at a time that stays, so that θ moves with the step.
fn add_inner(theta: f32, c: State, fixed_time: bool, k: ptr<function, OdeStages>, inner: ptr<function, OdeInner>) {
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
      (*inner).stages[s][i] += weight * c[i];
    }
  }
  let speed = retaken_interpolant(theta, k)[1];
  var along = 0.0;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*inner).y[i] += c[i];
    along += c[i] * speed[i];
  }
  let moved = select(0.0, along, fixed_time);
  (*inner).t -= moved;
  (*inner).h -= theta * moved;
}

struct OdeEventGradient {
  y: State,
  p: Params,
  t: f32,
}

// ∂event_value/∂(y, p, t) by central differences, a state being as large as itself or its change over the step.
fn event_gradient(t: f32, h: f32, y: State, p: Params, speed: State) -> OdeEventGradient {
  var gradient = OdeEventGradient();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    let size = max(abs(y[i]), abs(h * speed[i]));
    let d = ODE_DIFFERENCE * select(1.0, size, size > 0.0);
    var high = y;
    var low = y;
    high[i] += d;
    low[i] -= d;
    gradient.y[i] = (event_value(t, high, p) - event_value(t, low, p)) / (high[i] - low[i]);
  }
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    let d = ODE_DIFFERENCE * select(abs(p[i]), 1.0, p[i] == 0.0);
    var high = p;
    var low = p;
    high[i] += d;
    low[i] -= d;
    gradient.p[i] = (event_value(t, y, high) - event_value(t, y, low)) / (high[i] - low[i]);
  }
  let d = ODE_DIFFERENCE * max(abs(t), abs(h));
  gradient.t = (event_value(t + d, y, p) - event_value(t - d, y, p)) / ((t + d) - (t - d));
  return gradient;
}

// The cotangent w of the state at which the event g = 0 ended the last step, at its part θ: with ẏ the slope there and τ the
// cotangent of the time, w − ∇g (w·ẏ + τ) / (∇g·ẏ + ∂g/∂t). Returns the cotangent of the time with θ held.
fn through_event(
  index: u32,
  t: f32,
  h: f32,
  theta: f32,
  y: State,
  p: Params,
  k: ptr<function, OdeStages>,
  inner: ptr<function, OdeInner>,
  x: ptr<function, OdeSweep>,
) -> f32 {
  let curve = retaken_interpolant(theta, k);
  var there = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    there[i] = y[i] + h * curve[0][i];
  }
  let g = event_gradient(t + theta * h, h, there, p, curve[1]);
  let time = end_time_cotangent(index);
  var above = time;
  var below = g.t;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    above += (*x).w[i] * curve[1][i];
    below += g.y[i] * curve[1][i];
  }
  let scale = above / below;
  var c = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    c[i] = (*x).w[i] - scale * g.y[i];
  }
  (*x).w = State();
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    (*x).p[i] -= scale * g.p[i];
  }
  add_inner(theta, c, false, k, inner);
  return time - scale * g.t;
}

fn comes_later(time: f32, t: f32, forward: bool) -> bool {
  return select(t > time, time > t, forward);
}

fn add_to_end(index: u32, point: u32, x: ptr<function, OdeSweep>) {
  let c = saved_cotangent(index, point);
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*x).w[i] += c[i];
  }
}

// Cotangents of points of the grid in the step from t to `after`: those at its end add to w, unless an event ended it.
fn add_points(
  index: u32,
  t: f32,
  h: f32,
  after: f32,
  event: bool,
  k: ptr<function, OdeStages>,
  inner: ptr<function, OdeInner>,
  x: ptr<function, OdeSweep>,
) {
  let forward = h > 0.0;
  for (var more = (*x).points > 0u; more; ) {
    let point = max((*x).points, 1u) - 1u;
    let time = grid_time(index, point);
    more = (*x).points > 0u && comes_later(time, t, forward);
    if (more) {
      (*x).points = point;
      let theta = (time - t) / h;
      if (!event && (time == after || theta >= 1.0)) {
        add_to_end(index, point, x);
      } else {
        (*inner).any = true;
        add_inner(theta, saved_cotangent(index, point), true, k, inner);
      }
    }
  }
}

// Whether `add_points` will find a point.
fn has_points(index: u32, t: f32, h: f32, points: u32) -> bool {
  return points > 0u && comes_later(grid_time(index, max(points, 1u) - 1u), t, h > 0.0);
}
