// Counts the trajectories of every status, sums their accepted and rejected steps, and lists those that are not finished.
// totals: 8 counts by status, then low and high words of the two sums. One invocation takes TAKES neighbours, and adds what it found
//   with integer atomics: the sums are the same in any order, the list has neighbours next to each other.
// Host promises: totals are 0; rows of `state` as at common/ode_rows; rejected_row is 0 where no step is ever rejected.

const WORKGROUP = 64u;
const TAKES = 16u;
const STATUS_BITS = 0xffu;
const NOT_FINISHED = 6u;

struct Params {
  count: u32,
  stride: u32,
  status_row: u32, // the accepted steps are in the next one
  rejected_row: u32,
}

@group(0) @binding(0) var<storage, read> state: array<u32>;
@group(0) @binding(1) var<storage, read_write> list: array<u32>;
@group(0) @binding(2) var<storage, read_write> totals: array<atomic<u32>, 12>;
@group(0) @binding(3) var<uniform> params: Params;

// Low and high words of a sum.
fn plus(sum: vec2u, value: u32) -> vec2u {
  let low = sum.x + value;
  return vec2u(low, sum.y + select(0u, 1u, low < value));
}

fn add_to_total(at: u32, sum: vec2u) {
  let before = atomicAdd(&totals[at], sum.x);
  let carried = sum.y + select(0u, 1u, before + sum.x < before);
  if (carried > 0u) { atomicAdd(&totals[at + 1u], carried); }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((group.y * groups.x + group.x) * WORKGROUP + lane) * TAKES;
  let end = min(first + TAKES, params.count);
  var counts = array<u32, 8>();
  var accepted = vec2u();
  var rejected = vec2u();
  for (var j = first; j < end; j++) {
    counts[state[params.status_row * params.stride + j] & 7u]++;
    accepted = plus(accepted, state[(params.status_row + 1u) * params.stride + j]);
    if (params.rejected_row > 0u) { rejected = plus(rejected, state[params.rejected_row * params.stride + j]); }
  }
  if (first >= end) { return; }
  for (var status = 0u; status < 8u; status++) {
    if (status != NOT_FINISHED && counts[status] > 0u) { atomicAdd(&totals[status], counts[status]); }
  }
  add_to_total(8u, accepted);
  add_to_total(10u, rejected);
  if (counts[NOT_FINISHED] == 0u) { return; }
  var place = atomicAdd(&totals[NOT_FINISHED], counts[NOT_FINISHED]);
  for (var j = first; j < end; j++) {
    if ((state[params.status_row * params.stride + j] & STATUS_BITS) == NOT_FINISHED) {
      list[place] = j;
      place++;
    }
  }
}
