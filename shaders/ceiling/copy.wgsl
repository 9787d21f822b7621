// y[i] = x[i]   x, y: [tiles · ITEMS · WORKGROUP] vec4f
// Workgroups take the tiles in turn; of a tile an invocation copies ITEMS vec4f, WORKGROUP apart, and reads them all before it writes.
// Host guarantees: x and y hold whole tiles.
const ITEMS = 4u;
const WORKGROUP = 256u;

struct Params {
  tiles: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  for (var tile = group.x; tile < params.tiles; tile += groups.x) {
    let first = tile * ITEMS * WORKGROUP + local;
    var values = array<vec4f, ITEMS>();
    //@unroll
    for (var i = 0u; i < ITEMS; i++) {
      values[i] = x[first + i * WORKGROUP];
    }
    //@unroll
    for (var i = 0u; i < ITEMS; i++) {
      y[first + i * WORKGROUP] = values[i];
    }
  }
}
