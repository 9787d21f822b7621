// q = weightᵀ ∗ g, the adjoint of y = weight ∗ x (3 × 3, stride 1, padding 1), g = ∂loss/∂y = factor · gradient · a + input · b + c, the adjoint
//   of the normalisation that read y = `input` (NORM_IN; a, b and c from `sums`); g is kept for the gradient of the weights.
//   Then output = value: q, or output + q with RESIDUAL, times σ'(n(next)) with ACTIVATED; and for the adjoint of n (NORM_OUT) the sums of
//   d = next_factor · value and of d · (next − mean) / √(variance + ε), in parts as the moments: [part, 2, CHANNELS].
// Tiles, lines and bands: common/conv_tile.
// Host promises: as conv_tile; weight [out, in, 3, 3] is in theta; sums hold all parts of n's place, made by an earlier dispatch.
import package::common::activation::activation_pair;
import package::common::conv_adjoint::{adjoint_of, sums};
import package::common::conv_lanes::{swap_x, swap_y, swap_diagonal};
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};
import package::common::conv_tile::{
  HEIGHT, WIDTH, TILE_Y, TILE_X, OUT, LINES, TILE, SPAN, HALO, PIXELS, BLOCKS, WORKGROUP, SUMS, Sums, Halo, place_of, block_of, has_pixel,
  pixel_at, add_products, output,
};

@if(subgroups) enable subgroups;

const RESIDUAL = true;
const ACTIVATED = false;
const NORM_IN = 1u;
const MEMBERS_IN = 1u;
const NORM_OUT = 1u;
const MEMBERS_OUT = 1u;
const PER_IMAGE = select(1u, 4u, NORM_IN == 2u);
const PER_IMAGE_OUT = select(1u, 4u, NORM_OUT == 2u);

struct Params {
  images: u32,
  bands: u32,
  parts: u32,
  weight_at: u32,
  scale_at: u32,
  shift_at: u32,
  parts_at: u32,
  next_scale_at: u32,
  next_shift_at: u32,
  next_parts_at: u32,
  factor: f32,
  epsilon: f32,
  next_factor: f32,
  next_epsilon: f32,
}

@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> kept: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> linear: array<vec3f, PER_IMAGE * CHANNELS>;
var<workgroup> next_norm: array<vec4f, PER_IMAGE_OUT * CHANNELS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let images = params.images;
  let bands = params.bands;
  let weight_at = params.weight_at;
  let factor = params.factor;
  let next_factor = params.next_factor;
  let norm = NormPlace(params.parts_at, params.parts, bands, params.scale_at, params.shift_at, params.epsilon);
  let after = NormPlace(
    params.next_parts_at, params.parts, bands, params.next_scale_at, params.next_shift_at, params.next_epsilon);
  for (var i = local; i < PER_IMAGE * CHANNELS; i += WORKGROUP) {
    linear[i] =
      adjoint_of(NORM_IN, MEMBERS_IN, norm, min(4u * group.x + i / CHANNELS, images - 1u), i % CHANNELS, images * PIXELS, PIXELS);
  }
  for (var i = local; i < PER_IMAGE_OUT * CHANNELS; i += WORKGROUP) {
    next_norm[i] = norm_of(NORM_OUT, MEMBERS_OUT, after, min(4u * group.x + i / CHANNELS, images - 1u), i % CHANNELS);
  }
  workgroupBarrier();
  @if(subgroups) let lane = subgroup_lane & 3u;
  @else let lane = local & 3u;
  let place = place_of(group, local, lane, images);
  let own_linear = select(0u, place.lane * CHANNELS, PER_IMAGE > 1u);
  let own_next = select(0u, place.lane * CHANNELS, PER_IMAGE_OUT > 1u);
  var first_sum = array<vec4f, OUT>();
  var second_sum = array<vec4f, OUT>();
  for (var first = 0u; first < BLOCKS; first += bands) {
    let block = block_of(place, first + place.band);
    let keeps = block.busy & (place.first_channel == 0u);
    var sum = Sums();
    //@unroll
    for (var i = 0u; i < SUMS; i++) {
      sum[i] = vec4f();
    }
    for (var c = 0u; c < CHANNELS; c++) {
      let plane = place.map + c * PIXELS;
      let own = linear[own_linear + c];
      let own_a = factor * own.x;
      var g = Halo();
      //@unroll
      for (var j = 0u; j < TILE_Y + 2u; j++) {
        // Rows and columns outside the image wrap to numbers above its size.
        let row = block.top + j - 1u;
        let row_at = plane + min(row, HEIGHT - 1u) * WIDTH;
        //@unroll
        for (var i = 0u; i < SPAN; i++) {
          let column = block.left + i - 1u;
          let at = row_at + min(column, WIDTH - 1u);
          var value = own_a * gradient[at];
          if (NORM_IN != 0u) {
            value += own.y * input[at] + own.z;
          }
          g[j * SPAN + i] = select(0.0, value, (row < HEIGHT) & (column < WIDTH));
        }
      }
      if (keeps) {
        //@unroll
        for (var p = 0u; p < TILE; p++) {
          if (has_pixel(block, p)) {
            kept[plane + pixel_at(block, p)] = g[(p / TILE_X + 1u) * SPAN + p % TILE_X + 1u];
          }
        }
      }
      add_products(&g, &sum, place, weight_at + c * 9u * CHANNELS, 9u, true);
    }
    // Not unrolled over pixels, which would compile all this once for each; a copy, so that the sums stay in registers.
    var results = sum;
    for (var p = 0u; p < TILE; p++) {
      let stores = block.busy & has_pixel(block, p);
      let pixel = pixel_at(block, select(0u, p, stores));
      //@unroll
      for (var g = 0u; g < OUT; g++) {
        let result = results[g * TILE + p];
        //@unroll
        for (var s = 0u; s < 4u; s++) {
          let channel = place.first_channel + 4u * g + (place.lane ^ s);
          let own = next_norm[own_next + min(channel, CHANNELS - 1u)];
          let at = place.map + min(channel, CHANNELS - 1u) * PIXELS + pixel;
          var value = result[s];
          if (RESIDUAL) {
            value += output[at];
          }
          if (ACTIVATED) {
            let affine = affine_of(own);
            value *= activation_pair(next[at] * affine.x + affine.y).y;
          }
          if (stores & (channel < CHANNELS)) {
            output[at] = value;
          }
          if (NORM_OUT != 0u) {
            let d = select(0.0, next_factor * value, stores);
            first_sum[g][s] += d;
            second_sum[g][s] += d * ((next[at] - own.x) * own.y);
          }
        }
      }
    }
  }
  let part = params.next_parts_at + select(group.x, place.image, NORM_OUT == 2u) * bands + place.band;
  //@unroll
  for (var g = 0u; g < OUT; g++) {
    let channel = place.first_channel + 4u * g;
    if (NORM_OUT == 1u) {
      store_sums(part, channel + place.lane, quad_total(first_sum[g], local), quad_total(second_sum[g], local), true);
    } else if (NORM_OUT == 2u) {
      //@unroll
      for (var s = 0u; s < 4u; s++) {
        store_sums(part, channel + (place.lane ^ s), first_sum[g][s], second_sum[g][s], place.present);
      }
    }
  }
}

// Over the quad's images, of the channel that is this lane's.
fn quad_total(slots: vec4f, local: u32) -> f32 {
  return (slots.x + swap_x(slots.y, local)) + (swap_y(slots.z, local) + swap_diagonal(slots.w, local));
}

fn store_sums(part: u32, channel: u32, first: f32, second: f32, stores: bool) {
  if (stores & (channel < CHANNELS)) {
    sums[part * 2u * CHANNELS + channel] = first;
    sums[(part * 2u + 1u) * CHANNELS + channel] = second;
  }
}
