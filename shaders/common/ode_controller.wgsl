// Step-size control: with E the scaled error of the step tried and E', E'' those of the two accepted before it, the next step is
//   SAFETY · E^-EXPONENT_NOW · E'^EXPONENT_BEFORE · E''^-EXPONENT_BEFORE_THAT times as long, clipped. As control() of src/ode/controllers.ts.
import package::common::ode_error::is_infinite_or_nan;

const SAFETY = 0.9;
const FACTOR_MIN = 0.2;
const FACTOR_MAX = 10.0;
const SHRINK_AFTER_ACCEPT = false;
const REJECT_WITH_HISTORY = true;
const ACCEPT_ONE = false;
const ERROR_FLOOR = 0.0;
const EXPONENT_NOW = 0.2;
const EXPONENT_BEFORE = 0.0;
const EXPONENT_BEFORE_THAT = 0.0;

struct Decision {
  accepted: bool,
  factor: f32,
  previous: f32,
  before_previous: f32,
}

fn control(error: f32, previous: f32, before_previous: f32) -> Decision {
  if (is_infinite_or_nan(error)) {
    return Decision(false, FACTOR_MIN, previous, before_previous);
  }
  var accepted = error < 1.0;
  if (ACCEPT_ONE) {
    accepted = error <= 1.0;
  }
  var factor = SAFETY * pow(error, -EXPONENT_NOW);
  if (EXPONENT_BEFORE != 0.0) {
    factor = select(factor, factor * pow(previous, EXPONENT_BEFORE), accepted || REJECT_WITH_HISTORY);
  }
  if (EXPONENT_BEFORE_THAT != 0.0) {
    factor = select(factor, factor * pow(before_previous, -EXPONENT_BEFORE_THAT), accepted || REJECT_WITH_HISTORY);
  }
  factor = select(FACTOR_MAX, factor, error > 0.0);
  let least = select(FACTOR_MIN, 1.0, accepted && !SHRINK_AFTER_ACCEPT);
  factor = min(max(factor, least), select(SAFETY, FACTOR_MAX, accepted));
  let kept = max(error, ERROR_FLOOR);
  return Decision(
    accepted,
    factor,
    select(previous, select(kept, 1.0, kept == 0.0), accepted),
    select(before_previous, previous, accepted),
  );
}
