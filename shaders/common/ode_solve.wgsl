// What every solver of an ensemble shares: the trajectory in registers, its row of words in memory, saved points and events.
// A buffer holds [row][stride] words, a column a trajectory, so that neighbours read neighbours. Rows of `state`: y [DIM], t,
//   status, accepted, evaluations, saved, event value, events; with KEEPS_SLOPE f(t, y) [DIM]; with ADAPTIVE rejected, low, h, E', E''.
// Rows of `problem`: t1, then rtol and atol [ATOL_ROWS], or with fixed steps t0, dt and the number of steps.
import package::common::ode_field::{DIM, PARAMETERS, State, Params};

const ADAPTIVE = true;
const KEEPS_SLOPE = true; // f(t, y) at the end of a step is not evaluated again
const ATOL_ROWS = 1u;

// The codes of SOLVE_STATUSES in src/ode/controllers.ts. A word of status has more bits below.
const DONE = 0u;
const EVENT_OCCURRED = 1u;
const MAX_STEPS = 2u;
const DT_MIN = 3u;
const NON_FINITE = 4u;
const NOT_FINISHED = 6u;
const STATUS_BITS = 0xffu;
const HAS_SLOPE = 0x100u;
const WAS_NON_FINITE = 0x200u; // the last attempt

struct SolveParams {
  count: u32, // trajectories, or numbers in `list`
  listed: u32,
  stride: u32,
  attempts: u32, // of this dispatch
  first_step: u32, // of this dispatch, with fixed steps
  max_steps: u32,
  parameter_stride: u32,
  parameter_step: u32, // 0 when all trajectories have the same
  points: u32, // of a trajectory: length of a common grid, capacity for steps
  ragged: u32, // `grid` begins with stride + 1 offsets, and its times and points go by them
  plane: u32, // words of a component in `saved`
  every: u32,
  event_maximum: u32,
  event_end: u32, // the trajectory ends at this crossing; 0: never
  zero: u32,
  dt_min: f32,
  dt_max: f32,
}

@group(0) @binding(0) var<storage, read> parameters: array<f32>;
@group(0) @binding(1) var<storage, read> problem: array<f32>;
@group(0) @binding(2) var<storage, read> grid: array<u32>;
@group(0) @binding(3) var<storage, read> list: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<u32>;
@group(0) @binding(5) var<storage, read_write> saved: array<f32>;
@group(0) @binding(6) var<storage, read_write> events: array<f32>;
@group(0) @binding(7) var<uniform> params: SolveParams;

// What does not change. The structs are kept small, and apart: one that a loop changes in part is copied whole from trip to trip.
struct Given {
  index: u32,
  present: bool, // to go on with in this dispatch
  p: Params,
  t1: f32,
  rtol: f32,
  atol: State,
}

// Fixed steps.
struct Mesh {
  t0: f32,
  dt: f32,
  count: u32,
}

struct Trajectory {
  y: State,
  t: f32,
  status: u32,
  accepted: u32,
  evaluations: u32,
  has_slope: bool, // `slope` is f(t, y)
  slope: State,
}

// Adaptive steps.
struct Pace {
  rejected: u32,
  low: f32,
  h: f32,
  previous: f32,
  before_previous: f32,
  was_non_finite: bool,
}

struct Watched {
  saved: u32,
  next_save: f32, // time of the next point of a grid
  event_value: f32,
  event_count: u32,
}

fn word(row: u32, index: u32) -> u32 {
  return state[row * params.stride + index];
}

fn set_word(row: u32, index: u32, value: u32) {
  state[row * params.stride + index] = value;
}

fn float_word(row: u32, index: u32) -> f32 {
  return bitcast<f32>(word(row, index));
}

fn set_float(row: u32, index: u32, value: f32) {
  set_word(row, index, bitcast<u32>(value));
}

fn load_parameters(index: u32) -> Params {
  var p = Params();
  //@unroll
  for (var i = 0u; i < PARAMETERS; i++) {
    p[i] = parameters[i * params.parameter_stride + index * params.parameter_step];
  }
  return p;
}

fn problem_number(row: u32, index: u32) -> f32 {
  return problem[row * params.stride + index];
}

// Trajectory number `position` of this dispatch.
fn load_given(position: u32) -> Given {
  var index = min(position, params.count - 1u);
  if (params.listed == 1u) { index = list[index]; }
  var rtol = 0.0;
  var atol = State();
  if (ADAPTIVE) {
    rtol = problem_number(1u, index);
    //@unroll
    for (var i = 0u; i < DIM; i++) {
      atol[i] = problem_number(2u + min(i, ATOL_ROWS - 1u), index);
    }
  }
  let unfinished = (word(DIM + 1u, index) & STATUS_BITS) == NOT_FINISHED;
  return Given(index, position < params.count && unfinished, load_parameters(index), problem_number(0u, index), rtol, atol);
}

fn load_trajectory(index: u32) -> Trajectory {
  var y = State();
  var slope = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = float_word(i, index);
    if (KEEPS_SLOPE) { slope[i] = float_word(DIM + 7u + i, index); }
  }
  let status = word(DIM + 1u, index);
  return Trajectory(
    y,
    float_word(DIM, index),
    status & STATUS_BITS,
    word(DIM + 2u, index),
    word(DIM + 3u, index),
    (status & HAS_SLOPE) != 0u,
    slope,
  );
}

fn load_mesh(index: u32) -> Mesh {
  return Mesh(problem_number(1u, index), problem_number(2u, index), bitcast<u32>(problem_number(3u, index)));
}

// Start of step i; t1 is the end of the last.
fn mesh_time(mesh: Mesh, i: u32) -> f32 {
  return mesh.t0 + f32(i) * mesh.dt;
}

fn load_pace(index: u32) -> Pace {
  return Pace(
    word(2u * DIM + 7u, index),
    float_word(2u * DIM + 8u, index),
    float_word(2u * DIM + 9u, index),
    float_word(2u * DIM + 10u, index),
    float_word(2u * DIM + 11u, index),
    (word(DIM + 1u, index) & WAS_NON_FINITE) != 0u,
  );
}

fn load_watched(index: u32) -> Watched {
  return Watched(word(DIM + 4u, index), 0.0, float_word(DIM + 5u, index), word(DIM + 6u, index));
}

fn store_trajectory(index: u32, x: Trajectory, was_non_finite: bool) {
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    set_float(i, index, x.y[i]);
    if (KEEPS_SLOPE) { set_float(DIM + 7u + i, index, x.slope[i]); }
  }
  set_float(DIM, index, x.t);
  set_word(DIM + 1u, index, x.status | select(0u, HAS_SLOPE, x.has_slope) | select(0u, WAS_NON_FINITE, was_non_finite));
  set_word(DIM + 2u, index, x.accepted);
  set_word(DIM + 3u, index, x.evaluations);
}

fn store_pace(index: u32, pace: Pace) {
  set_word(2u * DIM + 7u, index, pace.rejected);
  set_float(2u * DIM + 8u, index, pace.low);
  set_float(2u * DIM + 9u, index, pace.h);
  set_float(2u * DIM + 10u, index, pace.previous);
  set_float(2u * DIM + 11u, index, pace.before_previous);
}

fn store_watched(index: u32, watched: Watched) {
  set_word(DIM + 4u, index, watched.saved);
  set_float(DIM + 5u, index, watched.event_value);
  set_word(DIM + 6u, index, watched.event_count);
}
