// pooled[image, channel, window] = mean over POOL × POOL pixels of h = before + outer · n(input); pixels that no whole window covers are left
//   out.   before, input: [images, CHANNELS, HEIGHT, WIDTH]   pooled: [images, CHANNELS, HEIGHT/POOL, WIDTH/POOL]
// An invocation has a channel of an image and adds the pixels of each window row by row.
// Host promises: grid ⌈images · CHANNELS / WORKGROUP⌉; norms as common/conv_norm.
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};

const NORM = 1u;
const MEMBERS = 1u;
const HEIGHT = 10u;
const WIDTH = 10u;
const POOL = 4u;
const POOLED_Y = HEIGHT / POOL;
const POOLED_X = WIDTH / POOL;
const WORKGROUP = 32u;

struct Params {
  images: u32,
  bands: u32,
  scale_at: u32,
  shift_at: u32,
  parts_at: u32,
  parts: u32,
  outer: f32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> before: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> pooled: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.images * CHANNELS) {
    return;
  }
  let outer = params.outer;
  let norm = NormPlace(params.parts_at, params.parts, params.bands, params.scale_at, params.shift_at, params.epsilon);
  let affine = affine_of(norm_of(NORM, MEMBERS, norm, id.x / CHANNELS, id.x % CHANNELS));
  for (var window = 0u; window < POOLED_Y * POOLED_X; window++) {
    let corner = id.x * HEIGHT * WIDTH + window / POOLED_X * POOL * WIDTH + window % POOLED_X * POOL;
    var sum = 0.0;
    for (var p = 0u; p < POOL * POOL; p++) {
      let at = corner + p / POOL * WIDTH + p % POOL;
      sum += before[at] + outer * (input[at] * affine.x + affine.y);
    }
    pooled[id.x * POOLED_Y * POOLED_X + window] = sum / f32(POOL * POOL);
  }
}
