// Rounding error of sum = fl(a + b), exact when the compiler keeps the order of the operations (Knuth, TAOCP 4.2.2).
// Where it does not, the result is 0 or a rounding error: compensation is lost, nothing else.
fn two_sum_error(a: vec4f, b: vec4f, sum: vec4f) -> vec4f {
  let b_virtual = sum - a;
  return (a - (sum - b_virtual)) + (b - b_virtual);
}
