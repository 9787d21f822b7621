// Layers end_layer − 1 … first_layer of the residual stack (conv/fused_forward) backwards: with p = adjoint = ∂loss/∂h behind a layer
//   grad_second = adj2(outer · p), grad_first = adj1(σ'(n1(first)) · conv2ᵀ ∗ grad_second), p ← p + conv1ᵀ ∗ grad_first;
//   adj1, adj2 the adjoints of the normalisations (common/conv_adjoint), whose sums over an image are stored as a part, down to those of
//   the layer before the first.   first, second, grad_first, grad_second: [layer, images, CHANNELS, HEIGHT, WIDTH], layers `layer_step` apart
// A workgroup carries an image: p in registers, what is convolved in workgroup memory (common/conv_map).
// `second` begins with layer first_layer − 1, `first`, `grad_first` and `grad_second` with first_layer. Of an image's `bands` parts of sums the
// first has all, the others stay empty; moments of layer 0 lie in all bands, those of other layers in the first.
// Host promises: as conv_map; grid (images); weights of the layers lie one after the other, in theta; all moments are there.
import package::common::activation::activation_pair;
import package::common::conv_adjoint::{adjoint_by, sums};
import package::common::conv_map::{
  NORM, NORMED, OUT, PIXELS, TILE, BLOCKS, WORKGROUP, VALUES, Values, Item, shares, totals, norms, item_of, channel_of, has_value, number_at, fill_map,
  add_convolution,
};
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, affine_of, theta, moments};

const MEMBERS = 16u;

struct Params {
  first_layer: u32,
  end_layer: u32,
  layer_step: u32,
  bands: u32,
  weight1_at: u32, // of layer 0, here and below
  scale1_at: u32,
  shift1_at: u32,
  weight2_at: u32,
  scale2_at: u32,
  shift2_at: u32,
  parts_at: u32, // of the first normalisation of layer 0
  parts_step: u32, // from one normalisation to the next
  outer: f32,
  epsilon: f32,
}

@group(0) @binding(1) var<storage, read> first: array<f32>;
@group(0) @binding(2) var<storage, read> second: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_first: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad_second: array<f32>;
@group(0) @binding(7) var<storage, read_write> adjoint: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// (a, b, c) of the channels' adjoint.
var<workgroup> linear: array<vec3f, NORMED>;

// The normalisation of a place, 2 · layer or one more, becomes `norms`.
fn take_norms(local: u32, image: u32, place: u32, scale_at: u32, shift_at: u32) {
  let part = params.parts_at + place * params.parts_step + image * params.bands;
  let norm_place = NormPlace(part, 1u, select(1u, params.bands, place < 2u), scale_at, shift_at, params.epsilon);
  workgroupBarrier();
  for (var c = local; c < CHANNELS; c += WORKGROUP) {
    norms[c] = norm_of(NORM, MEMBERS, norm_place, 0u, c);
  }
  workgroupBarrier();
}

// The adjoint of `norms` becomes `linear`, from d and the numbers x that were normalised; Σ d and Σ d · x̂ are stored.
fn take_sums(item: Item, local: u32, image: u32, place: u32, scale_at: u32, d: ptr<function, Values>, x: ptr<function, Values>) {
  //@unroll
  for (var o = 0u; o < OUT; o++) {
    let norm = norms[channel_of(item, o)];
    var sum = vec2f();
    //@unroll
    for (var p = 0u; p < TILE; p++) {
      let own = select(0.0, (*d)[o * TILE + p], has_value(item, o, p));
      sum += vec2f(own, own * (((*x)[o * TILE + p] - norm.x) * norm.y));
    }
    shares[(item.first_channel + o) * BLOCKS + item.block] = sum;
  }
  workgroupBarrier();
  for (var c = local; c < CHANNELS; c += WORKGROUP) {
    var total = vec2f();
    for (var block = 0u; block < BLOCKS; block++) {
      total += shares[c * BLOCKS + block];
    }
    totals[c] = total;
    let at = (params.parts_at + place * params.parts_step + image * params.bands) * 2u * CHANNELS + c;
    sums[at] = total.x;
    sums[at + CHANNELS] = total.y;
  }
  workgroupBarrier();
  for (var c = local; c < CHANNELS; c += WORKGROUP) {
    let start = c / MEMBERS * MEMBERS;
    var mean = vec2f();
    for (var member = start; member < start + MEMBERS; member++) {
      mean += theta[scale_at + member] * totals[member];
    }
    linear[c] = adjoint_by(norms[c], mean / f32(MEMBERS * PIXELS));
  }
  workgroupBarrier();
}

fn adjoint_at(item: Item, o: u32) -> vec3f {
  if (NORM == 0u) {
    return vec3f(1.0, 0.0, 0.0);
  }
  return linear[channel_of(item, o)];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let image = group.x;
  let item = item_of(local);
  let image_at = image * CHANNELS * PIXELS;
  let first_layer = params.first_layer;
  let outer = params.outer;
  var p = Values();
  //@unroll
  for (var v = 0u; v < VALUES; v++) {
    p[v] = adjoint[image_at + number_at(item, v / TILE, v % TILE)];
  }
  for (var behind = params.end_layer; behind >= first_layer; behind--) {
    // The layer before: its second normalisation, then all of it.
    let layer = behind - 1u;
    let channels = layer * CHANNELS;
    let weights = channels * CHANNELS * 9u;
    var d = Values();
    var x = Values();
    let second_at = (behind - first_layer) * params.layer_step + image_at;
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      d[v] = outer * p[v];
      if (NORM != 0u) {
        x[v] = second[second_at + number_at(item, v / TILE, v % TILE)];
      }
    }
    if (NORM != 0u) {
      take_norms(local, image, 2u * layer + 1u, params.scale2_at + channels, params.shift2_at + channels);
      take_sums(item, local, image, 2u * layer + 1u, params.scale2_at + channels, &d, &x);
    }
    if (behind == first_layer) {
      break;
    }
    let kept_at = (layer - first_layer) * params.layer_step + image_at;
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      let own = adjoint_at(item, v / TILE);
      d[v] = own.x * d[v] + own.y * x[v] + own.z;
      if (has_value(item, v / TILE, v % TILE)) {
        grad_second[kept_at + number_at(item, v / TILE, v % TILE)] = d[v];
      }
      x[v] = first[kept_at + number_at(item, v / TILE, v % TILE)];
    }
    fill_map(item, &d);
    d = Values();
    add_convolution(item, &d, params.weight2_at + weights, 9u, CHANNELS * 9u, true);
    if (NORM != 0u) {
      take_norms(local, image, 2u * layer, params.scale1_at + channels, params.shift1_at + channels);
    }
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      var affine = vec2f(1.0, 0.0);
      if (NORM != 0u) {
        affine = affine_of(norms[channel_of(item, v / TILE)]);
      }
      d[v] *= activation_pair(x[v] * affine.x + affine.y).y;
    }
    if (NORM != 0u) {
      take_sums(item, local, image, 2u * layer, params.scale1_at + channels, &d, &x);
    }
    //@unroll
    for (var v = 0u; v < VALUES; v++) {
      let own = adjoint_at(item, v / TILE);
      d[v] = own.x * d[v] + own.y * x[v] + own.z;
      if (has_value(item, v / TILE, v % TILE)) {
        grad_first[kept_at + number_at(item, v / TILE, v % TILE)] = d[v];
      }
    }
    fill_map(item, &d);
    add_convolution(item, &p, params.weight1_at + weights, 9u, CHANNELS * 9u, true);
  }
  //@unroll
  for (var v = 0u; v < VALUES; v++) {
    if (has_value(item, v / TILE, v % TILE)) {
      adjoint[image_at + number_at(item, v / TILE, v % TILE)] = p[v];
    }
  }
}
