/** Workgroups of the kernels that no layout plans. Pure; what runs them and what times them ask here. */
import type { DeviceProfile } from "./device_profile.ts";

type Grid = readonly [x: number, y?: number];

/** Workgroups of a sum over a vector; one workgroup of `metric/sum` then adds their partial sums. */
export const REDUCE_GROUPS = 64;
/** Numbers that a workgroup of `flow/update`, `flow/combine` or `flow/gradient` takes in a trip. */
const VECTOR_NUMBERS = 256;
const LOSS_ROWS = 32;
/** Every WebGPU device allows 65,535 workgroups along x; more work than that strides. */
const MOST_GROUPS = 65_535;
const MOST_VECTOR_GROUPS = 16_384;

/** `dense/matmul`: 4 × 8 invocations, each a block of 4 × 4 results. */
export function matmulGrid(rows: number, columns: number): Grid {
  return [Math.ceil(columns / 32), Math.ceil(rows / 16)];
}

/** Kernels over vectors: few workgroups that loop on a software adapter (a uniform read costs as much as a vector of it), many on hardware. */
export function vectorGrid(numbers: number, profile: DeviceProfile): Grid {
  const most = profile.kind === "software" ? 16 * profile.parallelGroups : MOST_VECTOR_GROUPS;
  return [Math.min(Math.ceil(numbers / VECTOR_NUMBERS), most)];
}

/** Kernels with a workgroup for each layer. */
export function layerGrid(layers: number): Grid {
  return [Math.min(layers, MOST_GROUPS)];
}

/** `loss/loss`: an invocation a row. */
export function lossGrid(rows: number): Grid {
  return [Math.min(Math.ceil(rows / LOSS_ROWS), MOST_GROUPS)];
}

/** `random/normal`: an invocation for two numbers. */
export function normalGrid(count: number): Grid {
  return [Math.min(Math.ceil((count / 2 + 1) / 64), MOST_GROUPS)];
}
