// n(x) = (x − mean) / √(variance + ε) · scale + shift, one scale and shift a channel, from moments that an earlier dispatch left in
//   parts, [part, (count, mean, Σ (x − mean)²), CHANNELS]. Kinds: 0 none, n(x) = x;
//   1 batch: a part has a band of four images, and all parts belong together, channel by channel;
//   2 group: a part has a band of one image, and its bands and the `members` channels of a group belong together.
// Nothing is split here. Host promises: `members` divides CHANNELS, and is 1 for kinds 0 and 1.
import package::common::moments::{Moments, merge_moments};

const CHANNELS = 16u;

@group(0) @binding(0) var<storage, read> theta: array<f32>; // all parameters of the network
@group(0) @binding(6) var<storage, read_write> moments: array<f32>;

struct NormPlace {
  parts_at: u32, // in parts
  parts: u32,
  bands: u32,
  scale_at: u32,
  shift_at: u32,
  epsilon: f32,
}

// (mean, 1 / √(variance + ε), scale, shift) of an image's channel.
fn norm_of(kind: u32, members: u32, place: NormPlace, image: u32, channel: u32) -> vec4f {
  if (kind == 0u) {
    return vec4f(0.0, 1.0, 1.0, 0.0);
  }
  let first_part = place.parts_at + select(0u, image * place.bands, kind == 2u);
  let count = select(place.parts, place.bands, kind == 2u);
  let first = channel / members * members;
  var all = Moments(0.0, 0.0, 0.0);
  for (var part = first_part; part < first_part + count; part++) {
    for (var c = first; c < first + members; c++) {
      let at = part * 3u * CHANNELS + c;
      all = merge_moments(all, Moments(moments[at], moments[at + CHANNELS], moments[at + 2u * CHANNELS]));
    }
  }
  let deviation = inverseSqrt(all.squares / max(all.count, 1.0) + place.epsilon);
  return vec4f(all.mean, deviation, theta[place.scale_at + channel], theta[place.shift_at + channel]);
}

// n(x) = x · result.x + result.y.
fn affine_of(norm: vec4f) -> vec2f {
  let factor = norm.y * norm.z;
  return vec2f(factor, norm.w - norm.x * factor);
}
