// Explicit Runge–Kutta methods, steps of common/ode_explicit: y1 = y + h Σ_s b_s k_s, at most `attempts` attempts of every
//   trajectory that is not finished; with fixed steps, those that are looked at one by one (else: ode/explicit_fixed).
// One invocation takes one trajectory, all of its state in registers. Chunks of any number of attempts give the same bits.
// Host promises: `ode/start` has run; the grid of workgroups covers `count` trajectories.
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
