// ∂loss/∂weight[class, feature] = Σ_images grad[image, class] pooled[image, feature] and ∂loss/∂bias[class] = Σ_images grad[image, class]
// An invocation has one number, the bias after the features of its c; images in increasing order.
// Host promises: grid ⌈classes · (features + 1) / WORKGROUP⌉.
const WORKGROUP = 32u;

struct Params {
  images: u32,
  classes: u32,
  features: u32,
  weight_to: u32,
  bias_to: u32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> pooled: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let images = params.images;
  let classes = params.classes;
  let features = params.features;
  if (id.x >= classes * (features + 1u)) {
    return;
  }
  let c = id.x / (features + 1u);
  let feature = id.x % (features + 1u);
  let is_bias = feature == features;
  var sum = 0.0;
  for (var image = 0u; image < images; image++) {
    sum += grad[image * classes + c] * select(pooled[image * features + min(feature, features - 1u)], 1.0, is_bias);
  }
  partials[select(params.weight_to + c * features + feature, params.bias_to + c, is_bias)] = sum;
}
