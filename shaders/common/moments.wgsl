// Count, mean and sum of squared deviations of a set of numbers, and those of two sets together (Chan, Golub and LeVeque, 1979).
struct Moments {
  count: f32,
  mean: f32,
  squares: f32,
}

fn merge_moments(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  let share = b.count / max(count, 1.0);
  let delta = b.mean - a.mean;
  return Moments(count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share);
}
