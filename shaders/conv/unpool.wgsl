// adjoint[image, channel, pixel] = Σ_class grad[image, class] head[class, feature of the pixel's window] / POOL², 0 outside all windows; and
//   for the adjoint of the last normalisation the sums of d = outer · adjoint and of d · (input − mean) / √(variance + ε), in parts as
//   common/conv_adjoint.   adjoint, input: [images, CHANNELS, HEIGHT, WIDTH]   head: [classes, features], in theta
// An invocation has a channel of an image, a quad the same channel of four images. One band has all, the others nothing.
// Host promises: grid (⌈images/4⌉, ⌈CHANNELS / LINES⌉).
import package::common::conv_adjoint::sums;
import package::common::conv_lanes::{swap_x, swap_y};
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, theta, moments};

@if(subgroups) enable subgroups;

const NORM = 1u;
const MEMBERS = 1u;
const HEIGHT = 10u;
const WIDTH = 10u;
const POOL = 4u;
const LINES = 1u;
const POOLED_Y = HEIGHT / POOL;
const POOLED_X = WIDTH / POOL;
const WINDOWS = POOLED_Y * POOLED_X;
const PIXELS = HEIGHT * WIDTH;
const WORKGROUP = 4u * LINES;

struct Params {
  images: u32,
  bands: u32,
  classes: u32,
  head_at: u32,
  scale_at: u32,
  shift_at: u32,
  parts_at: u32,
  parts: u32,
  outer: f32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> adjoint: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  @if(subgroups) let lane = subgroup_lane & 3u;
  @else let lane = local & 3u;
  let images = params.images;
  let image = 4u * group.x + lane;
  let channel = group.y * LINES + local / 4u;
  let present = (image < images) & (channel < CHANNELS);
  let some_image = min(image, images - 1u);
  let some_channel = min(channel, CHANNELS - 1u);
  let classes = params.classes;
  let outer = params.outer;
  let norm_place = NormPlace(params.parts_at, params.parts, params.bands, params.scale_at, params.shift_at, params.epsilon);
  let norm = norm_of(NORM, MEMBERS, norm_place, some_image, some_channel);
  let plane = (some_image * CHANNELS + some_channel) * PIXELS;
  if (present) {
    for (var pixel = 0u; pixel < PIXELS; pixel++) {
      adjoint[plane + pixel] = 0.0;
    }
  }
  var total = vec2f();
  for (var window = 0u; window < WINDOWS; window++) {
    let feature = params.head_at + some_channel * WINDOWS + window;
    var value = 0.0;
    for (var c = 0u; c < classes; c++) {
      value += grad[some_image * classes + c] * theta[feature + c * CHANNELS * WINDOWS];
    }
    value = select(0.0, value / f32(POOL * POOL), present);
    let corner = plane + window / POOLED_X * POOL * WIDTH + window % POOLED_X * POOL;
    for (var p = 0u; p < POOL * POOL; p++) {
      let at = corner + p / POOL * WIDTH + p % POOL;
      let d = outer * value;
      total += vec2f(d, d * ((input[at] - norm.x) * norm.y));
      if (present) {
        adjoint[at] = value;
      }
    }
  }
  if (NORM == 1u) {
    let pair = total + vec2f(swap_x(total.x, local), swap_x(total.y, local));
    total = pair + vec2f(swap_y(pair.x, local), swap_y(pair.y, local));
  }
  if (NORM != 0u) {
    let stores = select(present, (lane == 0u) & (channel < CHANNELS), NORM == 1u);
    let first_part = params.parts_at + select(group.x, some_image, NORM == 2u) * params.bands;
    if (stores) {
      for (var band = 0u; band < params.bands; band++) {
        let at = (first_part + band) * 2u * CHANNELS + channel;
        sums[at] = select(0.0, total.x, band == 0u);
        sums[at + CHANNELS] = select(0.0, total.y, band == 0u);
      }
    }
  }
}
