import { describe, expect, test } from "vitest";
import { OPTIMISERS } from "../../src/config/flow.ts";
import { RandomStream } from "../../src/model/random.ts";
import { gradientNumber, updateDirections } from "../../src/reference/flow.ts";
import { optimiserState, optimiserStep } from "../../src/reference/optimisers.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const STEPS = 3;
const NO_CLIP = 3.4e38;
const NONE = new Float32Array(4);

interface Case {
  readonly layers: number;
  /** Floats of a unit (first half W, second V) and units a layer. */
  readonly unit: number;
  readonly units: number;
  readonly groups: number;
  readonly tied: boolean;
  readonly clip: number;
  readonly clipNorm: boolean;
  readonly decay: number;
}
const BASE: Case = { layers: 3, unit: 8, units: 5, groups: 1, tied: true, clip: NO_CLIP, clipNorm: false, decay: 0 };
const CASES: readonly Case[] = [
  BASE,
  { ...BASE, tied: false, groups: 4, decay: 0.02 },
  { ...BASE, layers: 1, unit: 16, units: 1, groups: 3, clip: 0.5 },
  // More numbers than one dispatch of one group takes in a trip.
  { ...BASE, layers: 7, unit: 24, units: 13, groups: 2, clip: 0.8, decay: 0.1 },
  { ...BASE, groups: 2, tied: false, clipNorm: true, clip: 1, decay: 0.05 },
];

describe.each(OPTIMISERS)("%s", (optimiser) => {
  test.each(CASES)("%o", async ({ layers, unit, units, groups, tied, clip, clipNorm, decay }) => {
    const layer = unit * units;
    const count = layers * layer;
    const stream = new RandomStream(count, optimiser);
    const settings = { optimiser, momentum: 0.9, weightDecay: decay, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
    const initial = stream.fillNormal(new Float32Array(tied ? layer : count));
    const normScale = Float32Array.from({ length: clipNorm ? layers : 4 }, (_, i) => 1 / (i + 1));
    const scales = { w: 0.3, v: 0.7 };
    const factor = layers;
    const rate = 0.05;
    let change = new Float32Array(count);
    let weights = Float32Array.from({ length: count }, (_, i) => initial[i % initial.length]);
    let moment1 = new Float32Array(optimiser === "descent" ? 4 : count);
    let moment2 = new Float32Array(optimiser === "adam" || optimiser === "adamw" ? count : 4);
    const trueState = optimiserState(count);
    const truth = Float64Array.from(weights);
    let directionSize = 0;
    for (let step = 0; step < STEPS; step++) {
      const partials = stream.fillNormal(new Float32Array(groups * count), (step + 1) * 100_000);
      const result = await runKernel(
        gpu,
        "flow/update",
        {
          OPTIMISER: OPTIMISERS.indexOf(optimiser),
          CLIP_NORM: clipNorm,
          TIED: tied,
          LAYER4: layer / 4,
          HALF4: unit / 8,
        },
        { partials, initial, norm_scale: normScale, replicas: NONE, change, weights, moment1, moment2 },
        ["change", "weights", "moment1", "moment2"],
        {
          count4: count / 4,
          groups,
          first_replica: 0,
          scale_w: scales.w,
          scale_v: scales.v,
          factor,
          clip,
          rate,
          decay,
          momentum: settings.momentum,
          beta1: settings.beta1,
          beta2: settings.beta2,
          epsilon: settings.epsilon,
          correction1: 1 / (1 - settings.beta1 ** (step + 1)),
          correction2: 1 / (1 - settings.beta2 ** (step + 1)),
        },
        [count > 1024 ? 2 : Math.ceil(count / 256)],
      );
      const directions = updateDirections(
        { partials, groups, count, unit, scales },
        { factor, clip, layer, ...(clipNorm && { normScale }) },
      );
      directionSize = directions.reduce((a, b) => Math.max(a, Math.abs(b)), directionSize);
      optimiserStep(settings, trueState, truth, directions, rate);
      ({ change, weights, moment1, moment2 } = result as Record<
        "change" | "weights" | "moment1" | "moment2",
        Float32Array<ArrayBuffer>
      >);
      // weights = initial + change, in one rounding.
      weights.forEach((value, i) => {
        expect(value).toBe(Math.fround(initial[i % initial.length] + change[i]));
      });
    }
    // Each step adds `groups` + 8 roundings of numbers of the size of the direction, and one of the weights' in the decay.
    // Adam divides by √v, which is at least (1 − β2)^½ of the direction over its largest: the factor of 10 there.
    const amplification = optimiser === "adam" || optimiser === "adamw" ? 10 / Math.min(directionSize, 1) : 10;
    const bound = STEPS * (groups + 8) * EPSILON * rate * (directionSize + 5 * decay) * amplification;
    change.forEach((value, i) => {
      expect(Math.abs(value - (truth[i] - initial[i % initial.length]))).toBeLessThanOrEqual(
        bound + EPSILON * Math.abs(value) * STEPS,
      );
    });
    if (optimiser === "descent") {
      expect([...moment1, ...moment2].every((value) => value === 0)).toBe(true);
      return;
    }
    moment1.forEach((value, i) => {
      expect(Math.abs(value - trueState.moment1[i])).toBeLessThanOrEqual(bound / rate);
    });
    if (optimiser !== "momentum")
      moment2.forEach((value, i) => {
        expect(Math.abs(value - trueState.moment2[i])).toBeLessThanOrEqual((bound / rate) * directionSize);
      });
  });
});

test("the coordinate clip bounds every descent step exactly", async () => {
  const partials = Float32Array.from([1e30, -1e30, 0.25, -0.25, 3, -3, 0, 1e-20]);
  const { change } = await runKernel(
    gpu,
    "flow/update",
    { OPTIMISER: 0, CLIP_NORM: false, TIED: false, LAYER4: 2, HALF4: 1 },
    {
      partials,
      initial: new Float32Array(8),
      norm_scale: new Float32Array(4),
      replicas: NONE,
      change: new Float32Array(8),
      weights: poisoned(8),
      moment1: new Float32Array(4),
      moment2: new Float32Array(4),
    },
    ["change"],
    {
      count4: 2,
      groups: 1,
      first_replica: 0,
      scale_w: 1,
      scale_v: 1,
      factor: 1,
      clip: 0.5,
      rate: 0.25,
      decay: 0,
      momentum: 0,
      beta1: 0,
      beta2: 0,
      epsilon: 1,
      correction1: 1,
      correction2: 1,
    },
    [1],
  );
  expect([...change]).toEqual([
    -0.125,
    0.125,
    -0.0625,
    0.0625,
    -0.125,
    0.125,
    0,
    Math.fround(-0.25 * Math.fround(1e-20)),
  ]);
});

test("flow/gradient sums the groups and scales the halves of a unit", async () => {
  const [groups, unit, count] = [3, 24, 24 * 13];
  const partials = new RandomStream(1, "partials").fillNormal(new Float32Array(groups * count));
  const { grad } = await runKernel(
    gpu,
    "flow/gradient",
    {},
    { partials, replicas: NONE, grad: poisoned(count) },
    ["grad"],
    {
      count4: count / 4,
      groups,
      unit4: unit / 4,
      half4: unit / 8,
      layer4: count / 4,
      first_replica: 0,
      scale_w: 0.5,
      scale_v: 3,
    },
    [1],
  );
  grad.forEach((value, i) => {
    const expected = gradientNumber({ partials, groups, count, unit, scales: { w: 0.5, v: 3 } }, i);
    expect(Math.abs(value - expected.value)).toBeLessThanOrEqual((groups + 1) * EPSILON * expected.size);
  });
});

describe("several replicas in one dispatch have the bits of one each, with rates and scales of their own", () => {
  const [layers, replicas, unit, units, groups, first] = [3, 3, 24, 7, 2, 2];
  const layer = unit * units;
  const count = layers * layer;
  const stream = new RandomStream(4, "replicas");
  const each = Array.from({ length: replicas }, (_, r) => [0.1 / (r + 1), 0.3 + r, 0.7 - 0.1 * r, 0]);
  const table = Float32Array.from([...Array(4 * first).fill(Number.NaN), ...each.flat()]);
  const partials = stream.fillNormal(new Float32Array(groups * replicas * count));
  /** Numbers of a replica of [blocks, replicas, layer]. */
  const of = (all: Float32Array, r: number) => all.filter((_, i) => Math.floor(i / layer) % replicas === r);
  const compare = (all: Float32Array, alone: readonly Float32Array[]) => {
    alone.forEach((one, r) => {
      expect(of(all, r)).toEqual(one);
    });
  };

  test.each([
    { optimiser: 0, tied: true },
    { optimiser: 2, tied: false },
  ])("flow/update %o", async ({ optimiser, tied }) => {
    const clipNorm = !tied;
    const initial = stream.fillNormal(new Float32Array(replicas * (tied ? layer : count)), 1e6);
    const change = stream.fillNormal(new Float32Array(replicas * count), 2e6);
    const weights = stream.fillNormal(new Float32Array(replicas * count), 3e6);
    const moment = optimiser === 0 ? NONE : new Float32Array(replicas * count).fill(0.25);
    const normScale = Float32Array.from({ length: layers * replicas }, (_, i) => 1 / (i + 1));
    const run = (
      among: number,
      data: (all: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>,
      norms: Float32Array<ArrayBuffer>,
      own: readonly number[],
    ) =>
      runKernel(
        gpu,
        "flow/update",
        {
          ...{ OPTIMISER: optimiser, CLIP_NORM: clipNorm, TIED: tied, LAYER4: layer / 4, HALF4: unit / 8 },
          REPLICAS: among,
        },
        {
          ...{ partials: data(partials), initial: data(initial), norm_scale: norms, replicas: table },
          ...{ change: data(change), weights: data(weights) },
          ...(optimiser === 0 ? { moment1: NONE, moment2: NONE } : { moment1: data(moment), moment2: data(moment) }),
        },
        ["change", "weights"],
        {
          ...{ count4: (among * count) / 4, groups, first_replica: first },
          ...{ scale_w: own[1], scale_v: own[2], factor: 3, clip: 1, rate: own[0], decay: 0.1 },
          ...{ momentum: 0, beta1: 0.9, beta2: 0.99, epsilon: 0.1, correction1: 1, correction2: 1 },
        },
        [2],
      );
    const all = await run(replicas, (x) => x, normScale, [Number.NaN, Number.NaN, Number.NaN]);
    const alone: Record<string, Float32Array<ArrayBuffer>>[] = [];
    for (let r = 0; r < replicas; r++)
      alone.push(
        await run(
          1,
          (x) => of(x, r) as Float32Array<ArrayBuffer>,
          normScale.filter((_, i) => i % replicas === r),
          each[r],
        ),
      );
    for (const name of ["change", "weights"])
      compare(
        all[name],
        alone.map((one) => one[name]),
      );
  });

  test("flow/gradient", async () => {
    const run = (among: number, data: Float32Array<ArrayBuffer>, own: readonly number[]) =>
      runKernel(
        gpu,
        "flow/gradient",
        { REPLICAS: among },
        { partials: data, replicas: table, grad: poisoned(among * count) },
        ["grad"],
        {
          ...{ count4: (among * count) / 4, groups, layer4: layer / 4, unit4: unit / 4, half4: unit / 8 },
          ...{ scale_w: own[1], scale_v: own[2], first_replica: first },
        },
        [2],
      );
    const all = await run(replicas, partials, [Number.NaN, Number.NaN, Number.NaN]);
    const alone: Float32Array[] = [];
    for (let r = 0; r < replicas; r++)
      alone.push((await run(1, of(partials, r) as Float32Array<ArrayBuffer>, each[r])).grad);
    compare(all.grad, alone);
  });
});
