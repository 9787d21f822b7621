// Adds to counts [rows, bins + 2] how many trajectories have their number of row r of x [rows, stride] in each of `bins` bins of equal
//   width over [low, high], then how many lie below and how many above.
// Only trajectories that reached their end (status done or event) and have saved enough points. One invocation a trajectory of a row;
//   integer atomics: the same counts in any order.
// Host promises: as ode/moments, with a grid of (count / WORKGROUP) x rows, both striding.

const WORKGROUP = 64u;
const STATUS_BITS = 0xffu;
const EVENT_OCCURRED = 1u;

struct Params {
  rows: u32,
  count: u32,
  stride: u32,
  status_row: u32,
  points: u32,
  bins: u32,
  low: f32,
  high: f32,
  per_width: f32, // bins / (high - low)
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var row = group.y; row < params.rows; row += groups.y) {
    let point = row % max(params.points, 1u);
    for (var j = group.x * WORKGROUP + lane; j < params.count; j += groups.x * WORKGROUP) {
      var enters = (state[params.status_row * params.stride + j] & STATUS_BITS) <= EVENT_OCCURRED;
      if (params.points > 0u) { enters = enters && state[(params.status_row + 3u) * params.stride + j] > point; }
      if (enters) {
        let value = x[row * params.stride + j];
        var bin = min(u32(max(0.0, (value - params.low) * params.per_width)), params.bins - 1u);
        if (value < params.low) { bin = params.bins; }
        if (value > params.high) { bin = params.bins + 1u; }
        atomicAdd(&counts[row * (params.bins + 2u) + bin], 1u);
      }
    }
  }
}
