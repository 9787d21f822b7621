// What a solve leaves behind for its gradient: the state at every 2^shift-th step, of adaptive steps also time and length of each
//   (others follow from the mesh), and the part θ of its last step at which an event ended a trajectory.
// `record`: word 0 is shift; then of every slice of 64 trajectories where it begins and the steps it has room for. A slice is rows
//   of 64 words: θ, the states [DIM] of its checkpoints, then time and length of every step. Memory follows the steps of a slice.
import package::common::ode_field::{DIM, State};
import package::common::ode_rows::ODE_ADAPTIVE;

const ODE_RECORD = false;
const ODE_SLICE = 64u;

@group(0) @binding(7) var<storage, read_write> record: array<u32>;

// Where the record of a trajectory lies.
struct OdeTrack {
  first: u32,
  capacity: u32, // steps
  shift: u32,
  steps: u32, // word of the first step
}

fn record_track(index: u32) -> OdeTrack {
  let slice = index / ODE_SLICE;
  let shift = record[0];
  let first = record[1u + 2u * slice] + index % ODE_SLICE;
  let capacity = record[2u + 2u * slice];
  let checkpoints = (capacity + (1u << shift) - 1u) >> shift;
  return OdeTrack(first, capacity, shift, first + ODE_SLICE * (1u + DIM * checkpoints));
}

fn record_end(track: OdeTrack, theta: f32) {
  if (track.capacity > 0u) { record[track.first] = bitcast<u32>(theta); }
}

fn recorded_end(track: OdeTrack) -> f32 {
  return bitcast<f32>(record[track.first]);
}

fn record_checkpoint(track: OdeTrack, checkpoint: u32, y: State) {
  let at = track.first + ODE_SLICE * (1u + DIM * checkpoint);
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    record[at + ODE_SLICE * i] = bitcast<u32>(y[i]);
  }
}

fn recorded_checkpoint(track: OdeTrack, checkpoint: u32) -> State {
  let at = track.first + ODE_SLICE * (1u + DIM * checkpoint);
  var y = State();
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    y[i] = bitcast<f32>(record[at + ODE_SLICE * i]);
  }
  return y;
}

// Step `number` of the trajectory, from (t, y) with length h.
fn record_step(track: OdeTrack, number: u32, t: f32, h: f32, y: State) {
  if (number >= track.capacity) { return; }
  if (ODE_ADAPTIVE) {
    let at = track.steps + 2u * ODE_SLICE * number;
    record[at] = bitcast<u32>(t);
    record[at + ODE_SLICE] = bitcast<u32>(h);
  }
  if ((number & ((1u << track.shift) - 1u)) == 0u) { record_checkpoint(track, number >> track.shift, y); }
}

// Time and length of a step; adaptive steps only.
fn recorded_step(track: OdeTrack, number: u32) -> vec2f {
  let at = track.steps + 2u * ODE_SLICE * number;
  return vec2f(bitcast<f32>(record[at]), bitcast<f32>(record[at + ODE_SLICE]));
}
