// next = share · base + Σ_{first ≤ r < end} coefficients[row + r] · slopes[r],  y = y_share · next   slopes: [stages, slot4]; base, low, y: [count4]
// What follows a stage of a Runge–Kutta step in the matmul layout, where slopes are made by matrix products. `complete`: next is
// the state (or adjoint) that the step ends with; it is added up with its compensation `low` and replaces `base`.
// One invocation a vec4, slopes in increasing order.
// Host guarantees: count4 ≤ slot4; y begins at `y_at4` vec4 of its binding.
import package::common::two_sum::two_sum_error;

const WORKGROUP = 64u;

struct Params {
  count4: u32,
  slot4: u32,
  row: u32,
  first: u32,
  end: u32,
  y_at4: u32,
  complete: u32,
  share: f32,
  y_share: f32,
}

@group(0) @binding(0) var<storage, read> coefficients: array<f32>;
@group(0) @binding(1) var<storage, read> slopes: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> base: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> low: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let zero = params.count4 >> 31u;
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    var change = vec4f();
    for (var r = params.first; r < params.end; r++) {
      change += coefficients[params.row + r] * slopes[r * params.slot4 + i];
    }
    let before = params.share * base[i];
    if (params.complete == 1u) {
      change += low[i];
    }
    let next = before + change;
    if (params.complete == 1u) {
      low[i] = two_sum_error(before, change, next, zero);
      base[i] = next;
    }
    y[params.y_at4 + i] = params.y_share * next;
  }
}
