// At most `attempts` step attempts of one trajectory, from and to its rows of `state`, all of it in registers between them.
//   With ODE_ADAPTIVE an attempt whose scaled error is too large is tried again, shorter; otherwise the steps have equal length.
// The step is that of `ode_method`: for the kernel ode/NAME the generator links common/ode_NAME in its place.
//   Order of the operations as in src/reference/ode.ts.
import package::common::ode_field::vector_field;
import package::common::ode_controller::control;
import package::common::ode_error::{scaled_norm, is_finite_state, is_infinite_or_nan};
import package::common::ode_method::{
  ODE_FSAL, ODE_EXTRA_EVALUATIONS, method_start, method_step, method_error, method_solved, method_evaluations, method_keep,
  method_keep_extra,
};
import package::common::ode_record::{ODE_RECORD, OdeTrack, record_end, record_step, record_track};
import package::common::ode_save::{
  ODE_SAVE, ODE_SAVE_GRID, ODE_SAVE_STEPS, ODE_SAVE_STATISTICS, OdeStatistics, grid_time, load_statistics, store_statistics,
};
import package::common::ode_rows::{
  ODE_ADAPTIVE, load_given, load_mesh, load_pace, load_trajectory, load_watched, store_pace, store_trajectory, store_watched,
};
import package::common::ode_solve::{
  ODE_DONE, ODE_EVENT_OCCURRED, ODE_MAX_STEPS, ODE_DT_MIN, ODE_NON_FINITE, ODE_NEWTON_FAIL, ODE_NOT_FINISHED, OdeMesh, OdePace,
  OdeWatched, params,
};
import package::common::ode_time::{OdeTrial, mesh_trial, next_trial, time_remainder};
import package::common::ode_watch::{ODE_WATCHES, OdeTaken, watch_step};

fn advance(position: u32) {
  let given = load_given(position);
  if (!given.present) { return; }
  let index = given.index;
  var x = load_trajectory(index);
  var pace = OdePace();
  var mesh = OdeMesh();
  if (ODE_ADAPTIVE) { pace = load_pace(index); } else { mesh = load_mesh(index); }
  var watched = OdeWatched();
  var statistics = OdeStatistics();
  if (ODE_WATCHES) { watched = load_watched(index); }
  if (ODE_SAVE == ODE_SAVE_GRID) { watched.next_save = grid_time(index, watched.saved); }
  if (ODE_SAVE == ODE_SAVE_STEPS) { watched.until_save = params.every - x.accepted % params.every; }
  if (ODE_SAVE == ODE_SAVE_STATISTICS) { statistics = load_statistics(index); }
  var track = OdeTrack();
  if (ODE_RECORD) { track = record_track(index); }
  // Read once: in a loop, a uniform costs as much as 30 operations on the software adapter (SwiftShader 5.0, 2026-11).
  let max_steps = params.max_steps;
  let zero = params.zero;
  let dt_min = params.dt_min;
  let dt_max = params.dt_max;
  let attempts = params.attempts;

  for (var attempt = 0u; attempt < attempts && x.status == ODE_NOT_FINISHED; attempt++) {
    var trial = OdeTrial();
    if (ODE_ADAPTIVE) {
      trial = next_trial(x.t, pace.low, pace.h, given.t1, dt_min);
      if (trial.stuck) {
        x.status = max(ODE_DT_MIN, pace.failure);
        break;
      }
      if (x.accepted + pace.rejected >= max_steps) {
        x.status = ODE_MAX_STEPS;
        break;
      }
    } else {
      trial = mesh_trial(mesh, x.accepted, given.t1);
    }
    if (!ODE_FSAL) {
      if (!x.has_slope) {
        x.slope = vector_field(x.t, x.y, given.p);
        x.has_slope = true;
        x.evaluations++;
      }
    }
    var k = method_start(x);
    let y1 = method_step(given, x.t, trial.h, x.y, &k);
    x.evaluations += method_evaluations(&k);
    let solved = method_solved(&k);
    let usable = solved && is_finite_state(y1);
    let start = x.t;
    var accepted = usable;
    if (ODE_ADAPTIVE) {
      let error = scaled_norm(method_error(trial.h, &k), x.y, y1, given.rtol, given.atol);
      let infinity = bitcast<f32>(0x7f800000u | zero);
      let norm = select(infinity, error, usable);
      let decision = control(norm, pace.previous, pace.before_previous);
      accepted = decision.accepted;
      pace.failure = select(select(0u, ODE_NON_FINITE, is_infinite_or_nan(norm)), ODE_NEWTON_FAIL, !solved);
      pace.previous = decision.previous;
      pace.before_previous = decision.before_previous;
      pace.h = clamp(trial.h * decision.factor, -dt_max, dt_max);
      if (accepted) {
        let remainder = time_remainder(start, pace.low, trial.h, trial.end, zero);
        pace.low = select(remainder, 0.0, trial.last);
      } else {
        pace.rejected++;
      }
    } else if (!usable) {
      x.status = select(ODE_NEWTON_FAIL, ODE_NON_FINITE, solved);
      break;
    }
    if (accepted) {
      if (ODE_RECORD) { record_step(track, x.accepted, start, trial.h, x.y); }
      x.accepted++;
      x.t = trial.end;
      x.status = select(ODE_NOT_FINISHED, ODE_DONE, trial.last);
      method_keep(trial.h, &k, &x);
    }
    if (ODE_WATCHES) {
      if (accepted) {
        let reached = watch_step(given, OdeTaken(start, trial.h, trial.end), x.y, y1, &k, &watched, &statistics);
        x.t = reached.t;
        x.y = reached.y;
        if (reached.stopped) {
          x.status = ODE_EVENT_OCCURRED;
          if (ODE_RECORD) { record_end(track, reached.theta); }
        }
        if (reached.extra) {
          x.evaluations += ODE_EXTRA_EVALUATIONS;
          method_keep_extra(&k, &x);
        }
      }
    } else {
      if (accepted) { x.y = y1; }
    }
  }

  store_trajectory(index, x, pace.failure);
  if (ODE_ADAPTIVE) { store_pace(index, pace); }
  if (ODE_WATCHES) { store_watched(index, watched); }
  if (ODE_SAVE == ODE_SAVE_STATISTICS) { store_statistics(index, statistics); }
}
