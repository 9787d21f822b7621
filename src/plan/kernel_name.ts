/** Every kernel: file stem under `shaders/` = catalog key = pipeline label = timestamp label = bench row. */
export const KERNEL_NAMES = [
  "dense/matmul",
  "dense/rows_forward",
  "dense/rows_adjoint",
  "dense/tile_forward",
  "dense/tile_adjoint",
  "dense/tile_gradient",
  "flow/gradient",
  "flow/norm_scale",
  "flow/update",
  "flow/combine",
  "flow/stage_error",
  "loss/loss",
  "metric/depth_difference",
  "metric/depth_distance",
  "metric/sum",
  "metric/sum_squares",
  "metric/summary",
  "random/normal",
] as const;
export type KernelName = (typeof KERNEL_NAMES)[number];
