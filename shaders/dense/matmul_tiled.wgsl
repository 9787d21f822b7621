// y[i, j] = EPILOGUE(alpha · Σ_k a[i, k] b[k, j])   a: [rows, inner], b: [inner, columns], y: [rows, columns], for every layer of the grid's z
// A workgroup makes TM × TN of y, an invocation BLOCK_M × BLOCK_N of it in registers: TK columns of a and rows of b at a time go to
// workgroup memory as lines of k, in increasing order; those of the next trip are loaded while these are multiplied.
// A_TRANSPOSED: a is stored [inner, rows]. B_TRANSPOSED: b is stored [columns, inner]. EPILOGUE: as in matmul, 0 … 4.
// Host guarantees: strides and offsets in vec4; y by rows; `second` has y's stride, offset 0 and one layer; grid = (⌈columns / TN⌉, ⌈rows / TM⌉, layers);
// TM and TN are multiples of 32, and where a tile is transposed its blocks of 4 × 4 are no more than the invocations.
import package::common::activation::activation_pair;
import package::common::tile::inside;
import package::common::tile::tile_has;
import package::common::tile::tile_place;
import package::common::tile::tile_source;
import package::common::two_sum::two_sum_error;

const EPILOGUE = 0u;
const A_TRANSPOSED = false;
const B_TRANSPOSED = false;
const TM = 64u;
const TN = 64u;
const TK = 16u;
const BLOCK_M = 8u;
const BLOCK_N = 8u;
const WORKGROUP = (TM / BLOCK_M) * (TN / BLOCK_N);
const TM4 = TM / 4u;
const TN4 = TN / 4u;
const TK4 = TK / 4u;
const BLOCK_N4 = BLOCK_N / 4u;
// Parts of a tile side by side: in each, 32 neighbours multiply 4 blocks of rows by 8 of columns, and read 4 and 8 adjacent vec4 at once.
const PARTS_N = TN / (8u * BLOCK_N);

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  a_stride4: u32,
  b_stride4: u32,
  y_stride4: u32,
  a_at4: u32,
  b_at4: u32,
  y_at4: u32,
  from_at4: u32,
  a_layer4: u32,
  b_layer4: u32,
  y_layer4: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> second: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> a_tile: array<vec4f, TK * TM4>;
var<workgroup> b_tile: array<vec4f, TK * TN4>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  // Vec4 of rows and of columns within the tile, where this invocation's block begins; its other vec4 are 4 and 8 further.
  let row4 = local / 32u / PARTS_N * BLOCK_M + local % 32u / 8u;
  let column4 = local / 32u % PARTS_N * (2u * BLOCK_N) + local % 8u;
  // Where half of the invocations transpose a whole tile, the others transpose that of b.
  let local_b = local ^ (WORKGROUP / 2u);
  var sum = array<vec4f, BLOCK_M * BLOCK_N4>();
  var a_next = load(false, local, group.y * TM, 0u, group.z);
  var b_next = load(true, local_b, group.x * TN, 0u, group.z);
  for (var k0 = 0u; k0 < params.inner; k0 += TK) {
    workgroupBarrier();
    put(false, local, group.y * TM, k0, a_next);
    put(true, local_b, group.x * TN, k0, b_next);
    workgroupBarrier();
    if (k0 + TK < params.inner) {
      a_next = load(false, local, group.y * TM, k0 + TK, group.z);
      b_next = load(true, local_b, group.x * TN, k0 + TK, group.z);
    }
    for (var k4 = 0u; k4 < TK4; k4++) {
      //@unroll
      for (var k = 0u; k < 4u; k++) {
        // As `tile_place`, written out: from constants and remainders Tint sees that no index needs a check.
        var a_k = array<vec4f, BLOCK_M / 4u>();
        var b_k = array<vec4f, BLOCK_N4>();
        //@unroll
        for (var r = 0u; r < BLOCK_M / 4u; r++) {
          a_k[r] = a_tile[(4u * k4 + k) * TM4 + (row4 + 4u * r + k4 * (8u / TK4)) % TM4];
        }
        //@unroll
        for (var c = 0u; c < BLOCK_N4; c++) {
          b_k[c] = b_tile[(4u * k4 + k) * TN4 + (column4 + 8u * c + k4 * (8u / TK4)) % TN4];
        }
        //@unroll
        for (var r = 0u; r < BLOCK_M; r++) {
          //@unroll
          for (var c = 0u; c < BLOCK_N4; c++) {
            sum[r * BLOCK_N4 + c] = fma(vec4f(a_k[r / 4u][r % 4u]), b_k[c], sum[r * BLOCK_N4 + c]);
          }
        }
      }
    }
  }
  //@unroll
  for (var r = 0u; r < BLOCK_M; r++) {
    //@unroll
    for (var c = 0u; c < BLOCK_N4; c++) {
      let from_tile = vec2u(4u * (row4 + 4u * (r / 4u)) + r % 4u, 4u * (column4 + 8u * c));
      store(group.yx * vec2u(TM, TN) + from_tile, group.z, params.alpha * sum[r * BLOCK_N4 + c]);
    }
  }
}

// This invocation's vec4 of the tile of b, else of a, that begins at (first, k0). It only loads: whatever used the values here
// would wait for them before the products of the tile in work.
fn load(of_b: bool, local: u32, first: u32, k0: u32, layer: u32) -> array<vec4f, 4> {
  let width4 = select(TM4, TN4, of_b);
  let from4 = select(params.a_at4 + layer * params.a_layer4, params.b_at4 + layer * params.b_layer4, of_b);
  let stride4 = select(params.a_stride4, params.b_stride4, of_b);
  var loaded = array<vec4f, 4>();
  //@unroll
  for (var e = 0u; e < 4u; e++) {
    let at = in_memory(of_b, first, k0) + tile_source(local, e, WORKGROUP, width4, TK4, by_k(of_b));
    if (tile_has(local, e, WORKGROUP, width4, TK4, by_k(of_b)) && all(at < extents(of_b))) {
      if (of_b) {
        loaded[e] = b[from4 + at.x * stride4 + at.y / 4u];
      } else {
        loaded[e] = a[from4 + at.x * stride4 + at.y / 4u];
      }
    }
  }
  return loaded;
}

// To workgroup memory; zero beyond the end of a line.
fn put(of_b: bool, local: u32, first: u32, k0: u32, loaded: array<vec4f, 4>) {
  let width4 = select(TM4, TN4, of_b);
  let length = extents(of_b).y;
  var whole = loaded;
  //@unroll
  for (var e = 0u; e < 4u; e++) {
    let start = in_memory(of_b, first, k0).y + tile_source(local, e, WORKGROUP, width4, TK4, by_k(of_b)).y;
    if (start + 4u > length) {
      whole[e] = select(vec4f(), loaded[e], inside(start, length));
    }
  }
  let block = transpose(mat4x4f(whole[0], whole[1], whole[2], whole[3]));
  //@unroll
  for (var e = 0u; e < 4u; e++) {
    let index = tile_place(local, e, WORKGROUP, width4, TK4, by_k(of_b));
    if (tile_has(local, e, WORKGROUP, width4, TK4, by_k(of_b))) {
      if (of_b) {
        b_tile[index] = select(block[e], whole[e], by_k(of_b));
      } else {
        a_tile[index] = select(block[e], whole[e], by_k(of_b));
      }
    }
  }
}

fn by_k(of_b: bool) -> bool {
  return select(A_TRANSPOSED, !B_TRANSPOSED, of_b);
}

// A row or column of y and a k as (line of the operand in memory, number of the line).
fn in_memory(of_b: bool, own: u32, k: u32) -> vec2u {
  return select(vec2u(own, k), vec2u(k, own), by_k(of_b));
}

fn extents(of_b: bool) -> vec2u {
  return in_memory(of_b, select(params.rows, params.columns, of_b), params.inner);
}

fn store(place: vec2u, layer: u32, value: vec4f) {
  if (any(place >= vec2u(params.rows, params.columns))) {
    return;
  }
  let at = place.x * params.y_stride4 + place.y / 4u;
  let to = params.y_at4 + layer * params.y_layer4 + at;
  var result = value;
  var other = second[at];
  if (EPILOGUE == 1u || EPILOGUE == 2u) {
    let pairs = array(activation_pair(value.x), activation_pair(value.y), activation_pair(value.z), activation_pair(value.w));
    result = vec4f(pairs[0].x, pairs[1].x, pairs[2].x, pairs[3].x);
    other = vec4f(pairs[0].y, pairs[1].y, pairs[2].y, pairs[3].y);
  } else if (EPILOGUE == 3u) {
    result = value * other;
  } else if (EPILOGUE == 4u) {
    let before = y[params.from_at4 + at];
    let change = value + other;
    result = before + change;
    other = two_sum_error(before, change, result, params.rows >> 31u);
  }
  // A vec4 that crosses the last column keeps what lies beyond it; no other invocation writes a part of it.
  if (place.y + 4u > params.columns) {
    result = select(y[to], result, inside(place.y, params.columns));
    other = select(second[at], other, inside(place.y, params.columns));
  }
  y[to] = result;
  if (EPILOGUE == 2u || EPILOGUE == 4u) {
    second[at] = other;
  }
}
