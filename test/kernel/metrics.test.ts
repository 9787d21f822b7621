import { describe, expect, test } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { packLayers } from "../../src/model/dense_stack.ts";
import { RandomStream } from "../../src/model/random.ts";
import { stepNorms } from "../../src/reference/dense.ts";
import { errorSquare, normScale as normScaleOf, type Stages, stageSum } from "../../src/reference/flow.ts";
import { matchedLayers, squaredDistance } from "../../src/reference/metrics.ts";
import { sizedSum } from "../../src/reference/sums.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
type Floats = Float32Array<ArrayBuffer>;
const normal = (label: string, length: number): Floats =>
  new RandomStream(11, label).fillNormal(new Float32Array(length));

/** A stack's initial value and change: W [L,m,q], V [L,q,m] in float64, and both packed by unit. */
function layers(label: string, depth: number, width: number, hidden: number, tied: boolean, size: number) {
  const shape = { depth, width, hidden } as DenseShape;
  const elements = width * hidden;
  const start = tied ? 1 : depth;
  const half = 4 * Math.ceil(width / 4);
  const [w0, v0] = [normal(`${label} W`, start * elements), normal(`${label} V`, start * elements)];
  const [dw, dv] = [normal(`${label} dW`, depth * elements), normal(`${label} dV`, depth * elements)].map((x) =>
    x.map((value) => size * value),
  );
  const whole = (base: Floats, moved: Floats) =>
    Float64Array.from({ length: depth * elements }, (_, i) => base[i % base.length] + moved[i]);
  return {
    shape,
    initial: packLayers(shape, start, half, w0, v0),
    change: packLayers(shape, depth, half, dw, dv),
    W: whole(w0, dw),
    V: whole(v0, dv),
    elements,
    unit: 2 * half,
  };
}

const expectClose = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(relative * Math.abs(expected) + 1e-37);

describe("metric/depth_difference and metric/summary", () => {
  // Tied with tiny changes is the case of the paper: the differences are far below the rounding of the weights.
  test.each([
    { depth: 1, width: 4, hidden: 2, tied: true, size: 1, lanes: 32 },
    { depth: 2, width: 3, hidden: 5, tied: true, size: 1e-7, lanes: 1 },
    { depth: 33, width: 5, hidden: 3, tied: true, size: 1e-7, lanes: 32 },
    { depth: 33, width: 9, hidden: 3, tied: true, size: 1e-7, lanes: 8 },
    { depth: 33, width: 16, hidden: 17, tied: false, size: 1, lanes: 32 },
    { depth: 71, width: 16, hidden: 17, tied: false, size: 1, lanes: 1 },
  ])("%o", async ({ depth, width, hidden, tied, size, lanes }) => {
    const stack = layers("stack", depth, width, hidden, tied, size);
    const layer = stack.unit * hidden;
    const { y } = await runKernel(
      gpu,
      "metric/depth_difference",
      { LANES: lanes, TIED: tied, HALF4: stack.unit / 8 },
      { initial: stack.initial, change: stack.change, y: poisoned(4 * depth) },
      ["y"],
      { depth, layer4: layer / 4 },
      // Fewer workgroups than layers need, so that they stride.
      [Math.min(Math.ceil((depth * lanes) / 32), lanes === 1 ? 2 : 7)],
    );
    // A squared norm of `layer` terms: roundings of a vec4 of terms, the sum of an invocation and that of the invocations.
    const relative = EPSILON * (layer / 4 / lanes + lanes + 16);
    const square = (z: Float64Array, k: number, j?: number) =>
      squaredDistance(z, k, stack.elements, j === undefined ? undefined : { z, j });
    for (let k = 0; k < depth; k++) {
      const last = k === depth - 1;
      // Untied differences round at the size of the initial values, which is that of the differences here.
      const differenceRelative = relative + 8 * EPSILON;
      if (last) expect([...y.slice(4 * k, 4 * k + 2)]).toEqual([0, 0]);
      else {
        // float64 weights lose 1e-9 of changes of 1e-7.
        expectClose(y[4 * k], square(stack.W, k, k + 1), differenceRelative + (size < 1 ? 1e-8 : 0));
        expectClose(y[4 * k + 1], square(stack.V, k, k + 1), differenceRelative + (size < 1 ? 1e-8 : 0));
      }
      expectClose(y[4 * k + 2], square(stack.W, k), relative);
      expectClose(y[4 * k + 3], square(stack.V, k), relative);
    }
    const { y: summary } = await runKernel(
      gpu,
      "metric/summary",
      {},
      { x: y, y: poisoned(4 * 5) },
      ["y"],
      { count: depth, at: 1 },
      [1],
    );
    const norms = stepNorms(stack.V, stack.W, stack.shape);
    const sumRelative = relative + EPSILON * (depth + 8) + 1e-8;
    const [top, total, squares] = [4, 8, 12].map((at) => summary.slice(at, at + 4));
    for (const [component, expected] of [
      [0, norms.W],
      [1, norms.V],
    ] as const) {
      expectClose(top[component], expected.max, sumRelative);
      expectClose(total[component], expected.mean * (depth - 1), sumRelative);
      expectClose(squares[component], expected.sumOfSquares, sumRelative);
    }
    // The rest of y is untouched.
    expect([...summary.slice(0, 4), ...summary.slice(16)]).toEqual([...poisoned(8)]);
  });

  test("tied layers that did not move differ by exactly nothing", async () => {
    const stack = layers("stack", 4, 6, 5, true, 0);
    const { y } = await runKernel(
      gpu,
      "metric/depth_difference",
      { TIED: true, HALF4: stack.unit / 8 },
      { initial: stack.initial, change: stack.change, y: poisoned(16) },
      ["y"],
      { depth: 4, layer4: (stack.unit * 5) / 4 },
      [4],
    );
    for (let k = 0; k < 4; k++) expect([...y.slice(4 * k, 4 * k + 2)]).toEqual([0, 0]);
  });
});

describe("metric/depth_distance", () => {
  const pairs = [
    [1, 1],
    [1, 5],
    [2, 8],
    [5, 17],
    [7, 7],
    [16, 3],
    [13, 64],
  ] as const;
  test.each(
    ([0, 1] as const).flatMap((indexing) => pairs.map(([depth, reference]) => ({ indexing, depth, reference }))),
  )("%o", async ({ indexing, depth, reference }) => {
    const [width, hidden] = [6, 7];
    const stack = layers("stack", depth, width, hidden, true, 0.1);
    const other = layers("reference", reference, width, hidden, depth % 2 === 0, 0.1);
    const layer = stack.unit * hidden;
    const count = indexing === 0 ? reference : depth;
    const lanes = count % 2 === 0 ? 1 : 32;
    const { y } = await runKernel(
      gpu,
      "metric/depth_distance",
      { INDEXING: indexing, LANES: lanes, HALF4: stack.unit / 8 },
      {
        initial: stack.initial,
        change: stack.change,
        reference_initial: other.initial,
        reference_change: other.change,
        y: poisoned(4 * count),
      },
      ["y"],
      {
        depth,
        reference_depth: reference,
        layer4: layer / 4,
        initial_layer4: stack.initial.length === layer ? 0 : layer / 4,
        reference_initial_layer4: other.initial.length === layer ? 0 : layer / 4,
      },
      [lanes === 1 ? 1 : Math.min(count, 5)],
    );
    const relative = EPSILON * (layer / 4 / lanes + lanes + 24);
    for (let i = 0; i < count; i++) {
      const { k, j } = matchedLayers(indexing === 0 ? "interpolation" : "code", depth, reference, i);
      const distance = (a: Float64Array, z: Float64Array) => squaredDistance(a, k, stack.elements, { z, j });
      expectClose(y[4 * i], distance(stack.W, other.W), relative);
      expectClose(y[4 * i + 1], distance(stack.V, other.V), relative);
      expect([y[4 * i + 2], y[4 * i + 3]]).toEqual([0, 0]);
    }
  });
});

test.each([0, 1, 31, 32, 33, 1000])("metric/sum of %d pairs", async (count) => {
  const x = normal("sum", 2 * Math.max(1, count));
  const { y } = await runKernel(gpu, "metric/sum", {}, { x, y: poisoned(6) }, ["y"], { count, at: 1 }, [1]);
  for (const part of [0, 1]) {
    const { value: sum, size } = sizedSum(count, (i) => x[2 * i + part]);
    expect(Math.abs(y[2 + part] - sum)).toBeLessThanOrEqual(EPSILON * (count / 32 + 33) * size);
  }
  expect([y[0], y[1], y[4], y[5]]).toEqual([...poisoned(4)]);
});

test.each([4, 124, 128, 132, 4000])("metric/sum_squares of %d numbers", async (count) => {
  const x = normal("squares", count);
  const groups = 3;
  const { partial } = await runKernel(
    gpu,
    "metric/sum_squares",
    {},
    { x, partial: poisoned(2 * (groups + 2)) },
    ["partial"],
    { count4: count / 4, layer4: count / 4, at: 1, stride: 0, factor: 2.5 },
    [groups],
  );
  const total = [0, 1, 2].reduce((sum, g) => sum + partial[2 + 2 * g], 0);
  expectClose(total, 2.5 * x.reduce((sum, value) => sum + value * value, 0), EPSILON * (count / 384 + 40));
  expect([0, 1, 2].map((g) => partial[3 + 2 * g])).toEqual([0, 0, 0]);
  expect([partial[0], partial[1], partial[8], partial[9]]).toEqual([...poisoned(4)]);
});

test.each([
  [32, 5],
  [8, 9],
  [1, 70],
])("flow/norm_scale projects each layer on the ball, %d invocations a layer", async (lanes, layerCount) => {
  const [layer, at] = [4 * 37, 2];
  const gradient = normal("gradient", layerCount * layer).map((value, i) => value * 10 ** -(Math.floor(i / layer) % 5));
  gradient.fill(0, 4 * layer, 5 * layer); // a layer with gradient zero keeps scale 1
  const { y } = await runKernel(
    gpu,
    "flow/norm_scale",
    { LANES: lanes },
    { gradient, y: poisoned(layerCount + 4) },
    ["y"],
    { layers: layerCount, layer4: layer / 4, at, factor: 3, bound: 2 },
    [2],
  );
  for (let k = 0; k < layerCount; k++) {
    expectClose(y[at + k], normScaleOf(gradient, k, layer, 3, 2), EPSILON * ((layer / 4 / lanes + lanes) / 2 + 12));
  }
  expect(y[at]).toBeLessThan(1);
  expect(y[at + 4]).toBe(1);
  expect([...y.slice(0, at), ...y.slice(at + layerCount)]).toEqual([...poisoned(4)]);
});

describe.each([false, true])("Runge–Kutta stages, norm clip %s", (clipNorm) => {
  const [layerCount, layer, stages, stride] = [3, 4 * 11, 7, 4 * 40];
  const count = layerCount * layer;
  const base = normal("base", count);
  const gradients = normal("gradients", stages * stride);
  const normScale = Float32Array.from({ length: stages * layerCount }, (_, i) => 1 / (1 + (i % 4)));
  const initial = normal("initial", layer);
  const [factor, clip] = [3, 4];
  const coefficients = [0.1, -0.2, 0.3, 0.05, -0.07, 0.11, 0.13];
  const stageSet: Stages = {
    gradients,
    stride,
    layer,
    layers: layerCount,
    factor,
    clip,
    ...(clipNorm && { normScale }),
  };
  const shared = { count4: count / 4, stride4: stride / 4, layer4: layer / 4, layers: layerCount, factor, clip };

  test.each([1, 2, 4, 7])("flow/combine of %d stages", async (used) => {
    const { change, weights } = await runKernel(
      gpu,
      "flow/combine",
      { CLIP_NORM: clipNorm },
      { base, gradients, norm_scale: normScale, initial, change: poisoned(count), weights: poisoned(count) },
      ["change", "weights"],
      {
        ...shared,
        initial4: layer / 4,
        stages: used,
        ...Object.fromEntries(coefficients.map((c, s) => [`c${s}`, c])),
      },
      [1],
    );
    for (let i = 0; i < count; i++) {
      const sum = stageSum(stageSet, coefficients.slice(0, used), i);
      expect(Math.abs(change[i] - (base[i] + sum.value))).toBeLessThanOrEqual(
        EPSILON * (used + 5) * (Math.abs(base[i]) + sum.size),
      );
      expect(weights[i]).toBe(Math.fround(initial[i % layer] + change[i]));
    }
  });

  test("flow/stage_error of 4 stages", async () => {
    const change = normal("change", count);
    const [atol, rtol, groups, at] = [1e-3, 1e-2, 2, 1];
    const { partial } = await runKernel(
      gpu,
      "flow/stage_error",
      { CLIP_NORM: clipNorm },
      { base, change, gradients, norm_scale: normScale, partial: poisoned(2 * (groups + 2)) },
      ["partial"],
      { ...shared, stages: 4, at, atol, rtol, ...Object.fromEntries(coefficients.map((d, s) => [`d${s}`, d])) },
      [groups],
    );
    let expected = 0;
    let size = 0; // the sum with every cancellation within e undone
    for (let i = 0; i < count; i++) {
      const square = errorSquare(stageSum(stageSet, coefficients.slice(0, 4), i), base[i], change[i], atol, rtol);
      expected += square.value;
      size += square.size;
    }
    const total = partial[2] + partial[4];
    expect(Math.abs(total - expected)).toBeLessThanOrEqual(EPSILON * 60 * size);
    expect([partial[0], partial[1], partial[3], partial[5], partial[6], partial[7]]).toEqual([
      ...poisoned(2),
      0,
      0,
      ...poisoned(2),
    ]);
  });
});

describe("several replicas in one dispatch have the bits of one each", () => {
  const [replicas, depth, width, hidden] = [3, 37, 5, 3];

  test.each([
    { tied: true, lanes: 1 },
    { tied: false, lanes: 8 },
  ])("metric/depth_difference and metric/summary %o", async ({ tied, lanes }) => {
    const stacks = Array.from({ length: replicas }, (_, r) => layers(`replica ${r}`, depth, width, hidden, tied, 0.1));
    const layer = stacks[0].unit * hidden;
    /** [layers, replicas, layer] */
    const together = (parts: readonly Floats[]) => {
      const out = new Float32Array(replicas * parts[0].length);
      parts.forEach((part, r) => {
        for (let k = 0; k < part.length / layer; k++)
          out.set(part.subarray(k * layer, (k + 1) * layer), (k * replicas + r) * layer);
      });
      return out;
    };
    const run = async (among: number, initial: Floats, change: Floats) => {
      const { y } = await runKernel(
        gpu,
        "metric/depth_difference",
        { LANES: lanes, TIED: tied, HALF4: stacks[0].unit / 8, REPLICAS: among },
        { initial, change, y: poisoned(4 * among * depth) },
        ["y"],
        { depth, layer4: layer / 4 },
        [2],
      );
      const params = { count: depth, at: 1 };
      const into = poisoned(4 * (1 + 3 * among));
      const summary = await runKernel(gpu, "metric/summary", {}, { x: y, y: into }, ["y"], params, [among]);
      return { y, summary: summary.y.slice(4) };
    };
    const all = await run(replicas, together(stacks.map((s) => s.initial)), together(stacks.map((s) => s.change)));
    for (const [r, { initial, change }] of stacks.entries()) {
      const alone = await run(1, initial, change);
      expect(all.y.slice(4 * r * depth, 4 * (r + 1) * depth)).toEqual(alone.y);
      expect(all.summary.slice(12 * r, 12 * (r + 1))).toEqual(alone.summary);
    }
  });

  test("metric/sum_squares and metric/sum", async () => {
    const [layer, blocks, groups, at, stride] = [12, 29, 2, 1, 4];
    const x = normal("replicas", replicas * blocks * layer);
    const run = async (among: number, data: Floats) => {
      const { partial } = await runKernel(
        gpu,
        "metric/sum_squares",
        { REPLICAS: among },
        { x: data, partial: new Float32Array(2 * among * stride) },
        ["partial"],
        { count4: (blocks * layer) / 4, layer4: layer / 4, at, stride, factor: 2.5 },
        [groups, among],
      );
      const params = { count: stride, at: 2 };
      const into = poisoned(2 * (2 + among));
      return (await runKernel(gpu, "metric/sum", {}, { x: partial, y: into }, ["y"], params, [among])).y.slice(4);
    };
    const all = await run(replicas, x);
    for (let r = 0; r < replicas; r++) {
      const own = x.filter((_, i) => Math.floor(i / layer) % replicas === r);
      const sum = await run(1, own);
      expect(all.slice(2 * r, 2 * r + 2)).toEqual(sum);
      const exact = 2.5 * own.reduce((total, value) => total + value * value, 0);
      expectClose(sum[0], exact, EPSILON * (own.length / 4 + 40));
    }
  });
});
