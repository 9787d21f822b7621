// y[i, j] = EPILOGUE(alpha · Σ_k a[i, k] b[k, j])   a: [rows, inner], b: [inner, columns], y: [rows, columns], each with row and column strides
// An invocation makes a 4 × 4 block of y in registers, in increasing k; no workgroup memory (caches serve the reuse).
// EPILOGUE 0: store. 1: store σ. 2: store σ, and σ' in `second`. 3: times `second`. 4: y at `from_at` + sum, compensated in `second`.
// Host guarantees: `second` has y's strides and offset 0; ranges cover the strided extents.
import package::common::activation::activation;
import package::common::activation::activation_pair;
import package::common::two_sum::two_sum_error;

const EPILOGUE = 0u;
const BLOCK = 4u;
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
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i0 = id.y * BLOCK;
  let j0 = id.x * BLOCK;
  if (i0 >= params.rows || j0 >= params.columns) {
    return;
  }
  // Rows and columns beyond the edge repeat the last one and are not stored.
  let i = min(vec4u(i0) + vec4u(0u, 1u, 2u, 3u), vec4u(params.rows - 1u)) * params.a_row;
  let j = min(vec4u(j0) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u)) * params.b_column;
  var sum = mat4x4f();
  for (var k = 0u; k < params.inner; k++) {
    let ak = params.a_at + k * params.a_column;
    let bk = params.b_at + k * params.b_row;
    let b_k = vec4f(b[j.x + bk], b[j.y + bk], b[j.z + bk], b[j.w + bk]);
    sum[0] += a[i.x + ak] * b_k;
    sum[1] += a[i.y + ak] * b_k;
    sum[2] += a[i.z + ak] * b_k;
    sum[3] += a[i.w + ak] * b_k;
  }
  //@unroll
  for (var r = 0u; r < BLOCK; r++) {
    //@unroll
    for (var c = 0u; c < BLOCK; c++) {
      if (i0 + r < params.rows && j0 + c < params.columns) {
        store((i0 + r) * params.y_row + (j0 + c) * params.y_column, params.alpha * sum[r][c]);
      }
    }
  }
}

fn store(at: u32, value: f32) {
  let to = params.y_at + at;
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
