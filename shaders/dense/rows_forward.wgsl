// h_{k+1} = h_k + outer · V_{k+1} σ(inner · W_{k+1} h_k)   weights: [depth, HIDDEN, 2·WIDTH] = (W_j, V_·j)   states: [slot, row, WIDTH]
// An invocation carries ROWS rows in registers through all layers; a quad of invocations shares each weight: every lane
// loads a quarter of a hidden unit's weights and broadcasts it. No barrier, no workgroup memory.
// Host guarantees: slots are `slot4` vec4 apart; WIDTH % 4 == 0, rows padded to workgroups · WORKGROUP · ROWS (padding rows are zero).
import package::common::activation::activation;
import package::common::two_sum::two_sum_error;

enable subgroups;

const WIDTH = 16u;
const HIDDEN = 32u;
const ROWS = 4u;
const WORKGROUP = 4u;
const CHUNKS = WIDTH / 4u;
const LOADS = (2u * CHUNKS + 3u) / 4u;

struct Params {
  layer_count: u32,
  slot_step: u32,
  slot4: u32,
  outer: f32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> state_low: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let lane = subgroup_lane & 3u;
  let first_row = group.x * WORKGROUP * ROWS + local;
  var h = array<vec4f, ROWS * CHUNKS>();
  var low = array<vec4f, ROWS * CHUNKS>();
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      h[r * CHUNKS + c] = states[row + c];
      low[r * CHUNKS + c] = state_low[row + c];
    }
  }
  for (var k = 0u; k < params.layer_count; k++) {
    var sum = array<vec4f, ROWS * CHUNKS>();
    //@unroll
    for (var i = 0u; i < ROWS * CHUNKS; i++) {
      sum[i] = vec4f();
    }
    for (var j = 0u; j < HIDDEN; j++) {
      let unit = (k * HIDDEN + j) * 2u * CHUNKS + lane;
      var mine = array<vec4f, LOADS>();
      //@unroll
      for (var t = 0u; t < LOADS; t++) {
        mine[t] = weights[unit + t * 4u];
      }
      var a = array<f32, ROWS>();
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        a[r] = 0.0;
      }
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        let w = quadBroadcast(mine[c / 4u], c % 4u);
        //@unroll
        for (var r = 0u; r < ROWS; r++) {
          a[r] += dot(w, h[r * CHUNKS + c]);
        }
      }
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        a[r] = activation(params.inner * a[r]);
      }
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        let v = quadBroadcast(mine[(CHUNKS + c) / 4u], (CHUNKS + c) % 4u);
        //@unroll
        for (var r = 0u; r < ROWS; r++) {
          sum[r * CHUNKS + c] += v * a[r];
        }
      }
    }
    let slot = (k + 1u) * params.slot_step * params.slot4;
    //@unroll
    for (var r = 0u; r < ROWS; r++) {
      let row = (first_row + r * WORKGROUP) * CHUNKS;
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        let change = params.outer * sum[r * CHUNKS + c] + low[r * CHUNKS + c];
        let next = h[r * CHUNKS + c] + change;
        low[r * CHUNKS + c] = two_sum_error(h[r * CHUNKS + c], change, next);
        h[r * CHUNKS + c] = next;
        states[slot + row + c] = next;
      }
    }
  }
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      state_low[row + c] = low[r * CHUNKS + c];
    }
  }
}
