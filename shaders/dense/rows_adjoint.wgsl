// p_k = p_{k+1} + scale · W_{k+1}ᵀ g,  g = (V_{k+1}ᵀ p_{k+1}) ∘ σ'(z),  z = inner · W_{k+1} h_k;   per workgroup of rows
// partials[group, layer, replica] = Σ_rows (g h_kᵀ, p_{k+1} σ(z)ᵀ), laid out as the weights [HIDDEN, 2·WIDTH]; the update scales and sums them.
// STAGES > 1: layers are the stages of Runge–Kutta steps (rows_forward). With w the adjoint at a step's end and y_s = scale · W_sᵀ g_s,
// p_{s-1} = SHARE[s] w + Σ_{r≥s} COMBINE[s, r] y_r; at stage 0 that is w at the step's start, and p of the stage before is LAST_SHARE of it.
// An invocation carries ROWS adjoints in registers down the layers and recomputes z from the stored state; quads share weights as in
// rows_forward, a lane keeps its own quarter of the gradients. Replicas and host guarantees: as rows_forward, scale = outer · inner; adjoint rows of padding are zero.
import package::common::activation::activation_pair;
import package::common::quad::quad_slots;
import package::common::quad::quad_sum_of_slots;
import package::common::quad::sum_over_quads;
import package::common::remainder::remainder;
import package::common::two_sum::two_sum_error;

enable subgroups;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 4u;
const STAGES = 1u;
const COMBINE = array<f32, 1>(1.0);
const SHARE = array<f32, 1>(1.0);
const LAST_SHARE = 1.0;
const CHUNKS = WIDTH / 4u;
const GROUPS = CHUNKS / 4u;

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
@group(0) @binding(5) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let lane = subgroup_lane & 3u;
  let first_row = (group.y * groups.x + group.x) * WORKGROUP * ROWS + local;
  let layer_count = params.layer_count;
  let zero = layer_count >> 31u;
  let slot4 = params.slot4;
  let scale = scales[group.y].x;
  let inner = params.inner;
  var p = array<vec4f, ROWS * CHUNKS>();
  var low = array<vec4f, ROWS * CHUNKS>();
  var end = array<vec4f, ROWS * CHUNKS>();
  var kept = array<vec4f, STAGES * ROWS * CHUNKS>();
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      p[r * CHUNKS + c] = LAST_SHARE * adjoint[row + (c ^ lane)];
      end[r * CHUNKS + c] = adjoint[row + (c ^ lane)];
      low[r * CHUNKS + c] = adjoint_low[row + (c ^ lane)];
    }
  }
  for (var k = layer_count; k > 0u; k--) {
    let layer = k - 1u;
    var h = array<vec4f, ROWS * CHUNKS>();
    var sum = array<vec4f, ROWS * CHUNKS>();
    //@unroll
    for (var r = 0u; r < ROWS; r++) {
      let row = layer * slot4 + (first_row + r * WORKGROUP) * CHUNKS;
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        h[r * CHUNKS + c] = states[row + (c ^ lane)];
        sum[r * CHUNKS + c] = vec4f();
      }
    }
    let first_unit = (layer * params.replicas + group.y) * HIDDEN;
    let first_partial = ((group.x * layer_count + layer) * params.replicas + group.y) * HIDDEN;
    for (var j = 0u; j < HIDDEN; j++) {
      let unit = (first_unit + j) * 2u * CHUNKS + lane;
      let partial = (first_partial + j) * 2u * CHUNKS + lane;
      var w = array<vec4f, CHUNKS>();
      var v = array<vec4f, CHUNKS>();
      //@unroll
      for (var g = 0u; g < GROUPS; g++) {
        let w_slots = quad_slots(weights[unit + 4u * g]);
        let v_slots = quad_slots(weights[unit + CHUNKS + 4u * g]);
        //@unroll
        for (var s = 0u; s < 4u; s++) {
          w[4u * g + s] = w_slots[s];
          v[4u * g + s] = v_slots[s];
        }
      }
      var a = array<f32, ROWS>();
      var g = array<f32, ROWS>();
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        var z = 0.0;
        var u = 0.0;
        //@unroll
        for (var c = 0u; c < CHUNKS; c++) {
          z += dot(w[c], h[r * CHUNKS + c]);
          u += dot(v[c], p[r * CHUNKS + c]);
        }
        let activated = activation_pair(inner * z);
        a[r] = activated.x;
        g[r] = u * activated.y;
      }
      // Coordinates outside, rows inside: the gradients of one chunk stay in machine registers while the rows add up.
      //@unroll
      for (var group4 = 0u; group4 < GROUPS; group4++) {
        var grad_w = array<vec4f, 4>();
        var grad_v = array<vec4f, 4>();
        //@unroll
        for (var s = 0u; s < 4u; s++) {
          //@unroll
          for (var r = 0u; r < ROWS; r++) {
            grad_w[s] = fma(h[r * CHUNKS + 4u * group4 + s], vec4f(g[r]), grad_w[s]);
          }
          //@unroll
          for (var r = 0u; r < ROWS; r++) {
            grad_v[s] = fma(p[r * CHUNKS + 4u * group4 + s], vec4f(a[r]), grad_v[s]);
          }
          //@unroll
          for (var r = 0u; r < ROWS; r++) {
            sum[r * CHUNKS + 4u * group4 + s] = fma(w[4u * group4 + s], vec4f(g[r]), sum[r * CHUNKS + 4u * group4 + s]);
          }
        }
        let total_w = sum_over_quads(quad_sum_of_slots(grad_w[0], grad_w[1], grad_w[2], grad_w[3]), WORKGROUP);
        let total_v = sum_over_quads(quad_sum_of_slots(grad_v[0], grad_v[1], grad_v[2], grad_v[3]), WORKGROUP);
        if (local < 4u) {
          partials[partial + 4u * group4] = total_w;
          partials[partial + CHUNKS + 4u * group4] = total_v;
        }
      }
    }
    if (STAGES > 1u) {
      let stage = remainder(layer, STAGES);
      //@unroll
      for (var s = 1u; s < STAGES; s++) {
        if (s == stage) {
          //@unroll
          for (var i = 0u; i < ROWS * CHUNKS; i++) {
            kept[s * ROWS * CHUNKS + i] = sum[i];
          }
        }
      }
      let own = scale * COMBINE[stage * STAGES + stage];
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        sum[i] = own * sum[i];
      }
      //@unroll
      for (var s = 1u; s < STAGES; s++) {
        if (s > stage) {
          let factor = scale * COMBINE[stage * STAGES + s];
          //@unroll
          for (var i = 0u; i < ROWS * CHUNKS; i++) {
            sum[i] = fma(kept[s * ROWS * CHUNKS + i], vec4f(factor), sum[i]);
          }
        }
      }
      let share = SHARE[stage];
      let first = stage == 0u;
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        let change = sum[i] + select(vec4f(), low[i], first);
        let next = share * end[i] + change;
        low[i] = select(low[i], two_sum_error(end[i], change, next, zero), first);
        end[i] = select(end[i], next, first);
        p[i] = select(next, LAST_SHARE * next, first);
      }
    } else {
      //@unroll
      for (var i = 0u; i < ROWS * CHUNKS; i++) {
        let change = scale * sum[i] + low[i];
        let next = p[i] + change;
        low[i] = two_sum_error(p[i], change, next, zero);
        p[i] = next;
      }
    }
  }
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      adjoint[row + (c ^ lane)] = select(end[r * CHUNKS + c], p[r * CHUNKS + c], STAGES == 1u);
      adjoint_low[row + (c ^ lane)] = low[r * CHUNKS + c];
    }
  }
}
