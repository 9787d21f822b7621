// y[i] = next[next[… next[i] …]], params.trips · STEPS times,   i < WORKGROUP, next: [count] u32
// One workgroup of one subgroup: each load waits for the one before, at an address that nobody can predict or prove to be in range.
// Host guarantees: one workgroup is dispatched; next holds numbers below count; count >= WORKGROUP; y: [WORKGROUP].
const STEPS = 16u;
const WORKGROUP = 32u;

struct Params {
  trips: u32,
}

@group(0) @binding(0) var<storage, read> next: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  var at = local;
  for (var t = 0u; t < params.trips; t++) {
    //@unroll
    for (var s = 0u; s < STEPS; s++) {
      at = next[at];
    }
  }
  y[local] = at;
}
