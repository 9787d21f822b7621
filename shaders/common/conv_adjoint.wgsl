// The adjoint of a normalisation n(y) (common/conv_norm) from d = ∂loss/∂n: with x̂ = (y − mean) r and means over the numbers that are
//   normalised together, ∂loss/∂y = r (scale · d − mean(scale · d) − x̂ mean(scale · d · x̂)) = a · d + b · y + c.
// Σ d and Σ d · x̂ of every channel lie in parts as the moments do: [part, 2, CHANNELS]. Nothing is split here.
// Host promises: as conv_norm; `batch` is the number of pixels of a channel in the batch, `pixels` that of an image.
import package::common::conv_norm::{CHANNELS, NormPlace, norm_of, theta};

@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

// (a, b, c) of an image's channel.
fn adjoint_of(kind: u32, members: u32, place: NormPlace, image: u32, channel: u32, batch: u32, pixels: u32) -> vec3f {
  if (kind == 0u) {
    return vec3f(1.0, 0.0, 0.0);
  }
  let norm = norm_of(kind, members, place, image, channel);
  let first_part = place.parts_at + select(0u, image * place.bands, kind == 2u);
  let count = select(place.parts, place.bands, kind == 2u);
  let first = channel / members * members;
  var total = vec2f();
  for (var part = first_part; part < first_part + count; part++) {
    for (var c = first; c < first + members; c++) {
      let at = part * 2u * CHANNELS + c;
      total += theta[place.scale_at + c] * vec2f(sums[at], sums[at + CHANNELS]);
    }
  }
  return adjoint_by(norm, total / f32(select(batch, members * pixels, kind == 2u)));
}

// The same from n as in norm_of and the means of scale · d and scale · d · x̂.
fn adjoint_by(norm: vec4f, mean: vec2f) -> vec3f {
  let b = -norm.y * norm.y * mean.y;
  return vec3f(norm.y * norm.z, b, -norm.y * mean.x - norm.x * b);
}
