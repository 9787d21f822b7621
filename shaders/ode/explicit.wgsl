// Explicit Runge–Kutta methods: at most `attempts` step attempts of every trajectory that is not finished, from and to its rows of
//   `state`. ADAPTIVE: each has a step size of its own, and an attempt whose scaled error is too large is tried again, shorter;
//   otherwise steps of equal length that are looked at one by one, for events or to save something (else: ode/explicit_fixed).
// One invocation takes one trajectory, all of its state in registers. Chunks of any number of attempts give the same bits.
//   Order of the operations as in src/reference/ode.ts and ode_steps.ts.
// Host promises: `ode/start` has run; the grid of workgroups covers `count` trajectories.
import package::common::ode_field::vector_field;
import package::common::ode_controller::control;
import package::common::ode_error::{scaled_norm, is_finite_state, is_infinite_or_nan};
import package::common::ode_explicit::{FSAL, LAST, STAGES, TOTAL, END, Stages, explicit_step, explicit_error};
import package::common::ode_save::{
  SAVE, SAVE_GRID, SAVE_STEPS, SAVE_STATISTICS, Statistics, grid_time, load_statistics, store_statistics,
};
import package::common::ode_rows::{
  ADAPTIVE, load_given, load_mesh, load_pace, load_trajectory, load_watched, store_pace, store_trajectory, store_watched,
};
import package::common::ode_solve::{
  DONE, EVENT_OCCURRED, MAX_STEPS, DT_MIN, NON_FINITE, NOT_FINISHED, Mesh, Pace, Watched, params,
};
import package::common::ode_time::{Trial, mesh_trial, next_trial, time_remainder};
import package::common::ode_watch::{WATCHES, Taken, watch_step};

const WORKGROUP = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let given = load_given((group.y * groups.x + group.x) * WORKGROUP + lane);
  if (!given.present) { return; }
  let index = given.index;
  var x = load_trajectory(index);
  var pace = Pace();
  var mesh = Mesh();
  if (ADAPTIVE) { pace = load_pace(index); } else { mesh = load_mesh(index); }
  var watched = Watched();
  var statistics = Statistics();
  if (WATCHES) { watched = load_watched(index); }
  if (SAVE == SAVE_GRID) { watched.next_save = grid_time(index, watched.saved); }
  if (SAVE == SAVE_STEPS) { watched.until_save = params.every - x.accepted % params.every; }
  if (SAVE == SAVE_STATISTICS) { statistics = load_statistics(index); }
  // Read once: in a loop, a uniform costs as much as 30 operations on the software adapter (SwiftShader 5.0, 2026-11).
  let max_steps = params.max_steps;
  let zero = params.zero;
  let dt_min = params.dt_min;
  let dt_max = params.dt_max;
  let attempts = params.attempts;

  for (var attempt = 0u; attempt < attempts && x.status == NOT_FINISHED; attempt++) {
    var trial = Trial();
    if (ADAPTIVE) {
      trial = next_trial(x.t, pace.low, pace.h, given.t1, dt_min);
      if (trial.stuck) {
        x.status = select(DT_MIN, NON_FINITE, pace.was_non_finite);
        break;
      }
      if (x.accepted + pace.rejected >= max_steps) {
        x.status = MAX_STEPS;
        break;
      }
    } else {
      trial = mesh_trial(mesh, x.accepted, given.t1);
    }
    if (!FSAL) {
      if (!x.has_slope) {
        x.slope = vector_field(x.t, x.y, given.p);
        x.has_slope = true;
        x.evaluations++;
      }
    }
    var k = Stages();
    k[0] = x.slope;
    let y1 = explicit_step(x.t, trial.h, x.y, given.p, &k);
    x.evaluations += STAGES - 1u;
    let finite = is_finite_state(y1);
    let start = x.t;
    var accepted = finite;
    if (ADAPTIVE) {
      let error = scaled_norm(explicit_error(trial.h, &k), x.y, y1, given.rtol, given.atol);
      let infinity = bitcast<f32>(0x7f800000u | zero);
      let norm = select(infinity, error, finite);
      let decision = control(norm, pace.previous, pace.before_previous);
      accepted = decision.accepted;
      pace.was_non_finite = is_infinite_or_nan(norm);
      pace.previous = decision.previous;
      pace.before_previous = decision.before_previous;
      pace.h = clamp(trial.h * decision.factor, -dt_max, dt_max);
      if (accepted) {
        let remainder = time_remainder(start, pace.low, trial.h, trial.end, zero);
        pace.low = select(remainder, 0.0, trial.last);
      } else {
        pace.rejected++;
      }
    } else if (!finite) {
      x.status = NON_FINITE;
      break;
    }
    if (accepted) {
      x.accepted++;
      x.t = trial.end;
      x.status = select(NOT_FINISHED, DONE, trial.last);
      x.has_slope = FSAL;
      if (FSAL) { x.slope = k[LAST]; }
    }
    if (WATCHES) {
      if (accepted) {
        let reached = watch_step(given, Taken(start, trial.h, trial.end), x.y, y1, &k, &watched, &statistics);
        x.t = reached.t;
        x.y = reached.y;
        if (reached.stopped) { x.status = EVENT_OCCURRED; }
        if (reached.extra) {
          x.evaluations += TOTAL - STAGES;
          if (END < TOTAL) {
            x.slope = k[min(END, TOTAL - 1u)];
            x.has_slope = true;
          }
        }
      }
    } else {
      if (accepted) { x.y = y1; }
    }
  }

  store_trajectory(index, x, pace.was_non_finite);
  if (ADAPTIVE) { store_pace(index, pace); }
  if (WATCHES) { store_watched(index, watched); }
  if (SAVE == SAVE_STATISTICS) { store_statistics(index, statistics); }
}
