import {
  CONV_PARAMETERS,
  type ConvShape,
  convShapeSchema,
  convSizes,
  normalisationSchema,
  PAPER_CONV_SHAPE,
} from "../../config/conv.ts";
import { ACTIVATIONS } from "../../config/dense.ts";
import { cropOf } from "../../model/image_set.ts";
import { RandomStream } from "../../model/random.ts";
import { type ConvPlan, convOffsets, normConstants, planConv } from "../../plan/conv.ts";
import {
  type ConvolutionSize,
  convBackwardFlops,
  convForwardFlops,
  convolutionDataGradientWork,
  convolutionWeightGradientWork,
  convolutionWork,
} from "../../plan/conv_work.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import type { Work } from "../../plan/work.ts";
import { activation, activationDerivative } from "../../reference/activations.ts";
import { augment } from "../../reference/augment.ts";
import { type ConvLayerRecord, convLayerBackward, convLayerForward, emptyConvWeights } from "../../reference/conv.ts";
import {
  type Convolution,
  convolutionBiasGradient,
  convolutionDataGradient,
  convolutionForward,
  convolutionWeightGradient,
} from "../../reference/convolution.ts";
import { type Moments, moments, normBackward, normForward } from "../../reference/normalisation.ts";
import { averagePool, averagePoolGradient } from "../../reference/pooling.ts";
import { EPSILON, type Expectation, type KernelRow, normal, type RowSizes } from "./row.ts";

const BATCH = { kind: "batch", momentum: 0.1, epsilon: 1e-5 } as const;
const GELU = ACTIVATIONS.indexOf("gelu");
const OUTER = 0.25;
const INVOCATIONS = 32;
const FLOAT = 4;
/** Roundings of a normalisation and an activation on top of a sum's terms. */
const EXTRA = 40;

/** Nothing divides anything: maps of 5 × 7 pixels, 6 channels. */
const REDUCED_SHAPE: ConvShape = convShapeSchema.parse({
  channelsIn: 2,
  height: 11,
  width: 15,
  stem: { kernel: 4, stride: 2, padding: 1, normalisation: BATCH },
  channels: 6,
  depth: 2,
  activation: "gelu",
  normalisation: BATCH,
  pool: 2,
  classes: 5,
  beta: 1,
});

type Numbers = ArrayLike<number>;

/** One batch in the middle of the network, and what its kernels have to make of it. */
interface Problem {
  readonly shape: ConvShape;
  readonly plan: ConvPlan;
  readonly n: number;
  readonly label: string;
  readonly size: { readonly n: number; readonly channels: number; readonly pixels: number };
  readonly layer: Convolution;
  readonly stem: Convolution;
  readonly grid: readonly [number, number];
}

export function convRows(device: DeviceProfile, { images: n, reducedImages }: RowSizes): KernelRow[] {
  const shape = reducedImages ? REDUCED_SHAPE : PAPER_CONV_SHAPE;
  const plan = planConv({ ...shape, depth: 2 }, device, { images: n, training: true });
  const { height, width } = convSizes(shape);
  const { channels, channelsIn, stem } = shape;
  const problem: Problem = {
    shape,
    plan,
    n,
    label: `n ${n}, C ${channels}, ${height} × ${width}`,
    size: { n, channels, pixels: height * width },
    layer: { channelsIn: channels, channelsOut: channels, height, width, kernel: 3, stride: 1, padding: 1 },
    stem: {
      channelsIn,
      channelsOut: channels,
      height: shape.height,
      width: shape.width,
      kernel: stem.kernel,
      stride: stem.stride,
      padding: stem.padding,
    },
    grid: [Math.ceil(n / 4), plan.lineGroups],
  };
  return [
    forwardRow(problem, true),
    forwardRow(problem, false),
    stemRow(problem),
    backwardRow(problem),
    weightGradientRow(problem),
    ...(["none", "layer"] as const).flatMap((kind) => fusedRows(device, shape, problem, kind)),
    stemGradientRow(problem),
    poolRow(problem),
    unpoolRow(problem),
    headRow(problem),
    headGradientRow(problem),
    normGradientRow(problem),
    runningRow(problem),
    augmentRow(problem),
  ];
}

function largest(values: Numbers): number {
  return Array.prototype.reduce.call(
    values,
    (most: unknown, v) => Math.max(most as number, Math.abs(v as number)),
    0,
  ) as number;
}

/** `terms` roundings of numbers up to `size`. */
function expectation(
  output: string,
  values: Numbers,
  terms: number,
  size: Numbers,
  take?: Expectation["take"],
): Expectation {
  return { output, values, tolerance: EPSILON * terms * largest(size), ...(take && { take }) };
}

function slice(at: number, length: number): (values: Float32Array<ArrayBuffer>) => Numbers {
  return (values) => values.subarray(at, at + length);
}

/** A part (count, mean, Σ (x − mean)²) that holds all of a batch. */
function momentsPart({ mean, variance }: Moments, count: number): number[] {
  return [...Array.from(mean, () => count), ...mean, ...Array.from(variance, (value) => value * count)];
}

/** Means and variances by all parts from `first` on together. */
function joinedMoments(first: number, parts: number, channels: number) {
  return (values: Float32Array<ArrayBuffer>): Numbers => {
    const entry = (part: number, which: number, c: number) => values[((first + part) * 3 + which) * channels + c]!;
    const each = Array.from({ length: channels }, (_, c) => {
      const all = Array.from({ length: parts }, (_, part) => part);
      const count = all.reduce((sum, part) => sum + entry(part, 0, c), 0);
      const mean = all.reduce((sum, part) => sum + entry(part, 0, c) * entry(part, 1, c), 0) / count;
      const squares = all.reduce(
        (sum, part) => sum + entry(part, 2, c) + entry(part, 0, c) * (entry(part, 1, c) - mean) ** 2,
        0,
      );
      return [mean, squares / count] as const;
    });
    return [...each.map(([mean]) => mean), ...each.map(([, variance]) => variance)];
  };
}

/** Sums of both kinds over all parts from `first` on. */
function joinedSums(first: number, parts: number, channels: number) {
  return (values: Float32Array<ArrayBuffer>): Numbers =>
    Array.from({ length: 2 * channels }, (_, i) => {
      let sum = 0;
      for (let part = 0; part < parts; part++) sum += values[(first + part) * 2 * channels + i]!;
      return sum;
    });
}

/** Σ d and Σ d · x̂ of every channel. */
function adjointSums({ size }: Problem, d: Numbers, x: Numbers, m: Moments): number[] {
  const { gradScale, gradShift } = normBackward(
    BATCH,
    size,
    x,
    Array.from(m.mean, () => 1),
    m,
    d,
  );
  return [...gradShift, ...gradScale];
}

function absolute(values: Numbers): Float64Array {
  return Float64Array.from(values, Math.abs);
}

function partsOf({ plan, n }: Problem): number {
  return Math.ceil(n / 4) * plan.bands;
}

function state({ size }: Problem, name: string): Float32Array<ArrayBuffer> {
  return normal(name, size.n * size.channels * size.pixels);
}

function convolutionSize({ n, size, layer }: Problem): ConvolutionSize {
  const { channels, pixels } = size;
  return { n, channelsIn: channels, channelsOut: channels, kernel: layer.kernel, pixelsIn: pixels, pixelsOut: pixels };
}

function stemSize({ n, size, shape }: Problem): ConvolutionSize {
  const { channels, pixels } = size;
  const pixelsIn = shape.height * shape.width;
  return {
    n,
    channelsIn: shape.channelsIn,
    channelsOut: channels,
    kernel: shape.stem.kernel,
    pixelsIn,
    pixelsOut: pixels,
  };
}

function plus({ flops, bytes, sequential }: Work, moreFlops: number, moreNumbers: number): Work {
  return { flops: flops + moreFlops, bytes: bytes + FLOAT * moreNumbers, sequential };
}

/** Weights of a convolution, bias, and scale and shift of two normalisations, one after the other, and where they begin. */
function layerTheta({ size: { channels } }: Problem) {
  const weight = normal("conv weights", channels * channels * 9, 1 / Math.sqrt(9 * channels));
  const [bias, scale, shift, nextScale, nextShift] = ["bias", "scale", "shift", "next scale", "next shift"].map(
    (name) => normal(name, channels),
  ) as Float32Array<ArrayBuffer>[];
  const w = weight.length;
  return {
    weight,
    bias: bias!,
    scale: scale!,
    shift: shift!,
    nextScale: nextScale!,
    nextShift: nextShift!,
    theta: Float32Array.from([weight, bias!, scale!, shift!, nextScale!, nextShift!].flatMap((part) => [...part])),
    at: {
      weight: 0,
      bias: w,
      scale: w + channels,
      shift: w + 2 * channels,
      nextScale: w + 3 * channels,
      nextShift: w + 4 * channels,
    },
  };
}

function forwardRow(problem: Problem, residual: boolean): KernelRow {
  const { plan, n, size, layer, label } = problem;
  const { channels, pixels } = size;
  const count = n * channels * pixels;
  return {
    kernel: "conv/forward",
    shape: `${label}: ${residual ? "first" : "second"} convolution of a layer`,
    // Of a number: scale and shift; residual or σ.
    work: plus(convolutionWork(convolutionSize(problem), true), count * (residual ? 4 : 3), residual ? 2 * count : 0),
    prepare: () => {
      const { theta, at, weight, bias, scale, shift } = layerTheta(problem);
      const [before, input] = [state(problem, "before"), state(problem, "input")];
      const m = moments(BATCH, size, input);
      const parts = partsOf(problem);
      const states = residual ? new Float32Array(2 * count) : new Float32Array(4);
      if (residual) states.set(before);
      const given = new Float32Array(3 * channels * (1 + parts));
      given.set(momentsPart(m, n * pixels));
      return {
        variant: residual ? "residual" : "gelu",
        constants: { ...plan.layerConstants, RESIDUAL: residual, KEEP_STATE: residual, ACTIVATION: GELU },
        tensors: { theta, moments: given, input, states, output: count },
        params: {
          images: n,
          bands: plan.bands,
          outer: OUTER,
          epsilon: BATCH.epsilon,
          weight_at: at.weight,
          bias_at: at.bias,
          scale_at: at.scale,
          shift_at: at.shift,
          parts_at: 0,
          parts: 1,
          parts_to: 1,
          before_at: 0,
          state_at: residual ? count : 0,
        },
        grid: problem.grid,
        expected: () => {
          const normed = normForward(BATCH, size, input, { scale, shift }, m);
          const x = normed.map((value, i) => (residual ? before[i]! + OUTER * value : activation("gelu", value)));
          const y = convolutionForward(layer, x, weight, bias, n);
          const sizes = convolutionForward(layer, absolute(x), absolute(weight), absolute(bias), n);
          const terms = 9 * channels + EXTRA;
          const made = moments(BATCH, size, y);
          // A variance has twice the relative error of its numbers.
          return [
            expectation("output", y, terms, sizes),
            ...(residual ? [expectation("states", x, EXTRA, x, slice(count, count))] : []),
            expectation(
              "moments",
              [...made.mean, ...made.variance],
              2 * terms,
              [largest(sizes) * Math.max(1, largest(y))],
              joinedMoments(1, parts, channels),
            ),
          ];
        },
      };
    },
  };
}

function stemRow(problem: Problem): KernelRow {
  const { plan, n, size, stem, shape, label } = problem;
  const { channels, pixels } = size;
  return {
    kernel: "conv/stem",
    shape: label,
    work: convolutionWork(stemSize(problem), false),
    prepare: () => {
      const taps = shape.channelsIn * stem.kernel ** 2;
      const theta = normal("stem", channels * taps);
      const images = normal("images", n * shape.channelsIn * shape.height * shape.width);
      const parts = partsOf(problem);
      return {
        variant: "",
        constants: { ...plan.layerConstants, ...plan.stemConstants },
        tensors: { theta, moments: 3 * channels * parts, pixels: images, output: n * channels * pixels },
        params: { images: n, bands: plan.bands, weight_at: 0, parts_to: 0 },
        grid: problem.grid,
        expected: () => {
          const y = convolutionForward(stem, images, theta, undefined, n);
          const sizes = convolutionForward(stem, absolute(images), absolute(theta), undefined, n);
          const made = moments(BATCH, size, y);
          return [
            expectation("output", y, taps, sizes),
            expectation(
              "moments",
              [...made.mean, ...made.variance],
              2 * (taps + EXTRA),
              [largest(sizes) * Math.max(1, largest(y))],
              joinedMoments(0, parts, channels),
            ),
          ];
        },
      };
    },
  };
}

function backwardRow(problem: Problem): KernelRow {
  const { plan, n, size, layer, label } = problem;
  const { channels, pixels } = size;
  const count = n * channels * pixels;
  return {
    kernel: "conv/backward",
    shape: `${label}: second convolution of a layer`,
    // Of a number: the adjoint of the normalisation before, σ' and its product, and the sums for the one after.
    work: plus(convolutionDataGradientWork(convolutionSize(problem)), count * 16, 3 * count),
    prepare: () => {
      const { theta, at, weight, scale, nextScale, nextShift } = layerTheta(problem);
      const [gradient, input, next] = [state(problem, "gradient"), state(problem, "input"), state(problem, "next")];
      const [m, after] = [moments(BATCH, size, input), moments(BATCH, size, next)];
      const d = Float64Array.from(gradient, (value) => OUTER * value);
      const parts = partsOf(problem);
      const sums = new Float32Array(2 * channels * (1 + parts));
      sums.set(adjointSums(problem, d, input, m));
      return {
        variant: "gelu",
        constants: { ...plan.layerConstants, RESIDUAL: false, ACTIVATED: true, ACTIVATION: GELU },
        tensors: {
          theta,
          moments: Float32Array.from([...momentsPart(m, n * pixels), ...momentsPart(after, n * pixels)]),
          gradient,
          input,
          next,
          sums,
          kept: count,
          output: count,
        },
        params: {
          images: n,
          bands: plan.bands,
          parts: 1,
          weight_at: at.weight,
          factor: OUTER,
          epsilon: BATCH.epsilon,
          scale_at: at.scale,
          shift_at: at.shift,
          parts_at: 0,
          next_factor: 1,
          next_epsilon: BATCH.epsilon,
          next_scale_at: at.nextScale,
          next_shift_at: at.nextShift,
          next_parts_at: 1,
        },
        grid: problem.grid,
        expected: () => {
          const g = normBackward(BATCH, size, input, scale, m, d).gradX;
          const q = convolutionDataGradient(layer, g, weight, n);
          const normed = normForward(BATCH, size, next, { scale: nextScale, shift: nextShift }, after);
          const output = q.map((value, i) => value * activationDerivative("gelu", normed[i]!));
          const sizes = convolutionDataGradient(layer, absolute(g), absolute(weight), n);
          const terms = 9 * channels + 2 * EXTRA;
          const sumSizes = adjointSums(problem, absolute(output), absolute(next), after);
          return [
            expectation("kept", g, EXTRA, g),
            expectation("output", output, terms, sizes),
            expectation(
              "sums",
              adjointSums(problem, output, next, after),
              terms + n * pixels,
              [Math.max(largest(sumSizes), largest(sizes) * Math.sqrt(n * pixels))],
              joinedSums(1, parts, channels),
            ),
          ];
        },
      };
    },
  };
}

/** Layers of a fused dispatch of the rows, behind the first of the stack. */
const FUSED_LAYERS = 3;

/** The fused kernels on layers 1 … of a stack: all of them walk several layers, and know the one before. */
function fusedRows(device: DeviceProfile, of: ConvShape, problem: Problem, kind: "none" | "layer"): KernelRow[] {
  const { n, size } = problem;
  const depth = 1 + FUSED_LAYERS;
  const normalisation = normalisationSchema.parse({ kind });
  const shape: ConvShape = { ...of, depth, normalisation };
  const { fused, bands } = planConv(shape, device, { images: n, training: true, layout: "fused" });
  const { kind: norm, members } = normConstants(normalisation, size.channels);
  const constants = { ...fused!.constants, NORM: norm, MEMBERS: members, ACTIVATION: GELU };
  const count = n * size.channels * size.pixels;
  const parts = n * bands;
  const { offsets, numbers } = convOffsets(shape);
  const label = `${problem.label}: ${FUSED_LAYERS} layers, ${kind === "none" ? "no normalisation" : "layer normalisation"}`;
  const params = {
    first_layer: 1,
    end_layer: depth,
    layer_step: count,
    bands,
    weight1_at: offsets.conv1,
    scale1_at: offsets.scale1,
    shift1_at: offsets.shift1,
    weight2_at: offsets.conv2,
    scale2_at: offsets.scale2,
    shift2_at: offsets.shift2,
    parts_at: 0,
    parts_step: parts,
    outer: 1 / depth,
    epsilon: normalisation.kind === "none" ? 0 : normalisation.epsilon,
  };
  const chain = FUSED_LAYERS * 2 * (9 * size.channels + EXTRA);
  const joined = (maps: readonly Numbers[]) => Float64Array.from(maps.flatMap((map) => [...Array.from(map)]));
  const rounded = (maps: readonly Numbers[]) => Float32Array.from(joined(maps));

  /** A stack in float64 from float32 weights and first state, and the moments that the dispatches before have left. */
  const stack = () => {
    const theta = normal("stack", numbers, 1 / Math.sqrt(9 * size.channels));
    const weights = emptyConvWeights(shape);
    for (const name of CONV_PARAMETERS)
      weights[name].set(theta.subarray(offsets[name], offsets[name] + weights[name].length));
    const states: Float64Array[] = [Float64Array.from(state(problem, "before"))];
    const records = Array.from({ length: depth }, (_, k) => {
      const { state: next, record } = convLayerForward(shape, weights, k, states[k]!, n);
      states.push(next);
      return record;
    });
    return { theta, weights, states, records };
  };
  /** Of each image the moments of a tensor's channels, in the first of its bands. */
  const momentsParts = (maps: readonly Numbers[]) => {
    const all = new Float32Array(maps.length * parts * 3 * size.channels);
    if (norm === 0) return all;
    for (const [place, map] of maps.entries())
      for (let image = 0; image < n; image++) {
        const part = (place * parts + image * bands) * 3 * size.channels;
        const numbersOf = Array.from(map).slice((image * count) / n, ((image + 1) * count) / n);
        const own = moments(BATCH, { ...size, n: 1 }, numbersOf);
        all.set(momentsPart(own, size.pixels), part);
      }
    return all;
  };
  const placesOf = (records: readonly ConvLayerRecord[]) => records.flatMap(({ first, second }) => [first, second]);
  const each = { ...shape, depth: 1 };
  // Weights and biases once; maps that are read and written.
  const bytes = (maps: number) => FLOAT * (maps * count + (numbers * FUSED_LAYERS) / depth);
  const sequential = FUSED_LAYERS * 2 * 9 * size.channels;
  return [
    {
      kernel: "conv/fused_forward",
      shape: label,
      layers: FUSED_LAYERS,
      work: { flops: FUSED_LAYERS * convForwardFlops(each, n).layer, bytes: bytes(2 + 3 * FUSED_LAYERS), sequential },
      prepare: () => {
        const { theta, states, records } = stack();
        const held = (1 + FUSED_LAYERS) * count;
        const given = (map: Numbers) => rounded([map, new Float64Array(FUSED_LAYERS * count)]);
        const before = momentsParts(placesOf(records.slice(0, 1)));
        const made = new Float32Array(2 * depth * parts * 3 * size.channels);
        made.set(before);
        return {
          variant: kind,
          constants: { ...constants, KEEP: true },
          tensors: {
            theta,
            moments: made,
            first: FUSED_LAYERS * count,
            second: given(records[0]!.second),
            states: given(states[0]!),
          },
          params: { ...params, bias1_at: offsets.bias1, bias2_at: offsets.bias2 },
          grid: [n],
          expected: () => {
            const later = records.slice(1);
            return [
              expectation("states", joined(states.slice(0, depth)), chain, joined(states), slice(0, held)),
              ...(["first", "second"] as const).map((name) => {
                const values = joined(later.map((record) => record[name]));
                return expectation(name, values, chain, values, slice(name === "first" ? 0 : count, values.length));
              }),
              ...(norm === 0
                ? []
                : [expectation("moments", momentsParts(placesOf(records)), chain, momentsParts(placesOf(records)))]),
            ];
          },
        };
      },
    },
    {
      kernel: "conv/fused_backward",
      shape: label,
      layers: FUSED_LAYERS,
      work: {
        flops: FUSED_LAYERS * (convBackwardFlops(each, n).layer - 2 * weightFlops(problem)),
        bytes: bytes(2 + 4 * FUSED_LAYERS + (norm === 0 ? 0 : 1)),
        sequential,
      },
      prepare: () => {
        const { theta, weights, states, records } = stack();
        const start = state(problem, "adjoint");
        return {
          variant: kind,
          constants,
          tensors: {
            theta,
            moments: momentsParts(placesOf(records)),
            first: rounded(records.slice(1).map(({ first }) => first)),
            second: rounded(records.map(({ second }) => second)),
            grad_first: FUSED_LAYERS * count,
            grad_second: FUSED_LAYERS * count,
            sums: 2 * depth * parts * 2 * size.channels,
            adjoint: start,
          },
          params,
          grid: [n],
          expected: () => {
            const gradients = emptyConvWeights(shape);
            const back: { gradFirst: Float64Array; gradSecond: Float64Array }[] = [];
            let adjoint = Float64Array.from(start) as Float64Array;
            for (let k = depth - 1; k > 0; k--) {
              const at = convLayerBackward(shape, weights, k, states[k]!, records[k]!, adjoint, n, gradients);
              back.unshift(at);
              adjoint = at.adjoint;
            }
            // Down to the second normalisation of the layer before.
            convLayerBackward(shape, weights, 0, states[0]!, records[0]!, adjoint, n, gradients);
            const scales = (which: "scale" | "shift", place: number) => {
              const all = gradients[`${which}${place === 0 ? 1 : 2}`];
              return (k: number) => [...all.subarray(k * size.channels, (k + 1) * size.channels)];
            };
            const places = Array.from({ length: 2 * depth - 1 }, (_, i) => i + 1);
            const sums = places.flatMap((place) =>
              (["shift", "scale"] as const).flatMap((which) => scales(which, place % 2)(Math.floor(place / 2))),
            );
            const gradFirst = joined(back.map((at) => at.gradFirst));
            const gradSecond = joined(back.map((at) => at.gradSecond));
            return [
              expectation("adjoint", adjoint, chain, adjoint),
              expectation("grad_first", gradFirst, chain, gradFirst),
              expectation("grad_second", gradSecond, chain, gradSecond),
              ...(norm === 0
                ? []
                : [
                    expectation("sums", sums, chain + n * size.pixels, sums, (values) =>
                      places.flatMap((place) => Array.from(joinedSums(place * parts, parts, size.channels)(values))),
                    ),
                  ]),
            ];
          },
        };
      },
    },
  ];
}

/** Operations of the gradient of a convolution's weights, which a dispatch of its own makes. */
function weightFlops(problem: Problem): number {
  return convolutionWeightGradientWork(convolutionSize(problem), true).flops;
}

function weightGradientRow(problem: Problem): KernelRow {
  const { plan, n, size, layer, label } = problem;
  const { channels, pixels } = size;
  const count = n * channels * pixels;
  const layers = 2;
  const each = convolutionWeightGradientWork(convolutionSize(problem), true);
  return {
    kernel: "conv/weight_gradient",
    shape: `${label}: second convolution of ${layers} layers`,
    work: plus({ ...each, flops: layers * each.flops, bytes: layers * each.bytes }, layers * count * 3, 0),
    prepare: () => {
      const { channels: C } = size;
      const [inputs, gradients] = [0, 1].map((which) =>
        Array.from({ length: layers }, (_, k) => state(problem, `${which ? "g" : "x"} of layer ${k}`)),
      ) as [Float32Array<ArrayBuffer>[], Float32Array<ArrayBuffer>[]];
      const [scale, shift] = [normal("scales", layers * C), normal("shifts", layers * C)];
      const { TILE_X, OUT, LINES, CHANNELS, HEIGHT, WIDTH } = plan.layerConstants as Record<string, number>;
      const lines = Math.ceil(C / 4) * Math.ceil(C / (4 * OUT!));
      const m = inputs.map((input) => moments(BATCH, size, input));
      const joined = (maps: readonly Float32Array[]) => {
        const all = new Float32Array(layers * count);
        for (const [k, map] of maps.entries()) all.set(map, k * count);
        return all;
      };
      const weights = layers * C * C * 9;
      return {
        variant: "gelu",
        constants: {
          ...{ TILE_X: TILE_X!, OUT: OUT!, LINES: LINES!, CHANNELS: CHANNELS!, HEIGHT: HEIGHT!, WIDTH: WIDTH! },
          ACTIVATED: true,
          ACTIVATION: GELU,
        },
        tensors: {
          theta: Float32Array.from([...scale, ...shift]),
          moments: Float32Array.from(m.flatMap((of) => momentsPart(of, n * pixels))),
          input: joined(inputs),
          g: joined(gradients),
          partials: weights + layers * C,
        },
        params: {
          images: n,
          input_step: count,
          g_step: count,
          bands: plan.bands,
          parts: 1,
          parts_at: 0,
          parts_step: 1,
          scale_at: 0,
          shift_at: layers * C,
          epsilon: BATCH.epsilon,
          weight_to: 0,
          bias_to: weights,
          partial_step: 0,
        },
        grid: [Math.ceil(lines / LINES!), layers],
        expected: () => {
          const of = (k: number, values: Float32Array) => values.subarray(k * C, (k + 1) * C);
          const x = inputs.map((input, k) =>
            normForward(BATCH, size, input, { scale: of(k, scale), shift: of(k, shift) }, m[k]!).map((value) =>
              activation("gelu", value),
            ),
          );
          const weight = x.flatMap((value, k) => [...convolutionWeightGradient(layer, value, gradients[k]!, n)]);
          const bias = gradients.flatMap((g) => [...convolutionBiasGradient(layer, g, n)]);
          const sizes = x.flatMap((value, k) => [
            ...convolutionWeightGradient(layer, absolute(value), absolute(gradients[k]!), n),
          ]);
          const biasSizes = gradients.flatMap((g) => [...convolutionBiasGradient(layer, absolute(g), n)]);
          return [
            expectation("partials", weight, n * pixels + EXTRA, sizes, slice(0, weights)),
            expectation("partials", bias, n * pixels, biasSizes, slice(weights, layers * C)),
          ];
        },
      };
    },
  };
}

function stemGradientRow(problem: Problem): KernelRow {
  const { plan, n, size, stem, shape, label } = problem;
  const { channels, pixels } = size;
  return {
    kernel: "conv/stem_gradient",
    shape: label,
    work: plus(
      convolutionWeightGradientWork(stemSize(problem), false),
      n * channels * pixels * 4,
      n * channels * pixels,
    ),
    prepare: () => {
      const images = normal("images", n * shape.channelsIn * shape.height * shape.width);
      const [gradient, made] = [state(problem, "gradient"), state(problem, "stem output")];
      const scale = normal("scale", channels);
      const m = moments(BATCH, size, made);
      const { CHANNELS, HEIGHT, WIDTH } = plan.layerConstants as Record<string, number>;
      const length = channels * shape.channelsIn * stem.kernel ** 2;
      return {
        variant: "",
        constants: { ...plan.stemConstants, CHANNELS: CHANNELS!, HEIGHT: HEIGHT!, WIDTH: WIDTH! },
        tensors: {
          theta: Float32Array.from([...scale, ...scale]),
          moments: Float32Array.from(momentsPart(m, n * pixels)),
          pixels: images,
          gradient,
          stem: made,
          sums: Float32Array.from(adjointSums(problem, gradient, made, m)),
          partials: length,
        },
        params: {
          images: n,
          bands: plan.bands,
          parts: 1,
          parts_at: 0,
          scale_at: 0,
          shift_at: channels,
          epsilon: BATCH.epsilon,
          weight_to: 0,
          partial_step: 0,
        },
        grid: [shape.channelsIn * stem.kernel],
        expected: () => {
          const g = normBackward(BATCH, size, made, scale, m, gradient).gradX;
          const values = convolutionWeightGradient(stem, images, g, n);
          const sizes = convolutionWeightGradient(stem, absolute(images), absolute(g), n);
          return [expectation("partials", values, n * pixels + EXTRA, sizes)];
        },
      };
    },
  };
}

function mapConstants({ plan, shape }: Problem) {
  const { CHANNELS, HEIGHT, WIDTH } = plan.layerConstants as Record<string, number>;
  return { CHANNELS: CHANNELS!, HEIGHT: HEIGHT!, WIDTH: WIDTH!, POOL: shape.pool };
}

function poolRow(problem: Problem): KernelRow {
  const { plan, n, size, shape, layer, label } = problem;
  const { channels, pixels } = size;
  const count = n * channels * pixels;
  const features = n * convSizes(shape).features;
  return {
    kernel: "conv/pool",
    shape: label,
    work: { flops: 5 * count, bytes: FLOAT * (2 * count + features), sequential: 0 },
    prepare: () => {
      const [before, input] = [state(problem, "before"), state(problem, "input")];
      const [scale, shift] = [normal("scale", channels), normal("shift", channels)];
      const m = moments(BATCH, size, input);
      return {
        variant: "",
        constants: mapConstants(problem),
        tensors: {
          theta: Float32Array.from([...scale, ...shift]),
          moments: Float32Array.from(momentsPart(m, n * pixels)),
          before,
          input,
          pooled: features,
        },
        params: {
          images: n,
          bands: plan.bands,
          outer: OUTER,
          epsilon: BATCH.epsilon,
          scale_at: 0,
          shift_at: channels,
          parts_at: 0,
          parts: 1,
        },
        grid: [Math.ceil((n * channels) / INVOCATIONS)],
        expected: () => {
          const normed = normForward(BATCH, size, input, { scale, shift }, m);
          const h = normed.map((value, i) => before[i]! + OUTER * value);
          const pooling = { count: n * channels, height: layer.height, width: layer.width, window: shape.pool };
          return [expectation("pooled", averagePool(pooling, h), shape.pool ** 2 + EXTRA, h)];
        },
      };
    },
  };
}

function unpoolRow(problem: Problem): KernelRow {
  const { plan, n, size, shape, layer, label } = problem;
  const { channels, pixels } = size;
  const { features } = convSizes(shape);
  const count = n * channels * pixels;
  const { classes } = shape;
  return {
    kernel: "conv/unpool",
    shape: label,
    work: {
      flops: n * features * 2 * classes + 6 * count,
      bytes: FLOAT * (2 * count + (n + features) * classes),
      sequential: 0,
    },
    prepare: () => {
      const [grad, head, input] = [
        normal("grad", n * classes),
        normal("head", classes * features),
        state(problem, "input"),
      ];
      const m = moments(BATCH, size, input);
      const parts = partsOf(problem);
      const place = head.length;
      return {
        variant: "",
        constants: mapConstants(problem),
        tensors: {
          theta: Float32Array.from([...head, ...new Array(2 * channels).fill(1)]),
          moments: Float32Array.from(momentsPart(m, n * pixels)),
          grad,
          input,
          sums: 2 * channels * parts,
          adjoint: count,
        },
        params: {
          images: n,
          bands: plan.bands,
          classes,
          head_at: 0,
          outer: OUTER,
          epsilon: BATCH.epsilon,
          scale_at: place,
          shift_at: place + channels,
          parts_at: 0,
          parts: 1,
        },
        grid: [Math.ceil(n / 4), channels],
        expected: () => {
          const pooled = new Float64Array(n * features);
          for (let i = 0; i < n; i++)
            for (let f = 0; f < features; f++)
              for (let c = 0; c < classes; c++)
                pooled[i * features + f]! += grad[i * classes + c]! * head[c * features + f]!;
          const pooling = { count: n * channels, height: layer.height, width: layer.width, window: shape.pool };
          const adjoint = averagePoolGradient(pooling, pooled);
          const d = adjoint.map((value) => OUTER * value);
          const size1 = [largest(adjoint) + 1];
          return [
            expectation("adjoint", adjoint, classes + 4, size1),
            expectation(
              "sums",
              adjointSums(problem, d, input, m),
              n * pixels + EXTRA,
              [n * pixels * largest(d) * 4],
              joinedSums(0, parts, channels),
            ),
          ];
        },
      };
    },
  };
}

function headRow({ n, shape }: Problem): KernelRow {
  const { classes } = shape;
  const { features } = convSizes(shape);
  return {
    kernel: "conv/head",
    shape: `n ${n}, ${features} features, ${classes} classes`,
    work: {
      flops: n * classes * (2 * features + 1),
      bytes: FLOAT * (n * (features + classes) + classes * (features + 1)),
      sequential: 0,
    },
    prepare: () => {
      const [weight, bias, pooled] = [
        normal("head", classes * features),
        normal("bias", classes),
        normal("pooled", n * features),
      ];
      return {
        variant: "",
        constants: {},
        tensors: { theta: Float32Array.from([...weight, ...bias]), pooled, logits: n * classes },
        params: { images: n, classes, features, weight_at: 0, bias_at: weight.length },
        grid: [Math.ceil((n * classes) / INVOCATIONS)],
        expected: () => {
          const dot = (of: (value: number) => number) =>
            Array.from({ length: n * classes }, (_, at) => {
              const [i, c] = [Math.floor(at / classes), at % classes];
              let sum = of(bias[c]!);
              for (let f = 0; f < features; f++) sum += of(weight[c * features + f]! * pooled[i * features + f]!);
              return sum;
            });
          return [
            expectation(
              "logits",
              dot((value) => value),
              features + 2,
              dot(Math.abs),
            ),
          ];
        },
      };
    },
  };
}

function headGradientRow({ n, shape }: Problem): KernelRow {
  const { classes } = shape;
  const { features } = convSizes(shape);
  return {
    kernel: "conv/head_gradient",
    shape: `n ${n}, ${features} features, ${classes} classes`,
    work: {
      flops: n * classes * (2 * features + 1),
      bytes: FLOAT * (n * (features + classes) + classes * (features + 1)),
      sequential: 0,
    },
    prepare: () => {
      const [grad, pooled] = [normal("grad", n * classes), normal("pooled", n * features)];
      return {
        variant: "",
        constants: {},
        tensors: { grad, pooled, partials: classes * (features + 1) },
        params: { images: n, classes, features, weight_to: 0, bias_to: classes * features },
        grid: [Math.ceil((classes * (features + 1)) / INVOCATIONS)],
        expected: () => {
          const over = (of: (value: number) => number) =>
            Array.from({ length: classes * (features + 1) }, (_, at) => {
              const isBias = at >= classes * features;
              const c = isBias ? at - classes * features : Math.floor(at / features);
              let sum = 0;
              for (let i = 0; i < n; i++)
                sum += of(grad[i * classes + c]! * (isBias ? 1 : pooled[i * features + (at % features)]!));
              return sum;
            });
          return [
            expectation(
              "partials",
              over((value) => value),
              n + 1,
              over(Math.abs),
            ),
          ];
        },
      };
    },
  };
}

function normGradientRow(problem: Problem): KernelRow {
  const { channels } = problem.size;
  const [places, parts, step] = [problem.shape.depth, partsOf(problem), partsOf(problem) + 1];
  const total = 1 + places * step;
  return {
    kernel: "conv/norm_gradient",
    shape: `C ${channels}, ${places} places of ${parts} parts`,
    work: { flops: 2 * places * parts * channels, bytes: FLOAT * 2 * channels * places * (parts + 1), sequential: 0 },
    prepare: () => {
      const sums = normal("sums", total * 2 * channels);
      return {
        variant: "",
        constants: { CHANNELS: channels },
        tensors: { sums, partials: 2 * places * channels },
        params: { places, parts, parts_at: 1, parts_step: step, scale_to: 0, shift_to: places * channels },
        grid: [Math.ceil((places * channels) / INVOCATIONS)],
        expected: () => {
          const over = (of: (value: number) => number) =>
            [1, 0].flatMap((which) =>
              Array.from({ length: places * channels }, (_, i) => {
                let sum = 0;
                for (let part = 0; part < parts; part++) {
                  const at = (1 + Math.floor(i / channels) * step + part) * 2 + which;
                  sum += of(sums[at * channels + (i % channels)]!);
                }
                return sum;
              }),
            );
          return [
            expectation(
              "partials",
              over((value) => value),
              parts,
              over(Math.abs),
            ),
          ];
        },
      };
    },
  };
}

function runningRow(problem: Problem): KernelRow {
  const { n, size } = problem;
  const { channels, pixels } = size;
  const places = problem.shape.depth;
  const momentum = 0.1;
  return {
    kernel: "conv/running",
    shape: `C ${channels}, ${places} places of 2 parts`,
    work: { flops: 7 * places * channels, bytes: FLOAT * channels * places * 10, sequential: 0 },
    prepare: () => {
      const halves = Array.from({ length: 2 * places }, (_, i) => moments(BATCH, size, state(problem, `part ${i}`)));
      const before = normal("running", 3 * channels * (places + 1));
      return {
        variant: "",
        constants: { CHANNELS: channels },
        tensors: {
          moments: Float32Array.from(halves.flatMap((half) => momentsPart(half, n * pixels))),
          running: before,
        },
        params: { places, parts: 2, parts_at: 0, parts_step: 2, running_at: 1, running_step: 1, momentum },
        grid: [Math.ceil((places * channels) / INVOCATIONS)],
        expected: () => {
          const expected = Float64Array.from(before);
          for (let place = 0; place < places; place++)
            for (let c = 0; c < channels; c++) {
              const [a, b] = [halves[2 * place]!, halves[2 * place + 1]!];
              const mean = (a.mean[c]! + b.mean[c]!) / 2;
              const variance = (a.variance[c]! + b.variance[c]!) / 2 + ((a.mean[c]! - b.mean[c]!) / 2) ** 2;
              const elements = 2 * n * pixels;
              const at = ((1 + place) * 3 + 1) * channels + c;
              expected[at]! += momentum * (mean - before[at]!);
              expected[at + channels]! += momentum * ((variance * elements) / (elements - 1) - before[at + channels]!);
            }
          return [expectation("running", expected, 16, [...expected, 2])];
        },
      };
    },
  };
}

function augmentRow({ n, shape }: Problem): KernelRow {
  const { channelsIn: channels, height, width } = shape;
  const pixels = channels * height * width;
  const set = n + 3;
  return {
    kernel: "conv/augment",
    shape: `n ${n}, ${channels} channels, ${height} × ${width}`,
    work: { flops: 3 * n * pixels, bytes: n * pixels * (1 + FLOAT), sequential: 0 },
    prepare: () => {
      const draw = new RandomStream(0, "levels");
      const bytes = Uint8Array.from({ length: 4 * Math.ceil((set * pixels) / 4) }, (_, i) => draw.uint32(i) & 255);
      const order = new RandomStream(0, "order").permutation(set) as Uint32Array<ArrayBuffer>;
      const crops = new RandomStream(0, "crops");
      const settings = { cropPadding: 2, flip: true };
      const [mean, deviation] = [
        Array.from({ length: channels }, (_, c) => 0.4 + 0.1 * c),
        new Array(channels).fill(0.25),
      ];
      const labels = Uint32Array.from({ length: set }, (_, i) => i % 7);
      return {
        variant: "",
        constants: { CHANNELS: channels, HEIGHT: height, WIDTH: width },
        tensors: {
          levels: new Uint32Array(bytes.buffer),
          order,
          colours: Float32Array.from(mean.flatMap((value, c) => [value, deviation[c]])),
          labels,
          output: n * pixels,
          targets: n,
        },
        params: {
          images: n,
          first: 1,
          key0: crops.key[0],
          key1: crops.key[1],
          padding: 2,
          mirrors: 1,
          held_first: 0,
          held: set,
        },
        grid: [Math.ceil((n * height * width) / INVOCATIONS)],
        expected: () => {
          const batch = [...order.subarray(1, n + 1)];
          const levels = batch.flatMap((i) => [...bytes.subarray(i * pixels, (i + 1) * pixels)]);
          const drawn = batch.map((_, i) => cropOf(crops, 1 + i, settings));
          const values = augment({ channels, height, width }, levels, drawn, 2, mean, deviation);
          return [
            expectation("output", values, 8, values),
            {
              output: "targets",
              take: (targets) => new Uint32Array(targets.buffer, targets.byteOffset, targets.length),
              values: batch.map((i) => labels[i]!),
              tolerance: 0,
            },
          ];
        },
      };
    },
  };
}
