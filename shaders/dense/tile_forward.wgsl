// h_{k+1} = h_k + outer · V_{k+1} σ(inner · W_{k+1} h_k)   weights: [depth, replica, HIDDEN, 2·WIDTH] = (W_j, V_·j)   states: [slot, replica, row, WIDTH]
// Workgroups (x, r) take rows of replica r, one of `replicas` stacks side by side; `scales`: [replicas] (outer · inner, outer).
// STAGES and COMBINE: the stages of a Runge–Kutta method, as in rows_forward.
// A workgroup carries ROWS rows in workgroup memory through all layers; an invocation makes one hidden unit, then one coordinate, of a row.
// Host guarantees: slots are `slot4` vec4 apart; WIDTH % 4 == 0, rows of a replica padded to workgroups · ROWS, ROWS · (WIDTH + HIDDEN) floats fit workgroup memory; layer_count % STAGES == 0.
import package::common::activation::activation;
import package::common::remainder::remainder;
import package::common::two_sum::two_sum_error;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 64u;
const STAGES = 1u;
const COMBINE = array<f32, 1>(1.0);
const KEPT = STAGES - 1u;
const CHUNKS = WIDTH / 4u;
const ELEMENTS = (ROWS * CHUNKS + WORKGROUP - 1u) / WORKGROUP;

struct Params {
  layer_count: u32,
  replicas: u32,
  slot_step: u32,
  slot4: u32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> scales: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> state_low: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> h: array<vec4f, ROWS * CHUNKS>;
var<workgroup> a: array<f32, ROWS * HIDDEN>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let replica = group.y;
  let base = (replica * groups.x + group.x) * ROWS * CHUNKS;
  let outer = scales[replica].y;
  var low = array<vec4f, ELEMENTS>();
  var start = array<vec4f, ELEMENTS>();
  var slopes = array<vec4f, STAGES * ELEMENTS>();
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      h[at] = states[base + at];
      low[e] = state_low[base + at];
      if (STAGES > 1u) {
        start[e] = h[at];
      }
    }
  }
  for (var k = 0u; k < params.layer_count; k++) {
    let first_unit = (k * params.replicas + replica) * HIDDEN;
    workgroupBarrier();
    for (var at = local; at < ROWS * HIDDEN; at += WORKGROUP) {
      let row = at / HIDDEN;
      let j = at % HIDDEN;
      let unit = (first_unit + j) * 2u * CHUNKS;
      var z = 0.0;
      for (var c = 0u; c < CHUNKS; c++) {
        z += dot(weights[unit + c], h[row * CHUNKS + c]);
      }
      a[at] = activation(params.inner * z);
    }
    workgroupBarrier();
    let stage = remainder(k, STAGES);
    let last = STAGES == 1u || stage == KEPT;
    let own = outer * COMBINE[stage * STAGES + stage];
    let slot = (k + 1u) * params.slot_step * params.slot4;
    //@unroll
    for (var e = 0u; e < ELEMENTS; e++) {
      let at = local + e * WORKGROUP;
      if (at < ROWS * CHUNKS) {
        let row = at / CHUNKS;
        let c = at % CHUNKS;
        var sum = vec4f();
        for (var j = 0u; j < HIDDEN; j++) {
          sum += weights[((first_unit + j) * 2u + 1u) * CHUNKS + c] * a[row * HIDDEN + j];
        }
        var change = own * sum;
        //@unroll
        for (var s = 0u; s < KEPT; s++) {
          if (s == stage) {
            slopes[s * ELEMENTS + e] = sum;
          }
          if (s < stage) {
            change += outer * COMBINE[stage * STAGES + s] * slopes[s * ELEMENTS + e];
          }
        }
        change += select(vec4f(), low[e], last);
        let before = select(start[e], h[at], STAGES == 1u);
        let next = before + change;
        low[e] = select(low[e], two_sum_error(before, change, next, params.layer_count >> 31u), last);
        if (STAGES > 1u) {
          start[e] = select(before, next, last);
        }
        h[at] = next;
        states[slot + base + at] = next;
      }
    }
  }
  //@unroll
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = local + e * WORKGROUP;
    if (at < ROWS * CHUNKS) {
      state_low[base + at] = low[e];
    }
  }
}
