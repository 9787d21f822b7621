// Layers first_layer … end_layer − 1 of the residual stack: with h = before + outer · n2(second) of the layer before the first,
//   first = conv1 ∗ h + bias1, second = conv2 ∗ σ(n1(first)) + bias2, h ← h + outer · n2(second); normalisations that keep images apart.
//   states, first, second: [layer, images, CHANNELS, HEIGHT, WIDTH], layers `layer_step` apart   moments: as common/conv_norm
// A workgroup carries an image through the layers: h in registers, what is convolved in workgroup memory (common/conv_map).
// With KEEP the tensors hold every layer: states and second from first_layer − 1, first from first_layer. Without, states and second hold two
// layers in turn, and only those of the last layer are stored. Of an image's `bands` parts of moments the first has all, the others stay empty.
// Host promises: as conv_map; grid (images); weights and biases of the layers lie one after the other, in theta.
import package::common::activation::activation;
import package::common::conv_map::{
  NORM, OUT, PIXELS, TILE, BLOCKS, BLOCKS_X, TILE_Y, TILE_X, HEIGHT, WIDTH, WORKGROUP, VALUES, Values, Item, shares, totals, norms, item_of, has_pixel,
  channel_of, has_value, number_at, fill_map, add_convolution,
};
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};
import package::common::moments::{Moments, merge_moments};

const KEEP = true;
const MEMBERS = 16u;

struct Params {
  first_layer: u32,
  end_layer: u32,
  layer_step: u32,
  bands: u32,
  weight1_at: u32, // of layer 0, here and below
  bias1_at: u32,
  scale1_at: u32,
  shift1_at: u32,
  weight2_at: u32,
  bias2_at: u32,
  scale2_at: u32,
  shift2_at: u32,
  parts_at: u32, // of the first normalisation of layer 0
  parts_step: u32, // from one normalisation to the next
  outer: f32,
  epsilon: f32,
}

@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// Moments of a convolution's result over a group, whose normalisation is `norms` from then on; the channels' own are stored as a part.
fn take_moments(item: Item, local: u32, values: ptr<function, Values>, part: u32, scale_at: u32, shift_at: u32, epsilon: f32) {
  let pixels = f32(item.rows * item.columns);
  //@unroll
  for (var o = 0u; o < OUT; o++) {
    var mean = 0.0;
    //@unroll
    for (var p = 0u; p < TILE; p++) {
      mean += select(0.0, (*values)[o * TILE + p], has_pixel(item, p));
    }
    mean /= pixels;
    var squares = 0.0;
    //@unroll
    for (var p = 0u; p < TILE; p++) {
      let deviation = (*values)[o * TILE + p] - mean;
      squares += select(0.0, deviation * deviation, has_pixel(item, p));
    }
    shares[(item.first_channel + o) * BLOCKS + item.block] = vec2f(mean, squares);
  }
  workgroupBarrier();
  for (var c = local; c < CHANNELS; c += WORKGROUP) {
    var all = Moments(0.0, 0.0, 0.0);
    for (var block = 0u; block < BLOCKS; block++) {
      let share = shares[c * BLOCKS + block];
      let rows = min(TILE_Y, HEIGHT - block / BLOCKS_X * TILE_Y);
      let columns = min(TILE_X, WIDTH - block % BLOCKS_X * TILE_X);
      all = merge_moments(all, Moments(f32(rows * columns), share.x, share.y));
    }
    totals[c] = vec2f(all.mean, all.squares);
    let at = part * 3u * CHANNELS + c;
    moments[at] = all.count;
    moments[at + CHANNELS] = all.mean;
    moments[at + 2u * CHANNELS] = all.squares;
  }
  workgroupBarrier();
  for (var c = local; c < CHANNELS; c += WORKGROUP) {
    let start = c / MEMBERS * MEMBERS;
    var all = Moments(0.0, 0.0, 0.0);
    for (var member = start; member < start + MEMBERS; member++) {
      all = merge_moments(all, Moments(f32(PIXELS), totals[member].x, totals[member].y));
    }
    norms[c] = vec4f(
      all.mean, inverseSqrt(all.squares / all.count + epsilon), theta[scale_at + c], theta[shift_at + c]);
  }
  workgroupBarrier();
}

fn affine_at(item: Item, o: u32) -> vec2f {
  if (NORM == 0u) {
    return vec2f(1.0, 0.0);
  }
  return affine_of(norms[channel_of(item, o)]);
}

fn biases(item: Item, bias_at: u32) -> Values {
  var values = Values();
  //@unroll
  for (var o = 0u; o < OUT; o++) {
    let bias = theta[bias_at + channel_of(item, o)];
    //@unroll
    for (var p = 0u; p < TILE; p++) {
      values[o * TILE + p] = bias;
    }
  }
  return values;
}

// Where the numbers of a layer begin in `states` and `second`.
fn kept_at(layer: u32, image: u32) -> u32 {
  let slot = select(layer % 2u, layer + 1u - params.first_layer, KEEP);
  return slot * params.layer_step + image * CHANNELS * PIXELS;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let image = group.x;
  let item = item_of(local);
  let end = params.end_layer;
  let outer = params.outer;
  let epsilon = params.epsilon;
  let before = params.first_layer - 1u;
  if (NORM != 0u) {
    let place = NormPlace(
      params.parts_at + (2u * before + 1u) * params.parts_step, 1u, params.bands, params.scale2_at + before * CHANNELS,
      params.shift2_at + before * CHANNELS, epsilon);
    for (var c = local; c < CHANNELS; c += WORKGROUP) {
      norms[c] = norm_of(NORM, MEMBERS, place, image, c);
    }
    workgroupBarrier();
  }
  var h = Values();
  //@unroll
  for (var v = 0u; v < VALUES; v++) {
    let at = kept_at(before, image) + number_at(item, v / TILE, v % TILE);
    let affine = affine_at(item, v / TILE);
    h[v] = states[at] + outer * (second[at] * affine.x + affine.y);
  }
  for (var layer = params.first_layer; layer < end; layer++) {
    let keeps = KEEP | (layer + 1u == end);
    let weights = layer * CHANNELS * CHANNELS * 9u;
    let channels = layer * CHANNELS;
    let part = params.parts_at + 2u * layer * params.parts_step + image * params.bands;
    let state_at = kept_at(layer, image);
    let first_at = (layer - params.first_layer) * params.layer_step + image * CHANNELS * PIXELS;
    fill_map(item, &h);
    var value = biases(item, params.bias1_at + channels);
    add_convolution(item, &value, params.weight1_at + weights, CHANNELS * 9u, 9u, false);
    if (NORM != 0u) {
      take_moments(item, local, &value, part, params.scale1_at + channels, params.shift1_at + channels, epsilon);
    }
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      let at = number_at(item, v / TILE, v % TILE);
      if (KEEP & has_value(item, v / TILE, v % TILE)) {
        first[first_at + at] = value[v];
      }
      if (keeps & has_value(item, v / TILE, v % TILE)) {
        states[state_at + at] = h[v];
      }
      let affine = affine_at(item, v / TILE);
      value[v] = activation(value[v] * affine.x + affine.y);
    }
    fill_map(item, &value);
    value = biases(item, params.bias2_at + channels);
    add_convolution(item, &value, params.weight2_at + weights, CHANNELS * 9u, 9u, false);
    if (NORM != 0u) {
      take_moments(
        item, local, &value, part + params.parts_step, params.scale2_at + channels, params.shift2_at + channels, epsilon);
    }
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      if (keeps & has_value(item, v / TILE, v % TILE)) {
        second[state_at + number_at(item, v / TILE, v % TILE)] = value[v];
      }
      let affine = affine_at(item, v / TILE);
      h[v] += outer * (value[v] * affine.x + affine.y);
    }
  }
}
