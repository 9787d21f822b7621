// running ← running + momentum · (batch − running) of mean and variance of many batch normalisations, the batch's variance unbiased.
//   moments: [part, (count, mean, Σ (x − mean)²), CHANNELS]; running: [place, (1, mean, variance), CHANNELS].
// An invocation has a channel of a place; parts in increasing order.
// Host promises: grid ⌈places · CHANNELS / WORKGROUP⌉; place i has `parts` parts from parts_at + i · parts_step, its running moments are
// entry running_at + i · running_step; a channel has at least 2 numbers in the batch.
import package::common::moments::{Moments, merge_moments};

const CHANNELS = 16u;
const WORKGROUP = 32u;

struct Params {
  places: u32,
  parts: u32,
  parts_at: u32,
  parts_step: u32,
  running_at: u32,
  running_step: u32,
  momentum: f32,
}

@group(0) @binding(0) var<storage, read> moments: array<f32>;
@group(0) @binding(1) var<storage, read_write> running: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.places * CHANNELS) {
    return;
  }
  let place = id.x / CHANNELS;
  let channel = id.x % CHANNELS;
  let first = params.parts_at + place * params.parts_step;
  let count = params.parts;
  var all = Moments(0.0, 0.0, 0.0);
  for (var part = first; part < first + count; part++) {
    let at = part * 3u * CHANNELS + channel;
    all = merge_moments(all, Moments(moments[at], moments[at + CHANNELS], moments[at + 2u * CHANNELS]));
  }
  let mean = (params.running_at + place * params.running_step) * 3u * CHANNELS + CHANNELS + channel;
  let variance = mean + CHANNELS;
  running[mean] += params.momentum * (all.mean - running[mean]);
  running[variance] += params.momentum * (all.squares / (all.count - 1.0) - running[variance]);
}
