// Predators whose appetite is limited: Rosenzweig and MacArthur, American Naturalist 97, 1963.
// components: prey, predators
// parameters: growth = 1, capacity, attack = 2, handling = 1, gain = 0.5, mortality = 0.1

const GROWTH = 0u;
const CAPACITY = 1u;

/// What one predator eats.
fn eaten(prey: f32, p: Params) -> f32 {
  return p[2] * prey / (1.0 + p[2] * p[3] * prey);
}

fn vector_field(t: f32, y: State, p: Params) -> State {
  let meal = eaten(y[0], p);
  return State(p[GROWTH] * y[0] * (1.0 - y[0] / p[CAPACITY]) - meal * y[1], (p[4] * meal - p[5]) * y[1]);
}

// Zero where the predators are most or fewest: `--event event_value,down,record,max=50` lists their peaks.
fn event_value(t: f32, y: State, p: Params) -> f32 {
  return vector_field(t, y, p)[1];
}
