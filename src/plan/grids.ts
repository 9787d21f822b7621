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

/** `dense/matmul`: 4 × 8 invocations, each a block of `block` × `block` results. */
export function matmulGrid(rows: number, columns: number, block = 4): Grid {
  return [Math.ceil(columns / (8 * block)), Math.ceil(rows / (4 * block))];
}

/** Kernels over vectors: few workgroups that loop on a software adapter (a uniform read costs as much as a vector of it), many on hardware. */
export function vectorGrid(numbers: number, profile: DeviceProfile): Grid {
  const most = profile.kind === "software" ? 16 * profile.parallelGroups : MOST_VECTOR_GROUPS;
  return [Math.min(Math.ceil(numbers / VECTOR_NUMBERS), most)];
}

/** Invocations of a workgroup of the kernels that sum over a layer. */
const LAYER_WORKGROUP = 32;
/** A longer sum by a single invocation would lose too much to rounding. */
const MOST_ALONE4 = 1024;

/**
 * Kernels that sum over each of many layers of `layer4` vec4: invocations that share a layer (their constant LANES) and the grid.
 * A workgroup a layer, or on a software adapter an invocation: the barriers of a shared layer cost more there than its sum
 * (1.7 ms for `flow/norm_scale` of 256 layers of 256 vec4, 0.32 ms without them; SwiftShader, 2026-11).
 */
export function layerSums(layers: number, layer4: number, profile: DeviceProfile): { lanes: number; grid: Grid } {
  const alone = profile.kind === "software" && layers >= LAYER_WORKGROUP && layer4 <= MOST_ALONE4;
  const lanes = alone ? 1 : LAYER_WORKGROUP;
  return { lanes, grid: layerGrid(layers, lanes) };
}

/** Workgroups of the same kernels for layers that `lanes` invocations share each. */
export function layerGrid(layers: number, lanes: number): Grid {
  return [Math.min(Math.ceil((layers * lanes) / LAYER_WORKGROUP), MOST_GROUPS)];
}

/** `loss/loss`: an invocation a row. */
export function lossGrid(rows: number): Grid {
  return [Math.min(Math.ceil(rows / LOSS_ROWS), MOST_GROUPS)];
}

/** `random/normal`: an invocation for two numbers. */
export function normalGrid(count: number): Grid {
  return [Math.min(Math.ceil((count / 2 + 1) / 64), MOST_GROUPS)];
}
