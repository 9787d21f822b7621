// p_k = p_{k+1} + scale · W_{k+1}ᵀ g,  g = (V_{k+1}ᵀ p_{k+1}) ∘ σ'(z),  z = inner · W_{k+1} h_k;   adjoints[k] = p_{k+1} for tile_gradient
// STAGES, COMBINE, SHARE, LAST_SHARE: the stages of a Runge–Kutta method, as in rows_adjoint.
// Replicas and `scales` as in rows_forward: scale = outer · inner.
// A workgroup carries ROWS adjoints in workgroup memory down the layers; z is recomputed from the stored states.
// Host guarantees: slots and adjoints are `slot4` vec4 apart; as tile_forward, with ROWS · (2 WIDTH + HIDDEN) floats of workgroup memory; adjoints: [layer_count, replica, row, WIDTH].
import package::common::activation::activation_pair;
import package::common::remainder::remainder;
import package::common::two_sum::two_sum_error;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 64u;
const STAGES = 1u;
const COMBINE = array<f32, 1>(1.0);
const SHARE = array<f32, 1>(1.0);
const LAST_SHARE = 1.0;
const CHUNKS = WIDTH / 4u;
const ELEMENTS = (ROWS * CHUNKS + WORKGROUP - 1u) / WORKGROUP;

struct Params {
  layer_count: u32,
  replicas: u32,
  slot4: u32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> scales: array<vec2f>;
@group(0) @binding(2) var<storage, read> states: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> adjoint: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> adjoint_low: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> adjoints: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> h: array<vec4f, ROWS * CHUNKS>;
var<workgroup> p: array<vec4f, ROWS * CHUNKS>;
var<workgroup> g: array<f32, ROWS * HIDDEN>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let replica = group.y;
  let base = (replica * groups.x + group.x) * ROWS * CHUNKS;
  let scale = scales[replica].x;
  var low = array<vec4f, ELEMENTS>();
  var end = array<vec4f, ELEMENTS>();
  var kept = array<vec4f, STAGES * ELEMENTS>();
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      p[at] = adjoint[base + at];
      low[e] = adjoint_low[base + at];
      if (STAGES > 1u) {
        end[e] = p[at];
        p[at] = LAST_SHARE * end[e];
      }
    }
  }
  for (var k = params.layer_count; k > 0u; k--) {
    let layer = k - 1u;
    let slot = layer * params.slot4 + base;
    let first_unit = (layer * params.replicas + replica) * HIDDEN;
    let stage = remainder(layer, STAGES);
    let first = STAGES == 1u || stage == 0u;
    let own = scale * COMBINE[stage * STAGES + stage];
    let share = SHARE[stage];
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
      let unit = (first_unit + at % HIDDEN) * 2u * CHUNKS;
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
          sum += weights[(first_unit + j) * 2u * CHUNKS + c] * g[row * HIDDEN + j];
        }
        var change = own * sum;
        //@unroll
        for (var s = 1u; s < STAGES; s++) {
          if (s == stage) {
            kept[s * ELEMENTS + e] = sum;
          }
          if (s > stage) {
            change += scale * COMBINE[stage * STAGES + s] * kept[s * ELEMENTS + e];
          }
        }
        change += select(vec4f(), low[e], first);
        let before = select(share * end[e], p[at], STAGES == 1u);
        let next = before + change;
        low[e] = select(low[e], two_sum_error(before, change, next, params.layer_count >> 31u), first);
        p[at] = select(next, LAST_SHARE * next, first);
        if (STAGES > 1u) {
          end[e] = select(end[e], next, first);
        }
      }
    }
  }
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      adjoint[base + at] = select(end[e], p[at], STAGES == 1u);
      adjoint_low[base + at] = low[e];
    }
  }
}
