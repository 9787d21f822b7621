// Time of adaptive steps: t + low with |low| below one unit of t, so that thousands of steps do not shift it; t1 is hit exactly.
// A step that would leave less than 1 % of its length to t1 ends at t1.
import package::common::ode_solve::OdeMesh;

const ODE_STRETCH = 1.01;

struct OdeTrial {
  h: f32,
  end: f32,
  last: bool,
  stuck: bool, // below the least step, or too short to change t
}

fn next_trial(t: f32, low: f32, h: f32, t1: f32, dt_min: f32) -> OdeTrial {
  let left = (t1 - t) - low;
  let last = ODE_STRETCH * abs(h) >= abs(left);
  let end = select(t + (h + low), t1, last);
  return OdeTrial(select(h, left, last), end, last, abs(h) < dt_min || (!last && end == t));
}

// Fixed steps: number i begins at t0 + i dt, and the last ends at t1.
fn mesh_time(mesh: OdeMesh, i: u32) -> f32 {
  return mesh.t0 + f32(i) * mesh.dt;
}

fn mesh_trial(mesh: OdeMesh, i: u32, t1: f32) -> OdeTrial {
  let t = mesh_time(mesh, i);
  let last = i + 1u == mesh.count;
  return OdeTrial(select(mesh.dt, t1 - t, last), select(mesh_time(mesh, i + 1u), t1, last), last, false);
}

// What rounding cuts off t + (h + low) = end; `zero` as in two_sum.
fn time_remainder(t: f32, low: f32, h: f32, end: f32, zero: u32) -> f32 {
  let known_end = bitcast<f32>(bitcast<u32>(end) ^ zero);
  return (h + low) - bitcast<f32>(bitcast<u32>(known_end - t) ^ zero);
}
