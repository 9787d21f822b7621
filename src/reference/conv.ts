/** The convolutional residual network of config/conv.ts in float64: forward, all gradients, evaluation, and steps of SGD. */
import {
  CONV_KERNEL,
  CONV_PADDING,
  CONV_PARAMETERS,
  type ConvParameter,
  type ConvShape,
  convParameterShapes,
  convSizes,
  type Normalisation,
} from "../config/conv.ts";
import { activation, activationDerivative } from "./activations.ts";
import {
  type Convolution,
  convolutionBiasGradient,
  convolutionDataGradient,
  convolutionForward,
  convolutionWeightGradient,
} from "./convolution.ts";
import { denseLoss } from "./dense.ts";
import { expectLength } from "./lengths.ts";
import { type Moments, moments, type NormSize, normBackward, normForward, updateRunning } from "./normalisation.ts";
import { type OptimiserState, optimiserState, optimiserStep } from "./optimisers.ts";
import { averagePool, averagePoolGradient, type Pooling } from "./pooling.ts";

/** Trained tensors, or their gradients, in the layouts of `convParameterShapes`. */
export type ConvWeights = Record<ConvParameter, Float64Array>;

/** Places of a normalisation: after the stem, and after the two convolutions of a residual layer. */
export const CONV_NORMS = ["stem", "norm1", "norm2"] as const;
export type ConvNorm = (typeof CONV_NORMS)[number];

/** Running moments of the batch normalisations: of the stem [channels], of the layers [L, channels]. */
export type RunningMoments = Record<ConvNorm, Moments>;

export interface ConvData {
  readonly n: number;
  /** [n, channelsIn, height, width]. */
  readonly images: ArrayLike<number>;
  /** [n], 0..classes-1. */
  readonly labels: ArrayLike<number>;
}

/** What a residual layer made on its way, each [n, channels, height, width]. */
export interface ConvLayerRecord {
  /** conv1 ∗ h + bias1; after its normalisation; after σ; conv2 ∗ that + bias2. */
  readonly first: Float64Array;
  readonly normal: Float64Array;
  readonly active: Float64Array;
  readonly second: Float64Array;
  /** Of `first` and `second`; undefined without a normalisation. */
  readonly moments1: Moments | undefined;
  readonly moments2: Moments | undefined;
}

export interface ConvForward {
  /** stem ∗ x, and after its normalisation, [n, channels, height, width] of a state. */
  readonly stem: Float64Array;
  readonly stemNormal: Float64Array;
  readonly stemMoments: Moments | undefined;
  /** h_0 … h_L, each [n, channels, height, width]. */
  readonly states: readonly Float64Array[];
  readonly layers: readonly ConvLayerRecord[];
  /** [n, features]. */
  readonly pooled: Float64Array;
  /** [n, classes]. */
  readonly logits: Float64Array;
}

export interface ConvGradients {
  readonly forward: ConvForward;
  /** Mean cross-entropy of the batch, and how many of its images have their largest logit at the label. */
  readonly loss: number;
  readonly correct: number;
  /** ∂loss/∂ every trained tensor. */
  readonly gradients: ConvWeights;
  /** ∂loss/∂h_0 … ∂loss/∂h_L. */
  readonly adjoints: readonly Float64Array[];
}

function stemConvolution({ channelsIn, channels, height, width, stem }: ConvShape): Convolution {
  const { kernel, stride, padding } = stem;
  return { channelsIn, channelsOut: channels, height, width, kernel, stride, padding };
}

function layerConvolution(shape: ConvShape): Convolution {
  const { height, width } = convSizes(shape);
  const { channels } = shape;
  return {
    channelsIn: channels,
    channelsOut: channels,
    height,
    width,
    kernel: CONV_KERNEL,
    stride: 1,
    padding: CONV_PADDING,
  };
}

function normSize(shape: ConvShape, n: number): NormSize {
  const { height, width } = convSizes(shape);
  return { n, channels: shape.channels, pixels: height * width };
}

function pooling(shape: ConvShape, n: number): Pooling {
  const { height, width } = convSizes(shape);
  return { count: n * shape.channels, height, width, window: shape.pool };
}

/** The part of a tensor stacked over depth that belongs to layer k (0-based). */
function layerOf(tensor: Float64Array, shape: ConvShape, k: number): Float64Array {
  const length = tensor.length / shape.depth;
  return tensor.subarray(k * length, (k + 1) * length);
}

function momentsOfLayer({ mean, variance }: Moments, shape: ConvShape, k: number): Moments {
  return { mean: layerOf(mean, shape, k), variance: layerOf(variance, shape, k) };
}

/** y = norm(x): with the moments `given`, else with those of x. Without a normalisation y = x. */
function normalised(
  normalisation: Normalisation,
  size: NormSize,
  x: Float64Array,
  scale: Float64Array,
  shift: Float64Array,
  given: Moments | undefined,
): { y: Float64Array; used: Moments | undefined } {
  if (normalisation.kind === "none") return { y: x, used: undefined };
  const used = normalisation.kind === "batch" && given !== undefined ? given : moments(normalisation, size, x);
  return { y: normForward(normalisation, size, x, { scale, shift }, used), used };
}

/** Residual layer k (0-based) of n images: h_{k+1} from h_k, and what is made on the way. */
export function convLayerForward(
  shape: ConvShape,
  weights: ConvWeights,
  k: number,
  h: Float64Array,
  n: number,
  running?: RunningMoments,
): { state: Float64Array; record: ConvLayerRecord } {
  const size = normSize(shape, n);
  const conv = layerConvolution(shape);
  const scale = shape.depth ** -shape.beta;
  const of = (name: ConvParameter) => layerOf(weights[name], shape, k);
  const given = (norm: ConvNorm) => running && momentsOfLayer(running[norm], shape, k);
  const first = convolutionForward(conv, h, of("conv1"), of("bias1"), n);
  const norm1 = normalised(shape.normalisation, size, first, of("scale1"), of("shift1"), given("norm1"));
  const active = norm1.y.map((t) => activation(shape.activation, t));
  const second = convolutionForward(conv, active, of("conv2"), of("bias2"), n);
  const norm2 = normalised(shape.normalisation, size, second, of("scale2"), of("shift2"), given("norm2"));
  const record = { first, normal: norm1.y, active, second, moments1: norm1.used, moments2: norm2.used };
  return { state: h.map((value, i) => value + scale * norm2.y[i]), record };
}

/**
 * The same layer backwards, from ∂loss/∂h_{k+1}: gradients of its weights go into `gradients`.
 * @returns ∂loss/∂h_k, and ∂loss/∂ what the two convolutions gave
 */
export function convLayerBackward(
  shape: ConvShape,
  weights: ConvWeights,
  k: number,
  h: Float64Array,
  { first, normal, active, second, moments1, moments2 }: ConvLayerRecord,
  adjoint: Float64Array,
  n: number,
  gradients: ConvWeights,
): { adjoint: Float64Array; gradFirst: Float64Array; gradSecond: Float64Array } {
  const size = normSize(shape, n);
  const conv = layerConvolution(shape);
  const scale = shape.depth ** -shape.beta;
  const of = (name: ConvParameter) => layerOf(weights[name], shape, k);
  const into = (name: ConvParameter) => layerOf(gradients[name], shape, k);
  const gradBranch = adjoint.map((value) => scale * value);
  const gradSecond = normalisedBackward(shape.normalisation, size, second, of("scale2"), moments2, gradBranch, {
    scale: into("scale2"),
    shift: into("shift2"),
  });
  into("conv2").set(convolutionWeightGradient(conv, active, gradSecond, n));
  into("bias2").set(convolutionBiasGradient(conv, gradSecond, n));
  const gradActive = convolutionDataGradient(conv, gradSecond, of("conv2"), n);
  const gradNormal = gradActive.map((value, i) => value * activationDerivative(shape.activation, normal[i]));
  const gradFirst = normalisedBackward(shape.normalisation, size, first, of("scale1"), moments1, gradNormal, {
    scale: into("scale1"),
    shift: into("shift1"),
  });
  into("conv1").set(convolutionWeightGradient(conv, h, gradFirst, n));
  into("bias1").set(convolutionBiasGradient(conv, gradFirst, n));
  const back = convolutionDataGradient(conv, gradFirst, of("conv1"), n);
  return { adjoint: adjoint.map((value, i) => value + back[i]), gradFirst, gradSecond };
}

/**
 * Forward pass of n images. Batch normalisation takes the moments of the batch (training), or those in `running` (evaluation).
 * @param images [n, channelsIn, height, width]
 * @throws ConfigError when an array has not the length its shape asks for
 */
export function convForward(
  shape: ConvShape,
  weights: ConvWeights,
  images: ArrayLike<number>,
  n: number,
  running?: RunningMoments,
): ConvForward {
  const { channelsIn, height, width, classes, depth } = shape;
  const sizes = convParameterShapes(shape);
  for (const name of CONV_PARAMETERS)
    expectLength(
      name,
      weights[name],
      sizes[name].reduce((product, size) => product * size, 1),
    );
  expectLength("images", images, n * channelsIn * height * width);
  const size = normSize(shape, n);

  const stem = convolutionForward(stemConvolution(shape), images, weights.stem, undefined, n);
  const { stemScale, stemShift } = weights;
  const { y: stemNormal, used: stemMoments } = normalised(
    shape.stem.normalisation,
    size,
    stem,
    stemScale,
    stemShift,
    running?.stem,
  );
  const states: Float64Array[] = [stemNormal.map((t) => activation("relu", t))];
  const layers: ConvLayerRecord[] = [];
  for (let k = 0; k < depth; k++) {
    const { state, record } = convLayerForward(shape, weights, k, states[k], n, running);
    layers.push(record);
    states.push(state);
  }
  const pooled = averagePool(pooling(shape, n), states[depth]);
  const { features } = convSizes(shape);
  const logits = new Float64Array(n * classes);
  for (let i = 0; i < n; i++)
    for (let c = 0; c < classes; c++) {
      let sum = weights.headBias[c];
      for (let f = 0; f < features; f++) sum += weights.head[c * features + f] * pooled[i * features + f];
      logits[i * classes + c] = sum;
    }
  return { stem, stemNormal, stemMoments, states, layers, pooled, logits };
}

/** Gradient through {@link normalised}; scale and shift of `into` are written. */
function normalisedBackward(
  normalisation: Normalisation,
  size: NormSize,
  x: Float64Array,
  scale: Float64Array,
  used: Moments | undefined,
  gradY: Float64Array,
  into: { scale: Float64Array; shift: Float64Array },
): Float64Array {
  if (normalisation.kind === "none") return gradY;
  const { gradX, gradScale, gradShift } = normBackward(normalisation, size, x, scale, used!, gradY);
  into.scale.set(gradScale);
  into.shift.set(gradShift);
  return gradX;
}

/** Mean cross-entropy of a batch in training mode, and all its gradients. */
export function convGradients(shape: ConvShape, weights: ConvWeights, data: ConvData): ConvGradients {
  const { n, images, labels } = data;
  const { classes, depth } = shape;
  const { features } = convSizes(shape);
  const forward = convForward(shape, weights, images, n);
  const { loss, gradOutput, correct } = denseLoss("cross-entropy", forward.logits, labels, n, classes);
  const gradients = emptyConvWeights(shape);
  const gradPooled = new Float64Array(n * features);
  for (let i = 0; i < n; i++)
    for (let c = 0; c < classes; c++) {
      const g = gradOutput[i * classes + c];
      gradients.headBias[c] += g;
      for (let f = 0; f < features; f++) {
        gradients.head[c * features + f] += g * forward.pooled[i * features + f];
        gradPooled[i * features + f] += g * weights.head[c * features + f];
      }
    }

  const size = normSize(shape, n);
  const adjoints: Float64Array[] = new Array(depth + 1);
  adjoints[depth] = averagePoolGradient(pooling(shape, n), gradPooled);
  for (let k = depth - 1; k >= 0; k--)
    adjoints[k] = convLayerBackward(
      shape,
      weights,
      k,
      forward.states[k],
      forward.layers[k],
      adjoints[k + 1],
      n,
      gradients,
    ).adjoint;

  const gradNormal = adjoints[0].map((value, i) => value * activationDerivative("relu", forward.stemNormal[i]));
  const gradStem = normalisedBackward(
    shape.stem.normalisation,
    size,
    forward.stem,
    weights.stemScale,
    forward.stemMoments,
    gradNormal,
    { scale: gradients.stemScale, shift: gradients.stemShift },
  );
  gradients.stem.set(convolutionWeightGradient(stemConvolution(shape), images, gradStem, n));
  return { forward, loss, correct, gradients, adjoints };
}

/** Zeros in every tensor. */
export function emptyConvWeights(shape: ConvShape): ConvWeights {
  const sizes = Object.entries(convParameterShapes(shape));
  return Object.fromEntries(
    sizes.map(([name, size]) => [name, new Float64Array(size.reduce((product, length) => product * length, 1))]),
  ) as ConvWeights;
}

/** Running moments before the first batch: mean 0, variance 1. */
export function initialRunning(shape: ConvShape): RunningMoments {
  const { channels, depth } = shape;
  const fresh = (count: number): Moments => ({
    mean: new Float64Array(count),
    variance: new Float64Array(count).fill(1),
  });
  return { stem: fresh(channels), norm1: fresh(depth * channels), norm2: fresh(depth * channels) };
}

/** Running moments after a batch of n images whose forward pass was `forward`, in place. */
export function updateRunningMoments(shape: ConvShape, running: RunningMoments, forward: ConvForward, n: number): void {
  const { pixels } = normSize(shape, n);
  const update = (normalisation: Normalisation, into: Moments, batch: Moments | undefined) => {
    if (normalisation.kind === "batch") updateRunning(into, batch!, normalisation.momentum, n * pixels);
  };
  update(shape.stem.normalisation, running.stem, forward.stemMoments);
  for (const [k, { moments1, moments2 }] of forward.layers.entries()) {
    update(shape.normalisation, momentsOfLayer(running.norm1, shape, k), moments1);
    update(shape.normalisation, momentsOfLayer(running.norm2, shape, k), moments2);
  }
}

export interface SgdSettings {
  readonly momentum: number;
  readonly weightDecay: number;
}

/** What a training changes: weights, running moments, and the momentum of every tensor. */
export interface ConvTrainingState {
  readonly weights: ConvWeights;
  readonly running: RunningMoments;
  readonly momenta: Record<ConvParameter, OptimiserState>;
}

export function convTrainingState(shape: ConvShape, weights: ConvWeights): ConvTrainingState {
  const momenta = Object.fromEntries(CONV_PARAMETERS.map((name) => [name, optimiserState(weights[name].length)]));
  return { weights, running: initialRunning(shape), momenta: momenta as ConvTrainingState["momenta"] };
}

/**
 * One step of SGD with momentum and weight decay on every tensor, in place: b ← μ b + gradient + λ w, w ← w − rate · b
 * (torch.optim.SGD). Running moments are updated with the moments of the batch. Returns what was before the step.
 */
export function convTrainingStep(
  shape: ConvShape,
  state: ConvTrainingState,
  data: ConvData,
  { momentum, weightDecay }: SgdSettings,
  rate: number,
): ConvGradients {
  const before = convGradients(shape, state.weights, data);
  updateRunningMoments(shape, state.running, before.forward, data.n);
  // Adam's settings are not read by momentum.
  const settings = { optimiser: "momentum", momentum, weightDecay, beta1: 0, beta2: 0, epsilon: 1 } as const;
  for (const name of CONV_PARAMETERS)
    optimiserStep(settings, state.momenta[name], state.weights[name], before.gradients[name], rate);
  return before;
}
