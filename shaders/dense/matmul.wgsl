// y[i, j] = EPILOGUE(alpha · Σ_k a[i, k] b[k, j])   a: [rows, inner], b: [inner, columns], y: [rows, columns], each with row and column strides
// Workgroups (x, y, l) make y of layer l: operands `a_layer`, `b_layer`, `y_layer` floats from layer to layer.
// An invocation makes a BLOCK_M × BLOCK_N block of y in registers, in increasing k; no workgroup memory (caches serve the reuse).
// EPILOGUE 0: store. 1: store σ. 2: store σ, and σ' in `second`. 3: times `second`. 4: y at `from_at` + sum, compensated in `second`.
// Host guarantees: BLOCK_N % 4 == 0; `second` has y's strides, offset 0 and one layer; ranges cover the strided extents.
import package::common::activation::activation;
import package::common::activation::activation_pair;
import package::common::two_sum::two_sum_error;

const EPILOGUE = 0u;
const BLOCK_M = 4u;
const BLOCK_N = 4u;
const COLUMNS4 = BLOCK_N / 4u;
const WORKGROUP_X = 8u;
const WORKGROUP_Y = 4u;

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  a_row: u32,
  a_column: u32,
  b_row: u32,
  b_column: u32,
  y_row: u32,
  y_column: u32,
  a_at: u32,
  b_at: u32,
  y_at: u32,
  from_at: u32,
  a_layer: u32,
  b_layer: u32,
  y_layer: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i0 = id.y * BLOCK_M;
  let j0 = id.x * BLOCK_N;
  if (i0 >= params.rows || j0 >= params.columns) {
    return;
  }
  // Rows and columns beyond the edge repeat the last one and are not stored.
  var a_at = array<u32, BLOCK_M>();
  var b_at = array<vec4u, COLUMNS4>();
  var sum = array<vec4f, BLOCK_M * COLUMNS4>();
  //@unroll
  for (var r = 0u; r < BLOCK_M; r++) {
    a_at[r] = params.a_at + id.z * params.a_layer + min(i0 + r, params.rows - 1u) * params.a_row;
  }
  //@unroll
  for (var c = 0u; c < COLUMNS4; c++) {
    let j = min(vec4u(j0 + 4u * c) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
    b_at[c] = vec4u(params.b_at + id.z * params.b_layer) + j * params.b_column;
  }
  // Copied here: in the loop each read of a uniform costs 30 instructions of bounds checks (SwiftShader, 2026-11).
  let inner = params.inner;
  let a_column = params.a_column;
  let b_row = params.b_row;
  for (var k = 0u; k < inner; k++) {
    let ak = k * a_column;
    let bk = k * b_row;
    var b_k = array<vec4f, COLUMNS4>();
    //@unroll
    for (var c = 0u; c < COLUMNS4; c++) {
      let at = b_at[c] + bk;
      b_k[c] = vec4f(b[at.x], b[at.y], b[at.z], b[at.w]);
    }
    //@unroll
    for (var r = 0u; r < BLOCK_M; r++) {
      let a_k = a[a_at[r] + ak];
      //@unroll
      for (var c = 0u; c < COLUMNS4; c++) {
        sum[r * COLUMNS4 + c] += a_k * b_k[c];
      }
    }
  }
  // Not unrolled, which would compile the epilogue once for each result; a copy, so that the sums stay in registers.
  var results = sum;
  for (var n = 0u; n < BLOCK_M * COLUMNS4; n++) {
    let i = i0 + n / COLUMNS4;
    let j = j0 + 4u * (n % COLUMNS4);
    let result = params.alpha * results[n];
    //@unroll
    for (var c = 0u; c < 4u; c++) {
      if (i < params.rows && j + c < params.columns) {
        store(i * params.y_row + (j + c) * params.y_column, id.z * params.y_layer, result[c]);
      }
    }
  }
}

fn store(at: u32, layer_at: u32, value: f32) {
  let to = params.y_at + layer_at + at;
  if (EPILOGUE == 0u) {
    y[to] = value;
  } else if (EPILOGUE == 1u) {
    y[to] = activation(value);
  } else if (EPILOGUE == 2u) {
    let pair = activation_pair(value);
    y[to] = pair.x;
    second[at] = pair.y;
  } else if (EPILOGUE == 3u) {
    y[to] = value * second[at];
  } else {
    let before = y[params.from_at + at];
    let change = value + second[at];
    let next = before + change;
    second[at] = two_sum_error(vec4f(before), vec4f(change), vec4f(next), params.rows >> 31u).x;
    y[to] = next;
  }
}
