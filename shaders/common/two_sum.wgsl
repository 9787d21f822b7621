// Rounding error of sum = fl(a + b), exact when the compiler keeps the order of the operations (Knuth, TAOCP 4.2.2).
// `zero` is 0 at run time and unknown to the compiler: it hides sum and b_virtual, else Mesa rewrites (a + b) − a as b and
// the error is lost (1,016 of 1,024 on lavapipe 25.0.7, 2026-11; none with it). Where the order is lost all the same,
// the result is 0 or a rounding error: compensation is gone, nothing else.
fn two_sum_error(a: vec4f, b: vec4f, sum: vec4f, zero: u32) -> vec4f {
  let known_sum = hide(sum, zero);
  let b_virtual = hide(known_sum - a, zero);
  return (a - (known_sum - b_virtual)) + (b - b_virtual);
}

fn hide(x: vec4f, zero: u32) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) ^ vec4u(zero));
}
