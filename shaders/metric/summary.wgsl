// y[at] = max_i √x_i,  y[at + 1] = Σ_i √x_i,  y[at + 2] = Σ_i x_i   by component, x: [count] vec4 of squared norms
// One workgroup: each invocation takes a stride in increasing order, the first one joins them in order: bitwise repeatable.
// Host guarantees: one workgroup is dispatched.
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
fn main(@builtin(local_invocation_index) local: u32) {
  var top = vec4f();
  var norm = vec4f();
  var square = vec4f();
  for (var i = local; i < params.count; i += WORKGROUP) {
    let value = x[i];
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
    y[params.at] = top;
    y[params.at + 1u] = norm;
    y[params.at + 2u] = square;
  }
}
