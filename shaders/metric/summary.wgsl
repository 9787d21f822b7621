// y[at + 3g …] = max_i √x_gi, Σ_i √x_gi, Σ_i x_gi   by component, x: [groups, count] vec4 of squared norms
// A workgroup a group: each invocation takes a stride in increasing order, the first one joins them in order: bitwise repeatable.
// Host guarantees: as many workgroups as groups.
const WORKGROUP = 32u;

struct Params {
  count: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> largest: array<vec4f, WORKGROUP>;
var<workgroup> norms: array<vec4f, WORKGROUP>;
var<workgroup> squares: array<vec4f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group.x * params.count;
  let at = params.at + 3u * group.x;
  var top = vec4f();
  var norm = vec4f();
  var square = vec4f();
  for (var i = local; i < params.count; i += WORKGROUP) {
    let value = x[first + i];
    let root = sqrt(value);
    top = max(top, root);
    norm += root;
    square += value;
  }
  largest[local] = top;
  norms[local] = norm;
  squares[local] = square;
  workgroupBarrier();
  if (local == 0u) {
    for (var i = 1u; i < WORKGROUP; i++) {
      top = max(top, largest[i]);
      norm += norms[i];
      square += squares[i];
    }
    y[at] = top;
    y[at + 1u] = norm;
    y[at + 2u] = square;
  }
}
