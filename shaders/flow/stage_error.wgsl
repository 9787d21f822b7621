// partial[group] = (Σ (e_i / (atol + rtol · max(|base_i|, |change_i|)))², 0),  e = Σ_s d_s · v_s   (embedded error of a Runge–Kutta step)
// Each invocation takes a stride of vec4, each workgroup adds its invocations in order; `metric/sum` adds the workgroups.
// Host guarantees: as flow/combine; d_s already carry the time step; partial: [workgroups].
const CLIP_NORM = false;
const WORKGROUP = 32u;

struct Params {
  count4: u32,
  stride4: u32,
  layer4: u32,
  layers: u32,
  stages: u32,
  at: u32,
  factor: f32,
  clip: f32,
  atol: f32,
  rtol: f32,
  d0: f32,
  d1: f32,
  d2: f32,
  d3: f32,
  d4: f32,
  d5: f32,
  d6: f32,
}

@group(0) @binding(0) var<storage, read> base: array<vec4f>;
@group(0) @binding(1) var<storage, read> change: array<vec4f>;
@group(0) @binding(2) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(3) var<storage, read> norm_scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> sums: array<f32, WORKGROUP>;

fn velocity(s: u32, i: u32) -> vec4f {
  var v = -params.factor * gradients[s * params.stride4 + i];
  if (CLIP_NORM) {
    v *= norm_scale[s * params.layers + i / params.layer4];
  }
  return clamp(v, vec4f(-params.clip), vec4f(params.clip));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  var total = 0.0;
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    var e = params.d0 * velocity(0u, i);
    if (params.stages > 1u) {
      e += params.d1 * velocity(1u, i);
    }
    if (params.stages > 2u) {
      e += params.d2 * velocity(2u, i);
    }
    if (params.stages > 3u) {
      e += params.d3 * velocity(3u, i);
    }
    if (params.stages > 4u) {
      e += params.d4 * velocity(4u, i);
    }
    if (params.stages > 5u) {
      e += params.d5 * velocity(5u, i);
    }
    if (params.stages > 6u) {
      e += params.d6 * velocity(6u, i);
    }
    let ratio = e / (params.atol + params.rtol * max(abs(base[i]), abs(change[i])));
    total += dot(ratio, ratio);
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < WORKGROUP; i++) {
      sum += sums[i];
    }
    partial[params.at + group.x] = vec2f(sum, 0.0);
  }
}
