import { CONV_PARAMETERS, type ConvParameter, convParameterShapes } from "../config/conv.ts";
import { DataError } from "../config/errors.ts";
import type { ConvStack, ConvState } from "../model/conv_stack.ts";
import type { Checkpoint } from "./checkpoint.ts";

type Tensors = Record<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }>;

/** Names of a `state_dict` of the paper's network in PyTorch; those of the residual layers follow `residual_layers.K.`. */
const STATE_DICT: Readonly<Record<ConvParameter, string>> = {
  stem: "conv1.weight",
  stemScale: "bn1.weight",
  stemShift: "bn1.bias",
  conv1: "conv1.weight",
  bias1: "conv1.bias",
  scale1: "bn1.weight",
  shift1: "bn1.bias",
  conv2: "conv2.weight",
  bias2: "conv2.bias",
  scale2: "bn2.weight",
  shift2: "bn2.bias",
  head: "linear.weight",
  headBias: "linear.bias",
};
const OUTSIDE: readonly ConvParameter[] = ["stem", "stemScale", "stemShift", "head", "headBias"];
const STATE = ["change", "momentum", "running"] as const;

/**
 * The network by the names of PyTorch's `state_dict`: weights, and running moments of the batch normalisations (without
 * `num_batches_tracked`, which is no float32 and which evaluation does not read). What a normalisation does not have is left out.
 */
export async function convStateDict(stack: ConvStack): Promise<Tensors> {
  const { shape } = stack;
  const { channels, depth } = shape;
  const weights = await stack.readWeights();
  const running = await stack.gpu.read(stack.running);
  const tensors: Tensors = {};
  const layer = (k: number) => `residual_layers.${k}.`;
  for (const name of CONV_PARAMETERS) {
    const data = weights[name];
    if (data.length === 0) continue;
    const sizes = convParameterShapes(shape)[name];
    if (OUTSIDE.includes(name)) {
      tensors[STATE_DICT[name]] = { shape: sizes, data };
      continue;
    }
    const length = data.length / depth;
    for (let k = 0; k < depth; k++)
      tensors[layer(k) + STATE_DICT[name]] = { shape: sizes.slice(1), data: data.slice(k * length, (k + 1) * length) };
  }
  const addMoments = (norm: string, place: number) => {
    const at = (entry: number) => running.slice((place * 3 + entry) * channels, (place * 3 + entry + 1) * channels);
    tensors[`${norm}.running_mean`] = { shape: [channels], data: at(1) };
    tensors[`${norm}.running_var`] = { shape: [channels], data: at(2) };
  };
  if (shape.stem.normalisation.kind === "batch") addMoments("bn1", 0);
  if (shape.normalisation.kind === "batch")
    for (let k = 0; k < depth; k++) for (const i of [1, 2]) addMoments(`${layer(k)}bn${i}`, 2 * k + i);
  return tensors;
}

/**
 * The exact state of a training: the network as `convStateDict` has it, for other programs, and `training.change`,
 * `training.momentum` and `training.running` as they lie on the device, from which it continues bit for bit.
 */
export async function checkpointConv(stack: ConvStack): Promise<Pick<Checkpoint, "tensors">> {
  const state = await stack.readState();
  const tensors = await convStateDict(stack);
  for (const name of STATE) tensors[`training.${name}`] = { shape: [state[name].length], data: state[name] };
  return { tensors };
}

/**
 * Continues from a checkpoint, bit by bit, in a stack with the same initial parameters.
 * @throws DataError when a tensor is missing or has another length
 */
export function restoreConv(stack: ConvStack, checkpoint: Checkpoint, source: string): void {
  const find = (name: (typeof STATE)[number]) => {
    const tensor = checkpoint.tensors[`training.${name}`];
    if (!tensor) throw new DataError(source, `has no tensor training.${name}`);
    const length = stack[name].bytes / 4;
    if (tensor.data.length !== length)
      throw new DataError(source, `training.${name} has ${tensor.data.length} numbers, this run needs ${length}`);
    return tensor.data;
  };
  const state = Object.fromEntries(STATE.map((name) => [name, find(name)])) as unknown as ConvState;
  stack.writeState(state);
}
