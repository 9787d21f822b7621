// ∂loss/∂weight[o, i, ky, kx] = Σ_{images, pixels} g[o, y, x] images[i, y · STRIDE + ky − PADDING, x · STRIDE + kx − PADDING], with g the adjoint of
//   the stem's normalisation (common/conv_adjoint).   gradient, stem: [images, CHANNELS, HEIGHT, WIDTH]   weight: [out, in, KERNEL, KERNEL]
// A quad has a row of KERNEL taps and all output channels, a lane one in four of these. Images are summed in increasing order;
// shares of them make partial gradients.
// Host promises: grid (⌈CHANNELS_IN · KERNEL / LINES⌉, 1, groups); partials of groups are `partial_step` apart.
import package::common::conv_adjoint::{adjoint_of, sums};
import package::common::conv_norm::{CHANNELS, NormPlace, theta, moments};

const NORM = 1u;
const MEMBERS = 1u;
const HEIGHT = 10u;
const WIDTH = 10u;
const CHANNELS_IN = 3u;
const IN_HEIGHT = 32u;
const IN_WIDTH = 32u;
const KERNEL = 5u;
const STRIDE = 3u;
const PADDING = 1u;
const LINES = 1u;
const PIXELS = HEIGHT * WIDTH;
const IN_PIXELS = IN_HEIGHT * IN_WIDTH;
const CHUNKS = (CHANNELS + 3u) / 4u;
const WORKGROUP = 4u * LINES;

struct Params {
  images: u32,
  bands: u32,
  parts: u32,
  parts_at: u32,
  scale_at: u32,
  shift_at: u32,
  weight_to: u32,
  partial_step: u32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> pixels: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> stem: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % 4u;
  let images = params.images;
  let line = group.x * LINES + local / 4u;
  let in_channel = line / KERNEL;
  let ky = line % KERNEL;
  if (in_channel >= CHANNELS_IN) {
    return;
  }
  let norm = NormPlace(params.parts_at, params.parts, params.bands, params.scale_at, params.shift_at, params.epsilon);
  let share = (images + grid.z - 1u) / grid.z;
  let end = min(images, (group.z + 1u) * share);
  var own = array<vec3f, CHUNKS>();
  var sum = array<f32, CHUNKS * KERNEL>();
  for (var image = group.z * share; image < end; image++) {
    if ((NORM == 2u) | (image == group.z * share)) {
      //@unroll
      for (var o = 0u; o < CHUNKS; o++) {
        own[o] = adjoint_of(NORM, MEMBERS, norm, image, min(4u * o + lane, CHANNELS - 1u), images * PIXELS, PIXELS);
      }
    }
    let map = image * CHANNELS * PIXELS;
    for (var pixel = 0u; pixel < PIXELS; pixel++) {
      // Rows and columns outside the image wrap to numbers above its size.
      let row = pixel / WIDTH * STRIDE + ky - PADDING;
      let first_column = pixel % WIDTH * STRIDE - PADDING;
      let row_at = (image * CHANNELS_IN + in_channel) * IN_PIXELS + min(row, IN_HEIGHT - 1u) * IN_WIDTH;
      var x = array<f32, KERNEL>();
      //@unroll
      for (var t = 0u; t < KERNEL; t++) {
        let column = first_column + t;
        x[t] = select(0.0, pixels[row_at + min(column, IN_WIDTH - 1u)], (row < IN_HEIGHT) & (column < IN_WIDTH));
      }
      //@unroll
      for (var o = 0u; o < CHUNKS; o++) {
        let at = map + min(4u * o + lane, CHANNELS - 1u) * PIXELS + pixel;
        let g = own[o].x * gradient[at] + own[o].y * stem[at] + own[o].z;
        //@unroll
        for (var t = 0u; t < KERNEL; t++) {
          sum[o * KERNEL + t] += g * x[t];
        }
      }
    }
  }
  //@unroll
  for (var o = 0u; o < CHUNKS; o++) {
    if (4u * o + lane < CHANNELS) {
      let weight =
        group.z * params.partial_step + params.weight_to + (((4u * o + lane) * CHANNELS_IN + in_channel) * KERNEL + ky) * KERNEL;
      //@unroll
      for (var t = 0u; t < KERNEL; t++) {
        partials[weight + t] = sum[o * KERNEL + t];
      }
    }
  }
}
