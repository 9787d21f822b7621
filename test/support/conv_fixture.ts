import {
  CONV_PARAMETERS,
  type ConvParameter,
  type ConvShape,
  type ConvShapeInput,
  convShapeSchema,
} from "../../src/config/conv.ts";
import type { Activation } from "../../src/config/dense.ts";
import { RandomStream } from "../../src/model/random.ts";
import {
  CONV_NORMS,
  type ConvData,
  type ConvNorm,
  type ConvWeights,
  emptyConvWeights,
  type RunningMoments,
} from "../../src/reference/conv.ts";
import { fixture, type TensorJson } from "./fixtures.ts";

type Tensors = Readonly<Record<string, TensorJson>>;

/** Four steps of PyTorch's SGD in float64 from weights that are float32 numbers, the rate on a cosine over the steps. */
export interface ConvFixture {
  readonly config: {
    n: number;
    L: number;
    planes: number;
    activation: string;
    batch_norm: boolean;
    steps: number;
    channels_in: number;
    size: number;
    stem_kernel: number;
    stem_stride: number;
    pool: number;
    classes: number;
    lr: number;
    momentum: number;
    weight_decay: number;
  };
  readonly X: TensorJson;
  readonly labels: readonly number[];
  readonly initial: Tensors;
  readonly first_logits: TensorJson;
  readonly first_gradients: Tensors;
  readonly losses: readonly number[];
  readonly final: Tensors;
  readonly eval_logits: TensorJson;
}

/** PyTorch's name of a tensor outside the layers, or of one that every layer has. */
const SINGLE: Partial<Record<ConvParameter, string>> = {
  stem: "stem.weight",
  stemScale: "stem_bn.weight",
  stemShift: "stem_bn.bias",
  head: "head.weight",
  headBias: "head.bias",
};
const STACKED: Partial<Record<ConvParameter, readonly [module: string, tensor: string]>> = {
  conv1: ["c1", "weight"],
  bias1: ["c1", "bias"],
  scale1: ["b1", "weight"],
  shift1: ["b1", "bias"],
  conv2: ["c2", "weight"],
  bias2: ["c2", "bias"],
  scale2: ["b2", "weight"],
  shift2: ["b2", "bias"],
};
const NORMS: Record<ConvNorm, string> = { stem: "stem_bn", norm1: "b1", norm2: "b2" };

function stacked(tensors: Tensors, module: string, tensor: string, depth: number): Float64Array {
  const layers = Array.from({ length: depth }, (_, k) => tensors[`${module}.${k}.${tensor}`]?.data ?? []);
  return Float64Array.from(layers.flat());
}

/** A network's tensors, or their gradients, in the canonical layouts. */
export function convWeightsOf(tensors: Tensors, depth: number): ConvWeights {
  const entries = CONV_PARAMETERS.map((name) => {
    const single = SINGLE[name];
    if (single !== undefined) return [name, Float64Array.from(tensors[single].data)];
    return [name, stacked(tensors, ...STACKED[name]!, depth)];
  });
  return Object.fromEntries(entries) as ConvWeights;
}

export function runningOf(tensors: Tensors, depth: number): RunningMoments {
  const entries = CONV_NORMS.map((norm) => {
    const module = NORMS[norm];
    const of = (tensor: string) =>
      norm === "stem"
        ? Float64Array.from(tensors[`${module}.${tensor}`].data)
        : stacked(tensors, module, tensor, depth);
    return [norm, { mean: of("running_mean"), variance: of("running_var") }];
  });
  return Object.fromEntries(entries) as RunningMoments;
}

export function convFixture(name: string) {
  const file = fixture<ConvFixture>(name);
  const { config } = file;
  const shape = convShapeSchema.parse({
    channelsIn: config.channels_in,
    height: config.size,
    width: config.size,
    stem: {
      kernel: config.stem_kernel,
      stride: config.stem_stride,
      padding: 1,
      normalisation: { kind: "batch" },
    },
    channels: config.planes,
    depth: config.L,
    activation: config.activation as Activation,
    normalisation: { kind: config.batch_norm ? "batch" : "none" },
    pool: config.pool,
    classes: config.classes,
    beta: 1,
  } satisfies ConvShapeInput);
  const data: ConvData = { n: config.n, images: Float64Array.from(file.X.data), labels: file.labels };
  return { file, shape, data, weights: convWeightsOf(file.initial, config.L) };
}

/** Random weights, all of order 1 in what they make of a state, and a random batch. */
export function randomConvProblem(shape: ConvShape, n: number, seed: number): { weights: ConvWeights; data: ConvData } {
  const weights = emptyConvWeights(shape);
  const { channelsIn, channels, height, width, stem, classes } = shape;
  const fanIn: Partial<Record<ConvParameter, number>> = {
    stem: channelsIn * stem.kernel ** 2,
    conv1: channels * 9,
    conv2: channels * 9,
    head: weights.head.length / classes,
  };
  for (const name of CONV_PARAMETERS) {
    const draw = new RandomStream(seed, name);
    const scale = 1 / Math.sqrt(fanIn[name] ?? 1);
    // Scales about 1, everything else about 0.
    const centre = /scale/i.test(name) ? 1 : 0;
    for (let i = 0; i < weights[name].length; i++) weights[name][i] = centre + (centre ? 0.3 : scale) * draw.normal(i);
  }
  const images = new RandomStream(seed, "images").fillNormal(new Float64Array(n * channelsIn * height * width));
  const labels = Array.from({ length: n }, (_, i) => Math.floor(new RandomStream(seed, "labels").uniform(i) * classes));
  return { weights, data: { n, images, labels } };
}
