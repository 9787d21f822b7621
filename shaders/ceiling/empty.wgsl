// y[0] ← y[0] + params.step
// One invocation: next to no work, but each dispatch needs the result of the one before, so that none can be left out or overtaken.
// Host guarantees: one workgroup is dispatched.
struct Params {
  step: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() {
  y[0] += params.step;
}
