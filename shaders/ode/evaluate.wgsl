// A right-hand side and what belongs to it at n points (y, p, t): f [DIM], its event value, wᵀ ∂f/∂(y, p, t) with w [DIM],
//   and J = ∂f/∂y [DIM · DIM], row by row. `points` and `pullbacks` have rows y [DIM], p [PARAMETERS], t; a column a point.
// One invocation a point. For checks of a field, not for solves.
// Host promises: the grid of workgroups covers `count` points; with ODE_VJP and ODE_JACOBIAN the field has these functions.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field, event_value};
import package::common::ode_derivatives::{Pullback, vector_field_vjp, jacobian};

const WORKGROUP = 64u;
const ODE_VJP = true;
const ODE_JACOBIAN = true;

struct SolveParams {
  count: u32,
}

@group(0) @binding(0) var<storage, read> points: array<f32>;
@group(0) @binding(1) var<storage, read> cotangents: array<f32>;
@group(0) @binding(2) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(3) var<storage, read_write> event_values: array<f32>;
@group(0) @binding(4) var<storage, read_write> pullbacks: array<f32>;
@group(0) @binding(5) var<storage, read_write> jacobians: array<f32>;
@group(0) @binding(6) var<uniform> params: SolveParams;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * WORKGROUP + lane;
  let count = params.count;
  if (index >= count) { return; }
  var y = State();
  for (var i = 0u; i < DIM; i++) { y[i] = points[i * count + index]; }
  var p = Params();
  for (var i = 0u; i < PARAMETERS; i++) { p[i] = points[(DIM + i) * count + index]; }
  let t = points[(DIM + PARAMETERS) * count + index];

  let slope = vector_field(t, y, p);
  for (var i = 0u; i < DIM; i++) { slopes[i * count + index] = slope[i]; }
  event_values[index] = event_value(t, y, p);
  if (ODE_VJP) {
    var w = State();
    for (var i = 0u; i < DIM; i++) { w[i] = cotangents[i * count + index]; }
    let pullback = vector_field_vjp(t, y, p, w);
    for (var i = 0u; i < DIM; i++) { pullbacks[i * count + index] = pullback.y[i]; }
    for (var i = 0u; i < PARAMETERS; i++) { pullbacks[(DIM + i) * count + index] = pullback.p[i]; }
    pullbacks[(DIM + PARAMETERS) * count + index] = pullback.t;
  }
  if (ODE_JACOBIAN) {
    let rows = jacobian(t, y, p);
    for (var i = 0u; i < DIM; i++) {
      for (var j = 0u; j < DIM; j++) { jacobians[(i * DIM + j) * count + index] = rows[i][j]; }
    }
  }
}
