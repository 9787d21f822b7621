// What every solver of an ensemble shares: codes, parameters, buffers, and a trajectory in registers.
// A buffer holds rows of `stride` words, a column a trajectory, so that neighbours read neighbours: see common/ode_rows.
import package::common::ode_field::{State, Params};

// The codes of SOLVE_STATUSES in src/ode/controllers.ts. A word of status has more bits below.
const ODE_DONE = 0u;
const ODE_EVENT_OCCURRED = 1u;
const ODE_MAX_STEPS = 2u;
const ODE_DT_MIN = 3u;
const ODE_NON_FINITE = 4u;
const ODE_NEWTON_FAIL = 5u;
const ODE_NOT_FINISHED = 6u;
const ODE_STATUS_BITS = 0xffu;
const ODE_HAS_SLOPE = 0x100u;
const ODE_FAILURE = 0x200u; // times why the last attempt gave no result: 0, ODE_NON_FINITE or ODE_NEWTON_FAIL
const ODE_FAILURE_BITS = 7u;

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
@group(0) @binding(8) var<uniform> params: SolveParams;

// What a solve does not change.
struct OdeGiven {
  index: u32,
  present: bool, // to go on with in this dispatch
  p: Params,
  t1: f32,
  rtol: f32,
  atol: State,
}

// Fixed steps.
struct OdeMesh {
  t0: f32,
  dt: f32,
  count: u32,
}

// What every step changes.
struct OdeTrajectory {
  y: State,
  t: f32,
  status: u32,
  accepted: u32,
  evaluations: u32,
  has_slope: bool, // `slope` is f(t, y)
  slope: State,
  auxiliary: State, // of methods that carry a second state
}

// Adaptive steps.
struct OdePace {
  rejected: u32,
  low: f32,
  h: f32,
  previous: f32,
  before_previous: f32,
  failure: u32, // of the last attempt: 0, ODE_NON_FINITE or ODE_NEWTON_FAIL
}

// Events and saved points.
struct OdeWatched {
  saved: u32,
  next_save: f32, // time of the next point of a grid
  until_save: u32, // steps to the next point
  event_value: f32,
  event_count: u32,
}
