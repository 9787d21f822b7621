// change = base + Σ_s c_s · v_s,  v_s = −clip(factor · norm_scale_s · gradients[s]);  weights = initial + change   (stages of a Runge–Kutta method in training time)
// One invocation a vec4. Coefficients c_s already carry the time step.
// Host guarantees: gradients: [stages, count4]; stages ≤ 7; initial has `initial4` vec4, repeated.
const CLIP_NORM = false;
const WORKGROUP = 64u;

struct Params {
  count4: u32,
  stride4: u32,
  layer4: u32,
  layers: u32,
  initial4: u32,
  stages: u32,
  factor: f32,
  clip: f32,
  c0: f32,
  c1: f32,
  c2: f32,
  c3: f32,
  c4: f32,
  c5: f32,
  c6: f32,
}

@group(0) @binding(0) var<storage, read> base: array<vec4f>;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(2) var<storage, read> norm_scale: array<f32>;
@group(0) @binding(3) var<storage, read> initial: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> change: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> weights: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

fn velocity(s: u32, i: u32) -> vec4f {
  var v = -params.factor * gradients[s * params.stride4 + i];
  if (CLIP_NORM) {
    v *= norm_scale[s * params.layers + i / params.layer4];
  }
  return clamp(v, vec4f(-params.clip), vec4f(params.clip));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    var sum = params.c0 * velocity(0u, i);
    if (params.stages > 1u) {
      sum += params.c1 * velocity(1u, i);
    }
    if (params.stages > 2u) {
      sum += params.c2 * velocity(2u, i);
    }
    if (params.stages > 3u) {
      sum += params.c3 * velocity(3u, i);
    }
    if (params.stages > 4u) {
      sum += params.c4 * velocity(4u, i);
    }
    if (params.stages > 5u) {
      sum += params.c5 * velocity(5u, i);
    }
    if (params.stages > 6u) {
      sum += params.c6 * velocity(6u, i);
    }
    let next = base[i] + sum;
    change[i] = next;
    weights[i] = initial[i % params.initial4] + next;
  }
}
