// p_k = p_{k+1} + scale · W_{k+1}ᵀ g,  g = (V_{k+1}ᵀ p_{k+1}) ∘ σ'(z),  z = inner · W_{k+1} h_k;   adjoints[k] = p_{k+1} for tile_gradient
// A workgroup carries ROWS adjoints in workgroup memory down the layers; z is recomputed from the stored states.
// Host guarantees: slots and adjoints are `slot4` vec4 apart; as tile_forward, with ROWS · (2 WIDTH + HIDDEN) floats of workgroup memory; adjoints: [layer_count, row, WIDTH].
import package::common::activation::activation_pair;
import package::common::two_sum::two_sum_error;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 64u;
const CHUNKS = WIDTH / 4u;
const ELEMENTS = (ROWS * CHUNKS + WORKGROUP - 1u) / WORKGROUP;

struct Params {
  layer_count: u32,
  slot4: u32,
  scale: f32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> states: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> adjoint: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> adjoint_low: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> adjoints: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> h: array<vec4f, ROWS * CHUNKS>;
var<workgroup> p: array<vec4f, ROWS * CHUNKS>;
var<workgroup> g: array<f32, ROWS * HIDDEN>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let base = group.x * ROWS * CHUNKS;
  var low = array<vec4f, ELEMENTS>();
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      p[at] = adjoint[base + at];
      low[e] = adjoint_low[base + at];
    }
  }
  for (var k = params.layer_count; k > 0u; k--) {
    let layer = k - 1u;
    let slot = layer * params.slot4 + base;
    //@unroll
    for (var e = 0u; e < ELEMENTS; e++) {
      let at = local + e * WORKGROUP;
      if (at < ROWS * CHUNKS) {
        h[at] = states[slot + at];
        adjoints[slot + at] = p[at];
      }
    }
    workgroupBarrier();
    for (var at = local; at < ROWS * HIDDEN; at += WORKGROUP) {
      let row = at / HIDDEN;
      let unit = (layer * HIDDEN + at % HIDDEN) * 2u * CHUNKS;
      var z = 0.0;
      var u = 0.0;
      for (var c = 0u; c < CHUNKS; c++) {
        z += dot(weights[unit + c], h[row * CHUNKS + c]);
        u += dot(weights[unit + CHUNKS + c], p[row * CHUNKS + c]);
      }
      g[at] = u * activation_pair(params.inner * z).y;
    }
    workgroupBarrier();
    //@unroll
    for (var e = 0u; e < ELEMENTS; e++) {
      let at = local + e * WORKGROUP;
      if (at < ROWS * CHUNKS) {
        let row = at / CHUNKS;
        let c = at % CHUNKS;
        var sum = vec4f();
        for (var j = 0u; j < HIDDEN; j++) {
          sum += weights[(layer * HIDDEN + j) * 2u * CHUNKS + c] * g[row * HIDDEN + j];
        }
        let change = params.scale * sum + low[e];
        let next = p[at] + change;
        low[e] = two_sum_error(p[at], change, next, params.layer_count >> 31u);
        p[at] = next;
      }
    }
  }
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      adjoint[base + at] = p[at];
      adjoint_low[base + at] = low[e];
    }
  }
}
