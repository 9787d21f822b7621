// y[k] = (‖W_{k+1} − W_k‖², ‖V_{k+1} − V_k‖², ‖W_k‖², ‖V_k‖²), squared Frobenius norms; the differences of the last layer are 0.
// One workgroup a layer. The difference of the changes is added to the difference of the initial values, so that tied layers lose nothing.
// Host guarantees: a layer is `layer4` vec4 of units (W_j, V_·j) of `unit4`; initial has `initial4` vec4, repeated.
const WORKGROUP = 32u;

struct Params {
  depth: u32,
  layer4: u32,
  unit4: u32,
  initial4: u32,
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
  for (var k = group.x; k < params.depth; k += groups.x) {
    var w_difference = 0.0;
    var v_difference = 0.0;
    var w_norm = 0.0;
    var v_norm = 0.0;
    for (var i = local; i < params.layer4; i += WORKGROUP) {
      let here = k * params.layer4 + i;
      let start = initial[here % params.initial4];
      let moved = change[here];
      let value = start + moved;
      var difference = vec4f();
      if (k + 1u < params.depth) {
        let next = here + params.layer4;
        difference = (initial[next % params.initial4] - start) + (change[next] - moved);
      }
      let squared = dot(difference, difference);
      let norm = dot(value, value);
      let is_w = (i % params.unit4) < (params.unit4 / 2u);
      w_difference += select(0.0, squared, is_w);
      v_difference += select(squared, 0.0, is_w);
      w_norm += select(0.0, norm, is_w);
      v_norm += select(norm, 0.0, is_w);
    }
    sums[local] = vec4f(w_difference, v_difference, w_norm, v_norm);
    workgroupBarrier();
    if (local == 0u) {
      var total = vec4f();
      for (var i = 0u; i < WORKGROUP; i++) {
        total += sums[i];
      }
      y[k] = total;
    }
    workgroupBarrier();
  }
}
