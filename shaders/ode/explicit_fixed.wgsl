// Explicit Runge–Kutta methods with steps of equal length and nothing to look at between them: y at t0 + i dt, for i = first_step ..
//   first_step + attempts of every trajectory that is not finished; the last step of a trajectory ends at t1.
// One invocation takes ODE_LANES trajectories. Their rows of `state` are the last good states: a run of steps goes from there to there, and
//   one with a result that is not finite (such numbers stay so) is done again in halves, down to the step that fails.
// Host promises: `ode/start` has run; rows of `problem` are t1, t0, dt and the number of steps; trajectories that are not finished
//   have all taken `first_step` steps; the grid of workgroups covers `count` trajectories, ODE_LANES an invocation.
import package::common::ode_field::{State, vector_field};
import package::common::ode_error::is_finite_state;
import package::common::ode_explicit::{ODE_FSAL, ODE_LAST, OdeStages, explicit_step};
import package::common::ode_record::{ODE_RECORD, OdeTrack, record_checkpoint, record_track};
import package::common::ode_rows::{load_given, load_mesh, load_trajectory, store_trajectory};
import package::common::ode_solve::{ODE_DONE, ODE_NON_FINITE, ODE_NOT_FINISHED, OdeGiven, OdeMesh, params};
import package::common::ode_time::mesh_time;

const WORKGROUP = 64u;
const ODE_LANES = 2u; // independent chains of operations, side by side
const ODE_EVALUATIONS = 4u; // of f in a step

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * (WORKGROUP * ODE_LANES) + lane;
  let stop = params.first_step + params.attempts;
  var given = array<OdeGiven, ODE_LANES>();
  var mesh = array<OdeMesh, ODE_LANES>();
  var last_h = array<f32, ODE_LANES>();
  var runs = array<bool, ODE_LANES>();
  var track = array<OdeTrack, ODE_LANES>();
  //@unroll
  for (var l = 0u; l < ODE_LANES; l++) {
    given[l] = load_given(first + l * WORKGROUP);
    mesh[l] = load_mesh(given[l].index);
    last_h[l] = given[l].t1 - mesh_time(mesh[l], mesh[l].count - 1u);
    runs[l] = given[l].present;
    if (ODE_RECORD) { track[l] = record_track(given[l].index); }
  }
  var begin = params.first_step;
  var length = params.attempts;
  loop {
    // With the last good states in registers, RK4 on Lorenz takes a fifth longer on the software adapter (SwiftShader 5.0, 2026-11).
    var end = min(begin + length, stop);
    var any_runs = false;
    var y = array<State, ODE_LANES>();
    var slope = array<State, ODE_LANES>();
    //@unroll
    for (var l = 0u; l < ODE_LANES; l++) {
      any_runs = any_runs || runs[l];
      end = min(end, select(end, mesh[l].count, runs[l]));
      let x = load_trajectory(given[l].index);
      y[l] = x.y;
      slope[l] = x.slope;
    }
    if (!any_runs || begin >= stop) { break; }
    for (var next = begin; next < end; ) {
      let i0 = next;
      next = end;
      if (ODE_RECORD) {
        let checkpoint = i0 >> track[0].shift;
        next = min(end, (checkpoint + 1u) << track[0].shift);
        if (i0 == checkpoint << track[0].shift) {
          //@unroll
          for (var l = 0u; l < ODE_LANES; l++) {
            if (runs[l] && i0 < track[l].capacity) { record_checkpoint(track[l], checkpoint, y[l]); }
          }
        }
      }
      for (var i = i0; i < next; i++) {
      //@unroll
      for (var l = 0u; l < ODE_LANES; l++) {
        let t = mesh_time(mesh[l], i);
        let h = select(mesh[l].dt, last_h[l], i + 1u == mesh[l].count);
        var k = OdeStages();
        if (ODE_FSAL) { k[0] = slope[l]; } else { k[0] = vector_field(t, y[l], given[l].p); }
        y[l] = explicit_step(t, h, y[l], given[l].p, &k);
        if (ODE_FSAL) { slope[l] = k[ODE_LAST]; }
      }
      }
    }
    var fails = false;
    //@unroll
    for (var l = 0u; l < ODE_LANES; l++) {
      fails = fails || (runs[l] && !is_finite_state(y[l]));
    }
    if (fails && end > begin + 1u) {
      length = (end - begin) / 2u;
      continue;
    }
    //@unroll
    for (var l = 0u; l < ODE_LANES; l++) {
      if (runs[l]) {
        var x = load_trajectory(given[l].index);
        x.evaluations += (end - begin) * ODE_EVALUATIONS;
        if (is_finite_state(y[l])) {
          x.y = y[l];
          x.slope = slope[l];
          x.accepted = end;
          x.t = select(mesh_time(mesh[l], end), given[l].t1, end == mesh[l].count);
          x.status = select(ODE_NOT_FINISHED, ODE_DONE, end == mesh[l].count);
        } else {
          x.status = ODE_NON_FINITE;
        }
        store_trajectory(given[l].index, x, 0u);
        runs[l] = x.status == ODE_NOT_FINISHED;
      }
    }
    begin = end;
    length = stop - end;
  }
}
