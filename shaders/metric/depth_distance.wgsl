// y[i] = (‖W_k − W'_j‖², ‖V_k − V'_j‖², 0, 0) between a stack of depth L and a reference of depth L' at the same place in depth.
// INDEXING 0 (interpolation of the paper's eq. 8): i = j over the reference, k = ⌊j (L−1)/(L'−1)⌋.  1 (the paper's code): i = k over the stack, j = ⌊k L'/L⌋.
// One workgroup an index. Host guarantees: equal layer shapes; (L−1)(L'−1) and L·L' below 2³².
const INDEXING = 0u;
const WORKGROUP = 32u;

struct Params {
  depth: u32,
  reference_depth: u32,
  layer4: u32,
  unit4: u32,
  initial4: u32,
  reference_initial4: u32,
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
  let count = select(params.depth, params.reference_depth, INDEXING == 0u);
  for (var i = group.x; i < count; i += groups.x) {
    var k = i;
    var j = i;
    if (INDEXING == 0u) {
      k = (i * (params.depth - 1u)) / max(params.reference_depth - 1u, 1u);
    } else {
      j = (i * params.reference_depth) / params.depth;
    }
    var w_sum = 0.0;
    var v_sum = 0.0;
    for (var e = local; e < params.layer4; e += WORKGROUP) {
      let here = k * params.layer4 + e;
      let there = j * params.layer4 + e;
      let difference = (initial[here % params.initial4] - reference_initial[there % params.reference_initial4])
        + (change[here] - reference_change[there]);
      let squared = dot(difference, difference);
      let is_w = (e % params.unit4) < (params.unit4 / 2u);
      w_sum += select(0.0, squared, is_w);
      v_sum += select(squared, 0.0, is_w);
    }
    sums[local] = vec2f(w_sum, v_sum);
    workgroupBarrier();
    if (local == 0u) {
      var total = vec2f();
      for (var n = 0u; n < WORKGROUP; n++) {
        total += sums[n];
      }
      y[i] = vec4f(total, 0.0, 0.0);
    }
    workgroupBarrier();
  }
}
