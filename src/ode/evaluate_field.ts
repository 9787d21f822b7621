import type { UserField } from "../config/ode.ts";
import type { Gpu } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import { evaluation, type FieldText } from "./field_source.ts";

/** Points (t, y, p) to evaluate a field at: [n], [n, dimension], [n, parameters]. */
export interface FieldPoints {
  readonly t: Float32Array;
  readonly y: Float32Array;
  readonly p: Float32Array;
}

export interface FieldValues {
  /** f, [n, dimension]. */
  readonly slopes: Float32Array;
  /** [n]; 1 of a field without event_value. */
  readonly events: Float32Array;
  /** wᵀ ∂f/∂(y, p, t), [n, dimension + parameters + 1], and ∂f/∂y, [n, dimension, dimension]; empty unless asked for. */
  readonly pullbacks: Float32Array;
  readonly jacobians: Float32Array;
}

const WORKGROUP = 64;

/**
 * Evaluates a field on the device. With `cotangents` w [n, dimension] also its vector_field_vjp and jacobian, those of them
 * that it has.
 */
export async function evaluateField(
  gpu: Gpu,
  field: Pick<UserField, "dimension" | "parameters"> & FieldText,
  points: FieldPoints,
  cotangents?: Float32Array,
): Promise<FieldValues> {
  const [constants, part] = evaluation(field, cotangents ? field : { ...field, functions: [] });
  const kernel = await gpu.kernel("ode/evaluate", constants, part);
  const n = points.t.length;
  const { dimension } = field;
  const parameters = typeof field.parameters === "number" ? field.parameters : field.parameters.length;
  const slots = Math.max(1, parameters);
  const rows = dimension + slots + 1;
  const input = new Float32Array(rows * n);
  const w = new Float32Array(cotangents ? dimension * n : 0);
  for (let k = 0; k < n; k++) {
    for (let i = 0; i < dimension; i++) input[i * n + k] = points.y[k * dimension + i]!;
    for (let i = 0; i < parameters; i++) input[(dimension + i) * n + k] = points.p[k * parameters + i]!;
    input[(rows - 1) * n + k] = points.t[k]!;
    if (cotangents) for (let i = 0; i < dimension; i++) w[i * n + k] = cotangents[k * dimension + i]!;
  }
  const hasPullbacks = constants.ODE_VJP === true;
  const hasJacobians = constants.ODE_JACOBIAN === true;
  const tensors = {
    points: gpu.upload("field points", input),
    cotangents: gpu.upload("field cotangents", w),
    slopes: gpu.tensor("field slopes", 4 * dimension * n),
    event_values: gpu.tensor("field events", 4 * n),
    pullbacks: gpu.tensor("field pullbacks", hasPullbacks ? 4 * rows * n : 0),
    jacobians: gpu.tensor("field jacobians", hasJacobians ? 4 * dimension * dimension * n : 0),
  };
  const recorder = new Recorder(gpu);
  try {
    const groups = Math.ceil(n / WORKGROUP);
    const across = Math.min(groups, gpu.profile.maxGroupsPerDimension);
    recorder.dispatch(kernel, tensors, { count: n }, [across, Math.ceil(groups / across)]);
    recorder.submit();
    const read = async (tensor: keyof typeof tensors, count: number) =>
      columns(await gpu.read(tensors[tensor], 0, 4 * count * n), count, n);
    const pullbacks = hasPullbacks ? await read("pullbacks", rows) : new Float32Array();
    return {
      slopes: await read("slopes", dimension),
      events: await read("event_values", 1),
      pullbacks: parameters === slots ? pullbacks : withoutSlot(pullbacks, dimension, rows),
      jacobians: hasJacobians ? await read("jacobians", dimension * dimension) : new Float32Array(),
    };
  } finally {
    gpu.release(...Object.values(tensors));
    recorder.destroy();
  }
}

/** [rows, n] → [n, rows] */
function columns(values: Float32Array, rows: number, n: number): Float32Array {
  const out = new Float32Array(rows * n);
  for (let row = 0; row < rows; row++) for (let k = 0; k < n; k++) out[k * rows + row] = values[row * n + k]!;
  return out;
}

/** A field without parameters has one number in their place. */
function withoutSlot(values: Float32Array, slot: number, rows: number): Float32Array {
  return values.filter((_, i) => i % rows !== slot);
}
