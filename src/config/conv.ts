import { ACTIVATIONS } from "./dense.ts";
import { scheduleSchema } from "./flow.ts";
import { z } from "./schema.ts";

/** Side and zero padding of the convolutions of a residual layer, which keep the size of the image. */
export const CONV_KERNEL = 3;
export const CONV_PADDING = 1;

const epsilon = z._default(z.number().check(z.positive()), 1e-5).check(z.describe("added to the variance"));

/**
 * What follows a convolution: (x − mean)/√(variance + ε) · scale + shift, with one scale and shift a channel.
 * `batch`: moments of a channel over batch and pixels (Ioffe and Szegedy, ICML 2015); in evaluation the running ones,
 * running ← (1 − momentum) running + momentum · batch, with the unbiased variance.
 * `group`: moments of an image over the channels of a group and pixels (Wu and He, ECCV 2018); `layer`: one group.
 * Those two leave the images of a batch independent of each other.
 */
export const normalisationSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("batch"),
    momentum: z._default(z.number().check(z.minimum(0), z.maximum(1)), 0.1),
    epsilon,
  }),
  z.strictObject({ kind: z.literal("layer"), epsilon }),
  z.strictObject({ kind: z.literal("group"), groups: z.int().check(z.minimum(1)), epsilon }),
  z.strictObject({ kind: z.literal("none") }),
]);
export type Normalisation = z.infer<typeof normalisationSchema>;

/**
 * The convolutional residual network (Marion, Wu, Sander, Biau, ICLR 2024, section 5.2, as their code has it):
 *   h_0 = relu(norm(stem ∗ x));  h_{k+1} = h_k + L^-β norm2(conv2_k ∗ σ(norm1(conv1_k ∗ h_k + bias1_k)) + bias2_k);
 *   logits = head · pool(h_L) + headBias,
 * with images x [channelsIn, height, width], a stem without bias whose activation is always relu, 3 × 3 convolutions of stride 1
 * and padding 1, and a mean over windows of pool × pool pixels (those that no whole window covers are left out).
 */
export const convShapeSchema = z
  .strictObject({
    channelsIn: z.int().check(z.minimum(1)),
    height: z.int().check(z.minimum(1), z.describe("pixels of an input image")),
    width: z.int().check(z.minimum(1), z.describe("pixels of an input image")),
    stem: z.strictObject({
      kernel: z.int().check(z.minimum(1)),
      stride: z.int().check(z.minimum(1)),
      padding: z.int().check(z.minimum(0)),
      normalisation: normalisationSchema,
    }),
    channels: z.int().check(z.minimum(1), z.describe("of the states h")),
    depth: z.int().check(z.minimum(1), z.describe("L, number of residual layers")),
    activation: z.enum(ACTIVATIONS).check(z.describe("of the residual layers")),
    normalisation: normalisationSchema.check(z.describe("after both convolutions of a residual layer")),
    pool: z.int().check(z.minimum(1), z.describe("side of a pooling window, and its stride")),
    classes: z.int().check(z.minimum(1)),
    beta: z.number().check(z.describe("residual scale L^-β")),
  })
  .check(
    z.superRefine((shape, context) => {
      const { stem, pool, channels, normalisation } = shape;
      for (const side of ["height", "width"] as const) {
        if (shape[side] + 2 * stem.padding < stem.kernel)
          context.addIssue({
            code: "custom",
            path: [side],
            message: `must be at least ${stem.kernel - 2 * stem.padding}, the stem's kernel without its padding`,
          });
        else if (stemSide(shape[side], stem) < pool)
          context.addIssue({
            code: "custom",
            path: ["pool"],
            message: `must be at most ${stemSide(shape[side], stem)}, the ${side} of a state`,
          });
      }
      for (const [path, norm] of [
        [["stem", "normalisation"], stem.normalisation],
        [["normalisation"], normalisation],
      ] as const)
        if (norm.kind === "group" && channels % norm.groups !== 0)
          context.addIssue({
            code: "custom",
            path: [...path, "groups"],
            message: `must divide the number of channels, ${channels}`,
          });
    }),
  );
export type ConvShape = z.infer<typeof convShapeSchema>;
export type ConvShapeInput = z.input<typeof convShapeSchema>;

function stemSide(side: number, { kernel, stride, padding }: Pick<ConvShape["stem"], "kernel" | "stride" | "padding">) {
  return Math.floor((side + 2 * padding - kernel) / stride) + 1;
}

/** Pixels of a state and after pooling, and the head's inputs of an image. */
export function convSizes(shape: ConvShape): {
  height: number;
  width: number;
  pooledHeight: number;
  pooledWidth: number;
  features: number;
} {
  const { stem, pool, channels } = shape;
  const [height, width] = [stemSide(shape.height, stem), stemSide(shape.width, stem)];
  const [pooledHeight, pooledWidth] = [Math.floor(height / pool), Math.floor(width / pool)];
  return { height, width, pooledHeight, pooledWidth, features: channels * pooledHeight * pooledWidth };
}

/** Trained tensors; 1 and 2 stand for the two convolutions of a residual layer. */
export const CONV_PARAMETERS = [
  "stem",
  "stemScale",
  "stemShift",
  "conv1",
  "bias1",
  "scale1",
  "shift1",
  "conv2",
  "bias2",
  "scale2",
  "shift2",
  "head",
  "headBias",
] as const;
export type ConvParameter = (typeof CONV_PARAMETERS)[number];

/**
 * Canonical layouts, row-major: convolutions [channels out, channels in, kernel, kernel], the head [classes, features] with
 * features in the order [channels, pooled height, pooled width], tensors of the residual layers stacked over depth. Without a
 * normalisation its scale and shift have no numbers.
 */
export function convParameterShapes(shape: ConvShape): Record<ConvParameter, readonly number[]> {
  const { channelsIn, stem, channels, depth, normalisation, classes } = shape;
  const stemNorm = [stem.normalisation.kind === "none" ? 0 : channels];
  const norm = [depth, normalisation.kind === "none" ? 0 : channels];
  const conv = [depth, channels, channels, CONV_KERNEL, CONV_KERNEL];
  return {
    stem: [channels, channelsIn, stem.kernel, stem.kernel],
    stemScale: stemNorm,
    stemShift: stemNorm,
    conv1: conv,
    bias1: [depth, channels],
    scale1: norm,
    shift1: norm,
    conv2: conv,
    bias2: [depth, channels],
    scale2: norm,
    shift2: norm,
    head: [classes, convSizes(shape).features],
    headBias: [classes],
  };
}

/**
 * Initial weights of the residual layers: `iid` an independent draw a layer, `tied` one draw shared by all of them, biases
 * included. In training every layer moves on its own.
 */
export const CONV_INITIALISATIONS = ["tied", "iid"] as const;

/**
 * Training as the code has it: SGD with momentum, weight decay on every tensor, no factor L on any rate. Training images are
 * cropped and mirrored at random, then all images are normalised: (pixel/255 − mean)/deviation.
 */
export const convTrainingSchema = z.strictObject({
  initialisation: z.enum(CONV_INITIALISATIONS),
  batch: z.int().check(z.minimum(1), z.describe("images of a training step")),
  epochs: z.int().check(z.minimum(1)),
  rate: z.number().check(z.positive(), z.describe("learning rate at the start")),
  momentum: z.number().check(z.minimum(0), z.lt(1)),
  weightDecay: z.number().check(z.minimum(0)),
  schedule: scheduleSchema.check(z.describe("factor on the rate; its steps are epochs")),
  cropPadding: z
    .int()
    .check(z.minimum(0), z.describe("zeros around an image before a random crop of its own size; 0: no crop")),
  flip: z.boolean().check(z.describe("a random half of the images is mirrored left to right")),
  pixelMean: z.array(z.number()).check(z.minLength(1), z.describe("one a channel, of pixels in 0..1")),
  pixelDeviation: z.array(z.number().check(z.positive())).check(z.minLength(1), z.describe("one a channel")),
});
export type ConvTraining = z.infer<typeof convTrainingSchema>;

const BATCH = { kind: "batch", momentum: 0.1, epsilon: 1e-5 } as const;

/**
 * The network on CIFAR-10. The paper's text has stride 2 in the stem and in the residual layers; with the former the head would
 * have 144 inputs and not 64, with the latter no state could be added to the next.
 */
export const PAPER_CONV_SHAPE: ConvShape = {
  channelsIn: 3,
  height: 32,
  width: 32,
  stem: { kernel: 5, stride: 3, padding: 1, normalisation: BATCH },
  channels: 16,
  depth: 256,
  activation: "gelu",
  normalisation: BATCH,
  pool: 4,
  classes: 10,
  beta: 1,
};

/**
 * The training on CIFAR-10. The deviations are smaller than those of all pixels of the training images (about 0.25, 0.24 and 0.26):
 * these constants are widely used, and the code has them.
 */
export const PAPER_CONV_TRAINING: ConvTraining = {
  initialisation: "tied",
  batch: 64,
  epochs: 180,
  rate: 0.04,
  momentum: 0.9,
  weightDecay: 5e-4,
  schedule: { kind: "cosine", total: 180 },
  cropPadding: 4,
  flip: true,
  pixelMean: [0.4914, 0.4822, 0.4465],
  pixelDeviation: [0.2023, 0.1994, 0.201],
};
