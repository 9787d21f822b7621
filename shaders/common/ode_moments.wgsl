// Running count, mean, sum of squared deviations from it, least and greatest of numbers; joined by Chan, Golub and LeVeque's rule.
struct Moments {
  count: u32,
  mean: f32,
  spread: f32,
  least: f32,
  most: f32,
}

fn add_value(before: Moments, value: f32) -> Moments {
  let count = before.count + 1u;
  let apart = value - before.mean;
  let mean = before.mean + apart / f32(count);
  let spread = before.spread + apart * (value - mean);
  let first = before.count == 0u;
  return Moments(
    count,
    mean,
    spread,
    select(min(before.least, value), value, first),
    select(max(before.most, value), value, first),
  );
}

fn join(a: Moments, b: Moments) -> Moments {
  if (a.count == 0u) { return b; }
  if (b.count == 0u) { return a; }
  let count = a.count + b.count;
  let share = f32(b.count) / f32(count);
  let apart = b.mean - a.mean;
  return Moments(
    count,
    a.mean + apart * share,
    a.spread + b.spread + apart * apart * (f32(a.count) * share),
    min(a.least, b.least),
    max(a.most, b.most),
  );
}
