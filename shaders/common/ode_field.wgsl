// The right-hand side f of dy/dt = f(t, y; p) with y [DIM] and p [PARAMETERS], and the function whose zero crossings are events.
// The host puts the functions of a chosen field in the place of those here, by name, with its helpers; DIM and PARAMETERS follow.
const DIM = 1u;
const PARAMETERS = 1u;
alias State = array<f32, DIM>;
alias Params = array<f32, PARAMETERS>;

fn vector_field(t: f32, y: State, p: Params) -> State {
  var dydt = State();
  dydt[0] = p[0] * y[0];
  return dydt;
}

fn event_value(t: f32, y: State, p: Params) -> f32 {
  return 1.0;
}
