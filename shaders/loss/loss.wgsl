// row_loss[i, :] = (loss of row i, 1 if the largest output is at the label), grad[i, :] = ∂ℓ/∂F_i   output, target, grad: [rows, OUTPUTS]
// LOSS 0: (1/n) Σ_i ‖F_i − y_i‖²   1: (1/(n d')) Σ (F − y)²   2: −(1/n) Σ_i log softmax(F_i)[label_i]. One invocation a row.
// Host guarantees: target_bits holds y as bits of f32 (LOSS 0, 1) or the labels (LOSS 2), scale = 1/n or 1/(n d'); gradient includes the 1/n.
const LOSS = 0u;
const WORKGROUP = 32u;

struct Params {
  rows: u32,
  outputs: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> output: array<f32>;
@group(0) @binding(1) var<storage, read> target_bits: array<u32>;
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<vec2f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var row = id.x; row < params.rows; row += groups.x * WORKGROUP) {
    let base = row * params.outputs;
    var loss = 0.0;
    var correct = 0.0;
    if (LOSS == 2u) {
      let label = target_bits[row];
      var largest = output[base];
      var best = 0u;
      for (var o = 1u; o < params.outputs; o++) {
        if (output[base + o] > largest) {
          largest = output[base + o];
          best = o;
        }
      }
      var sum = 0.0;
      for (var o = 0u; o < params.outputs; o++) {
        sum += exp(output[base + o] - largest);
      }
      loss = log(sum) - (output[base + label] - largest);
      correct = select(0.0, 1.0, best == label);
      for (var o = 0u; o < params.outputs; o++) {
        let softmax = exp(output[base + o] - largest) / sum;
        grad[base + o] = params.scale * (softmax - select(0.0, 1.0, o == label));
      }
    } else {
      for (var o = 0u; o < params.outputs; o++) {
        let difference = output[base + o] - bitcast<f32>(target_bits[base + o]);
        loss += difference * difference;
        grad[base + o] = 2.0 * params.scale * difference;
      }
    }
    row_loss[row] = vec2f(params.scale * loss, correct);
  }
}
