// Scaled norm of an error, ‖e_i / (atol_i + rtol · max(|y0_i|, |y1_i|))‖, components in increasing order; tests for finite numbers.
import package::common::ode_field::{DIM, State};

const ODE_MAX_NORM = false; // largest component instead of the root of the mean square

fn scaled_norm(error: State, y0: State, y1: State, rtol: f32, atol: State) -> f32 {
  var total = 0.0;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    let scaled = abs(error[i]) / (atol[i] + rtol * max(abs(y0[i]), abs(y1[i])));
    if (ODE_MAX_NORM) {
      total = select(max(total, scaled), scaled, is_infinite_or_nan(scaled));
    } else {
      total += scaled * scaled;
    }
  }
  if (ODE_MAX_NORM) {
    return total;
  }
  return sqrt(total / f32(DIM));
}

// By the exponent's bits: WGSL lets a compiler assume that there is no NaN and no infinity. The sign bit of x answers.
fn exponent_overflow(x: f32) -> u32 {
  return (bitcast<u32>(x) & 0x7fffffffu) + 0x00800000u;
}

fn is_infinite_or_nan(x: f32) -> bool {
  return exponent_overflow(x) >= 0x80000000u;
}

fn is_finite_state(y: State) -> bool {
  var overflow = 0u;
  //@unroll
  for (var i = 0u; i < DIM; i++) {
    overflow |= exponent_overflow(y[i]);
  }
  return overflow < 0x80000000u;
}
