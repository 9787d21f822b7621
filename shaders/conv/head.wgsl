// logits[image, class] = bias[class] + Σ_feature weight[class, feature] pooled[image, feature]   weight: [classes, features], in theta
// An invocation has one logit; features in increasing order.
// Host promises: grid ⌈images · classes / WORKGROUP⌉.
const WORKGROUP = 32u;

struct Params {
  images: u32,
  classes: u32,
  features: u32,
  weight_at: u32,
  bias_at: u32,
}

@group(0) @binding(0) var<storage, read> theta: array<f32>;
@group(0) @binding(1) var<storage, read> pooled: array<f32>;
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let classes = params.classes;
  let features = params.features;
  if (id.x >= params.images * classes) {
    return;
  }
  let c = id.x % classes;
  let weight = params.weight_at + c * features;
  let row = id.x / classes * features;
  var sum = 0.0;
  for (var f = 0u; f < features; f++) {
    sum += theta[weight + f] * pooled[row + f];
  }
  logits[id.x] = sum + theta[params.bias_at + c];
}
