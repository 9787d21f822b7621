// ∂loss/∂weight[o, i, t] = Σ_{images, pixels} g[o, pixel] x[i, pixel + t] and ∂loss/∂bias[o] = Σ g[o, pixel] of many layers at once;
//   x = input, or σ(n(input)) with ACTIVATED.   input, g: [layer, images, CHANNELS, HEIGHT, WIDTH], layers `_step` apart   weight: [layer, out, in, 3, 3]
// A quad has 4 input × 4 · OUT output channels of a layer and walks all pixels of its images, strips of TILE_X columns from top to
// bottom, with three rows of x in registers. A lane has one input channel and, by swaps, all output channels of a chunk in slots:
// slot s of lane l is channel l ^ s. Images are summed in increasing order; `groups` shares of them make partial gradients.
// Host promises: grid (⌈⌈CHANNELS/4⌉ · GROUPS / LINES⌉, layers, groups); partials of groups are `partial_step` apart.
import package::common::activation::activation;
import package::common::conv_lanes::slots_at;
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};
@if(subgroups) import package::common::quad::quad_slots_of;

@if(subgroups) enable subgroups;

const ACTIVATED = true;
const NORM = 1u;
const MEMBERS = 1u;
const HEIGHT = 10u;
const WIDTH = 10u;
const TILE_X = 5u;
const OUT = 4u;
const LINES = 1u;
const IN_CHUNKS = (CHANNELS + 3u) / 4u;
const GROUPS = (CHANNELS + 4u * OUT - 1u) / (4u * OUT);
const PIXELS = HEIGHT * WIDTH;
const SPAN = TILE_X + 2u;
const WORKGROUP = 4u * LINES;

alias Row = array<f32, SPAN>;

struct Params {
  images: u32,
  input_step: u32,
  g_step: u32,
  bands: u32,
  parts: u32,
  parts_at: u32,
  parts_step: u32,
  scale_at: u32,
  shift_at: u32,
  weight_to: u32,
  bias_to: u32,
  partial_step: u32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

fn load_row(plane: u32, row: u32, left: u32, affine: vec2f) -> Row {
  var x = Row();
  let row_at = plane + min(row, HEIGHT - 1u) * WIDTH;
  //@unroll
  for (var i = 0u; i < SPAN; i++) {
    // Rows and columns outside the image wrap to numbers above its size.
    let column = left + i - 1u;
    var value = input[row_at + min(column, WIDTH - 1u)];
    if (ACTIVATED) {
      value = activation(value * affine.x + affine.y);
    }
    x[i] = select(0.0, value, (row < HEIGHT) & (column < WIDTH));
  }
  return x;
}

@if(subgroups) fn g_slots(at: vec4u, column: u32) -> vec4f {
  return quad_slots_of(select(0.0, g[at.x + min(column, WIDTH - 1u)], column < WIDTH));
}
@else fn g_slots(at: vec4u, column: u32) -> vec4f {
  let i = min(column, WIDTH - 1u);
  return select(vec4f(), vec4f(g[at.x + i], g[at.y + i], g[at.z + i], g[at.w + i]), column < WIDTH);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  @if(subgroups) let lane = subgroup_lane & 3u;
  @else let lane = local & 3u;
  let images = params.images;
  let layer = group.y;
  let line = group.x * LINES + local / 4u;
  let in_channel = line / GROUPS * 4u + lane;
  let first_out = line % GROUPS * 4u * OUT;
  let channel = min(in_channel, CHANNELS - 1u);
  let norm = NormPlace(
    params.parts_at + layer * params.parts_step, params.parts, params.bands, params.scale_at + layer * CHANNELS,
    params.shift_at + layer * CHANNELS, params.epsilon);
  let batch_affine = affine_of(norm_of(select(0u, NORM, NORM == 1u), MEMBERS, norm, 0u, channel));
  let share = (images + grid.z - 1u) / grid.z;
  let end = min(images, (group.z + 1u) * share);
  var sum = array<vec4f, OUT * 9u>();
  var bias = array<f32, OUT>();
  for (var image = group.z * share; image < end; image++) {
    let map = layer * params.g_step + image * CHANNELS * PIXELS;
    let x_plane = layer * params.input_step + (image * CHANNELS + channel) * PIXELS;
    var affine = batch_affine;
    if (NORM == 2u) {
      affine = affine_of(norm_of(NORM, MEMBERS, norm, image, channel));
    }
    for (var left = 0u; left < WIDTH; left += TILE_X) {
      var above = Row();
      var middle = load_row(x_plane, 0u, left, affine);
      for (var row = 0u; row < HEIGHT; row++) {
        let below = load_row(x_plane, row + 1u, left, affine);
        //@unroll
        for (var o = 0u; o < OUT; o++) {
          let g_at = slots_at(first_out + 4u * o, lane, map + row * WIDTH, PIXELS);
          //@unroll
          for (var p = 0u; p < TILE_X; p++) {
            let column = left + p;
            let slots = g_slots(g_at, column);
            bias[o] += slots.x;
            //@unroll
            for (var t = 0u; t < 3u; t++) {
              sum[o * 9u + t] += slots * above[p + t];
              sum[o * 9u + 3u + t] += slots * middle[p + t];
              sum[o * 9u + 6u + t] += slots * below[p + t];
            }
          }
        }
        above = middle;
        middle = below;
      }
    }
  }
  let to = group.z * params.partial_step;
  //@unroll
  for (var o = 0u; o < OUT; o++) {
    let own = first_out + 4u * o + lane;
    if ((in_channel == lane) & (own < CHANNELS)) {
      partials[to + params.bias_to + layer * CHANNELS + own] = bias[o];
    }
    //@unroll
    for (var s = 0u; s < 4u; s++) {
      let out_channel = first_out + 4u * o + (lane ^ s);
      if ((in_channel < CHANNELS) & (out_channel < CHANNELS)) {
        let weight = to + params.weight_to + ((layer * CHANNELS + out_channel) * CHANNELS + in_channel) * 9u;
        //@unroll
        for (var t = 0u; t < 9u; t++) {
          partials[weight + t] = sum[o * 9u + t][s];
        }
      }
    }
  }
}
