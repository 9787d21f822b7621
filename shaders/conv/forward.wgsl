// y = weight ∗ x + bias, 3 × 3, stride 1, padding 1;   x = before + outer · n(input), or σ(n(input)) without RESIDUAL; state = x with
//   KEEP_STATE; and the moments of y, for the normalisation that follows.   before, input, state, y: [images, CHANNELS, HEIGHT, WIDTH]
// Tiles, lines and bands: common/conv_tile. Normalisations: common/conv_norm, NORM_IN that of the input and NORM_OUT that of y.
// Host promises: as conv_tile; weight [out, in, 3, 3] and bias are in theta; without `present` images nothing is written.
import package::common::activation::activation;
import package::common::conv_lanes::{slots_at, theta_slots};
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};
import package::common::conv_tile::{
  HEIGHT, WIDTH, TILE_Y, TILE_X, OUT, LINES, TILE, SPAN, HALO, PIXELS, BLOCKS, WORKGROUP, SUMS, Sums, Halo, LineMoments, place_of, block_of, has_pixel,
  pixel_at, add_products, finish_block, finish_line, output,
};

@if(subgroups) enable subgroups;

const RESIDUAL = true;
const KEEP_STATE = true;
const NORM_IN = 1u;
const MEMBERS_IN = 1u;
const NORM_OUT = 1u;
const PER_IMAGE = select(1u, 4u, NORM_IN == 2u);

struct Params {
  images: u32,
  bands: u32,
  weight_at: u32,
  bias_at: u32,
  scale_at: u32,
  shift_at: u32,
  parts_at: u32,
  parts: u32,
  parts_to: u32,
  before_at: u32,
  state_at: u32,
  outer: f32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>; // before and state: a buffer may not be bound twice when it is written
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> affine: array<vec2f, PER_IMAGE * CHANNELS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let images = params.images;
  // Copied here: in a loop each read of a uniform costs 30 instructions of bounds checks (SwiftShader, 2026-11).
  let bands = params.bands;
  let outer = params.outer;
  let before_at = params.before_at;
  let state_at = params.state_at;
  let weight_at = params.weight_at;
  let norm = NormPlace(params.parts_at, params.parts, bands, params.scale_at, params.shift_at, params.epsilon);
  for (var i = local; i < PER_IMAGE * CHANNELS; i += WORKGROUP) {
    affine[i] = affine_of(norm_of(NORM_IN, MEMBERS_IN, norm, min(4u * group.x + i / CHANNELS, images - 1u), i % CHANNELS));
  }
  workgroupBarrier();
  @if(subgroups) let lane = subgroup_lane & 3u;
  @else let lane = local & 3u;
  let place = place_of(group, local, lane, images);
  let own_affine = select(0u, place.lane * CHANNELS, PER_IMAGE > 1u);
  var line = LineMoments();
  for (var first = 0u; first < BLOCKS; first += bands) {
    let block = block_of(place, first + place.band);
    let keeps = KEEP_STATE & block.busy & (place.first_channel == 0u);
    var sum = Sums();
    //@unroll
    for (var g = 0u; g < OUT; g++) {
      let bias = theta_slots(slots_at(place.first_channel + 4u * g, place.lane, params.bias_at, 1u), 0u);
      //@unroll
      for (var p = 0u; p < TILE; p++) {
        sum[g * TILE + p] = bias;
      }
    }
    for (var c = 0u; c < CHANNELS; c++) {
      let plane = place.map + c * PIXELS;
      let own = affine[own_affine + c];
      var x = Halo();
      //@unroll
      for (var j = 0u; j < TILE_Y + 2u; j++) {
        // Rows and columns outside the image wrap to numbers above its size.
        let row = block.top + j - 1u;
        let row_at = plane + min(row, HEIGHT - 1u) * WIDTH;
        //@unroll
        for (var i = 0u; i < SPAN; i++) {
          let column = block.left + i - 1u;
          let at = row_at + min(column, WIDTH - 1u);
          let normal = input[at] * own.x + own.y;
          var value = normal;
          if (RESIDUAL) {
            value = states[before_at + at] + outer * normal;
          } else {
            value = activation(normal);
          }
          x[j * SPAN + i] = select(0.0, value, (row < HEIGHT) & (column < WIDTH));
        }
      }
      if (keeps) {
        //@unroll
        for (var p = 0u; p < TILE; p++) {
          if (has_pixel(block, p)) {
            states[state_at + plane + pixel_at(block, p)] = x[(p / TILE_X + 1u) * SPAN + p % TILE_X + 1u];
          }
        }
      }
      add_products(&x, &sum, place, weight_at + c * 9u, 9u * CHANNELS, false);
    }
    finish_block(&sum, &line, place, block, NORM_OUT);
  }
  finish_line(&line, place, group.x, params.parts_to, bands, NORM_OUT);
}
