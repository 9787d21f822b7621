import { describe, expect, test } from "vitest";
import {
  CONV_PARAMETERS,
  type ConvParameter,
  type ConvShape,
  type ConvShapeInput,
  convShapeSchema,
  type Normalisation,
} from "../../src/config/conv.ts";
import { scheduleFactor } from "../../src/config/flow.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { ConvPass } from "../../src/model/conv_pass.ts";
import { ConvStack } from "../../src/model/conv_stack.ts";
import {
  CONV_NORMS,
  type ConvWeights,
  convForward,
  convGradients,
  type RunningMoments,
} from "../../src/reference/conv.ts";
import { relativeError } from "../support/compare.ts";
import { type ConvOptions, convOnDevice } from "../support/conv_device.ts";
import { convFixture, convWeightsOf, randomConvProblem, runningOf } from "../support/conv_fixture.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";

const gpu = await openTestDevice();
const plain = await openTestDevice({ withoutSubgroups: true });

/** A tensor's largest error against its largest number; of a bias before a batch normalisation, whose gradient is 0, against its convolution's. */
function errors(actual: Readonly<Record<string, ArrayLike<number>>>, expected: ConvWeights): [ConvParameter, number][] {
  const largest = (name: ConvParameter) => expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const beside: Partial<Record<ConvParameter, ConvParameter>> = { bias1: "conv1", bias2: "conv2" };
  return CONV_PARAMETERS.map((name) => {
    const size = Math.max(largest(name), largest(beside[name] ?? name));
    const error = expected[name].reduce((most, value, i) => Math.max(most, Math.abs(actual[name]![i]! - value)), 0);
    return [name, size === 0 ? error : error / size];
  });
}

function runningFrom(running: Float32Array, channels: number, depth: number): RunningMoments {
  const at = (place: number, entry: number) => [
    ...running.subarray((place * 3 + entry) * channels, (place * 3 + entry + 1) * channels),
  ];
  const layers = Array.from({ length: depth }, (_, k) => k);
  const of = (places: readonly number[]) => ({
    mean: Float64Array.from(places.flatMap((place) => at(place, 1))),
    variance: Float64Array.from(places.flatMap((place) => at(place, 2))),
  });
  return { stem: of([0]), norm1: of(layers.map((k) => 1 + 2 * k)), norm2: of(layers.map((k) => 2 + 2 * k)) };
}

/** Roundings on the longest chain from the images to a number: every convolution adds 9 · C terms, a normalisation and σ some 20 more. */
function chain(shape: ConvShape): number {
  return (2 * shape.depth + 3) * (9 * shape.channels + 20);
}

function expectClose(actual: Parameters<typeof errors>[0], expected: ConvWeights, tolerance: number): void {
  for (const [name, error] of errors(actual, expected)) expect(error, name).toBeLessThan(tolerance);
}

describe.each([
  ["conv_bn_gelu", {}],
  ["conv_bn_relu", {}],
  ["conv_no_bn_gelu", {}],
  ["conv_no_bn_gelu", { layout: "fused", segmentLayers: 3 }],
] as const)("%s %j", (name, options) => {
  test("logits, gradients, four steps of SGD, running moments and evaluation are PyTorch's", async () => {
    const { file, shape, data, weights } = convFixture(name);
    const { config } = file;
    const tolerance = EPSILON * chain(shape);
    const network = await convOnDevice(gpu, shape, weights, data, options);
    for (let step = 0; step < config.steps; step++) {
      const rate = config.lr * scheduleFactor({ kind: "cosine", total: config.steps }, step);
      const { loss } = await network.step({ rate, momentum: config.momentum, weightDecay: config.weight_decay });
      expect(Math.abs(loss - file.losses[step]!)).toBeLessThan(tolerance);
      if (step > 0) continue;
      const logits = await gpu.read(network.pass.logits, 0, 4 * data.n * shape.classes);
      expect(relativeError(logits, file.first_logits.data)).toBeLessThan(tolerance);
      expectClose(await network.gradients(), convWeightsOf(file.first_gradients, config.L), tolerance);
    }
    expectClose(await network.stack.readWeights(), convWeightsOf(file.final, config.L), tolerance);
    expect(relativeError(await network.logits("evaluation"), file.eval_logits.data)).toBeLessThan(tolerance);
    if (config.batch_norm) {
      const running = runningFrom(await gpu.read(network.stack.running), shape.channels, shape.depth);
      const expected = runningOf(file.final, config.L);
      for (const norm of CONV_NORMS)
        for (const moment of ["mean", "variance"] as const)
          expect(relativeError(running[norm][moment], expected[norm][moment]), `${norm} ${moment}`).toBeLessThan(
            tolerance,
          );
    }
    network.destroy();
  });
});

/** Maps of 5 × 7 and 6 channels: no tile, chunk or quad is full. */
function oddShape(normalisation: Normalisation, stem: Normalisation, changes: Partial<ConvShapeInput> = {}): ConvShape {
  return convShapeSchema.parse({
    channelsIn: 2,
    height: 11,
    width: 15,
    stem: { kernel: 4, stride: 2, padding: 1, normalisation: stem },
    channels: 6,
    depth: 3,
    activation: "tanh",
    normalisation,
    pool: 2,
    classes: 5,
    beta: 0.5,
    ...changes,
  });
}

const BATCH: Normalisation = { kind: "batch", momentum: 0.1, epsilon: 1e-5 };
const LAYER: Normalisation = { kind: "layer", epsilon: 1e-5 };
const GROUP: Normalisation = { kind: "group", groups: 2, epsilon: 1e-5 };
const NONE: Normalisation = { kind: "none" };

describe("odd sizes: forward and all gradients equal float64, twice with the same bits", () => {
  test.each([
    ["batch", oddShape(BATCH, BATCH), 6, {}],
    [
      "batch, tiles as for a GPU",
      oddShape(BATCH, BATCH),
      5,
      { profile: { ...gpu.profile, kind: "hardware" as const } },
    ],
    ["batch, without subgroups, one layer", oddShape(BATCH, BATCH, { depth: 1 }), 6, { device: plain }],
    ["groups after a stem with batch moments", oddShape(GROUP, BATCH, { depth: 2 }), 5, {}],
    [
      "layer, tiles as for a GPU",
      oddShape(LAYER, LAYER, { depth: 2 }),
      3,
      { profile: { ...gpu.profile, kind: "hardware" as const }, layout: "layers" as const },
    ],
    ["groups, fused", oddShape(GROUP, BATCH, { depth: 5 }), 5, { layout: "fused" as const, segmentLayers: 2 }],
    ["groups, fused, a segment a layer", oddShape(GROUP, BATCH), 5, { layout: "fused" as const, segmentLayers: 1 }],
    [
      "none after a stem with groups, fused, one segment",
      oddShape(NONE, GROUP, { depth: 4, activation: "softplus" }),
      3,
      { layout: "fused" as const, segmentLayers: 4 },
    ],
    ["none after a stem with groups, one layer", oddShape(NONE, GROUP, { depth: 1, activation: "softplus" }), 3, {}],
  ])("%s", async (_, shape, n, { device = gpu, ...options }: ConvOptions & { device?: Gpu }) => {
    const { weights, data } = randomConvProblem(shape, n, 1);
    const rounded = Object.fromEntries(
      Object.entries(weights).map(([name, values]) => [name, Float64Array.from(Float32Array.from(values))]),
    ) as ConvWeights;
    const images = Float64Array.from(Float32Array.from(data.images));
    const expected = convGradients(shape, rounded, { ...data, images });
    const network = await convOnDevice(device, shape, rounded, { ...data, images }, options);
    const { loss, correct } = await network.step();
    const tolerance = EPSILON * chain(shape);
    expect(Math.abs(loss - expected.loss)).toBeLessThan(tolerance * expected.loss);
    expect(correct).toBe(expected.correct);
    const gradients = await device.read(network.pass.gradients);
    expectClose(await network.gradients(), expected.gradients, tolerance);
    expect(network.recorder.dispatches).toBe(
      network.pass.plan.dispatches.forward + network.pass.plan.dispatches.backward + 2,
    );
    await network.step();
    expect(await device.read(network.pass.gradients)).toEqual(gradients);
    network.destroy();
  });
});

test("a pass for evaluation keeps two states, and takes a batch that is not full", async () => {
  const shape = oddShape(BATCH, BATCH, { depth: 4 });
  const { weights, data } = randomConvProblem(shape, 6, 2);
  const network = await convOnDevice(gpu, shape, weights, data);
  await network.step({ rate: 0.1, momentum: 0.9, weightDecay: 0 });
  const logits = await network.logits("evaluation");
  const pass = await ConvPass.create(network.stack, { images: 7, training: false });
  pass.setBatch(Float32Array.from(data.images), Uint32Array.from(data.labels));
  pass.forward(network.recorder, "evaluation");
  network.recorder.submit();
  expect((await gpu.read(pass.logits)).slice(0, logits.length)).toEqual(logits);
  const trained = await network.stack.readWeights();
  const double = Object.fromEntries(Object.entries(trained).map(([name, values]) => [name, Float64Array.from(values)]));
  const running = runningFrom(await gpu.read(network.stack.running), shape.channels, shape.depth);
  const images = Float64Array.from(Float32Array.from(data.images));
  const expected = convForward(shape, double as ConvWeights, images, 6, running);
  expect(relativeError(logits, expected.logits)).toBeLessThan(EPSILON * chain(shape));
  pass.destroy();
  network.destroy();
});

test("fused, a pass for evaluation keeps two states, and batches that are not full leave nothing of larger ones", async () => {
  const shape = oddShape(GROUP, BATCH, { depth: 5 });
  const { weights, data } = randomConvProblem(shape, 5, 3);
  const options = { layout: "fused", segmentLayers: 2 } as const;
  const network = await convOnDevice(gpu, shape, weights, data, options);
  await network.step({ rate: 0.1, momentum: 0.9, weightDecay: 0 });
  const pass = await ConvPass.create(network.stack, { ...options, images: 7, training: false });
  pass.setBatch(Float32Array.from(data.images), Uint32Array.from(data.labels));
  pass.forward(network.recorder, "training");
  network.recorder.submit();
  const logits = await network.logits("training");
  expect((await gpu.read(pass.logits)).slice(0, logits.length)).toEqual(logits);
  pass.destroy();

  const two = Float32Array.from(data.images).slice(0, (2 * data.images.length) / 5);
  const few = { n: 2, images: Float64Array.from(two), labels: Array.from(data.labels).slice(0, 2) };
  network.pass.setBatch(two, Uint32Array.from(few.labels));
  await network.step();
  const trained = await network.stack.readWeights();
  const double = Object.fromEntries(Object.entries(trained).map(([name, values]) => [name, Float64Array.from(values)]));
  const expected = convGradients(shape, double as ConvWeights, few);
  expectClose(await network.gradients(), expected.gradients, EPSILON * chain(shape));
  network.destroy();
});

test("a state written back continues bit for bit", async () => {
  const { shape, data, weights } = convFixture("conv_bn_gelu");
  const sgd = { rate: 0.05, momentum: 0.9, weightDecay: 5e-4 };
  const network = await convOnDevice(gpu, shape, weights, data);
  await network.step(sgd);
  const state = await network.stack.readState();
  await network.step(sgd);
  const expected = await network.stack.readState();
  const other = await convOnDevice(gpu, shape, weights, data);
  other.stack.writeState(state);
  await other.step(sgd);
  expect(await other.stack.readState()).toEqual(expected);
  network.destroy();
  other.destroy();
});

test("data that do not fit are refused", async () => {
  const shape = oddShape(NONE, NONE, { depth: 1 });
  const { weights, data } = randomConvProblem(shape, 2, 3);
  const network = await convOnDevice(gpu, shape, weights, data);
  const pixels = Float32Array.from(data.images);
  expect(() => network.pass.setBatch(pixels, Uint32Array.from([0, 5]))).toThrow(/labels/);
  expect(() => network.pass.setBatch(pixels.slice(1), Uint32Array.from([0, 1]))).toThrow(/pixels/);
  expect(() => network.pass.setCount(3)).toThrow(/count/);
  expect(() => ConvStack.create(gpu, shape, new Float32Array(3))).toThrow(/weights/);
  network.destroy();
});
