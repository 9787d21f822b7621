// The Lorenz equations, J. Atmos. Sci. 20, 1963.
// components: x, y, z
// parameters: sigma = 10, rho = 28, beta = 2.6666667
//
// So that an editor understands the file on its own; deeplimit knows them.
alias State = array<f32, 3>;
alias Params = array<f32, 3>;
struct Pullback { y: State, p: Params, t: f32 }

fn vector_field(t: f32, y: State, p: Params) -> State {
  return State(p[0] * (y[1] - y[0]), y[0] * (p[1] - y[2]) - y[1], y[0] * y[1] - p[2] * y[2]);
}

// For gradients: wᵀ ∂f/∂y, wᵀ ∂f/∂p and wᵀ ∂f/∂t. It is checked against differences of vector_field.
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(
    State(
      -p[0] * w[0] + (p[1] - y[2]) * w[1] + y[1] * w[2],
      p[0] * w[0] - w[1] + y[0] * w[2],
      -y[0] * w[1] - p[2] * w[2],
    ),
    Params((y[1] - y[0]) * w[0], y[0] * w[1], -y[2] * w[2]),
    0.0,
  );
}
