import type { Gpu, Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { EnsemblePlan, EnsembleRange } from "../plan/ode.ts";
import { type RecordPlan, recordHeader } from "../plan/ode_record.ts";
import type { Setup } from "./ensemble_setup.ts";

type BufferName = "parameters" | "problem" | "grid" | "list" | "state" | "saved" | "events" | "record";

/** A range of trajectories on the device: rows of words, a column a trajectory. */
export interface EnsembleBuffers {
  readonly range: EnsembleRange;
  readonly tensors: Readonly<Record<BufferName, Tensor>>;
  /** Most steps of a trajectory, with fixed steps. */
  readonly steps: number;
}

/**
 * Puts a range on the device: y0, t0, t1, parameters, tolerances or steps, and the grid; the rest is 0. With `record`,
 * there is room for its steps.
 */
export function uploadRange(
  gpu: Gpu,
  setup: Setup,
  plan: EnsemblePlan,
  range: EnsembleRange,
  record?: RecordPlan,
): EnsembleBuffers {
  const { first, count } = range;
  const { rows } = plan;
  const { field, shape } = setup;
  const state = new Float32Array(rows.state * count);
  const problem = new Float32Array(rows.problem * count);
  const problemWords = new Uint32Array(problem.buffer);
  let steps = 0;
  for (let j = 0; j < count; j++) {
    const at = first + j;
    for (let i = 0; i < field.dimension; i++) state[i * count + j] = setup.initial[at * field.dimension + i]!;
    state[rows.time * count + j] = setup.start(at);
    problem[j] = setup.end(at);
    if (shape.adaptive) {
      state[(rows.rejected + 2) * count + j] = setup.initialStep(at);
      problem[count + j] = setup.rtol(at);
      for (let i = 0; i < shape.atolRows; i++) problem[(2 + i) * count + j] = setup.atol(at, i);
    } else {
      const mesh = setup.mesh(at);
      problem[count + j] = setup.start(at);
      problem[2 * count + j] = mesh.dt;
      problemWords[3 * count + j] = mesh.count;
      steps = Math.max(steps, mesh.count);
    }
  }
  const name = (what: string) => `ensemble ${what} ${first}`;
  const recordTensor = gpu.tensor(name("record"), 4 * (record?.recordWords ?? 0));
  if (record) gpu.write(recordTensor, recordHeader(record));
  return {
    range,
    steps,
    tensors: {
      parameters: gpu.upload(name("parameters"), parametersOf(setup, range)),
      problem: gpu.upload(name("problem"), problem),
      grid: gpu.upload(name("grid"), gridOf(setup, range)),
      list: gpu.tensor(name("list"), 4 * count),
      state: gpu.upload(name("state"), state),
      saved: gpu.tensor(name("saved"), 4 * range.savedWords),
      events: gpu.tensor(name("events"), 4 * rows.events * count),
      record: recordTensor,
    },
  };
}

function parametersOf({ parameters, sharedParameters, field }: Setup, { first, count }: EnsembleRange) {
  const own = field.parameters;
  if (sharedParameters) return Float32Array.from(parameters);
  const rows = new Float32Array(own * count);
  for (let j = 0; j < count; j++) {
    for (let i = 0; i < own; i++) rows[i * count + j] = parameters[(first + j) * own + i]!;
  }
  return rows;
}

/** A common grid is its times; ragged ones are offsets [count + 1], then the times of all. */
function gridOf({ times }: Setup, { first, count, gridWords }: EnsembleRange): Uint32Array<ArrayBuffer> {
  if (times === undefined) return new Uint32Array(4);
  if (times instanceof Float32Array) return new Uint32Array(Float32Array.from(times).buffer);
  const words = new Uint32Array(gridWords);
  const floats = new Float32Array(words.buffer);
  let offset = 0;
  for (let j = 0; j < count; j++) {
    floats.set(times[first + j]!, count + 1 + offset);
    offset += times[first + j]!.length;
    words[j + 1] = offset;
  }
  return words;
}

/** Those buffers that a kernel binds. */
export function pick(tensors: Readonly<Record<string, Tensor>>, kernel: Kernel): Record<string, Tensor> {
  const names = kernel.facts.bindings.map(({ name }) => name).filter((name) => name in tensors);
  return Object.fromEntries(names.map((name) => [name, tensors[name]!]));
}

/** Rows `row` … `row + rows − 1` of a buffer, [rows, count]. */
export async function readRows(
  gpu: Gpu,
  tensor: Tensor,
  count: number,
  row: number,
  rows: number,
): Promise<Float32Array<ArrayBuffer>> {
  return gpu.read(tensor, 4 * row * count, 4 * rows * count);
}
