// One step of a partitioned method backwards, y = (q, p). Stage s is a kick (s even), p += PARTS_s h f_p(t + TIMES_s h, y), or a drift,
//   q += PARTS_s h f_q(t + TIMES_s h, y); from the last to the first, with w the cotangent of its result and u that of PARTS_s h f: the half
//   of w that the stage changes, w ← w + uᵀ ∂f/∂y, and the parameters gather uᵀ ∂f/∂p. Cotangents enter at the ends of steps only.
import package::common::ode_field::{DIM, PARAMETERS, State, Params, vector_field};
import package::common::ode_derivatives::vector_field_vjp;

const ODE_TOTAL = 3u; // kicks and drifts
const ODE_PARTS = array<f32, 3>(0.5, 1.0, 0.5);
const ODE_TIMES = array<f32, 3>(0.0, 0.5, 1.0);
const ODE_DEGREE = 1u;
const ODE_WEIGHTS = array<f32, 3>(0.0, 0.0, 0.0); // of no interpolant

alias OdeStages = array<State, ODE_TOTAL>;

// Cotangents inside a step: of the stages, of the state it begins with, and by its start and its length through θ.
struct OdeInner {
  any: bool,
  stages: OdeStages,
  y: State,
  t: f32,
  h: f32,
}

// ∂loss/∂(y, p) of a step, and by its start and its length.
struct OdeStepGradient {
  y: State,
  p: Params,
  t: f32,
  h: f32,
}

// Takes the step again, with slopes k and arguments `at` of its stages; returns its end.
fn retake_step(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) -> State {
  var there = y;
  //@unroll
  for (var s = 0u; s < ODE_TOTAL; s++) {
    (*at)[s] = there;
    (*k)[s] = vector_field(t + ODE_TIMES[s] * h, there, p);
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      if ((i < DIM / 2u) == (s % 2u == 1u)) { there[i] += (ODE_PARTS[s] * h) * (*k)[s][i]; }
    }
  }
  return there;
}

fn retake_extra_stages(t: f32, h: f32, y: State, p: Params, k: ptr<function, OdeStages>, at: ptr<function, OdeStages>) {
}

fn reverse_step(
  t: f32,
  h: f32,
  w: State,
  p: Params,
  k: ptr<function, OdeStages>,
  at: ptr<function, OdeStages>,
  inner: ptr<function, OdeInner>,
) -> OdeStepGradient {
  var gradient = OdeStepGradient(w, Params(), 0.0, 0.0);
  //@unroll
  for (var n = 0u; n < ODE_TOTAL; n++) {
    var row = State();
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      if ((i < DIM / 2u) == ((ODE_TOTAL - 1u - n) % 2u == 1u)) {
        row[i] = (ODE_PARTS[ODE_TOTAL - 1u - n] * h) * gradient.y[i];
        gradient.h += ODE_PARTS[ODE_TOTAL - 1u - n] * gradient.y[i] * (*k)[ODE_TOTAL - 1u - n][i];
      }
    }
    let time = t + ODE_TIMES[ODE_TOTAL - 1u - n] * h;
    let product = vector_field_vjp(time, (*at)[ODE_TOTAL - 1u - n], p, row);
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      gradient.y[i] += product.y[i];
    }
    //@unroll
    for (var i = 0u; i < PARAMETERS; i++) {
      gradient.p[i] += product.p[i];
    }
    gradient.t += product.t;
    gradient.h += ODE_TIMES[ODE_TOTAL - 1u - n] * product.t;
  }
  return gradient;
}
