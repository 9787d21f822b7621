import { describe, expect, it } from "vitest";
import {
  CONV_PARAMETERS,
  type ConvShape,
  type ConvShapeInput,
  convParameterShapes,
  convShapeSchema,
  convSizes,
  convTrainingSchema,
  type Normalisation,
  PAPER_CONV_SHAPE,
  PAPER_CONV_TRAINING,
} from "../../src/config/conv.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { scheduleFactor } from "../../src/config/flow.ts";
import { RandomStream } from "../../src/model/random.ts";
import {
  CONV_NORMS,
  type ConvData,
  type ConvWeights,
  convForward,
  convGradients,
  convTrainingState,
  convTrainingStep,
  initialRunning,
} from "../../src/reference/conv.ts";
import {
  type Convolution,
  convolutionBiasGradient,
  convolutionDataGradient,
  convolutionForward,
  convolutionSize,
  convolutionWeightGradient,
} from "../../src/reference/convolution.ts";
import { denseLoss } from "../../src/reference/dense.ts";
import {
  type ActiveNormalisation,
  moments,
  normBackward,
  normForward,
  updateRunning,
} from "../../src/reference/normalisation.ts";
import { averagePool, averagePoolGradient } from "../../src/reference/pooling.ts";
import { relativeError } from "../support/compare.ts";
import { convFixture, convWeightsOf, randomConvProblem, runningOf } from "../support/conv_fixture.ts";

const EPSILON = 1e-5;
const draw = (label: string, count: number) => new RandomStream(3, label).fillNormal(new Float64Array(count));

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
}

/** Errors of gradients; those of a bias are held against its convolution: before a batch norm they are 0 but for rounding. */
function gradientErrors(actual: ConvWeights, expected: ConvWeights): [string, number][] {
  const largest = (values: Float64Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return CONV_PARAMETERS.map((name) => {
    expect(actual[name].length, name).toBe(expected[name].length);
    const size = Math.max(
      largest(expected[name]),
      name.startsWith("bias") ? largest(expected[`conv${name[4] as "1"}`]) : 0,
    );
    const error = largest(actual[name].map((value, i) => value - expected[name][i]));
    return [name, size === 0 ? error : error / size];
  });
}

describe.each(["conv_bn_gelu", "conv_bn_relu", "conv_no_bn_gelu"])("%s", (name) => {
  const { file, shape, data, weights } = convFixture(name);
  const { steps, lr, momentum, weight_decay: weightDecay } = file.config;

  it("gives PyTorch's float64 loss, logits and gradients", () => {
    const { loss, forward, gradients } = convGradients(shape, weights, data);
    expect(Math.abs(loss / file.losses[0] - 1)).toBeLessThan(1e-12);
    expect(relativeError(forward.logits, file.first_logits.data)).toBeLessThan(1e-12);
    for (const [tensor, error] of gradientErrors(gradients, convWeightsOf(file.first_gradients, shape.depth)))
      expect(error, tensor).toBeLessThan(1e-12);
  });

  it("follows PyTorch's SGD: losses, weights, running moments, and the logits of evaluation", () => {
    const state = convTrainingState(shape, structuredClone(weights));
    for (let step = 0; step < steps; step++) {
      const rate = lr * scheduleFactor({ kind: "cosine", total: steps }, step);
      const { loss } = convTrainingStep(shape, state, data, { momentum, weightDecay }, rate);
      expect(Math.abs(loss / file.losses[step] - 1)).toBeLessThan(1e-12);
    }
    const final = convWeightsOf(file.final, shape.depth);
    for (const tensor of CONV_PARAMETERS)
      expect(relativeError(state.weights[tensor], final[tensor]), tensor).toBeLessThan(1e-11);
    const running = runningOf(file.final, shape.depth);
    const normalised = shape.normalisation.kind === "batch" ? CONV_NORMS : (["stem"] as const);
    for (const norm of normalised) {
      expect(relativeError(state.running[norm].mean, running[norm].mean), norm).toBeLessThan(1e-12);
      expect(relativeError(state.running[norm].variance, running[norm].variance), norm).toBeLessThan(1e-12);
    }
    const { logits } = convForward(shape, state.weights, data.images, data.n, state.running);
    expect(relativeError(logits, file.eval_logits.data)).toBeLessThan(1e-11);
    // Evaluation is not training: the moments of the batch give other logits.
    const trained = convForward(shape, state.weights, data.images, data.n);
    expect(relativeError(trained.logits, file.eval_logits.data)).toBeGreaterThan(1e-3);
  });

  it("begins with the running moments PyTorch begins with", () => {
    const fresh = initialRunning(shape);
    expect(fresh.stem).toEqual(runningOf(file.initial, shape.depth).stem);
    if (shape.normalisation.kind === "batch") expect(fresh).toEqual(runningOf(file.initial, shape.depth));
  });
});

const NONE: Normalisation = { kind: "none" };
/** No size divides another: rows and columns are left out by the stem's stride and by the pooling. */
const ODD: ConvShapeInput = {
  channelsIn: 2,
  height: 12,
  width: 9,
  stem: { kernel: 4, stride: 2, padding: 1, normalisation: { kind: "batch" } },
  channels: 6,
  depth: 3,
  activation: "gelu",
  normalisation: { kind: "group", groups: 3 },
  pool: 2,
  classes: 3,
  beta: 0.5,
};

describe.each<[string, Partial<ConvShapeInput>]>([
  ["group normalisation", {}],
  ["batch normalisation, tanh", { normalisation: { kind: "batch" }, activation: "tanh" }],
  [
    "layer normalisation everywhere",
    { normalisation: { kind: "layer" }, stem: { ...ODD.stem, normalisation: { kind: "layer" } } },
  ],
  ["no normalisation, one layer", { normalisation: NONE, stem: { ...ODD.stem, normalisation: NONE }, depth: 1 }],
])("gradients at odd sizes: %s", (_, change) => {
  const shape = convShapeSchema.parse({ ...ODD, ...change });
  const { weights, data } = randomConvProblem(shape, 2, 11);

  it("finite differences of the loss confirm", () => {
    expect(convSizes(shape)).toEqual({ height: 6, width: 4, pooledHeight: 3, pooledWidth: 2, features: 36 });
    const { gradients } = convGradients(shape, weights, data);
    const value = () =>
      denseLoss("cross-entropy", convForward(shape, weights, data.images, data.n).logits, data.labels, data.n, 3).loss;
    const h = 1e-6;
    for (const name of CONV_PARAMETERS) {
      const w = weights[name];
      const stride = Math.max(1, Math.floor(w.length / 5));
      for (let i = 0; i < w.length; i += stride) {
        const kept = w[i];
        w[i] = kept + h;
        const above = value();
        w[i] = kept - h;
        const below = value();
        w[i] = kept;
        // Rounding of the loss, some hundred units of 2^-53, over h; the third derivative times h² is below.
        expect(Math.abs((above - below) / (2 * h) - gradients[name][i]), `${name}[${i}]`).toBeLessThan(2e-8);
      }
    }
  });

  it("of what a layer adds are sums of the adjoint after it", () => {
    const { adjoints, gradients } = convGradients(shape, weights, data);
    const added = shape.normalisation.kind === "none" ? gradients.bias2 : gradients.shift2;
    for (let k = 0; k < shape.depth; k++)
      for (let channel = 0; channel < 6; channel++) {
        const sum = adjoints[k + 1].filter((_, at) => Math.floor(at / 24) % 6 === channel).reduce((a, b) => a + b, 0);
        expect(added[k * 6 + channel]).toBeCloseTo(shape.depth ** -0.5 * sum, 12);
      }
  });
});

describe("rows", () => {
  it("stay independent of each other with group and layer normalisation, and do not with batch", () => {
    for (const kind of ["group", "layer", "batch"] as const) {
      const normalisation = kind === "group" ? { kind, groups: 2 } : { kind };
      const shape = convShapeSchema.parse({ ...ODD, normalisation, stem: { ...ODD.stem, normalisation } });
      const { weights, data } = randomConvProblem(shape, 3, 4);
      const together = convForward(shape, weights, data.images, 3).logits.subarray(3, 6);
      const pixels = 2 * 12 * 9;
      const alone = convForward(shape, weights, (data.images as Float64Array).subarray(pixels, 2 * pixels), 1).logits;
      if (kind === "batch") expect(relativeError(alone, together)).toBeGreaterThan(1e-3);
      else expect([...alone]).toEqual([...together]);
    }
  });
});

describe("convolution", () => {
  const c: Convolution = { channelsIn: 2, channelsOut: 3, height: 7, width: 5, kernel: 3, stride: 2, padding: 1 };

  it("is the sum of its definition, worked by hand", () => {
    const one: Convolution = { channelsIn: 1, channelsOut: 1, height: 2, width: 3, kernel: 2, stride: 1, padding: 0 };
    expect(convolutionSize(one)).toEqual({ height: 1, width: 2 });
    // 1·1 + 2·10 + 4·100 + 5·1000 and 2·1 + 3·10 + 5·100 + 6·1000; no flip of the kernel.
    expect([...convolutionForward(one, [1, 2, 3, 4, 5, 6], [1, 10, 100, 1000], [0.5], 1)]).toEqual([5421.5, 6532.5]);
    // Places -1, 1 and 3 of each side: only the middle row and column lie inside.
    const strided = { ...one, height: 3, kernel: 1, stride: 2, padding: 1 };
    const nine = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect([...convolutionForward(strided, nine, [2], undefined, 1)]).toEqual([0, 0, 0, 0, 10, 0, 0, 0, 0]);
  });

  it("copies an image with a kernel that is 1 in the middle", () => {
    const same: Convolution = { ...c, channelsOut: 2, stride: 1 };
    const weight = new Float64Array(36);
    weight[4] = 1; // channel 0 to 0
    weight[3 * 9 + 4] = 1; // channel 1 to 1
    const x = draw("x", 2 * 70);
    expect(convolutionForward(same, x, weight, undefined, 2)).toEqual(x);
  });

  it("has gradients that are its adjoints", () => {
    const { height, width } = convolutionSize(c);
    expect([height, width]).toEqual([4, 3]);
    const [x, weight, bias, g] = [draw("x", 140), draw("w", 54), draw("b", 3), draw("g", 2 * 36)];
    const linear = dot(g, convolutionForward(c, x, weight, undefined, 2));
    expect(dot(convolutionDataGradient(c, g, weight, 2), x)).toBeCloseTo(linear, 11);
    expect(dot(convolutionWeightGradient(c, x, g, 2), weight)).toBeCloseTo(linear, 11);
    const affine = dot(g, convolutionForward(c, x, weight, bias, 2));
    expect(dot(convolutionBiasGradient(c, g, 2), bias)).toBeCloseTo(affine - linear, 11);
  });

  it("refuses lengths that do not fit", () => {
    expect(() => convolutionForward(c, draw("x", 139), draw("w", 54), undefined, 2)).toThrow(ConfigError);
    expect(() => convolutionForward(c, draw("x", 140), draw("w", 54), [0], 2)).toThrow(
      "bias must hold 3 numbers, got 1",
    );
    expect(() => convolutionDataGradient(c, [1], draw("w", 54), 2)).toThrow("gradY must hold 72 numbers, got 1");
  });
});

describe("normalisation", () => {
  const size = { n: 3, channels: 4, pixels: 5 };
  const x = draw("x", 60).map((value, i) => 2 * value + (i % 7));
  const [scale, shift] = [draw("scale", 4), draw("shift", 4)];
  const kinds: ActiveNormalisation[] = [
    { kind: "batch", momentum: 0.1, epsilon: EPSILON },
    { kind: "layer", epsilon: EPSILON },
    { kind: "group", groups: 2, epsilon: EPSILON },
  ];

  it("takes batch moments over images and pixels, group moments over channels and pixels", () => {
    const [batch, layer, group] = kinds.map((kind) => moments(kind, size, x));
    const values = (keep: (image: number, channel: number) => boolean) =>
      [...x].filter((_, at) => keep(Math.floor(at / 20), Math.floor(at / 5) % 4));
    const check = (got: { mean: Float64Array; variance: Float64Array }, at: number, set: number[]) => {
      const mean = set.reduce((a, b) => a + b, 0) / set.length;
      expect(got.mean[at]).toBeCloseTo(mean, 12);
      expect(got.variance[at]).toBeCloseTo(set.reduce((a, b) => a + b * b, 0) / set.length - mean ** 2, 11);
    };
    expect([batch, layer, group].map(({ mean }) => mean.length)).toEqual([4, 3, 6]);
    check(
      batch,
      2,
      values((_, channel) => channel === 2),
    );
    check(
      layer,
      1,
      values((image) => image === 1),
    );
    check(
      group,
      2 * 2 + 1,
      values((image, channel) => image === 2 && channel >= 2),
    );
  });

  it.each(kinds)("$kind: mean and variance of what comes out are those of scale and shift", (kind) => {
    const ones = { scale: [1, 1, 1, 1], shift: [0, 0, 0, 0] };
    const used = moments(kind, size, x);
    const out = moments(kind, size, normForward(kind, size, x, ones, used));
    for (const [set, variance] of used.variance.entries()) {
      expect(out.mean[set]).toBeCloseTo(0, 12);
      expect(out.variance[set]).toBeCloseTo(variance / (variance + EPSILON), 12);
    }
  });

  it.each(kinds)("$kind: finite differences confirm all three gradients", (kind) => {
    const g = draw("g", 60);
    const { gradX, gradScale, gradShift } = normBackward(kind, size, x, scale, moments(kind, size, x), g);
    const value = () => dot(g, normForward(kind, size, x, { scale, shift }, moments(kind, size, x)));
    const h = 1e-5;
    for (const [values, gradient] of [
      [x, gradX],
      [scale, gradScale],
      [shift, gradShift],
    ])
      for (let i = 0; i < values.length; i += 3) {
        const kept = values[i];
        values[i] = kept + h;
        const above = value();
        values[i] = kept - h;
        const below = value();
        values[i] = kept;
        expect(Math.abs((above - below) / (2 * h) - gradient[i])).toBeLessThan(1e-8);
      }
  });

  it("moves the running moments towards the batch's, whose variance is made unbiased", () => {
    const running = { mean: Float64Array.of(1), variance: Float64Array.of(2) };
    updateRunning(running, { mean: Float64Array.of(3), variance: Float64Array.of(4) }, 0.25, 5);
    expect(running.mean[0]).toBe(1.5);
    expect(running.variance[0]).toBe(0.75 * 2 + 0.25 * 4 * (5 / 4));
  });

  it("refuses a set of one number", () => {
    expect(() => moments(kinds[0], { n: 1, channels: 4, pixels: 1 }, [1, 2, 3, 4])).toThrow(
      "x must have at least 2 numbers that are normalised together, got 1",
    );
  });
});

describe("average pooling", () => {
  it("leaves out what no whole window covers, and so does its gradient", () => {
    const pooling = { count: 1, height: 3, width: 5, window: 2 };
    const x = [1, 2, 3, 4, 50, 5, 6, 7, 8, 50, 50, 50, 50, 50, 50];
    expect([...averagePool(pooling, x)]).toEqual([3.5, 5.5]);
    expect([...averagePoolGradient(pooling, [4, 8])]).toEqual([1, 1, 2, 2, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0]);
  });
});

describe("shapes", () => {
  it("has the parameters of the paper's network", () => {
    const shape = convShapeSchema.parse(PAPER_CONV_SHAPE);
    expect(convSizes(shape)).toEqual({ height: 10, width: 10, pooledHeight: 2, pooledWidth: 2, features: 64 });
    const count = Object.values(convParameterShapes(shape))
      .map((size) => size.reduce((product, length) => product * length, 1))
      .reduce((sum, length) => sum + length, 0);
    // Stem 16·3·5² and its norm, 256 layers of 2 (16²·9 + 16) and 2·2·16, head 64·10 + 10.
    expect(count).toBe(1200 + 32 + 256 * 4704 + 650);
    expect(convTrainingSchema.parse(PAPER_CONV_TRAINING)).toEqual(PAPER_CONV_TRAINING);
    expect(scheduleFactor(PAPER_CONV_TRAINING.schedule, PAPER_CONV_TRAINING.epochs)).toBe(0);
  });

  it.each<[string, Partial<ConvShapeInput>, string]>([
    ["a stem larger than its image", { height: 1 }, "must be at least 2, the stem's kernel without its padding"],
    ["a pooling window larger than a state", { pool: 5 }, "must be at most 4, the width of a state"],
    ["groups that do not divide the channels", { channels: 7 }, "must divide the number of channels, 7"],
    ["no layers", { depth: 0 }, "depth"],
    ["an unknown activation", { activation: "swish" as "silu" }, "activation"],
  ])("refuses %s", (_, change, message) => {
    const { error } = convShapeSchema.safeParse({ ...ODD, ...change });
    expect(error?.message).toContain(message);
  });

  it("refuses weights, images and labels that do not fit", () => {
    const shape: ConvShape = convShapeSchema.parse(ODD);
    const { weights, data } = randomConvProblem(shape, 2, 1);
    const wrong = (change: Partial<ConvWeights>, given: Partial<ConvData> = {}) =>
      convGradients(shape, { ...weights, ...change }, { ...data, ...given });
    expect(() => wrong({ conv1: new Float64Array(1) })).toThrow("conv1 must hold 972 numbers, got 1");
    expect(() => wrong({ stemScale: new Float64Array() })).toThrow("stemScale must hold 6 numbers, got 0");
    expect(() => wrong({}, { n: 3 })).toThrow("images must hold 648 numbers, got 432");
    expect(() => wrong({}, { labels: [0, 3] })).toThrow("targets[1] must be a label in 0..2, got 3");
  });
});
