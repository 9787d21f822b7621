// Four invocations of a quad hold one vector each of a group of four; slot s of lane l is the vector of lane l ^ s.
// Registers kept in that order need no broadcast: a swap is one instruction on the software adapter, a broadcast eleven.
fn quad_slots(x: vec4f) -> array<vec4f, 4> {
  return array<vec4f, 4>(x, quadSwapX(x), quadSwapY(x), quadSwapDiagonal(x));
}

// Σ over the quad of the vectors that belong to this lane, from slots in the same order; fixed order of addition.
fn quad_sum_of_slots(s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f) -> vec4f {
  return (s0 + quadSwapX(s1)) + (quadSwapY(s2) + quadSwapDiagonal(s3));
}

// The same for one number a lane: component s is that of lane l ^ s.
fn quad_slots_of(x: f32) -> vec4f {
  return vec4f(x, quadSwapX(x), quadSwapY(x), quadSwapDiagonal(x));
}

// Σ over the quads of a workgroup of 4, 8 or 16 invocations, which is one subgroup; every lane gets it.
fn sum_over_quads(x: vec4f, workgroup: u32) -> vec4f {
  var sum = x;
  if (workgroup >= 8u) {
    sum += subgroupShuffleXor(sum, 4u);
  }
  if (workgroup >= 16u) {
    sum += subgroupShuffleXor(sum, 8u);
  }
  return sum;
}
