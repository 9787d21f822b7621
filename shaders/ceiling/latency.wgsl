// y[i] = x after params.trips · STEPS times x ← a · x + b, each waiting for the one before,   i < WORKGROUP, x starts at i / 64
// One workgroup of one subgroup: a single chain in each invocation, so that nothing hides the latency.
// Host guarantees: |a| < 1; one workgroup is dispatched; y: [WORKGROUP].
const STEPS = 64u;
// fma(a, x, b), or a * x + b, which a compiler may fuse.
const FUSED = true;
const WORKGROUP = 32u;

struct Params {
  trips: u32,
  a: f32,
  b: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  let a = params.a;
  let b = params.b;
  var x = f32(local) * 0.015625;
  for (var t = 0u; t < params.trips; t++) {
    //@unroll
    for (var s = 0u; s < STEPS; s++) {
      if (FUSED) {
        x = fma(a, x, b);
      } else {
        x = a * x + b;
      }
    }
  }
  y[local] = x;
}
