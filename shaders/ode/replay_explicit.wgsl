// Gradient of a loss of an ensemble through the steps it took: w ← ∂loss/∂y, g ← g + ∂loss/∂p of one step after the other, from the
//   last to the first, with the lengths of the steps held ("discretise, then optimise"); explicit steps of common/ode_replay_explicit.
// One invocation takes one trajectory. Any split into dispatches gives the same bits, and so do any checkpoints where f does not depend on t.
// Host promises: the solve has ended with `record` as common/ode_record has it, deep enough; rows of `cotangents` are set and `sweep` is 0
//   before the first dispatch; `list` holds the most steps of a trajectory of each slice; dispatches come from the last step to
//   first_step = 0, first_step a multiple of the distance of checkpoints, which is one of ODE_GROUP; with ODE_OUTPUTS that is 1.
import package::common::ode_replay::sweep_back;

const WORKGROUP = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  sweep_back((group.y * groups.x + group.x) * WORKGROUP + lane);
}
