// i % n for a constant n: a power of two needs no division, which the software adapter does lane by lane.
fn remainder(i: u32, n: u32) -> u32 {
  if ((n & (n - 1u)) == 0u) {
    return i & (n - 1u);
  }
  return i % n;
}
