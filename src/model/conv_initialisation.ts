import {
  type CONV_INITIALISATIONS,
  CONV_KERNEL,
  type ConvParameter,
  type ConvShape,
  convParameterShapes,
  convSizes,
} from "../config/conv.ts";
import { convOffsets } from "../plan/conv.ts";
import { RandomStream } from "./random.ts";

export interface ConvInitialisation {
  readonly shape: ConvShape;
  readonly seed: number;
  readonly initialisation: (typeof CONV_INITIALISATIONS)[number];
}

/** Of conv1 without normalisation: the bound is this times √(6/(fan in + fan out)) (Glorot and Bengio, AISTATS 2010). */
const GAIN_WITHOUT_NORM = 1e-4;

/**
 * Initial parameters, one after the other in the layouts of `convParameterShapes`, as the code of the paper has them: convolutions, head and
 * biases uniform in ±1/√(fan in), PyTorch's default; scales 1 and shifts 0, but the last normalisation of a layer has scale 0, so that
 * every layer starts as the identity. Without normalisation conv2 is 0 and conv1 uniform of Glorot's variance with a gain of 1e-4.
 * `tied`: all layers start from one draw.
 */
export function initialConvWeights({ shape, seed, initialisation }: ConvInitialisation): Float32Array<ArrayBuffer> {
  const { offsets, numbers } = convOffsets(shape);
  const { channelsIn, channels, depth, stem } = shape;
  const layerFan = channels * CONV_KERNEL ** 2;
  const normed = shape.normalisation.kind !== "none";
  const torchBound = (fan: number) => 1 / Math.sqrt(fan);
  const bounds: Partial<Record<ConvParameter, number>> = {
    stem: torchBound(channelsIn * stem.kernel ** 2),
    conv1: normed ? torchBound(layerFan) : GAIN_WITHOUT_NORM * Math.sqrt(6 / (2 * layerFan)),
    bias1: torchBound(layerFan),
    conv2: normed ? torchBound(layerFan) : 0,
    bias2: torchBound(layerFan),
    head: torchBound(convSizes(shape).features),
    headBias: torchBound(convSizes(shape).features),
  };
  const layered: readonly ConvParameter[] = [
    "conv1",
    "bias1",
    "scale1",
    "shift1",
    "conv2",
    "bias2",
    "scale2",
    "shift2",
  ];
  const theta = new Float32Array(numbers);
  for (const [name, size] of Object.entries(convParameterShapes(shape)) as [ConvParameter, readonly number[]][]) {
    const length = size.reduce((product, count) => product * count, 1);
    const into = theta.subarray(offsets[name], offsets[name] + length);
    const draw = new RandomStream(seed, name);
    const period = layered.includes(name) && initialisation === "tied" ? length / depth : length;
    const bound = bounds[name];
    for (let i = 0; i < length; i++) {
      if (bound !== undefined) into[i] = bound * (2 * draw.uniform(i % period) - 1);
      else if (name === "stemScale" || name === "scale1") into[i] = 1;
    }
  }
  return theta;
}
