// Saved points: y at the times of a grid, or with t after every n-th step, or statistics over the time of a trajectory.
// `saved` is [component][point][trajectory], or with ragged grids [component][points of all trajectories]; statistics are rows
//   of a trajectory: least, most, mean and ∫ (y − mean)² dt of each component, then the time they cover.
import package::common::ode_field::{DIM, State};
import package::common::ode_solve::{params, grid, saved};

const ODE_SAVE = 0u;
const ODE_SAVE_GRID = 1u;
const ODE_SAVE_STEPS = 2u;
const ODE_SAVE_STATISTICS = 3u;

fn grid_points(index: u32) -> u32 {
  if (params.ragged == 1u) { return grid[index + 1u] - grid[index]; }
  return params.points;
}

// Time of a point of the grid; of none behind the last.
fn grid_time(index: u32, point: u32) -> f32 {
  var at = point;
  if (params.ragged == 1u) { at += params.stride + 1u + grid[index]; }
  return bitcast<f32>(grid[at]);
}

fn save_point(index: u32, point: u32, t: f32, y: State) {
  var place = point * params.stride + index;
  if (params.ragged == 1u) { place = grid[index] + point; }
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    saved[i * params.plane + place] = y[i];
  }
  if (ODE_SAVE == ODE_SAVE_STEPS) { saved[DIM * params.plane + place] = t; }
}

// Statistics of a trajectory so far.
struct OdeStatistics {
  least: State,
  most: State,
  mean: State,
  spread: State,
  duration: f32,
}

fn load_statistics(index: u32) -> OdeStatistics {
  var x = OdeStatistics();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    x.least[i] = saved[i * params.stride + index];
    x.most[i] = saved[(DIM + i) * params.stride + index];
    x.mean[i] = saved[(2u * DIM + i) * params.stride + index];
    x.spread[i] = saved[(3u * DIM + i) * params.stride + index];
  }
  x.duration = saved[4u * DIM * params.stride + index];
  return x;
}

fn store_statistics(index: u32, x: OdeStatistics) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    saved[i * params.stride + index] = x.least[i];
    saved[(DIM + i) * params.stride + index] = x.most[i];
    saved[(2u * DIM + i) * params.stride + index] = x.mean[i];
    saved[(3u * DIM + i) * params.stride + index] = x.spread[i];
  }
  saved[4u * DIM * params.stride + index] = x.duration;
}

// Takes a step from y0 over `middle` to y1 in a time of `duration` into the statistics: its mean and spread by Simpson's rule,
// merged as those of two samples are (Chan, Golub and LeVeque, The American Statistician 37, 1983).
fn add_statistics(before: OdeStatistics, y0: State, middle: State, y1: State, duration: f32) -> OdeStatistics {
  var x = before;
  x.duration += duration;
  let share = duration / x.duration;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    x.least[i] = min(x.least[i], min(middle[i], y1[i]));
    x.most[i] = max(x.most[i], max(middle[i], y1[i]));
    let mean = (y0[i] + 4.0 * middle[i] + y1[i]) / 6.0;
    let at0 = y0[i] - mean;
    let between = middle[i] - mean;
    let at1 = y1[i] - mean;
    let apart = mean - x.mean[i];
    let within = duration * ((at0 * at0 + 4.0 * (between * between) + at1 * at1) / 6.0);
    x.spread[i] += within + apart * apart * (before.duration * share);
    x.mean[i] += apart * share;
  }
  return x;
}
