// y[i] = Σ_c Σ_lane x_c after params.trips · STEPS times x_c ← a · x_c + b,   i < invocations, c < CHAINS, x_c a vec4f
// x_c starts at ((i mod 64) + 4c + lane) / 64. Each invocation keeps CHAINS independent chains in registers; no memory is touched before the end.
// y[i] is written only where the sum exceeds `threshold`: no compiler can know, so the loop stays, and a high threshold costs no writes.
// Host guarantees: |a| < 1; y has an element for every invocation whose sum exceeds `threshold`.
const CHAINS = 4u;
const STEPS = 16u;
// fma(a, x, b), or a * x + b, which a compiler may fuse.
const FUSED = true;
const WORKGROUP = 64u;

struct Params {
  trips: u32,
  a: f32,
  b: f32,
  threshold: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = vec4f(params.a);
  let b = vec4f(params.b);
  let start = vec4f(0.0, 1.0, 2.0, 3.0) + f32(id.x % 64u);
  var x = array<vec4f, CHAINS>();
  //@unroll
  for (var c = 0u; c < CHAINS; c++) {
    x[c] = (start + f32(4u * c)) * 0.015625;
  }
  for (var t = 0u; t < params.trips; t++) {
    //@unroll
    for (var s = 0u; s < STEPS; s++) {
      //@unroll
      for (var c = 0u; c < CHAINS; c++) {
        if (FUSED) {
          x[c] = fma(a, x[c], b);
        } else {
          x[c] = a * x[c] + b;
        }
      }
    }
  }
  var sum = vec4f();
  //@unroll
  for (var c = 0u; c < CHAINS; c++) {
    sum += x[c];
  }
  let total = sum.x + sum.y + sum.z + sum.w;
  if (total > params.threshold) {
    y[id.x] = total;
  }
}
