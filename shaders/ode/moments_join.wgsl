// Joins partial results of ode/moments, FAN neighbours of a row into one: [rows, slices, 5] → [rows, ceil(slices / FAN), 5] words.
// One invocation a result, in increasing order: the same bits for the same number of trajectories. The host repeats it until one is left.
// Host promises: the grid is (results of a row / WORKGROUP) x rows, with rows striding over it.
import package::common::ode_moments::{Moments, join};

const WORKGROUP = 64u;
const FAN = 64u;

struct Params {
  rows: u32,
  slices: u32,
  results: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.x * WORKGROUP + lane;
  let first = index * FAN;
  let end = min(first + FAN, params.slices);
  if (first >= end) { return; }
  for (var row = group.y; row < params.rows; row += groups.y) {
    var moments = Moments();
    for (var slice = first; slice < end; slice++) {
      let at = (row * params.slices + slice) * 5u;
      moments = join(
        moments,
        Moments(
          partial[at],
          bitcast<f32>(partial[at + 1u]),
          bitcast<f32>(partial[at + 2u]),
          bitcast<f32>(partial[at + 3u]),
          bitcast<f32>(partial[at + 4u]),
        ),
      );
    }
    let at = (row * params.results + index) * 5u;
    result[at] = moments.count;
    result[at + 1u] = bitcast<u32>(moments.mean);
    result[at + 2u] = bitcast<u32>(moments.spread);
    result[at + 3u] = bitcast<u32>(moments.least);
    result[at + 4u] = bitcast<u32>(moments.most);
  }
}
