// Derivatives of the right-hand side: wᵀ ∂f/∂(y, p, t) and J = ∂f/∂y, row i that of f_i.
// The host puts the functions of a chosen field in the place of those here, by name.
import package::common::ode_field::{DIM, State, Params};

struct Pullback {
  y: State,
  p: Params,
  t: f32,
}

fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  var result = Pullback();
  result.y[0] = p[0] * w[0];
  result.p[0] = y[0] * w[0];
  return result;
}

fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> {
  var result = array<State, DIM>();
  result[0][0] = p[0];
  return result;
}
