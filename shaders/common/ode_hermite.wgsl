// Cubic Hermite interpolation within a step: y + (3θ² − 2θ³) (y1 − y) + h ((θ − 2θ² + θ³) f0 + (θ³ − θ²) f1).
import package::common::ode_field::{DIM, State};

fn hermite_value(theta: f32, h: f32, y: State, y1: State, f0: State, f1: State) -> State {
  let square = theta * theta;
  let step = square * (3.0 - 2.0 * theta);
  let start = theta * ((1.0 - theta) * (1.0 - theta));
  let end = square * (theta - 1.0);
  var value = y;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    value[i] = (y[i] + step * (y1[i] - y[i])) + h * (start * f0[i] + end * f1[i]);
  }
  return value;
}
