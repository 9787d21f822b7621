import { describe, expect, test } from "vitest";
import { ACTIVATIONS } from "../../src/config/dense.ts";
import { RandomStream } from "../../src/model/random.ts";
import { DEFAULT_PROFILE } from "../../src/plan/device_profile.ts";
import {
  MATMUL_TILES,
  type MatmulShape,
  type MatmulVariant,
  matmulDispatch,
  planMatmul,
} from "../../src/plan/matmul.ts";
import { ceilTo } from "../../src/plan/rounding.ts";
import { activation, activationDerivative } from "../../src/reference/activations.ts";
import { productElement } from "../../src/reference/sums.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const ACTIVATION = ACTIVATIONS.indexOf("tanh");
/** Errors of the shader's own tanh and of its derivative (test/kernel/activations.test.ts). */
const TANH_ERROR = 3e-7;
const TANH_DERIVATIVE_ERROR = 5e-7;

type Epilogue = 0 | 1 | 2 | 3 | 4;
interface Pipeline {
  readonly variant: Exclude<MatmulVariant, "registers">;
  readonly aTransposed?: boolean;
  readonly bTransposed?: boolean;
  readonly epilogue: Epilogue;
  readonly layers?: number;
}

// Every tile, orientation and epilogue, but not their product: a pipeline takes SwiftShader 1 to 4 s (2026-11).
const PIPELINES: readonly Pipeline[] = [
  { variant: "small", bTransposed: true, epilogue: 1 },
  { variant: "small", epilogue: 4 },
  { variant: "small", aTransposed: true, epilogue: 0, layers: 3 },
  { variant: "small", aTransposed: true, bTransposed: true, epilogue: 2 },
  { variant: "medium", bTransposed: true, epilogue: 3 },
  { variant: "medium", aTransposed: true, epilogue: 0, layers: 2 },
  { variant: "medium-wide", epilogue: 4 },
  { variant: "medium-wide", bTransposed: true, epilogue: 2 },
  { variant: "large", bTransposed: true, epilogue: 0 },
  { variant: "large", aTransposed: true, epilogue: 4 },
];

/** Every pair of extents in any two dimensions: a Latin square. */
function extents({ TM, TN, TK }: { TM: number; TN: number; TK: number }) {
  const list = (tile: number) => [1, 7, tile - 1, tile, tile + 1];
  return [0, 1, 2, 3, 4].flatMap((i) =>
    [0, 1, 2, 3, 4].map((j) => ({
      rows: list(TM)[i],
      columns: list(TN)[j],
      inner: list(TK * (1 + (i % 2)))[(i + 2 * j) % 5],
    })),
  );
}

/** `layers` matrices of `lines` × `length`, as `transposed` stores them, in an array of poison. */
function matrices(layers: number, rows: number, columns: number, transposed: boolean, offset: number, gap: number) {
  const [lines, length] = transposed ? [columns, rows] : [rows, columns];
  const stride = ceilTo(length, 4) + gap;
  const layerFloats = lines * stride + gap;
  const data = poisoned(offset + layers * layerFloats);
  const strides = transposed ? { row: 1, column: stride } : { row: stride, column: 1 };
  const at = (layer: number, i: number, j: number) =>
    offset + layer * layerFloats + i * strides.row + j * strides.column;
  const fill = (value: (index: number) => number) => {
    for (let layer = 0; layer < layers; layer++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) data[at(layer, i, j)] = value((layer * rows + i) * columns + j);
  };
  const strided = (layer: number) => ({ data, at: at(layer, 0, 0), ...strides });
  return { data, at, fill, stride, layerFloats, strided };
}

async function check(pipeline: Pipeline, rows: number, columns: number, inner: number, twice: boolean): Promise<void> {
  const { variant, aTransposed = false, bTransposed = false, epilogue, layers = 1 } = pipeline;
  const stream = new RandomStream(rows * 10_007 + columns * 101 + inner, "matmul tiled");
  const normal = (first: number) => (i: number) => stream.normal(first + i);
  const a = matrices(layers, rows, inner, aTransposed, 8, 4);
  const b = matrices(layers, inner, columns, bTransposed, 4, 8);
  const y = matrices(layers, rows, columns, false, 12, 4);
  const second = matrices(1, rows, columns, false, 0, 4);
  a.fill(normal(0));
  b.fill(normal(1e6));
  if (epilogue === 4) y.fill(normal(2e6));
  if (epilogue >= 3) second.fill((i) => (epilogue === 4 ? 1e-8 : 1) * stream.normal(3e6 + i));
  const alpha = 0.75;
  const shape: MatmulShape = {
    ...{ rows, columns, inner, layers, aTransposed, bTransposed },
    ...{ aStride: a.stride, bStride: b.stride, yStride: y.stride },
  };
  const plan = planMatmul(shape, DEFAULT_PROFILE, variant);
  const dispatch = matmulDispatch(plan, {
    ...{ aAt: 8, bAt: 4, yAt: 12, fromAt: 12, alpha },
    ...{ aLayer: a.layerFloats, bLayer: b.layerFloats, yLayer: y.layerFloats },
  });
  const constants = {
    ...plan.kernel.constants,
    EPILOGUE: epilogue,
    ...((epilogue === 1 || epilogue === 2) && { ACTIVATION }),
  };
  const bindings = { a: a.data, b: b.data, y: y.data, second: second.data };
  const run = () =>
    runKernel(gpu, plan.kernel.name, constants, bindings, ["y", "second"], dispatch.params, dispatch.grid);
  const result = await run();

  // Largest error as a multiple of its bound.
  let worst = 0;
  const compare = (got: number, expected: number, bound: number) => {
    const ratio = Math.abs(got - expected) / bound;
    if (!(ratio <= worst)) worst = ratio;
  };
  const expectedY = Float32Array.from(y.data);
  const expectedSecond = Float32Array.from(second.data);
  for (let layer = 0; layer < layers; layer++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const { value, size } = productElement(a.strided(layer), b.strided(layer), inner, i, j);
        const z = alpha * value;
        // `inner` products and sums and one factor, each rounded once (Higham, Accuracy and Stability, 3.1).
        const sumError = alpha * size * EPSILON * (inner + 2);
        const [to, at] = [y.at(layer, i, j), second.at(0, i, j)];
        const [got, after, before] = [result.y[to], result.second[at], second.data[at]];
        if (epilogue === 0) compare(got, z, sumError);
        if (epilogue === 1 || epilogue === 2) compare(got, activation("tanh", z), sumError + TANH_ERROR);
        // |tanh''| < 0.77
        if (epilogue === 2) compare(after, activationDerivative("tanh", z), 0.77 * sumError + TANH_DERIVATIVE_ERROR);
        if (epilogue === 3)
          compare(got, z * before, sumError * Math.abs(before) + 2 * EPSILON * Math.abs(z * before) + Number.MIN_VALUE);
        if (epilogue === 4) {
          // The pair (y, second) carries the sum with one rounding of the added change, none of the result.
          compare(got + after, y.data[to] + before + z, sumError + 2 * EPSILON * Math.abs(z + before));
          compare(after, 0, 1.01 * EPSILON * Math.abs(got));
        }
        expectedY[to] = got;
        if (epilogue === 2 || epilogue === 4) expectedSecond[at] = after;
      }
  expect(worst).toBeLessThanOrEqual(1);
  // Nothing but the elements of y and `second` is written.
  expect(result.y).toEqual(expectedY);
  expect(result.second).toEqual(expectedSecond);
  if (twice) expect(await run()).toEqual(result);
}

describe.each(PIPELINES)("%o", (pipeline) => {
  test("equals float64 at every pair of extents; a part of several tiles twice with the same bits", async () => {
    const { TM, TN, TK } = MATMUL_TILES[pipeline.variant];
    for (const { rows, columns, inner } of extents({ TM, TN, TK }))
      await check(pipeline, rows, columns, inner, rows > TM && columns > TN);
  });
});
