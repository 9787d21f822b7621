// Count, mean, sum of squared deviations, least and greatest of rows first_row .. of x [.., stride] over trajectories that reached their
//   end (status done or event) and have saved enough points; one partial result for every SLICE neighbours.
// partial: [rows, slices, 5] words, a count and four floats; this range begins at slice `first_slice` of `slices`.
// One invocation a slice of a row, in increasing order (Welford, Technometrics 4, 1962): the same bits for any split of the batch
//   into ranges of whole slices.
// Host promises: row r of x is saved point r % points where `points` > 0, and needs saved > r % points; the grid is (slices of the range
//   / WORKGROUP) x rows, with rows striding over it.
import package::common::ode_moments::{Moments, add_value};

const WORKGROUP = 64u;
const SLICE = 64u;
const STATUS_BITS = 0xffu;
const EVENT_OCCURRED = 1u;

struct Params {
  first_row: u32,
  rows: u32,
  count: u32,
  stride: u32,
  slices: u32,
  first_slice: u32,
  status_row: u32,
  points: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> partial: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let slice = group.x * WORKGROUP + lane;
  let first = slice * SLICE;
  let end = min(first + SLICE, params.count);
  if (first >= end) { return; }
  for (var row = group.y; row < params.rows; row += groups.y) {
    let x_row = params.first_row + row;
    let point = x_row % max(params.points, 1u);
    var moments = Moments();
    for (var j = first; j < end; j++) {
      let status = state[params.status_row * params.stride + j] & STATUS_BITS;
      var counts = status <= EVENT_OCCURRED;
      if (params.points > 0u) { counts = counts && state[(params.status_row + 3u) * params.stride + j] > point; }
      if (counts) { moments = add_value(moments, x[x_row * params.stride + j]); }
    }
    let at = (row * params.slices + params.first_slice + slice) * 5u;
    partial[at] = moments.count;
    partial[at + 1u] = bitcast<u32>(moments.mean);
    partial[at + 2u] = bitcast<u32>(moments.spread);
    partial[at + 3u] = bitcast<u32>(moments.least);
    partial[at + 4u] = bitcast<u32>(moments.most);
  }
}
