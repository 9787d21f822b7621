// The four lanes of a quad: slot s of lane l belongs to lane l ^ s. They give each other numbers by subgroup operations or, on adapters
//   without these, through workgroup memory.   x: a number of each lane
// Host promises: called by all invocations of a workgroup, 256 at most.
import package::common::conv_norm::{CHANNELS, theta};
@if(subgroups) import package::common::quad::quad_slots_of;

@if(!subgroups) var<workgroup> given: array<f32, 256>;

@if(!subgroups) fn take(x: f32, local: u32, other: u32) -> f32 {
  workgroupBarrier();
  given[local] = x;
  workgroupBarrier();
  return given[local ^ other];
}

// Of the lane beside, below and across.
@if(subgroups) fn swap_x(x: f32, local: u32) -> f32 {
  return quadSwapX(x);
}
@else fn swap_x(x: f32, local: u32) -> f32 {
  return take(x, local, 1u);
}

@if(subgroups) fn swap_y(x: f32, local: u32) -> f32 {
  return quadSwapY(x);
}
@else fn swap_y(x: f32, local: u32) -> f32 {
  return take(x, local, 2u);
}

@if(subgroups) fn swap_diagonal(x: f32, local: u32) -> f32 {
  return quadSwapDiagonal(x);
}
@else fn swap_diagonal(x: f32, local: u32) -> f32 {
  return take(x, local, 3u);
}

// Places of the numbers of four channels, `step` apart, in slot order; of the lane's own alone where the others come from the quad.
@if(subgroups) fn slots_at(chunk: u32, lane: u32, at: u32, step: u32) -> vec4u {
  return vec4u(at + min(chunk + lane, CHANNELS - 1u) * step);
}
@else fn slots_at(chunk: u32, lane: u32, at: u32, step: u32) -> vec4u {
  let channels = vec4u(chunk) + (vec4u(lane) ^ vec4u(0u, 1u, 2u, 3u));
  return at + min(channels, vec4u(CHANNELS - 1u)) * step;
}

@if(subgroups) fn theta_slots(at: vec4u, tap: u32) -> vec4f {
  return quad_slots_of(theta[at.x + tap]);
}
@else fn theta_slots(at: vec4u, tap: u32) -> vec4f {
  return vec4f(theta[at.x + tap], theta[at.y + tap], theta[at.z + tap], theta[at.w + tap]);
}
