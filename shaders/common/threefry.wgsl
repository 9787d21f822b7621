// Threefry-2x32-20 (Salmon et al., SC'11): two random words of a key and a counter; src/model/random.ts has the same bits.
// No work is split here.
const PARITY = 0x1bd11bdau;

fn mix(x: vec2u, turn: u32) -> vec2u {
  let sum = x.x + x.y;
  let left = x.y << turn;
  let right = x.y >> (32u - turn);
  return vec2u(sum, (left | right) ^ sum);
}

fn four_rounds(x: vec2u, turns: vec4u) -> vec2u {
  return mix(mix(mix(mix(x, turns.x), turns.y), turns.z), turns.w);
}

fn threefry2x32(key: vec2u, counter: vec2u) -> vec2u {
  let even = vec4u(13u, 15u, 26u, 6u);
  let odd = vec4u(17u, 29u, 16u, 24u);
  let last = PARITY ^ key.x ^ key.y;
  var x = counter + key;
  x = four_rounds(x, even) + vec2u(key.y, last + 1u);
  x = four_rounds(x, odd) + vec2u(last, key.x + 2u);
  x = four_rounds(x, even) + vec2u(key.x, key.y + 3u);
  x = four_rounds(x, odd) + vec2u(key.y, last + 4u);
  x = four_rounds(x, even) + vec2u(last, key.x + 5u);
  return x;
}
