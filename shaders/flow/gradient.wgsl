// grad[i] = scale · Σ_g partials[g, i]   partials: [groups, count], grad: [count]; scale is `scale_w` in the first half of a unit, else `scale_v`
// One invocation a vec4, groups added in increasing order.
// REPLICAS > 1: the numbers are [layer, replica, layer4], and the scales of replica r are `replicas`[first_replica + r] = (·, scale_w, scale_v, ·).
// Host guarantees: count4 = count / 4, unit4 and half4 = unit and half unit in vec4.
const REPLICAS = 1u;
const WORKGROUP = 64u;

struct Params {
  count4: u32,
  groups: u32,
  layer4: u32,
  unit4: u32,
  half4: u32,
  first_replica: u32,
  scale_w: f32,
  scale_v: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<vec4f>;
@group(0) @binding(1) var<storage, read> replicas: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> grad: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    var sum = vec4f();
    for (var g = 0u; g < params.groups; g++) {
      sum += partials[g * params.count4 + i];
    }
    var scale_w = params.scale_w;
    var scale_v = params.scale_v;
    if (REPLICAS > 1u) {
      let replica = replicas[params.first_replica + (i / params.layer4) % REPLICAS];
      scale_w = replica.y;
      scale_v = replica.z;
    }
    grad[i] = select(scale_v, scale_w, params.half4 > (i % params.unit4)) * sum;
  }
}
