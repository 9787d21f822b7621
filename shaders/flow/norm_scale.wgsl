// y[at + k] = min(1, bound / (factor · ‖gradient_k‖)): what projects the right-hand side of layer k on the ball of radius `bound`
// LANES invocations share a layer: each sums a stride, the first one their sums; 1 needs no barrier and does a layer alone.
// Host guarantees: gradient: [layers, 4 · layer4]; LANES divides WORKGROUP.
const LANES = 32u;
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
  let layers = params.layers;
  let layer4 = params.layer4;
  let lane = local % LANES;
  for (var first = group.x * (WORKGROUP / LANES); first < layers; first += groups.x * (WORKGROUP / LANES)) {
    // Beyond the last layer it is repeated and not stored.
    let k = first + local / LANES;
    let layer_at = min(k, layers - 1u) * layer4;
    var total = 0.0;
    for (var i = lane; i < layer4; i += LANES) {
      let g = gradient[layer_at + i];
      total += dot(g, g);
    }
    if (LANES > 1u) {
      sums[local] = total;
      workgroupBarrier();
      if (lane == 0u) {
        total = 0.0;
        for (var i = 0u; i < LANES; i++) {
          total += sums[local + i];
        }
      }
      workgroupBarrier();
    }
    if (lane == 0u && k < layers) {
      let norm = params.factor * sqrt(total);
      y[params.at + k] = select(1.0, params.bound / norm, norm > params.bound);
    }
  }
}
