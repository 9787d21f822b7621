// h_{k+1} = h_k + outer · V_{k+1} σ(inner · W_{k+1} h_k)   weights: [depth, replica, HIDDEN, 2·WIDTH] = (W_j, V_·j)   states: [slot, replica, row, WIDTH]
// Workgroups (x, r) take rows of replica r, one of `replicas` stacks side by side; `scales`: [replicas] (outer · inner, outer).
// STAGES > 1: a step of a Runge–Kutta method takes STAGES layers, of slopes k_s = V σ(inner · W y_s) at y_0 = h, y_{s+1} = h + outer · Σ_{r≤s} COMBINE[s, r] k_r;
// the last row of COMBINE makes the next h. A layer's state is the argument of the next layer. STAGES = 1 is the residual network.
// An invocation carries ROWS rows in registers through all layers. A quad shares each weight: every lane loads a quarter and
// swaps; register slot s of lane l holds coordinates chunk l ^ s (common/quad). No barrier, no workgroup memory.
// Host guarantees: slots are `slot4` vec4 apart; WIDTH % 16 == 0; rows of a replica padded to workgroups · 4 · ROWS, padding rows of slot 0 are zero; layer_count % STAGES == 0.
import package::common::activation::activation;
import package::common::quad::quad_slots;
import package::common::remainder::remainder;
import package::common::two_sum::two_sum_error;

enable subgroups;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 4u;
const STAGES = 1u;
const COMBINE = array<f32, 1>(1.0);
const KEPT = STAGES - 1u;
const CHUNKS = WIDTH / 4u;
const GROUPS = CHUNKS / 4u;

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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let lane = subgroup_lane & 3u;
  let replica = group.y;
  let first_row = (replica * groups.x + group.x) * WORKGROUP * ROWS + local;
  // Copied here: in the loop each read of a uniform costs 30 instructions of bounds checks (SwiftShader, 2026-11).
  let layer_count = params.layer_count;
  let zero = layer_count >> 31u;
  let slot_stride = params.slot_step * params.slot4;
  let outer = scales[replica].y;
  let inner = params.inner;
  var h = array<vec4f, ROWS * CHUNKS>();
  var low = array<vec4f, ROWS * CHUNKS>();
  var start = array<vec4f, ROWS * CHUNKS>();
  var slopes = array<vec4f, STAGES * ROWS * CHUNKS>();
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      h[r * CHUNKS + c] = states[row + (c ^ lane)];
      low[r * CHUNKS + c] = state_low[row + (c ^ lane)];
    }
  }
  if (STAGES > 1u) {
    start = h;
  }
  for (var k = 0u; k < layer_count; k++) {
    var sum = array<vec4f, ROWS * CHUNKS>();
    //@unroll
    for (var i = 0u; i < ROWS * CHUNKS; i++) {
      sum[i] = vec4f();
    }
    let first_unit = (k * params.replicas + replica) * HIDDEN;
    for (var j = 0u; j < HIDDEN; j++) {
      let unit = (first_unit + j) * 2u * CHUNKS + lane;
      var a = array<f32, ROWS>();
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        a[r] = 0.0;
      }
      //@unroll
      for (var g = 0u; g < GROUPS; g++) {
        let w = quad_slots(weights[unit + 4u * g]);
        //@unroll
        for (var s = 0u; s < 4u; s++) {
          //@unroll
          for (var r = 0u; r < ROWS; r++) {
            a[r] += dot(w[s], h[r * CHUNKS + 4u * g + s]);
          }
        }
      }
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        a[r] = activation(inner * a[r]);
      }
      //@unroll
      for (var g = 0u; g < GROUPS; g++) {
        let v = quad_slots(weights[unit + CHUNKS + 4u * g]);
        //@unroll
        for (var s = 0u; s < 4u; s++) {
          //@unroll
          for (var r = 0u; r < ROWS; r++) {
            sum[r * CHUNKS + 4u * g + s] = fma(v[s], vec4f(a[r]), sum[r * CHUNKS + 4u * g + s]);
          }
        }
      }
    }
    let slot = (k + 1u) * slot_stride;
    if (STAGES > 1u) {
      let stage = remainder(k, STAGES);
      //@unroll
      for (var s = 0u; s < KEPT; s++) {
        if (s == stage) {
          //@unroll
          for (var i = 0u; i < ROWS * CHUNKS; i++) {
            slopes[s * ROWS * CHUNKS + i] = sum[i];
          }
        }
      }
      let own = outer * COMBINE[stage * STAGES + stage];
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        sum[i] = own * sum[i];
      }
      //@unroll
      for (var s = 0u; s < KEPT; s++) {
        if (s < stage) {
          let factor = outer * COMBINE[stage * STAGES + s];
          //@unroll
          for (var i = 0u; i < ROWS * CHUNKS; i++) {
            sum[i] = fma(slopes[s * ROWS * CHUNKS + i], vec4f(factor), sum[i]);
          }
        }
      }
      let last = stage == KEPT;
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        let change = sum[i] + select(vec4f(), low[i], last);
        h[i] = start[i] + change;
        low[i] = select(low[i], two_sum_error(start[i], change, h[i], zero), last);
        start[i] = select(start[i], h[i], last);
      }
    } else {
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        let change = outer * sum[i] + low[i];
        let next = h[i] + change;
        low[i] = two_sum_error(h[i], change, next, zero);
        h[i] = next;
      }
    }
    //@unroll
    for (var r = 0u; r < ROWS; r++) {
      let row = slot + (first_row + r * WORKGROUP) * CHUNKS;
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        states[row + (c ^ lane)] = h[r * CHUNKS + c];
      }
    }
  }
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      state_low[row + (c ^ lane)] = low[r * CHUNKS + c];
    }
  }
}
