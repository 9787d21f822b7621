// Cotangents that enter a step backwards from points inside it, by the cubic Hermite polynomial of common/ode_hermite.
import package::common::ode_field::{DIM, State};
import package::common::ode_sweep::OdeSweep;

// What points inside a step add: to the cotangents of y at its start and of f at its ends, and to those of its start and its length.
struct OdeInside {
  y0: State,
  f0: State,
  f1: State,
  t: f32,
  h: f32,
}

// A cotangent of the cubic Hermite polynomial at the time of a grid, so that θ moves with the step.
fn add_inside(
  theta: f32,
  h: f32,
  c: State,
  y0: State,
  y1: State,
  f0: State,
  f1: State,
  x: ptr<function, OdeSweep>,
  inside: ptr<function, OdeInside>,
) {
  let rest = 1.0 - theta;
  let end_weight = theta * theta * (3.0 - 2.0 * theta);
  let first_weight = theta * rest * rest;
  let last_weight = -(theta * theta * rest);
  let end_slope = 6.0 * theta * rest;
  let first_slope = rest * (1.0 - 3.0 * theta);
  let last_slope = theta * (3.0 * theta - 2.0);
  var moved = 0.0;
  var stretched = 0.0;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    (*inside).y0[i] += (1.0 - end_weight) * c[i];
    (*x).w[i] += end_weight * c[i];
    (*inside).f0[i] += h * first_weight * c[i];
    (*inside).f1[i] += h * last_weight * c[i];
    stretched += c[i] * (first_weight * f0[i] + last_weight * f1[i]);
    moved += c[i] * (end_slope * ((y1[i] - y0[i]) / h) + first_slope * f0[i] + last_slope * f1[i]);
  }
  (*inside).t -= moved;
  (*inside).h += stretched - theta * moved;
}
