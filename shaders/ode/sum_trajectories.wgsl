// sums [rows, out_stride]: place first_out + s of row r is Σ_j x[r, j] over the SLICE neighbours j of slice s of x [rows, stride].
// One invocation a slice of a row, in increasing order: repeated until one number a row is left, the same bits for any split of the
//   batch into ranges of whole slices.
// Host promises: the grid is (slices of `count` / WORKGROUP) x rows, both striding.

const WORKGROUP = 64u;
const SLICE = 64u;

struct Params {
  rows: u32,
  count: u32,
  stride: u32,
  out_stride: u32,
  first_out: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let slices = (params.count + SLICE - 1u) / SLICE;
  for (var row = group.y; row < params.rows; row += groups.y) {
    for (var slice = group.x * WORKGROUP + lane; slice < slices; slice += groups.x * WORKGROUP) {
      let end = min((slice + 1u) * SLICE, params.count);
      var sum = 0.0;
      for (var j = slice * SLICE; j < end; j++) {
        sum += x[row * params.stride + j];
      }
      sums[row * params.out_stride + params.first_out + slice] = sum;
    }
  }
}
