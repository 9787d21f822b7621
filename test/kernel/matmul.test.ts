import { describe, expect, test } from "vitest";
import { ACTIVATIONS } from "../../src/config/dense.ts";
import { RandomStream } from "../../src/model/random.ts";
import { activation, activationDerivative } from "../../src/reference/activations.ts";
import { productElement } from "../../src/reference/sums.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON, POISON, poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const ACTIVATION = ACTIVATIONS.indexOf("tanh");
/** Errors of the shader's own tanh and of its derivative (test/kernel/activations.test.ts). */
const TANH_ERROR = 3e-7;
const TANH_DERIVATIVE_ERROR = 5e-7;

interface Case {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Stored by columns instead of rows. */
  readonly aTransposed?: boolean;
  readonly bTransposed?: boolean;
  readonly yTransposed?: boolean;
  /** Words before each operand and between its rows. */
  readonly offset?: number;
  readonly gap?: number;
  readonly epilogue?: 0 | 1 | 2 | 3 | 4;
  /** Side of an invocation's block, default 4. */
  readonly block?: 8;
}

// Defaults, every size of the block of 4 ± 1 and of the workgroup, primes, and pairs of the options.
const CASES: readonly Case[] = [
  ...[1, 2, 3, 4, 5, 7, 13, 15, 16, 17, 31, 32, 33].flatMap((size): Case[] => [
    { rows: size, columns: 5, inner: 6 },
    { rows: 6, columns: size, inner: 5, bTransposed: size % 2 === 0 },
    { rows: 5, columns: 6, inner: size, aTransposed: size % 2 === 1 },
  ]),
  { rows: 1, columns: 1, inner: 1 },
  { rows: 67, columns: 71, inner: 73, aTransposed: true, bTransposed: true, yTransposed: true },
  ...([0, 1, 2, 3, 4] as const).flatMap((epilogue): Case[] => [
    { rows: 7, columns: 9, inner: 11, epilogue },
    { rows: 17, columns: 3, inner: 8, epilogue, aTransposed: true, gap: 3 },
    { rows: 4, columns: 33, inner: 1, epilogue, bTransposed: true, offset: 5 },
    { rows: 9, columns: 8, inner: 29, epilogue, yTransposed: true, offset: 64, gap: 1 },
    { rows: 7, columns: 65, inner: 13, epilogue, block: 8, aTransposed: true, gap: 2 },
  ]),
  { rows: 8, columns: 8, inner: 3, block: 8 },
  { rows: 33, columns: 67, inner: 31, block: 8, bTransposed: true, offset: 3 },
  { rows: 41, columns: 9, inner: 17, block: 8, aTransposed: true, bTransposed: true, yTransposed: true },
];

/** A matrix inside a larger array of poison, and the function that finds its elements. */
function matrix(
  rows: number,
  columns: number,
  transposed: boolean,
  offset: number,
  gap: number,
  fill: (i: number) => number,
) {
  const [rowStride, columnStride] = transposed ? [1, rows + gap] : [columns + gap, 1];
  const at = (i: number, j: number) => offset + i * rowStride + j * columnStride;
  const data = poisoned(at(rows - 1, columns - 1) + 1 + offset);
  const owned = new Set<number>();
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      data[at(i, j)] = fill(i * columns + j);
      owned.add(at(i, j));
    }
  return {
    data,
    at,
    owned,
    rowStride,
    columnStride,
    strided: { data, at: offset, row: rowStride, column: columnStride },
  };
}

describe.each(CASES)("%o", (options) => {
  const { rows, columns, inner, offset = 0, gap = 0, epilogue = 0, block = 4 } = options;

  test("equals float64", async () => {
    const stream = new RandomStream(rows * 10_007 + columns * 101 + inner, "matmul");
    const normal = (first: number) => (i: number) => stream.normal(first + i);
    const a = matrix(rows, inner, options.aTransposed ?? false, offset, gap, normal(0));
    const b = matrix(inner, columns, options.bTransposed ?? false, offset, gap, normal(1e6));
    const accumulates = epilogue === 4;
    const y = matrix(
      rows,
      columns,
      options.yTransposed ?? false,
      offset,
      gap,
      accumulates ? normal(2e6) : () => POISON,
    );
    // `second` has the strides of y and no offset.
    const second = matrix(rows, columns, options.yTransposed ?? false, 0, gap, (i) =>
      epilogue === 3 ? stream.normal(3e6 + i) : epilogue === 4 ? 1e-8 * stream.normal(3e6 + i) : POISON,
    );
    const alpha = 0.75;
    const result = await runKernel(
      gpu,
      "dense/matmul",
      { EPILOGUE: epilogue, ...(epilogue !== 0 && { ACTIVATION }), BLOCK_M: block, BLOCK_N: block },
      { a: a.data, b: b.data, y: y.data, second: second.data },
      ["y", "second"],
      {
        rows,
        columns,
        inner,
        a_row: a.rowStride,
        a_column: a.columnStride,
        b_row: b.rowStride,
        b_column: b.columnStride,
        y_row: y.rowStride,
        y_column: y.columnStride,
        a_at: offset,
        b_at: offset,
        y_at: offset,
        from_at: offset,
        ...{ a_layer: 0, b_layer: 0, y_layer: 0 },
        alpha,
      },
      [Math.ceil(columns / (8 * block)), Math.ceil(rows / (4 * block))],
    );
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const { value: sum, size } = productElement(a.strided, b.strided, inner, i, j);
        const z = alpha * sum;
        // `inner` products and sums and one factor, each rounded once (Higham, Accuracy and Stability, 3.1).
        const sumError = alpha * size * EPSILON * (inner + 2);
        const before = second.data[second.at(i, j)];
        const got = result.y[y.at(i, j)];
        const after = result.second[second.at(i, j)];
        if (epilogue === 0) expect(Math.abs(got - z)).toBeLessThanOrEqual(sumError);
        if (epilogue === 1 || epilogue === 2)
          expect(Math.abs(got - activation("tanh", z))).toBeLessThanOrEqual(sumError + TANH_ERROR);
        if (epilogue === 2)
          // |tanh''| < 0.77
          expect(Math.abs(after - activationDerivative("tanh", z))).toBeLessThanOrEqual(
            0.77 * sumError + TANH_DERIVATIVE_ERROR,
          );
        if (epilogue === 3)
          expect(Math.abs(got - z * before)).toBeLessThanOrEqual(
            sumError * Math.abs(before) + 2 * EPSILON * Math.abs(z * before),
          );
        if (epilogue === 4) {
          const start = y.data[y.at(i, j)];
          // The pair (y, second) carries the sum with one rounding of the added change, none of the result.
          const exact = start + before + z;
          expect(Math.abs(got + after - exact)).toBeLessThanOrEqual(sumError + 2 * EPSILON * Math.abs(z + before));
          expect(Math.abs(after)).toBeLessThanOrEqual(1.01 * EPSILON * Math.abs(got));
        }
      }
    // Nothing but the elements of y and `second` is written.
    result.y.forEach((value, index) => {
      if (!y.owned.has(index)) expect(value).toBe(y.data[index]);
    });
    if (epilogue === 2 || epilogue === 4)
      result.second.forEach((value, index) => {
        if (!second.owned.has(index)) expect(value).toBe(second.data[index]);
      });
    else expect(result.second).toEqual(second.data);
  });
});

test("from_at and y_at may differ: one state to the next", async () => {
  const states = Float32Array.from([1, 2, 3, 4, POISON, POISON, POISON, POISON]);
  const { y } = await runKernel(
    gpu,
    "dense/matmul",
    { EPILOGUE: 4, ACTIVATION },
    { a: Float32Array.of(1, 2), b: Float32Array.of(10, 20), y: states, second: new Float32Array(4) },
    ["y"],
    {
      rows: 2,
      columns: 2,
      inner: 1,
      a_row: 1,
      a_column: 1,
      b_row: 1,
      b_column: 1,
      y_row: 2,
      y_column: 1,
      a_at: 0,
      b_at: 0,
      y_at: 4,
      from_at: 0,
      ...{ a_layer: 0, b_layer: 0, y_layer: 0 },
      alpha: 0.5,
    },
    [1, 1],
  );
  expect([...y]).toEqual([1, 2, 3, 4, 6, 12, 13, 24]);
});

test("several layers in one dispatch have the bits of one each", async () => {
  const [rows, columns, inner, layers] = [5, 7, 3, 4];
  const stream = new RandomStream(1, "layers");
  // The layers of a lie 20 floats apart, all share b, and those of y leave a gap of 2.
  const strides = { a_layer: 20, b_layer: 0, y_layer: rows * columns + 2 };
  const a = stream.fillNormal(new Float32Array(layers * strides.a_layer));
  const b = stream.fillNormal(new Float32Array(inner * columns), 1000);
  const params = {
    ...{ rows, columns, inner, a_row: inner, a_column: 1, b_row: columns, b_column: 1, y_row: columns, y_column: 1 },
    ...{ a_at: 0, b_at: 0, y_at: 1, from_at: 0, alpha: 0.5 },
  };
  const run = (more: typeof strides, a_at: number, y: Float32Array<ArrayBuffer>, z: number) =>
    runKernel(
      gpu,
      "dense/matmul",
      { EPILOGUE: 0 },
      { a, b, y, second: new Float32Array(4) },
      ["y"],
      { ...params, ...more, a_at },
      [1, 1, z],
    );
  const all = (await run(strides, 0, poisoned(layers * strides.y_layer), layers)).y;
  for (let layer = 0; layer < layers; layer++) {
    const { y } = await run(
      { a_layer: 0, b_layer: 0, y_layer: 0 },
      layer * strides.a_layer,
      poisoned(strides.y_layer),
      1,
    );
    expect(all.slice(layer * strides.y_layer, (layer + 1) * strides.y_layer)).toEqual(y);
  }
});
