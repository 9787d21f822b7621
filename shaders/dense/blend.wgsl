// y[i] = Σ_j matrix[i, j] · Σ_g x[g, j − first_column],  first_row ≤ i < first_row + rows, first_column ≤ j < first_column + columns; added to y where `add` is 1.
// y: [rows, layer4]   x: [groups, columns, layer4]: layers of weights → weights of stages, and gradients of these back
// An invocation makes a vec4 of the rows 4b … 4b + 3, whose entries of a column are one vec4 of `matrix` [blocks, stride]; it
// visits the columns bands[b] = (first, end) alone, in increasing order.
// Host guarantees: the rows of a block are 0 outside its band.
const WORKGROUP = 64u;

struct Params {
  first_row: u32,
  rows: u32,
  first_column: u32,
  columns: u32,
  stride: u32,
  groups: u32,
  layer4: u32,
  add: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read> bands: array<vec2u>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) num_workgroups: vec3u) {
  // Copied here: in the loop each read of a uniform costs 30 instructions of bounds checks (SwiftShader, 2026-11).
  let first_row = params.first_row;
  let end_row = first_row + params.rows;
  let first_column = params.first_column;
  let layer4 = params.layer4;
  let groups = params.groups;
  let stride = params.stride;
  let group4 = params.columns * layer4;
  let first_block = first_row / 4u;
  let blocks = (end_row + 3u) / 4u - first_block;
  for (var at = id.x; at < blocks * layer4; at += num_workgroups.x * WORKGROUP) {
    let block = first_block + at / layer4;
    let inside = at % layer4;
    let band = bands[block];
    let end = min(band.y, first_column + params.columns);
    var sum = array<vec4f, 4>();
    if (params.add == 1u) {
      //@unroll
      for (var r = 0u; r < 4u; r++) {
        let row = 4u * block + r;
        if (row >= first_row && row < end_row) {
          sum[r] = y[(row - first_row) * layer4 + inside];
        }
      }
    }
    for (var j = max(band.x, first_column); j < end; j++) {
      let source = (j - first_column) * layer4 + inside;
      var total = vec4f();
      for (var g = 0u; g < groups; g++) {
        total += x[g * group4 + source];
      }
      let entries = matrix[block * stride + j];
      //@unroll
      for (var r = 0u; r < 4u; r++) {
        sum[r] += entries[r] * total;
      }
    }
    //@unroll
    for (var r = 0u; r < 4u; r++) {
      let row = 4u * block + r;
      if (row >= first_row && row < end_row) {
        y[(row - first_row) * layer4 + inside] = sum[r];
      }
    }
  }
}
