// partial[r, at + group] = (factor · Σ x_i², 0)   x: [layers, replicas, 4 · layer4], workgroups (group, r), `stride` partial sums a replica
// Each invocation takes a stride of vec4, each workgroup adds its invocations in order; `metric/sum` adds the workgroups.
// Host guarantees: count4 vec4 of a replica, a multiple of layer4; partial has room for `at` + workgroups a replica.
const REPLICAS = 1u;
const WORKGROUP = 32u;

struct Params {
  count4: u32,
  layer4: u32,
  at: u32,
  stride: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec2f>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  var total = 0.0;
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    var at = i;
    if (REPLICAS > 1u) {
      at += (i / params.layer4 * (REPLICAS - 1u) + group.y) * params.layer4;
    }
    total += dot(x[at], x[at]);
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < WORKGROUP; i++) {
      sum += sums[i];
    }
    partial[group.y * params.stride + params.at + group.x] = vec2f(params.factor * sum, 0.0);
  }
}
