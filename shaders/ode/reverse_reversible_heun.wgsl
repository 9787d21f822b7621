// Gradient of a loss of an ensemble through the steps of reversible Heun (common/ode_reversible_heun), their lengths held and their
//   states not kept: ŷ0 = 2 y1 − ŷ1 − h f1, y0 = y1 − (h/2) (f(t, ŷ0) + f1) undo a step; with v, ā, s̄ the cotangents of y1, ŷ1, f1:
//   s ← s̄ + (h/2) v, (ŷ̄, p̄, t̄) = sᵀ ∂f/∂(y, p, t) at (t + h, ŷ1), ā ← ā + ŷ̄, then (v, ā, s̄) ← (v + 2 ā, −ā, h ā + (h/2) v).
// One invocation takes one trajectory back over its steps first_step + attempts − 1 … first_step; y, ŷ, f, ā and s̄ go from dispatch to
//   dispatch where a replay has the states of a segment. Any split into dispatches gives the same bits.
// Host promises: the solve has ended with y, ŷ and f(t1, ŷ) in its rows; with adaptive steps `record` is deep enough; rows of
//   `cotangents` are set and `sweep` is 0 before the first dispatch; `list` holds the most steps of a trajectory of each slice;
//   dispatches come from the last step to first_step = 0; no event ended a trajectory.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field};
import package::common::ode_derivatives::vector_field_vjp;
import package::common::ode_inside::{OdeInside, add_inside};
import package::common::ode_outputs::add_to_end;
import package::common::ode_record::{ODE_SLICE, record_track};
import package::common::ode_replay::step_taken;
import package::common::ode_rows::{ODE_ADAPTIVE, load_mesh, load_parameters, load_trajectory, problem_number, word};
import package::common::ode_save::{ODE_SAVE, ODE_SAVE_GRID, ODE_SAVE_STEPS, grid_time};
import package::common::ode_solve::{ODE_DONE, ODE_STATUS_BITS, OdeMesh, list, params};
import package::common::ode_sweep::{
  add_parameters, load_segment_state, load_sweep, saved_cotangent, store_segment_state, store_sweep,
};

const WORKGROUP = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * WORKGROUP + lane;
  if (index >= params.count) { return; }
  let steps = word(DIM + 2u, index);
  let bottom = params.first_step;
  if ((word(DIM + 1u, index) & ODE_STATUS_BITS) != ODE_DONE || (steps <= bottom && bottom > 0u)) { return; }
  let top = min(bottom + params.attempts, list[index / ODE_SLICE]);
  let track = record_track(index);
  let p = load_parameters(index);
  let t1 = problem_number(0u, index);
  let zero = params.zero;
  let every = params.every;
  let capacity = params.points;
  var mesh = OdeMesh();
  if (!ODE_ADAPTIVE) { mesh = load_mesh(index); }
  var x = load_sweep(index);
  var y = load_segment_state(index, 0u);
  var auxiliary = load_segment_state(index, 1u);
  var slope = load_segment_state(index, 2u);
  var auxiliary_bar = load_segment_state(index, 3u);
  var slope_bar = load_segment_state(index, 4u);
  var after = t1; // time at the end of the step
  if (steps <= bottom + params.attempts) {
    let end = load_trajectory(index);
    y = end.y;
    auxiliary = end.auxiliary;
    slope = end.slope;
    auxiliary_bar = State();
    slope_bar = State();
    x.points = word(DIM + 4u, index);
  } else {
    after = step_taken(track, mesh, t1, top).x;
  }

  for (var i = top; i > bottom; i--) {
    if (i > steps) { continue; }
    let taken = step_taken(track, mesh, t1, i - 1u);
    let t = taken.x;
    let h = taken.y;
    let y1 = y;
    let f1 = slope;
    let auxiliary1 = auxiliary;
    //@unroll
    for (var j = 0u; j < DIM; j++) {
      auxiliary[j] = (2.0 * y1[j] - auxiliary1[j]) - h * f1[j];
    }
    slope = vector_field(t, auxiliary, p);
    //@unroll
    for (var j = 0u; j < DIM; j++) {
      y[j] = y1[j] - (0.5 * h) * (slope[j] + f1[j]);
    }

    var inside = OdeInside();
    if (ODE_SAVE == ODE_SAVE_STEPS) {
      if (i % every == 0u && i / every <= capacity) { add_to_end(index, i / every - 1u, &x); }
    }
    if (ODE_SAVE == ODE_SAVE_GRID) {
      for (var more = x.points > 0u; more; ) {
        let point = max(x.points, 1u) - 1u;
        let time = grid_time(index, point);
        more = x.points > 0u && select(t > time, time > t, h > 0.0);
        if (more) {
          x.points = point;
          let theta = (time - t) / h;
          if (time == after || theta >= 1.0) {
            add_to_end(index, point, &x);
          } else {
            add_inside(theta, h, saved_cotangent(index, point), y, y1, slope, f1, &x, &inside);
          }
        }
      }
    }

    var s = State();
    //@unroll
    for (var j = 0u; j < DIM; j++) {
      s[j] = slope_bar[j] + (0.5 * h) * x.w[j] + inside.f1[j];
    }
    let product = vector_field_vjp(t + h, auxiliary1, p, s);
    var by_length = product.t + inside.h; // ∂loss/∂h
    //@unroll
    for (var j = 0u; j < DIM; j++) {
      let bar = auxiliary_bar[j] + product.y[j];
      by_length += bar * slope[j] + 0.5 * (x.w[j] * (slope[j] + f1[j]));
      slope_bar[j] = h * bar + (0.5 * h) * x.w[j] + inside.f0[j];
      auxiliary_bar[j] = -bar;
      x.w[j] += 2.0 * bar + inside.y0[j];
    }
    add_parameters(&x, product.p, zero);
    x.t1 = select(x.t1, by_length, i == steps);
    x.t0 = product.t + inside.t - by_length;
    after = t;
  }

  if (bottom == 0u) {
    if (steps > 0u) {
      // The solve began with ŷ = y0 and f(t0, ŷ).
      let product = vector_field_vjp(step_taken(track, mesh, t1, 0u).x, y, p, slope_bar);
      //@unroll
      for (var j = 0u; j < DIM; j++) {
        x.w[j] += auxiliary_bar[j] + product.y[j];
      }
      add_parameters(&x, product.p, zero);
      x.t0 += product.t;
    }
    if (ODE_SAVE == ODE_SAVE_GRID) {
      // Those at t0.
      for (; x.points > 0u; x.points--) { add_to_end(index, x.points - 1u, &x); }
    }
    if (steps == 0u) {
      // t1 = t0: a step of length 0 would have the slope f(t0, y0).
      let f = vector_field(t1, y, p);
      //@unroll
      for (var j = 0u; j < DIM; j++) {
        x.t1 += x.w[j] * f[j];
      }
      x.t0 = -x.t1;
    }
  }
  store_sweep(index, x);
  store_segment_state(index, 0u, y);
  store_segment_state(index, 1u, auxiliary);
  store_segment_state(index, 2u, slope);
  store_segment_state(index, 3u, auxiliary_bar);
  store_segment_state(index, 4u, slope_bar);
}
