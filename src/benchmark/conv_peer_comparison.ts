/** The convolutional network that peers are compared on. Pure. */
import { type ConvParameter, type ConvShape, convParameterShapes, PAPER_CONV_SHAPE } from "../config/conv.ts";
import { ConfigError } from "../config/errors.ts";
import { initialConvWeights } from "../model/conv_initialisation.ts";
import { RandomStream } from "../model/random.ts";
import { convOffsets } from "../plan/conv.ts";
import { node, type Peer, python } from "./peer_comparison.ts";

/** Every peer by its name on the command line and in the tables. */
export const CONV_PEERS: Readonly<Record<string, Peer>> = {
  deeplimit: node("conv_deeplimit.mjs", "webgpu"),
  "tfjs-wasm": node("conv_tfjs.mjs", "wasm"),
  "tfjs-webgpu": node("conv_tfjs.mjs", "webgpu"),
  pytorch: python("conv_pytorch.py", "cpu", "torch"),
  "pytorch-threads": python("conv_pytorch.py", "threads", "torch"),
  "pytorch-cuda": python("conv_pytorch.py", "cuda", "torch"),
  "pytorch-compiled": python("conv_pytorch.py", "compiled", "torch"),
};

export const CONV_TASKS = ["training step", "forward"] as const;
export type ConvTask = (typeof CONV_TASKS)[number];

/** Of the paper's training, but for the scale of the last normalisation of a layer: it would start at 0 and leave the layers untested. */
const SECOND_SCALE = 0.5;
const IMAGES = 64;

/** What every peer's script reads: flat, row-major numbers in the layouts of `convParameterShapes`, those of the layers of one layer, which all start from. */
export interface ConvPeerCase {
  readonly depth: number;
  readonly shape: ConvShape;
  readonly images: number;
  readonly rate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** [images, channelsIn, height, width], standard normal. */
  readonly pixels: readonly number[];
  readonly labels: readonly number[];
  readonly parameters: Readonly<Record<ConvParameter, readonly number[]>>;
}

/**
 * The paper's network on CIFAR-10 at another depth, with batch normalisation, tied initial weights and 64 random images.
 * @throws ConfigError for a depth that is not a positive integer
 */
export function makeConvCase(depth: number, seed = 1): ConvPeerCase {
  if (!Number.isInteger(depth) || depth < 1) throw new ConfigError("depth", "must be an integer of at least 1", depth);
  const shape: ConvShape = { ...PAPER_CONV_SHAPE, depth };
  const layer: ConvShape = { ...shape, depth: 1 };
  const theta = initialConvWeights({ shape: layer, seed, initialisation: "tied" });
  const { offsets } = convOffsets(layer);
  const parameters = Object.fromEntries(
    Object.entries(convParameterShapes(layer)).map(([name, sizes]) => {
      const at = offsets[name as ConvParameter];
      const length = sizes.reduce((product, size) => product * size, 1);
      const numbers = Array.from(theta.subarray(at, at + length));
      return [name, name === "scale2" ? numbers.map(() => SECOND_SCALE) : numbers];
    }),
  ) as Record<ConvParameter, number[]>;
  const { channelsIn, height, width, classes } = shape;
  const pixels = new RandomStream(seed, "pixels").fillNormal(new Float32Array(IMAGES * channelsIn * height * width));
  const draw = new RandomStream(seed, "labels");
  const labels = Array.from({ length: IMAGES }, (_, i) => Math.min(classes - 1, Math.floor(classes * draw.uniform(i))));
  const training = { rate: 0.04, momentum: 0.9, weightDecay: 5e-4 };
  return { depth, shape, images: IMAGES, ...training, pixels: Array.from(pixels), labels, parameters };
}

/** All peers, each up to the depth where a step takes it minutes on two cores. */
export function defaultConvPeers(software: boolean): string[] {
  const limits: Readonly<Record<string, number>> = { "tfjs-wasm": 64, ...(software && { "tfjs-webgpu": 64 }) };
  return Object.keys(CONV_PEERS).map((name) => (name in limits ? `${name}@${limits[name]}` : name));
}
