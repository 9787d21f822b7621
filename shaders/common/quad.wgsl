// Sums of four vectors over the four lanes of a quad, one to a lane: lane l gets Σ over lanes of x_l.
// Fixed order ((lane 0 + lane 1) + (lane 2 + lane 3)): bitwise repeatable.
fn quad_transpose_sum(x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, lane: u32) -> vec4f {
  let odd = (lane & 1u) == 1u;
  let high = (lane & 2u) == 2u;
  let low_pair = select(x0, x1, odd) + quadSwapX(select(x1, x0, odd));
  let high_pair = select(x2, x3, odd) + quadSwapX(select(x3, x2, odd));
  return select(low_pair, high_pair, high) + quadSwapY(select(high_pair, low_pair, high));
}
