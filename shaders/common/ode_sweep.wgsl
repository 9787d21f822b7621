// What a reverse sweep carries from step to step, and from dispatch to dispatch. Rows of `cotangents`: w [DIM], the cotangent of the
//   final state that becomes ∂loss/∂y0; that of the end time; then those of saved points, as `saved` has them. Rows of `sweep`:
//   ∂loss/∂p [PARAMETERS], ∂loss/∂t0, ∂loss/∂t1, what rounding cut off ∂loss/∂p, the saved points not yet passed; then states of a
//   segment [groups][DIM].
import package::common::ode_field::{DIM, PARAMETERS, State, Params};
import package::common::ode_save::grid_points;
import package::common::ode_solve::{grid, params};

const ODE_SWEEP_ROWS = 2u * PARAMETERS + 3u;

@group(0) @binding(5) var<storage, read_write> cotangents: array<f32>;
@group(0) @binding(6) var<storage, read_write> sweep: array<f32>;

struct OdeSweep {
  w: State,
  p: Params,
  t0: f32,
  t1: f32,
  low: Params,
  points: u32,
}

fn load_sweep(index: u32) -> OdeSweep {
  var x = OdeSweep();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    x.w[i] = cotangents[i * params.stride + index];
  }
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    x.p[i] = sweep[i * params.stride + index];
    x.low[i] = sweep[(PARAMETERS + 2u + i) * params.stride + index];
  }
  x.t0 = sweep[PARAMETERS * params.stride + index];
  x.t1 = sweep[(PARAMETERS + 1u) * params.stride + index];
  x.points = bitcast<u32>(sweep[(2u * PARAMETERS + 2u) * params.stride + index]);
  return x;
}

fn store_sweep(index: u32, x: OdeSweep) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    cotangents[i * params.stride + index] = x.w[i];
  }
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    sweep[i * params.stride + index] = x.p[i];
    sweep[(PARAMETERS + 2u + i) * params.stride + index] = x.low[i];
  }
  sweep[PARAMETERS * params.stride + index] = x.t0;
  sweep[(PARAMETERS + 1u) * params.stride + index] = x.t1;
  sweep[(2u * PARAMETERS + 2u) * params.stride + index] = bitcast<f32>(x.points);
}

// Adds to ∂loss/∂p, with what rounding cut off the sum before (Kahan, Communications of the ACM 8, 1965); `zero` as in common/two_sum.
fn add_parameters(x: ptr<function, OdeSweep>, terms: Params, zero: u32) {
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    let before = (*x).p[i];
    let term = terms[i] + (*x).low[i];
    let sum = bitcast<f32>(bitcast<u32>(before + term) ^ zero);
    (*x).low[i] = term - bitcast<f32>(bitcast<u32>(sum - before) ^ zero);
    (*x).p[i] = sum;
  }
}

fn end_time_cotangent(index: u32) -> f32 {
  return cotangents[DIM * params.stride + index];
}

fn saved_cotangent(index: u32, point: u32) -> State {
  var place = point * params.stride + index;
  if (params.ragged == 1u) { place = grid[index] + point; }
  var c = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    c[i] = cotangents[(DIM + 1u) * params.stride + i * params.plane + place];
  }
  return c;
}

fn store_segment_state(index: u32, at: u32, y: State) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    sweep[(ODE_SWEEP_ROWS + at * DIM + i) * params.stride + index] = y[i];
  }
}

fn load_segment_state(index: u32, at: u32) -> State {
  var y = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = sweep[(ODE_SWEEP_ROWS + at * DIM + i) * params.stride + index];
  }
  return y;
}
