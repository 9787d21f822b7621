// Partitioned steps for q' = G(t, p), p' = F(t, q), y = (q, p), kick and drift in turn: p += kicks_s h F(t + C_s h, q),
//   q += drifts_s h G(t + K_s h, p), the last kick without a drift; f is evaluated whole, and half of it used. The first kick takes the
//   slope of the last one before. Dense output is the cubic Hermite polynomial through both ends, whose slopes are evaluated for it.
import package::common::ode_field::{DIM, State, vector_field};
import package::common::ode_hermite::hermite_value;
import package::common::ode_solve::{OdeGiven, OdeTrajectory};

const ODE_HALF = DIM / 2u;
const ODE_FSAL = true; // the last kick is at t + h
const ODE_STAGES = 2u; // kicks
const ODE_KICKS = array<f32, 2>(0.5, 0.5);
const ODE_KICK_TIMES = array<f32, 2>(0.0, 1.0); // C
const ODE_DRIFTS = array<f32, 1>(1.0);
const ODE_DRIFT_TIMES = array<f32, 1>(0.5); // K
const ODE_EXTRA_EVALUATIONS = 2u;

struct OdeStages {
  slope: State, // of the last kick
  f0: State, // f(t, y) and f(t + h, y1), for dense output
  f1: State,
}

fn method_start(x: OdeTrajectory) -> OdeStages {
  return OdeStages(x.slope, x.slope, x.slope);
}

fn method_step(given: OdeGiven, t: f32, h: f32, y: State, k: ptr<function, OdeStages>) -> State {
  var at = y;
  //@unroll
  for (var s = 0u; s < ODE_STAGES; s++) {
    if (s > 0u) {
      let velocity = vector_field(t + ODE_DRIFT_TIMES[max(s, 1u) - 1u] * h, at, given.p);
      //@unroll
      for (var i = 0u; i < ODE_HALF; i++) {
        at[i] += (ODE_DRIFTS[max(s, 1u) - 1u] * h) * velocity[i];
      }
      (*k).slope = vector_field(t + ODE_KICK_TIMES[s] * h, at, given.p);
    }
    //@unroll
    for (var i = ODE_HALF; i < DIM; i++) {
      at[i] += (ODE_KICKS[s] * h) * (*k).slope[i];
    }
  }
  return at;
}

fn method_evaluations(k: ptr<function, OdeStages>) -> u32 {
  return 2u * (ODE_STAGES - 1u);
}

fn method_solved(k: ptr<function, OdeStages>) -> bool {
  return true;
}

fn method_keep(h: f32, k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
  (*x).slope = (*k).slope;
}

fn method_keep_extra(k: ptr<function, OdeStages>, x: ptr<function, OdeTrajectory>) {
}

// There is no estimate: these methods take fixed steps.
fn method_error(h: f32, k: ptr<function, OdeStages>) -> State {
  return State();
}

fn method_extra_stages(given: OdeGiven, t: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) {
  (*k).f0 = vector_field(t, y, given.p);
  (*k).f1 = vector_field(t + h, y1, given.p);
}

fn method_interpolate(theta: f32, h: f32, y: State, y1: State, k: ptr<function, OdeStages>) -> State {
  return hermite_value(theta, h, y, y1, (*k).f0, (*k).f1);
}
