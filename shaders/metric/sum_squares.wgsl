// partial[at + group] = (Σ x_i², 0)   x: [count]
// Each invocation takes a stride of vec4, each workgroup adds its invocations in order; `metric/sum` adds the workgroups.
// Host guarantees: count4 = count / 4; partial has room for `at` + workgroups.
const WORKGROUP = 32u;

struct Params {
  count4: u32,
  at: u32,
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
    total += dot(x[i], x[i]);
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < WORKGROUP; i++) {
      sum += sums[i];
    }
    partial[params.at + group.x] = vec2f(params.factor * sum, 0.0);
  }
}
