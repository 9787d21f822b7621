// Reversible Heun, steps of common/ode_reversible_heun: ŷ1 = 2 y − ŷ + h f(t, ŷ), y1 = y + (h/2) (f(t, ŷ) + f(t + h, ŷ1)); at most
//   `attempts` attempts of every trajectory that is not finished.
// One invocation takes one trajectory; ŷ [DIM] lies in rows of `state`. Chunks of any number of attempts give the same bits.
// Host promises: `ode/start` has run with f(t0, y0) and ODE_KEEPS_AUXILIARY; the grid of workgroups covers `count` trajectories.
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
