// y[i] = i, or with EXCHANGE y[i] = (i − params.trips) mod WORKGROUP,   i < WORKGROUP, after params.trips workgroup barriers
// One workgroup. Without EXCHANGE a trip is a barrier and nothing else; with it every value moves on by one invocation, through workgroup
// memory: one write, one barrier, one read a trip, on two halves in turn, so that a write never meets a read of the trip before.
// Host guarantees: one workgroup is dispatched; y: [WORKGROUP].
const EXCHANGE = false;
const WORKGROUP = 64u;

struct Params {
  trips: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

var<workgroup> values: array<u32, 2u * WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  var value = local;
  for (var t = 0u; t < params.trips; t++) {
    let half = (t % 2u) * WORKGROUP;
    if (EXCHANGE) {
      values[half + (local + 1u) % WORKGROUP] = value;
    }
    workgroupBarrier();
    if (EXCHANGE) {
      value = values[half + local];
    }
  }
  y[local] = value;
}
