// A tile of lines of k, `width4` vec4 each, on its way from memory to workgroup memory; vec4 e of an invocation, 4 at most.
// Where memory holds lines of k, `by_k`, vec4 are taken as they come, `step` invocations side by side; else an invocation takes a
// block of 4 lines by 4 k and transposes it, k4 invocations side by side along k.
// Host promises: e is constant after unrolling; k4 · width4 <= step for blocks; width4 % 8 == 0 and k4 is 4 or 8.

// (line, start of the vec4 in it) in memory, from the tile's first ones.
fn tile_source(local: u32, e: u32, step: u32, width4: u32, k4: u32, by_k: bool) -> vec2u {
  let at = local + e * step;
  return select(vec2u(4u * (local / k4) + e, 4u * (local % k4)), vec2u(at / width4, 4u * (at % width4)), by_k);
}

fn tile_has(local: u32, e: u32, step: u32, width4: u32, k4: u32, by_k: bool) -> bool {
  return select(local < k4 * width4, e < 4u * k4 * width4 / step, by_k);
}

// Its place in workgroup memory, after transposing. Lines of k are turned by some vec4 more every 4 of them, so that
// neighbours who transpose write to different banks (8 vec4 fill all of them once).
fn tile_place(local: u32, e: u32, step: u32, width4: u32, k4: u32, by_k: bool) -> u32 {
  let at = local + e * step;
  let k = select(4u * (local % k4) + e, at / width4, by_k);
  return k * width4 + (select(local / k4, at % width4, by_k) + k / 4u * (8u / k4)) % width4;
}

// Which of 4 numbers from `start` are within a line of `length`.
fn inside(start: u32, length: u32) -> vec4<bool> {
  return vec4u(start) + vec4u(0u, 1u, 2u, 3u) < vec4u(length);
}
