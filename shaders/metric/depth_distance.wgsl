// y[i] = (‖W_k − W'_j‖², ‖V_k − V'_j‖², 0, 0) between a stack of depth L and a reference of depth L' at the same place in depth.
// INDEXING 0 (interpolation of the paper's eq. 8): i = j over the reference, k = ⌊j (L−1)/(L'−1)⌋.  1 (the paper's code): i = k over the stack, j = ⌊k L'/L⌋.
// LANES invocations share an index: each sums a stride, the first one their sums; 1 needs no barrier and does an index alone.
// Host guarantees: layers of `layer4` vec4 of units (W_j, V_·j) of 2·HALF4; (L−1)(L'−1) and L·L' below 2³²; LANES divides WORKGROUP;
//   initial values are `initial_layer4` and `reference_initial_layer4` vec4 from layer to layer: layer4, or 0 where they are tied.
import package::common::remainder::remainder;

const INDEXING = 0u;
const LANES = 32u;
const HALF4 = 4u;
const WORKGROUP = 32u;

struct Params {
  depth: u32,
  reference_depth: u32,
  layer4: u32,
  initial_layer4: u32,
  reference_initial_layer4: u32,
}

@group(0) @binding(0) var<storage, read> initial: array<vec4f>;
@group(0) @binding(1) var<storage, read> change: array<vec4f>;
@group(0) @binding(2) var<storage, read> reference_initial: array<vec4f>;
@group(0) @binding(3) var<storage, read> reference_change: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> sums: array<vec2f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let depth = params.depth;
  let reference_depth = params.reference_depth;
  let layer4 = params.layer4;
  let count = select(depth, reference_depth, INDEXING == 0u);
  let lane = local % LANES;
  for (var first = group.x * (WORKGROUP / LANES); first < count; first += groups.x * (WORKGROUP / LANES)) {
    // Beyond the last index it is repeated and not stored.
    let i = first + local / LANES;
    var k = min(i, count - 1u);
    var j = k;
    if (INDEXING == 0u) {
      k = (j * (depth - 1u)) / max(reference_depth - 1u, 1u);
    } else {
      j = (k * reference_depth) / depth;
    }
    let change_at = k * layer4;
    let reference_at = j * layer4;
    let initial_at = k * params.initial_layer4;
    let reference_initial_at = j * params.reference_initial_layer4;
    var w_sum = 0.0;
    var v_sum = 0.0;
    for (var e = lane; e < layer4; e += LANES) {
      let difference = (initial[initial_at + e] - reference_initial[reference_initial_at + e])
        + (change[change_at + e] - reference_change[reference_at + e]);
      let squared = dot(difference, difference);
      let is_w = remainder(e, 2u * HALF4) < HALF4;
      w_sum += select(0.0, squared, is_w);
      v_sum += select(squared, 0.0, is_w);
    }
    var total = vec2f(w_sum, v_sum);
    if (LANES > 1u) {
      sums[local] = total;
      workgroupBarrier();
      if (lane == 0u) {
        total = vec2f();
        for (var n = 0u; n < LANES; n++) {
          total += sums[local + n];
        }
      }
      workgroupBarrier();
    }
    if (lane == 0u && i < count) {
      y[i] = vec4f(total, 0.0, 0.0);
    }
  }
}
