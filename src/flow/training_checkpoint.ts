import { DataError } from "../config/errors.ts";
import type { DenseStack } from "../model/dense_stack.ts";
import { packLayers, unpackLayers } from "../model/dense_stack.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FlowSnapshot, GradientFlow } from "./gradient_flow.ts";

type Tensors = Record<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }>;

/**
 * The exact state of a training run as named tensors in canonical layouts: `change.A` [q,d], `change.V` [L,q,m],
 * `change.W` [L,m,q], `change.B` [d',q] (the weights are initial + change), the optimiser's `moment1.*` and `moment2.*`,
 * and step, time and controller state as metadata. `prefix` keeps several runs apart in one file.
 */
export async function checkpointTraining(stack: DenseStack, flow: GradientFlow, prefix = ""): Promise<Checkpoint> {
  const { moments, ...numbers } = await flow.snapshot();
  const tensors: Tensors = {};
  addGroups(tensors, stack, `${prefix}change`, await stack.readState());
  for (const moment of ["moment1", "moment2"]) {
    const groups = Object.fromEntries(
      (["A", "Z", "B"] as const).flatMap((name) => {
        const data = moments[`${moment}.${name}`];
        return data ? [[name, data.slice(0, stack.groups[name].floats)]] : [];
      }),
    );
    addGroups(tensors, stack, `${prefix}${moment}`, groups);
  }
  const metadata = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [`${prefix}${key}`, hexOf(value)]));
  return { tensors, metadata };
}

/**
 * Continues from a checkpoint, bit by bit.
 * @throws DataError when a tensor or number is missing or has another shape.
 */
export function restoreTraining(
  stack: DenseStack,
  flow: GradientFlow,
  checkpoint: Checkpoint,
  source: string,
  prefix = "",
): void {
  const find = (name: string, length: number): Float32Array<ArrayBuffer> => {
    const tensor = checkpoint.tensors[`${prefix}${name}`];
    if (!tensor) throw new DataError(source, `has no tensor ${prefix}${name}`);
    if (tensor.data.length !== length)
      throw new DataError(source, `${prefix}${name} has ${tensor.data.length} numbers, this run needs ${length}`);
    return tensor.data;
  };
  const { shape, groups } = stack;
  const readGroups = (family: string) => {
    const layerNumbers = shape.depth * shape.hidden * shape.width;
    const fill = (floats: number, data: Float32Array<ArrayBuffer>) => {
      const out = new Float32Array(floats);
      out.set(data);
      return out;
    };
    return {
      A: fill(groups.A.floats, find(`${family}.A`, shape.width * shape.inputs)),
      Z: packLayers(
        shape,
        shape.depth,
        stack.widthPadded,
        find(`${family}.W`, layerNumbers),
        find(`${family}.V`, layerNumbers),
      ),
      B: fill(groups.B.floats, find(`${family}.B`, shape.outputs * shape.width)),
    };
  };
  const number = (key: string): number => {
    const text = checkpoint.metadata[`${prefix}${key}`];
    if (text === undefined) throw new DataError(source, `has no metadata ${prefix}${key}`);
    return numberOf(text);
  };
  const moments: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const moment of ["moment1", "moment2"]) {
    if (!Object.keys(checkpoint.tensors).some((name) => name.startsWith(`${prefix}${moment}.`))) continue;
    for (const [name, data] of Object.entries(readGroups(moment))) moments[`${moment}.${name}`] = data;
  }
  stack.writeState(readGroups("change"));
  const snapshot: FlowSnapshot = {
    step: number("step"),
    time: number("time"),
    loss: number("loss"),
    dt: number("dt"),
    lastError: number("lastError"),
    rejected: number("rejected"),
    moments,
  };
  flow.restore(snapshot);
}

function addGroups(
  tensors: Tensors,
  { shape, widthPadded }: DenseStack,
  family: string,
  state: Partial<Record<"A" | "Z" | "B", Float32Array<ArrayBuffer>>>,
): void {
  const { depth, width, hidden, inputs, outputs } = shape;
  if (state.A) tensors[`${family}.A`] = { shape: [width, inputs], data: state.A.slice(0, width * inputs) };
  if (state.B) tensors[`${family}.B`] = { shape: [outputs, width], data: state.B.slice(0, outputs * width) };
  if (state.Z) {
    const { V, W } = unpackLayers(shape, depth, widthPadded, state.Z);
    tensors[`${family}.V`] = { shape: [depth, width, hidden], data: V };
    tensors[`${family}.W`] = { shape: [depth, hidden, width], data: W };
  }
}

/** A float64 as its 16 hexadecimal digits: text that gives back every bit, NaN included. */
function hexOf(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

function numberOf(hex: string): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${hex}`));
  return view.getFloat64(0);
}
