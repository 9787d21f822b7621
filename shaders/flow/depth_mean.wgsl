// grad_k = (1/L) Σ_j grad_j for every layer k: the gradient on networks whose layers move alike, grad: [depth, stride4] vec4
// One invocation a vec4 of a layer: it sums over the layers in increasing order and writes the mean to each.
// Host guarantees: stride4 vec4 from a layer to the next, those of all replicas.
const WORKGROUP = 64u;

struct Params {
  depth: u32,
  stride4: u32,
}

@group(0) @binding(0) var<storage, read_write> grad: array<vec4f>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < params.stride4; i += groups.x * WORKGROUP) {
    var sum = vec4f();
    for (var k = 0u; k < params.depth; k++) {
      sum += grad[k * params.stride4 + i];
    }
    let mean = sum / f32(params.depth);
    for (var k = 0u; k < params.depth; k++) {
      grad[k * params.stride4 + i] = mean;
    }
  }
}
