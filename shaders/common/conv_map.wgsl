// A feature map in workgroup memory, for kernels that carry an image through many layers: a workgroup has an image, an invocation
//   TILE_Y × TILE_X pixels × OUT channels of it in registers; slot o · TILE + p is pixel p of channel first_channel + o.
// Sums over the pixels of a channel are made block by block, then over the blocks in increasing order.
// Host promises: a workgroup is BLOCKS · GROUPS invocations, and the map and what lies beside it fit workgroup memory.
import package::common::conv_norm::{CHANNELS, theta};

const HEIGHT = 10u;
const WIDTH = 10u;
const TILE_Y = 2u;
const TILE_X = 5u;
const OUT = 2u;
const NORM = 2u;
const PIXELS = HEIGHT * WIDTH;
const TILE = TILE_Y * TILE_X;
const SPAN = TILE_X + 2u;
const HALO = (TILE_Y + 2u) * SPAN;
const BLOCKS_X = (WIDTH + TILE_X - 1u) / TILE_X;
const BLOCKS = (HEIGHT + TILE_Y - 1u) / TILE_Y * BLOCKS_X;
const GROUPS = (CHANNELS + OUT - 1u) / OUT;
const WORKGROUP = BLOCKS * GROUPS;
const VALUES = OUT * TILE;
const NORMALISES = select(0u, 1u, NORM != 0u);
const NORMED = 1u + NORMALISES * (CHANNELS - 1u);
const SHARES = 1u + NORMALISES * (GROUPS * OUT * BLOCKS - 1u);

alias Values = array<f32, VALUES>;

var<workgroup> map: array<f32, CHANNELS * PIXELS>;
// Of a channel's block two numbers, [channel, block]. Here and below one number where no normalisation asks for more.
var<workgroup> shares: array<vec2f, SHARES>;
var<workgroup> totals: array<vec2f, NORMED>;
// (mean, 1 / √(variance + ε), scale, shift) of the channels.
var<workgroup> norms: array<vec4f, NORMED>;

// Where an invocation works.
struct Item {
  first_channel: u32,
  block: u32,
  top: u32,
  left: u32,
  rows: u32, // inside the image
  columns: u32,
}

fn item_of(local: u32) -> Item {
  let block = local % BLOCKS;
  let top = block / BLOCKS_X * TILE_Y;
  let left = block % BLOCKS_X * TILE_X;
  return Item(local / BLOCKS * OUT, block, top, left, min(TILE_Y, HEIGHT - top), min(TILE_X, WIDTH - left));
}

fn has_pixel(item: Item, p: u32) -> bool {
  return (p / TILE_X < item.rows) & (p % TILE_X < item.columns);
}

fn channel_of(item: Item, o: u32) -> u32 {
  return min(item.first_channel + o, CHANNELS - 1u);
}

fn has_value(item: Item, o: u32, p: u32) -> bool {
  return has_pixel(item, p) & (item.first_channel + o < CHANNELS);
}

// Place of a slot's number in an image; of a neighbour's where the slot has none.
fn number_at(item: Item, o: u32, p: u32) -> u32 {
  let row = min(item.top + p / TILE_X, HEIGHT - 1u);
  let column = min(item.left + p % TILE_X, WIDTH - 1u);
  return channel_of(item, o) * PIXELS + row * WIDTH + column;
}

// The map becomes these values, between barriers: all invocations are done with what it held, and see what it holds.
fn fill_map(item: Item, values: ptr<function, Values>) {
  workgroupBarrier();
  //@unroll
  for (var v = 0u; v < VALUES; v++) {
    if (has_value(item, v / TILE, v % TILE)) {
      map[number_at(item, v / TILE, v % TILE)] = (*values)[v];
    }
  }
  workgroupBarrier();
}

// sum += weights ∗ map, 3 × 3, stride 1, padding 1; the weights of an output channel are `out_step` apart, those of an input channel `in_step`.
fn add_convolution(
  item: Item,
  sum: ptr<function, Values>,
  weights_at: u32,
  out_step: u32,
  in_step: u32,
  flipped: bool,
) {
  for (var c = 0u; c < CHANNELS; c++) {
    var x = array<f32, HALO>();
    //@unroll
    for (var j = 0u; j < TILE_Y + 2u; j++) {
      // Rows and columns outside the image wrap to numbers above its size.
      let row = item.top + j - 1u;
      let row_at = c * PIXELS + min(row, HEIGHT - 1u) * WIDTH;
      //@unroll
      for (var i = 0u; i < SPAN; i++) {
        let column = item.left + i - 1u;
        let value = map[row_at + min(column, WIDTH - 1u)];
        x[j * SPAN + i] = select(0.0, value, (row < HEIGHT) & (column < WIDTH));
      }
    }
    //@unroll
    for (var o = 0u; o < OUT; o++) {
      let taps = weights_at + channel_of(item, o) * out_step + c * in_step;
      //@unroll
      for (var t = 0u; t < 9u; t++) {
        let w = theta[taps + select(t, 8u - t, flipped)];
        //@unroll
        for (var p = 0u; p < TILE; p++) {
          (*sum)[o * TILE + p] += w * x[(p / TILE_X + t / 3u) * SPAN + p % TILE_X + t % 3u];
        }
      }
    }
  }
}
