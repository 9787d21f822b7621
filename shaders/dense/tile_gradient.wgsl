// partials[layer, replica, j] = Σ_rows (g_j h_kᵀ, σ(z_j) p_{k+1}ᵀ),  z = inner · W h_k,  g = (Vᵀ p_{k+1}) ∘ σ'(z)   for all layers of a segment at once
// A workgroup (x, y, r) makes UNITS hidden units of one layer of replica r: it takes the replica's rows ROWS at a time into workgroup memory, in increasing order.
// Host guarantees: slots and adjoints are `slot4` vec4 apart; grid = (⌈HIDDEN / UNITS⌉, layer_count, replicas), `rows` of a replica with rows % ROWS == 0, padding rows of adjoints are zero.
import package::common::activation::activation_pair;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 8u;
const UNITS = 16u;
const WORKGROUP = 64u;
const CHUNKS = WIDTH / 4u;
const ELEMENTS = (UNITS * CHUNKS + WORKGROUP - 1u) / WORKGROUP;

struct Params {
  layer_count: u32,
  replicas: u32,
  slot4: u32,
  rows: u32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> states: array<vec4f>;
@group(0) @binding(2) var<storage, read> adjoints: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> h: array<vec4f, ROWS * CHUNKS>;
var<workgroup> p: array<vec4f, ROWS * CHUNKS>;
var<workgroup> pair: array<vec2f, ROWS * UNITS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  for (var layer = group.y; layer < params.layer_count; layer += groups.y) {
    let first_unit = (layer * params.replicas + group.z) * HIDDEN + group.x * UNITS;
    let units = min(UNITS, HIDDEN - group.x * UNITS);
    var grad_w = array<vec4f, ELEMENTS>();
    var grad_v = array<vec4f, ELEMENTS>();
    //@unroll
    for (var e = 0u; e < ELEMENTS; e++) {
      grad_w[e] = vec4f();
      grad_v[e] = vec4f();
    }
    for (var first = 0u; first < params.rows; first += ROWS) {
      let slot = layer * params.slot4 + (group.z * params.rows + first) * CHUNKS;
      for (var at = local; at < ROWS * CHUNKS; at += WORKGROUP) {
        h[at] = states[slot + at];
        p[at] = adjoints[slot + at];
      }
      workgroupBarrier();
      for (var at = local; at < ROWS * units; at += WORKGROUP) {
        let row = at / units;
        let unit = (first_unit + at % units) * 2u * CHUNKS;
        var z = 0.0;
        var u = 0.0;
        for (var c = 0u; c < CHUNKS; c++) {
          z += dot(weights[unit + c], h[row * CHUNKS + c]);
          u += dot(weights[unit + CHUNKS + c], p[row * CHUNKS + c]);
        }
        let activated = activation_pair(params.inner * z);
        pair[row * UNITS + at % units] = vec2f(activated.x, u * activated.y);
      }
      workgroupBarrier();
      //@unroll
      for (var e = 0u; e < ELEMENTS; e++) {
        let at = local + e * WORKGROUP;
        if (at < units * CHUNKS) {
          let j = at / CHUNKS;
          let c = at % CHUNKS;
          for (var row = 0u; row < ROWS; row++) {
            let activated = pair[row * UNITS + j];
            grad_w[e] += activated.y * h[row * CHUNKS + c];
            grad_v[e] += activated.x * p[row * CHUNKS + c];
          }
        }
      }
      workgroupBarrier();
    }
    //@unroll
    for (var e = 0u; e < ELEMENTS; e++) {
      let at = local + e * WORKGROUP;
      if (at < units * CHUNKS) {
        let unit = (first_unit + at / CHUNKS) * 2u * CHUNKS + at % CHUNKS;
        partials[unit] = grad_w[e];
        partials[unit + CHUNKS] = grad_v[e];
      }
    }
  }
}
