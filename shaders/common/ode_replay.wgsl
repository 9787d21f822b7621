// One trajectory back over its steps first_step + attempts − 1 … first_step, ODE_GROUP at a time: a group is taken again from the state
//   it begins with, then reversed, all of it in registers. With ODE_SEGMENTS checkpoints are further apart, and the states that
//   groups begin with are computed first. All trajectories of a slice stand at the same step number, so that they read neighbours.
//   The step is that of `ode_method`: for the kernel ode/NAME the generator links common/ode_NAME in its place.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field};
import package::common::ode_outputs::{add_points, add_to_end, has_points, through_event};
import package::common::ode_record::{
  ODE_SLICE, OdeTrack, record_track, recorded_checkpoint, recorded_end, recorded_step,
};
import package::common::ode_method::{OdeInner, OdeStages, retake_extra_stages, retake_step, reverse_step};
import package::common::ode_rows::{ODE_ADAPTIVE, float_word, load_mesh, load_parameters, problem_number, word};
import package::common::ode_save::{ODE_SAVE, ODE_SAVE_GRID, ODE_SAVE_STEPS};
import package::common::ode_solve::{ODE_DONE, ODE_EVENT_OCCURRED, ODE_STATUS_BITS, OdeMesh, list, params};
import package::common::ode_sweep::{add_parameters, load_segment_state, load_sweep, store_segment_state, store_sweep};
import package::common::ode_time::mesh_time;

const ODE_GROUP = 1u;
const ODE_SEGMENTS = false; // a segment, from checkpoint to checkpoint, is more than a group
const ODE_EVENT = false;
const ODE_OUTPUTS = false; // cotangents may enter before the end of the last step

// Start and length of a step.
fn step_taken(track: OdeTrack, mesh: OdeMesh, t1: f32, number: u32) -> vec2f {
  if (ODE_ADAPTIVE) { return recorded_step(track, number); }
  let t = mesh_time(mesh, number);
  return vec2f(t, select(mesh.dt, t1 - t, number + 1u == mesh.count));
}

fn sweep_back(index: u32) {
  if (index >= params.count) { return; }
  let status = word(DIM + 1u, index) & ODE_STATUS_BITS;
  let steps = word(DIM + 2u, index);
  let bottom = params.first_step;
  if ((status != ODE_DONE && status != ODE_EVENT_OCCURRED) || (steps <= bottom && bottom > 0u)) { return; }
  let top = min(bottom + params.attempts, (list[index / ODE_SLICE] + ODE_GROUP - 1u) / ODE_GROUP * ODE_GROUP);
  let track = record_track(index);
  let p = load_parameters(index);
  let t1 = problem_number(0u, index);
  let zero = params.zero;
  var mesh = OdeMesh();
  if (!ODE_ADAPTIVE) { mesh = load_mesh(index); }
  var x = load_sweep(index);
  var none = OdeInner();
  var k = OdeStages();
  var at = OdeStages();
  let distance = 1u << track.shift;
  if (steps <= bottom + params.attempts) {
    x.points = word(DIM + 4u, index);
    if (!ODE_OUTPUTS && steps > 0u) {
      // The end moves with the length of the last step.
      let last = steps - 1u;
      var y = recorded_checkpoint(track, last >> track.shift);
      for (var number = last & ~(distance - 1u); number < last; number++) {
        let taken = step_taken(track, mesh, t1, number);
        y = retake_step(taken.x, taken.y, y, p, &k, &at);
      }
      let taken = step_taken(track, mesh, t1, last);
      retake_step(taken.x, taken.y, y, p, &k, &at);
      x.t1 = reverse_step(taken.x, taken.y, x.w, p, &k, &at, &none).h;
    }
  }
  var after = float_word(DIM, index); // time at the end of the step
  if (ODE_OUTPUTS) {
    if (steps > top) { after = step_taken(track, mesh, t1, top).x; }
  }
  let every = params.every;
  let capacity = params.points;
  var w1 = x.w; // at the end of the first step of a group

  for (var i = top; i > bottom; ) {
    var begin = bottom;
    if (ODE_SEGMENTS) {
      begin = (i - 1u) & ~(distance - 1u);
      var y = recorded_checkpoint(track, begin >> track.shift);
      for (var number = begin; number < i; number++) {
        if (number % ODE_GROUP == 0u) { store_segment_state(index, (number - begin) / ODE_GROUP, y); }
        let taken = step_taken(track, mesh, t1, number);
        y = retake_step(taken.x, taken.y, y, p, &k, &at);
      }
    }
    for (; i > begin; i -= ODE_GROUP) {
      let first = i - ODE_GROUP;
      if (ODE_OUTPUTS) {
        if (first >= steps) { continue; }
      }
      var y = State();
      if (ODE_SEGMENTS) {
        y = load_segment_state(index, (first - begin) / ODE_GROUP);
      } else {
        y = recorded_checkpoint(track, first >> track.shift);
      }
      var sums = Params();
      if (ODE_OUTPUTS) {
        let taken = step_taken(track, mesh, t1, first);
        let t = taken.x;
        let h = taken.y;
        var inner = OdeInner();
        retake_step(t, h, y, p, &k, &at);
        if (ODE_SAVE == ODE_SAVE_STEPS) {
          if (i % every == 0u && i / every <= capacity) { add_to_end(index, i / every - 1u, &x); }
        }
        var end_time = 0.0; // cotangent of the time at the part θ of the last step
        var theta = 0.0;
        let event = ODE_EVENT && i == steps && status == ODE_EVENT_OCCURRED;
        inner.any = event || (ODE_SAVE == ODE_SAVE_GRID && has_points(index, t, h, x.points));
        // As a loop, a branch that few steps take costs little on the software adapter.
        for (var once = inner.any; once; once = false) {
          retake_extra_stages(t, h, y, p, &k, &at);
          if (ODE_EVENT) {
            theta = recorded_end(track);
            if (event) { end_time = through_event(index, t, h, theta, y, p, &k, &inner, &x); }
          }
          if (ODE_SAVE == ODE_SAVE_GRID) { add_points(index, t, h, after, event, &k, &inner, &x); }
        }
        after = t;
        let step = reverse_step(t, h, x.w, p, &k, &at, &inner);
        x.w = step.y;
        sums = step.p;
        x.t1 = select(x.t1, step.h, i == steps && status == ODE_DONE);
        x.t0 = step.t - step.h + select(0.0, (1.0 - theta) * end_time, i == steps);
      } else {
        var arguments = array<OdeStages, ODE_GROUP>();
        var unused = OdeStages();
        //@unroll
        for (var u = 0u; u < ODE_GROUP; u++) {
          let taken = step_taken(track, mesh, t1, first + u);
          y = retake_step(taken.x, taken.y, y, p, &k, &at);
          arguments[u] = at;
        }
        //@unroll
        for (var u = 0u; u < ODE_GROUP; u++) {
          let number = first + ODE_GROUP - 1u - u;
          let taken = step_taken(track, mesh, t1, number);
          w1 = x.w;
          at = arguments[ODE_GROUP - 1u - u];
          let step = reverse_step(taken.x, taken.y, x.w, p, &unused, &at, &none);
          let present = number < steps;
          //@unroll
          for (var j = 0u; j < DIM; j++) {
            x.w[j] = select(x.w[j], step.y[j], present);
          }
          //@unroll
          for (var j = 0u; j < PARAMETERS; j++) {
            sums[j] += select(0.0, step.p[j], present);
          }
        }
      }
      add_parameters(&x, sums, zero);
    }
  }
  if (bottom == 0u) {
    if (!ODE_OUTPUTS && steps > 0u) {
      // The start moves with time and length of the first step.
      let taken = step_taken(track, mesh, t1, 0u);
      retake_step(taken.x, taken.y, recorded_checkpoint(track, 0u), p, &k, &at);
      let step = reverse_step(taken.x, taken.y, w1, p, &k, &at, &none);
      x.t0 = step.t - step.h;
    }
    if (ODE_SAVE == ODE_SAVE_GRID) {
      // Those at t0.
      for (; x.points > 0u; x.points--) { add_to_end(index, x.points - 1u, &x); }
    }
    if (steps == 0u) {
      // t1 = t0: a step of length 0 would have the slope f(t0, y0).
      var y = State();
      //@unroll
      for (var j = 0u; j < DIM; j++) {
        y[j] = float_word(j, index);
      }
      let slope = vector_field(t1, y, p);
      //@unroll
      for (var j = 0u; j < DIM; j++) {
        x.t1 += x.w[j] * slope[j];
      }
      x.t0 = -x.t1;
    }
  }
  store_sweep(index, x);
}
