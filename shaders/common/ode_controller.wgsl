// Step-size control: with E the scaled error of the step tried and E', E'' those of the two accepted before it, the next step is
//   ODE_SAFETY · E^-ODE_EXPONENT_NOW · E'^ODE_EXPONENT_BEFORE · E''^-ODE_EXPONENT_BEFORE_THAT times as long, clipped. As control() of src/ode/controllers.ts.
import package::common::ode_error::is_infinite_or_nan;

const ODE_SAFETY = 0.9;
const ODE_FACTOR_MIN = 0.2;
const ODE_FACTOR_MAX = 10.0;
const ODE_SHRINK_AFTER_ACCEPT = false;
const ODE_REJECT_WITH_HISTORY = true;
const ODE_ACCEPT_ONE = false;
const ODE_ERROR_FLOOR = 0.0;
const ODE_EXPONENT_NOW = 0.2;
const ODE_EXPONENT_BEFORE = 0.0;
const ODE_EXPONENT_BEFORE_THAT = 0.0;

struct OdeDecision {
  accepted: bool,
  factor: f32,
  previous: f32,
  before_previous: f32,
}

fn control(error: f32, previous: f32, before_previous: f32) -> OdeDecision {
  if (is_infinite_or_nan(error)) {
    return OdeDecision(false, ODE_FACTOR_MIN, previous, before_previous);
  }
  var accepted = error < 1.0;
  if (ODE_ACCEPT_ONE) {
    accepted = error <= 1.0;
  }
  var factor = ODE_SAFETY * pow(error, -ODE_EXPONENT_NOW);
  if (ODE_EXPONENT_BEFORE != 0.0) {
    factor = select(factor, factor * pow(previous, ODE_EXPONENT_BEFORE), accepted || ODE_REJECT_WITH_HISTORY);
  }
  if (ODE_EXPONENT_BEFORE_THAT != 0.0) {
    factor = select(factor, factor * pow(before_previous, -ODE_EXPONENT_BEFORE_THAT), accepted || ODE_REJECT_WITH_HISTORY);
  }
  factor = select(ODE_FACTOR_MAX, factor, error > 0.0);
  let least = select(ODE_FACTOR_MIN, 1.0, accepted && !ODE_SHRINK_AFTER_ACCEPT);
  factor = min(max(factor, least), select(ODE_SAFETY, ODE_FACTOR_MAX, accepted));
  let kept = max(error, ODE_ERROR_FLOOR);
  return OdeDecision(
    accepted,
    factor,
    select(previous, select(kept, 1.0, kept == 0.0), accepted),
    select(before_previous, previous, accepted),
  );
}
