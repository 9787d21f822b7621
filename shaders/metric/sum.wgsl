// y[at + g] = Σ_i x[g, i], x: [groups, count] pairs (vec2f). A workgroup a sum: each invocation sums a stride in increasing order, the first adds the partial sums.
// Fixed order: bitwise repeatable, the same on every run of one device.
// Host guarantees: as many workgroups as sums.
const WORKGROUP = 32u;

struct Params {
  count: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> partial: array<vec2f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group.x * params.count;
  var sum = vec2f();
  for (var i = local; i < params.count; i += WORKGROUP) {
    sum += x[first + i];
  }
  partial[local] = sum;
  workgroupBarrier();
  if (local == 0u) {
    var total = vec2f();
    for (var i = 0u; i < WORKGROUP; i++) {
      total += partial[i];
    }
    y[params.at + group.x] = total;
  }
}
