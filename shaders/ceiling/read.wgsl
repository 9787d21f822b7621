// y[i] = sum of the vec4f of x that invocation i reads   x: [tiles · ITEMS · WORKGROUP] vec4f, split as in ceiling/copy
// Workgroups take the tiles in turn; of a tile an invocation reads ITEMS vec4f, WORKGROUP apart, into ITEMS sums.
// y[i] is written only where the sum exceeds `threshold`: no compiler can know, so the reads stay, and a high threshold costs no writes.
// Host guarantees: x holds whole tiles; y has an element for every invocation whose sum exceeds `threshold`.
const ITEMS = 4u;
const WORKGROUP = 256u;

struct Params {
  tiles: u32,
  threshold: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  var sums = array<vec4f, ITEMS>();
  for (var tile = group.x; tile < params.tiles; tile += groups.x) {
    let first = tile * ITEMS * WORKGROUP + local;
    //@unroll
    for (var i = 0u; i < ITEMS; i++) {
      sums[i] += x[first + i * WORKGROUP];
    }
  }
  var sum = vec4f();
  //@unroll
  for (var i = 0u; i < ITEMS; i++) {
    sum += sums[i];
  }
  let total = sum.x + sum.y + sum.z + sum.w;
  if (total > params.threshold) {
    y[group.x * WORKGROUP + local] = total;
  }
}
