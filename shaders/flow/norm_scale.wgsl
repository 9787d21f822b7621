// y[at + k] = min(1, bound / (factor · ‖gradient_k‖)): what projects the right-hand side of layer k on the ball of radius `bound`
// One workgroup a layer: each invocation takes a stride, the first adds them in order.
// Host guarantees: gradient: [layers, 4 · layer4].
const WORKGROUP = 32u;

struct Params {
  layers: u32,
  layer4: u32,
  at: u32,
  factor: f32,
  bound: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  for (var k = group.x; k < params.layers; k += groups.x) {
    var total = 0.0;
    for (var i = local; i < params.layer4; i += WORKGROUP) {
      let g = gradient[k * params.layer4 + i];
      total += dot(g, g);
    }
    sums[local] = total;
    workgroupBarrier();
    if (local == 0u) {
      var sum = 0.0;
      for (var i = 0u; i < WORKGROUP; i++) {
        sum += sums[i];
      }
      let norm = params.factor * sqrt(sum);
      y[params.at + k] = select(1.0, params.bound / norm, norm > params.bound);
    }
    workgroupBarrier();
  }
}
