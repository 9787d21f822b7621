// Symplectic methods with fixed steps, those of common/ode_symplectic: y = (q, p), kicks of p [DIM/2] and drifts of q [DIM/2] in turn;
//   at most `attempts` steps of every trajectory that is not finished.
// One invocation takes one trajectory. Chunks of any number of attempts give the same bits.
// Host promises: `ode/start` has run with f(t0, y0); DIM is even; the grid of workgroups covers `count` trajectories.
import package::common::ode_driver::advance;

const WORKGROUP = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  advance((group.y * groups.x + group.x) * WORKGROUP + lane);
}
