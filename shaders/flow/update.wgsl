// One step of an optimiser on `change`, the trained variable stored as change from `initial`; weights = initial + change.
// u = clip(factor · scale · Σ_g partials[g, i] · norm_scale) [+ decay · weights];  change −= rate · (u | momentum | Adam).
// One invocation a vec4; OPTIMISER 0: descent (explicit Euler of the gradient flow), 1: momentum (PyTorch's SGD), 2: Adam, 3: AdamW.
// scale is `scale_w` in the first HALF4 vec4 of a unit of 2·HALF4, else `scale_v`; TIED: `initial` is one layer (of each replica), repeated.
// REPLICAS > 1: layers of that many stacks side by side, [layer, replica, LAYER4]; rate and scales of replica r are `replicas`[first_replica + r] = (rate, scale_w, scale_v, 0).
// Host guarantees: moments exist for OPTIMISER > 0; norm_scale has one value a layer of LAYER4 vec4 of each replica.
import package::common::remainder::remainder;

const OPTIMISER = 0u;
const CLIP_NORM = false;
const TIED = true;
const LAYER4 = 256u;
const REPLICAS = 1u;
const HALF4 = 4u;
const WORKGROUP = 64u;

struct Params {
  count4: u32,
  groups: u32,
  first_replica: u32,
  scale_w: f32,
  scale_v: f32,
  factor: f32,
  clip: f32,
  rate: f32,
  decay: f32,
  momentum: f32,
  beta1: f32,
  beta2: f32,
  epsilon: f32,
  correction1: f32,
  correction2: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<vec4f>;
@group(0) @binding(1) var<storage, read> initial: array<vec4f>;
@group(0) @binding(2) var<storage, read> norm_scale: array<f32>;
@group(0) @binding(3) var<storage, read> replicas: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> change: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> weights: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> moment1: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> moment2: array<vec4f>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let count4 = params.count4;
  let parts = params.groups;
  let clip = vec4f(params.clip);
  let first_replica = params.first_replica;
  var rate = params.rate;
  var scale_w = params.factor * params.scale_w;
  var scale_v = params.factor * params.scale_v;
  let decay = params.decay;
  for (var i = id.x; i < count4; i += groups.x * WORKGROUP) {
    var sum = vec4f();
    for (var g = 0u; g < parts; g++) {
      sum += partials[g * count4 + i];
    }
    if (REPLICAS > 1u) {
      let replica = replicas[first_replica + remainder(i / LAYER4, REPLICAS)];
      rate = replica.x;
      scale_w = params.factor * replica.y;
      scale_v = params.factor * replica.z;
    }
    var u = select(scale_v, scale_w, remainder(i, 2u * HALF4) < HALF4) * sum;
    if (CLIP_NORM) {
      u *= norm_scale[i / LAYER4];
    }
    u = clamp(u, -clip, clip);
    var next = change[i];
    if (OPTIMISER == 1u || OPTIMISER == 2u) {
      u += decay * weights[i];
    }
    if (OPTIMISER == 1u) {
      u += params.momentum * moment1[i];
      moment1[i] = u;
    } else if (OPTIMISER >= 2u) {
      let m = params.beta1 * moment1[i] + (1.0 - params.beta1) * u;
      let v = params.beta2 * moment2[i] + (1.0 - params.beta2) * u * u;
      moment1[i] = m;
      moment2[i] = v;
      u = (m * params.correction1) / (sqrt(v * params.correction2) + params.epsilon);
    }
    if (OPTIMISER == 3u) {
      next -= rate * decay * weights[i];
    }
    next -= rate * u;
    change[i] = next;
    var start = i;
    if (TIED) {
      start = remainder(i, REPLICAS * LAYER4);
    }
    weights[i] = initial[start] + next;
  }
}
