// Rosenbrock methods, steps of common/ode_rosenbrock: (I − γ h J) u_s = right-hand side s, y1 = y + Σ_s b_s u_s, J [DIM, DIM] and its
//   factors in registers or in memory of the invocation; at most `attempts` attempts of every trajectory that is not finished.
// One invocation takes one trajectory. Chunks of any number of attempts give the same bits.
// Host promises: `ode/start` has run; the grid of workgroups covers `count` trajectories; with ODE_OWN_JACOBIAN the field declares one.
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
