// grad_k += c · Σ_{j = k±1} (x_k − x_j), x = initial + change: the gradient of a penalty on the differences of neighbouring layers, of W and V each.
// SQUARED: of weight · Σ_k ‖x_{k+1} − x_k‖², c = 2 weight. Else of weight · (Σ_k ‖x_{k+1} − x_k‖²)^½, c = weight over that root; 0 where all layers are equal.
// One invocation a vec4 of [layer, replica, LAYER4]; a missing neighbour adds nothing. Equal initial layers (TIED) cancel and are not read.
// Host guarantees: a layer is LAYER4 vec4 of units (W_j, V_·j) of 2·HALF4; norms[3r + 2] = (Σ‖ΔW‖², Σ‖ΔV‖², ·, ·) of replica r, as `metric/summary` leaves them.
import package::common::remainder::remainder;

const SQUARED = false;
const TIED = true;
const LAYER4 = 256u;
const HALF4 = 4u;
const REPLICAS = 1u;
const WORKGROUP = 64u;
const STRIDE = REPLICAS * LAYER4;

struct Params {
  count4: u32,
  weight_w: f32,
  weight_v: f32,
}

@group(0) @binding(0) var<storage, read> initial: array<vec4f>;
@group(0) @binding(1) var<storage, read> change: array<vec4f>;
@group(0) @binding(2) var<storage, read> norms: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> grad: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < params.count4; i += groups.x * WORKGROUP) {
    let here = change[i];
    var sum = vec4f();
    if (i >= STRIDE) {
      sum += here - change[i - STRIDE];
      if (!TIED) {
        sum += initial[i] - initial[i - STRIDE];
      }
    }
    if (i + STRIDE < params.count4) {
      sum += here - change[i + STRIDE];
      if (!TIED) {
        sum += initial[i] - initial[i + STRIDE];
      }
    }
    let is_w = remainder(i, 2u * HALF4) < HALF4;
    let weight = select(params.weight_v, params.weight_w, is_w);
    var c = 2.0 * weight;
    if (!SQUARED) {
      let squares = norms[3u * remainder(i / LAYER4, REPLICAS) + 2u];
      let square = select(squares.y, squares.x, is_w);
      c = 0.0;
      if (square > 0.0) {
        c = weight / sqrt(square);
      }
    }
    grad[i] += c * sum;
  }
}
