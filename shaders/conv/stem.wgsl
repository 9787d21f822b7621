// y = weight ∗ images, KERNEL × KERNEL with STRIDE and PADDING, no bias; and the moments of y.
//   images: [images, CHANNELS_IN, IN_HEIGHT, IN_WIDTH]   y: [images, CHANNELS, HEIGHT, WIDTH]   weight: [out, in, KERNEL, KERNEL]
// Tiles, lines and bands: common/conv_tile. Each tap loads its pixels anew: tiles share few of them where the stride is large.
// Host promises: as conv_tile; weight is in theta.
import package::common::conv_lanes::{slots_at, theta_slots};
import package::common::conv_norm::{CHANNELS, theta, moments};
import package::common::conv_tile::{
  HEIGHT, WIDTH, TILE_X, OUT, LINES, TILE, BLOCKS, WORKGROUP, SUMS, Sums, LineMoments, place_of, block_of, finish_block, finish_line,
  output,
};

@if(subgroups) enable subgroups;

const CHANNELS_IN = 3u;
const IN_HEIGHT = 32u;
const IN_WIDTH = 32u;
const KERNEL = 5u;
const STRIDE = 3u;
const PADDING = 1u;
const NORM_OUT = 1u;
const IN_PIXELS = IN_HEIGHT * IN_WIDTH;
const TAPS = CHANNELS_IN * KERNEL * KERNEL;

struct Params {
  images: u32,
  bands: u32,
  weight_at: u32,
  parts_to: u32,
}

@group(0) @binding(1) var<storage, read> pixels: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let images = params.images;
  let bands = params.bands;
  let weight_at = params.weight_at;
  @if(subgroups) let lane = subgroup_lane & 3u;
  @else let lane = local & 3u;
  let place = place_of(group, local, lane, images);
  let image = min(place.image, images - 1u) * CHANNELS_IN * IN_PIXELS;
  var line = LineMoments();
  for (var first = 0u; first < BLOCKS; first += bands) {
    let block = block_of(place, first + place.band);
    var sum = Sums();
    //@unroll
    for (var i = 0u; i < SUMS; i++) {
      sum[i] = vec4f();
    }
    for (var tap = 0u; tap < TAPS; tap++) {
      let plane = image + tap / (KERNEL * KERNEL) * IN_PIXELS;
      // Rows and columns outside the image wrap to numbers above its size.
      let row_from = block.top * STRIDE + tap / KERNEL % KERNEL - PADDING;
      let column_from = block.left * STRIDE + tap % KERNEL - PADDING;
      var x = array<f32, TILE>();
      //@unroll
      for (var p = 0u; p < TILE; p++) {
        let row = row_from + p / TILE_X * STRIDE;
        let column = column_from + p % TILE_X * STRIDE;
        let value = pixels[plane + min(row, IN_HEIGHT - 1u) * IN_WIDTH + min(column, IN_WIDTH - 1u)];
        x[p] = select(0.0, value, (row < IN_HEIGHT) & (column < IN_WIDTH));
      }
      //@unroll
      for (var g = 0u; g < OUT; g++) {
        let w = theta_slots(slots_at(place.first_channel + 4u * g, place.lane, weight_at, TAPS), tap);
        //@unroll
        for (var p = 0u; p < TILE; p++) {
          sum[g * TILE + p] += w * x[p];
        }
      }
    }
    finish_block(&sum, &line, place, block, NORM_OUT);
  }
  finish_line(&line, place, group.x, params.parts_to, bands, NORM_OUT);
}
