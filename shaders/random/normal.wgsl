// output[i - first] = scale · normal(i), i = first .. first + count - 1: standard normal numbers of Threefry-2x32-20 (Salmon et
//   al., SC'11) and an integer-only inverse normal distribution. output: [count] f32. The same bits as RandomStream.fillNormal.
// One invocation draws the two numbers of a counter, then strides over the grid by whole grids. No barrier, no sharing.
// Host promises: table is normalTable() (1024 pairs), (key0, key1) a RandomStream's key, first + count <= 2^32 - 1, and a 1-D grid
//   of at most 65535 groups, ideally ceil((count / 2 + 1) / WORKGROUP). Words beyond output[count - 1] are not touched.
import package::common::threefry::threefry2x32;

const WORKGROUP = 64;

const SEGMENT_BITS = 5u;
const DROPPED_BITS = 9u; // 30 - SEGMENT_BITS - 16, the bits below the 16-bit fraction
const TO_UNIT = 4.76837158203125e-7; // 2^-21

struct Params {
  key0: u32,
  key1: u32,
  first: u32,
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> table: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// The normal number of a random word; src/model/random.ts explains the octaves and segments.
fn normal_of_word(word: u32) -> f32 {
  let r = word & 0x7fffffffu;
  let octave = countLeadingZeros(r) - 1u;
  let shifted = r << octave;
  let segment = (shifted >> (30u - SEGMENT_BITS)) & ((1u << SEGMENT_BITS) - 1u);
  let f = (shifted >> DROPPED_BITS) & 0xffffu;
  let entry = table[(octave << SEGMENT_BITS) + segment];
  let g = (f * (65536u - f)) >> 16u;
  let chord = ((entry.y >> 16u) * f + 0x8000u) >> 16u;
  let bend = ((entry.y & 0xffffu) * g + 0x8000u) >> 16u;
  let magnitude = f32(entry.x - chord - bend) * TO_UNIT;
  return select(magnitude, -magnitude, (word >> 31u) == 1u);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let key = vec2u(params.key0, params.key1);
  let first_pair = params.first >> 1u;
  let last_pair = (params.first + params.count - 1u) >> 1u;
  let pairs = select(last_pair - first_pair + 1u, 0u, params.count == 0u);
  for (var j = id.x; j < pairs; j += groups.x * u32(WORKGROUP)) {
    let pair = first_pair + j;
    let words = threefry2x32(key, vec2u(pair, 0u));
    // An index below `first` wraps to a number above `count`, so one comparison guards both ends.
    let at = 2u * pair - params.first;
    if (at < params.count) {
      output[at] = normal_of_word(words.x) * params.scale;
    }
    if (at + 1u < params.count) {
      output[at + 1u] = normal_of_word(words.y) * params.scale;
    }
  }
}
