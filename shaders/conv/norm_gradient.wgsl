// ∂loss/∂shift[place, channel] = Σ_parts Σ d and ∂loss/∂scale[place, channel] = Σ_parts Σ d · x̂ of many normalisations   sums: [part, 2, CHANNELS]
// An invocation has a channel of a place; parts in increasing order.
// Host promises: grid ⌈places · CHANNELS / WORKGROUP⌉; place i has `parts` parts from parts_at + i · parts_step.
const CHANNELS = 16u;
const WORKGROUP = 32u;

struct Params {
  places: u32,
  parts: u32,
  parts_at: u32,
  parts_step: u32,
  scale_to: u32,
  shift_to: u32,
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.places * CHANNELS) {
    return;
  }
  let first = params.parts_at + id.x / CHANNELS * params.parts_step;
  let count = params.parts;
  var total = vec2f();
  for (var part = first; part < first + count; part++) {
    let at = part * 2u * CHANNELS + id.x % CHANNELS;
    total += vec2f(sums[at], sums[at + CHANNELS]);
  }
  partials[params.shift_to + id.x] = total.x;
  partials[params.scale_to + id.x] = total.y;
}
