// y[r, k] = (‖W_{k+1} − W_k‖², ‖V_{k+1} − V_k‖², ‖W_k‖², ‖V_k‖²), squared Frobenius norms; the differences of the last layer are 0;
// of each of REPLICAS stacks r side by side, whose layers k are k · REPLICAS + r of `change`: [depth, REPLICAS, layer4].
// LANES invocations share a layer: each sums a stride, the first one their sums; 1 needs no barrier and does a layer alone.
// The difference of the changes is added to the difference of the initial values, so that tied layers lose nothing.
// Host guarantees: a layer is `layer4` vec4 of units (W_j, V_·j) of 2·HALF4; `initial` has the replicas' first layers (TIED) or all; LANES divides WORKGROUP.
import package::common::remainder::remainder;

const LANES = 32u;
const TIED = true;
const REPLICAS = 1u;
const HALF4 = 4u;
const WORKGROUP = 32u;

struct Params {
  depth: u32,
  layer4: u32,
}

@group(0) @binding(0) var<storage, read> initial: array<vec4f>;
@group(0) @binding(1) var<storage, read> change: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> sums: array<vec4f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) local: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let depth = params.depth;
  let layers = depth * REPLICAS;
  let layer4 = params.layer4;
  let lane = local % LANES;
  for (var first = group.x * (WORKGROUP / LANES); first < layers; first += groups.x * (WORKGROUP / LANES)) {
    // Beyond the last layer it is repeated: no difference to itself, and not stored.
    let layer = first + local / LANES;
    let replica = remainder(layer, REPLICAS);
    let at = min(layer, layers - 1u) * layer4;
    let next_at = select(at, (layer + REPLICAS) * layer4, layer + REPLICAS < layers);
    var w_difference = 0.0;
    var v_difference = 0.0;
    var w_norm = 0.0;
    var v_norm = 0.0;
    for (var i = lane; i < layer4; i += LANES) {
      let moved = change[at + i];
      let start = initial[select(at, replica * layer4, TIED) + i];
      let value = start + moved;
      var difference = change[next_at + i] - moved;
      if (!TIED) {
        difference += initial[next_at + i] - start;
      }
      let squared = dot(difference, difference);
      let norm = dot(value, value);
      let is_w = remainder(i, 2u * HALF4) < HALF4;
      w_difference += select(0.0, squared, is_w);
      v_difference += select(squared, 0.0, is_w);
      w_norm += select(0.0, norm, is_w);
      v_norm += select(norm, 0.0, is_w);
    }
    var total = vec4f(w_difference, v_difference, w_norm, v_norm);
    if (LANES > 1u) {
      sums[local] = total;
      workgroupBarrier();
      if (lane == 0u) {
        total = vec4f();
        for (var i = 0u; i < LANES; i++) {
          total += sums[local + i];
        }
      }
      workgroupBarrier();
    }
    if (lane == 0u && layer < layers) {
      y[replica * depth + layer / REPLICAS] = total;
    }
  }
}
