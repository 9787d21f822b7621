// What an invocation of the convolution kernels carries: TILE_Y × TILE_X pixels × 4 · OUT channels of one image, as sums in registers.
// The lanes of a quad have four images and share the weights: slot s of lane l is channel l ^ s of a chunk (common/conv_lanes); where there
//   are subgroups, a lane loads the weights of one output channel in four and swaps. A line of quads walks the blocks of its band; all lines make as many trips, as swaps need.
// Host promises: a workgroup is 4 · LINES invocations, the grid (⌈images/4⌉, bands · GROUPS / LINES).
import package::common::conv_lanes::{slots_at, theta_slots, swap_x, swap_y, swap_diagonal};
import package::common::conv_norm::{CHANNELS, moments};
import package::common::moments::{Moments, merge_moments};

const HEIGHT = 10u;
const WIDTH = 10u;
const TILE_Y = 2u;
const TILE_X = 5u;
const OUT = 4u;
const LINES = 1u;
const GROUPS = (CHANNELS + 4u * OUT - 1u) / (4u * OUT);
const PIXELS = HEIGHT * WIDTH;
const TILE = TILE_Y * TILE_X;
const SPAN = TILE_X + 2u;
const HALO = (TILE_Y + 2u) * SPAN;
const BLOCKS_X = (WIDTH + TILE_X - 1u) / TILE_X;
const BLOCKS = (HEIGHT + TILE_Y - 1u) / TILE_Y * BLOCKS_X;
const WORKGROUP = 4u * LINES;
const SUMS = OUT * TILE;

alias Sums = array<vec4f, SUMS>;
alias Halo = array<f32, HALO>;

@group(0) @binding(7) var<storage, read_write> output: array<f32>;

// Where an invocation works.
struct Place {
  local: u32,
  lane: u32,
  image: u32,
  present: bool,
  map: u32, // of the image's first number; of the last image's where there is none
  first_channel: u32,
  band: u32,
}

fn place_of(group: vec3u, local: u32, lane: u32, images: u32) -> Place {
  let image = 4u * group.x + lane;
  let line = group.y * LINES + local / 4u;
  return Place(
    local, lane, image, image < images, min(image, images - 1u) * CHANNELS * PIXELS, line % GROUPS * 4u * OUT, line / GROUPS);
}

struct Block {
  top: u32,
  left: u32,
  rows: u32, // inside the image
  columns: u32,
  busy: bool,
}

fn block_of(place: Place, index: u32) -> Block {
  let top = min(index / BLOCKS_X * TILE_Y, HEIGHT - 1u);
  let left = index % BLOCKS_X * TILE_X;
  // No && in these kernels: each makes a branch, and every one of an unrolled text doubled the compiling time (SwiftShader, 2026-11).
  return Block(top, left, min(TILE_Y, HEIGHT - top), min(TILE_X, WIDTH - left), place.present & (index < BLOCKS));
}

fn has_pixel(block: Block, p: u32) -> bool {
  return (p / TILE_X < block.rows) & (p % TILE_X < block.columns);
}

fn pixel_at(block: Block, p: u32) -> u32 {
  return (block.top + p / TILE_X) * WIDTH + block.left + p % TILE_X;
}

// sum += weights ∗ x for one input channel; the weights of a tap are `tap_step` apart, those of an output channel `channel_step`.
fn add_products(
  x: ptr<function, Halo>,
  sum: ptr<function, Sums>,
  place: Place,
  weights_at: u32,
  channel_step: u32,
  flipped: bool,
) {
  //@unroll
  for (var g = 0u; g < OUT; g++) {
    let taps = slots_at(place.first_channel + 4u * g, place.lane, weights_at, channel_step);
    //@unroll
    for (var t = 0u; t < 9u; t++) {
      let w = theta_slots(taps, select(t, 8u - t, flipped));
      //@unroll
      for (var p = 0u; p < TILE; p++) {
        (*sum)[g * TILE + p] += w * (*x)[(p / TILE_X + t / 3u) * SPAN + p % TILE_X + t % 3u];
      }
    }
  }
}

// Moments of what a line has made so far.
struct LineMoments {
  count: f32,
  mean: array<vec4f, OUT>,
  squares: array<vec4f, OUT>,
}

// Stores a block's sums and takes them into the moments.
fn finish_block(
  sum: ptr<function, Sums>,
  line: ptr<function, LineMoments>,
  place: Place,
  block: Block,
  moments_kind: u32,
) {
  let pixels = f32(block.rows * block.columns);
  let here = select(0.0, pixels, block.busy);
  let share = here / max((*line).count + here, 1.0);
  // Not unrolled over pixels, which would compile the stores once for each; a copy, so that the sums stay in registers.
  var results = *sum;
  for (var p = 0u; p < TILE; p++) {
    let stores = block.busy & has_pixel(block, p);
    //@unroll
    for (var g = 0u; g < OUT; g++) {
      let result = results[g * TILE + p];
      //@unroll
      for (var s = 0u; s < 4u; s++) {
        let channel = place.first_channel + 4u * g + (place.lane ^ s);
        if (stores & (channel < CHANNELS)) {
          output[place.map + channel * PIXELS + pixel_at(block, p)] = result[s];
        }
      }
    }
  }
  //@unroll
  for (var g = 0u; g < OUT; g++) {
    if (moments_kind != 0u) {
      var total = vec4f();
      //@unroll
      for (var p = 0u; p < TILE; p++) {
        total += select(vec4f(), (*sum)[g * TILE + p], has_pixel(block, p));
      }
      let mean = total / pixels;
      var squares = vec4f();
      //@unroll
      for (var p = 0u; p < TILE; p++) {
        let deviation = (*sum)[g * TILE + p] - mean;
        squares += select(vec4f(), deviation * deviation, has_pixel(block, p));
      }
      let delta = mean - (*line).mean[g];
      (*line).mean[g] += delta * share;
      (*line).squares[g] += select(vec4f(), squares + delta * delta * ((*line).count * share), block.busy);
    }
  }
  (*line).count += here;
}

// Stores the line's moments as a part: of the quad's four images together for kind 1, of each of them for kind 2.
fn finish_line(line: ptr<function, LineMoments>, place: Place, quad: u32, parts_to: u32, bands: u32, kind: u32) {
  let count = (*line).count;
  let part = parts_to + select(quad, place.image, kind == 2u) * bands + place.band;
  //@unroll
  for (var g = 0u; g < OUT; g++) {
    let mean = (*line).mean[g];
    let squares = (*line).squares[g];
    let first = place.first_channel + 4u * g;
    if (kind == 1u) {
      let own = Moments(count, mean.x, squares.x);
      let local = place.local;
      let x = Moments(swap_x(count, local), swap_x(mean.y, local), swap_x(squares.y, local));
      let y = Moments(swap_y(count, local), swap_y(mean.z, local), swap_y(squares.z, local));
      let diagonal =
        Moments(swap_diagonal(count, local), swap_diagonal(mean.w, local), swap_diagonal(squares.w, local));
      store_moments(part, first + place.lane, merge_moments(merge_moments(own, x), merge_moments(y, diagonal)), true);
    } else if (kind == 2u) {
      //@unroll
      for (var s = 0u; s < 4u; s++) {
        store_moments(part, first + (place.lane ^ s), Moments(count, mean[s], squares[s]), place.present);
      }
    }
  }
}

fn store_moments(part: u32, channel: u32, all: Moments, stores: bool) {
  if (stores & (channel < CHANNELS)) {
    let at = part * 3u * CHANNELS + channel;
    moments[at] = all.count;
    moments[at + CHANNELS] = all.mean;
    moments[at + 2u * CHANNELS] = all.squares;
  }
}
