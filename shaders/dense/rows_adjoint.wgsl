// p_k = p_{k+1} + outer·inner · W_{k+1}ᵀ g,  g = (V_{k+1}ᵀ p_{k+1}) ∘ σ'(z),  z = inner · W_{k+1} h_k;   per workgroup of rows
// partials[group, layer] = Σ_rows (g h_kᵀ, p_{k+1} σ(z)ᵀ), laid out as the weights [HIDDEN, 2·WIDTH]; the update scales and sums them.
// An invocation carries ROWS adjoints in registers down the layers and recomputes z from the stored state; quads share weights.
// Host guarantees: slots are `slot4` vec4 apart; as rows_forward; adjoint rows of padding are zero, so they add nothing.
import package::common::activation::activation_pair;
import package::common::quad::quad_transpose_sum;
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
  slot4: u32,
  scale: f32,
  inner: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> states: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> adjoint: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> adjoint_low: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let lane = subgroup_lane & 3u;
  let first_row = group.x * WORKGROUP * ROWS + local;
  var p = array<vec4f, ROWS * CHUNKS>();
  var low = array<vec4f, ROWS * CHUNKS>();
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      p[r * CHUNKS + c] = adjoint[row + c];
      low[r * CHUNKS + c] = adjoint_low[row + c];
    }
  }
  for (var k = params.layer_count; k > 0u; k--) {
    let layer = k - 1u;
    let slot = layer * params.slot4;
    var h = array<vec4f, ROWS * CHUNKS>();
    var sum = array<vec4f, ROWS * CHUNKS>();
    //@unroll
    for (var r = 0u; r < ROWS; r++) {
      let row = slot + (first_row + r * WORKGROUP) * CHUNKS;
      //@unroll
      for (var c = 0u; c < CHUNKS; c++) {
        h[r * CHUNKS + c] = states[row + c];
        sum[r * CHUNKS + c] = vec4f();
      }
    }
    for (var j = 0u; j < HIDDEN; j++) {
      let unit = (layer * HIDDEN + j) * 2u * CHUNKS + lane;
      var w = array<vec4f, LOADS * 4u>();
      //@unroll
      for (var t = 0u; t < LOADS; t++) {
        let mine = weights[unit + t * 4u];
        //@unroll
        for (var l = 0u; l < 4u; l++) {
          w[t * 4u + l] = quadBroadcast(mine, l);
        }
      }
      var grad = array<vec4f, LOADS * 4u>();
      //@unroll
      for (var r = 0u; r < ROWS; r++) {
        var z = 0.0;
        var u = 0.0;
        //@unroll
        for (var c = 0u; c < CHUNKS; c++) {
          z += dot(w[c], h[r * CHUNKS + c]);
          u += dot(w[CHUNKS + c], p[r * CHUNKS + c]);
        }
        let activated = activation_pair(params.inner * z);
        let g = u * activated.y;
        //@unroll
        for (var c = 0u; c < CHUNKS; c++) {
          sum[r * CHUNKS + c] += w[c] * g;
          grad[c] += h[r * CHUNKS + c] * g;
          grad[CHUNKS + c] += p[r * CHUNKS + c] * activated.x;
        }
      }
      let partial = ((group.x * params.layer_count + layer) * HIDDEN + j) * 2u * CHUNKS + lane;
      //@unroll
      for (var t = 0u; t < LOADS; t++) {
        let total = quad_transpose_sum(grad[t * 4u], grad[t * 4u + 1u], grad[t * 4u + 2u], grad[t * 4u + 3u], lane);
        if (t * 4u + lane < 2u * CHUNKS) {
          partials[partial + t * 4u] = total;
        }
      }
    }
    //@unroll
    for (var i = 0u; i < ROWS * CHUNKS; i++) {
      let change = params.scale * sum[i] + low[i];
      let next = p[i] + change;
      low[i] = two_sum_error(p[i], change, next);
      p[i] = next;
    }
  }
  //@unroll
  for (var r = 0u; r < ROWS; r++) {
    let row = (first_row + r * WORKGROUP) * CHUNKS;
    //@unroll
    for (var c = 0u; c < CHUNKS; c++) {
      adjoint[row + c] = p[r * CHUNKS + c];
      adjoint_low[row + c] = low[r * CHUNKS + c];
    }
  }
}
