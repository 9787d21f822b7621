import { describe, expect, test } from "vitest";
import { ACTIVATIONS, type Activation } from "../../src/config/dense.ts";
import { RandomStream } from "../../src/model/random.ts";
import { activation, activationDerivative } from "../../src/reference/activations.ts";
import { openTestDevice } from "../support/device.ts";
import { fixture, type TensorJson } from "../support/fixtures.ts";
import { poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();

/**
 * Absolute errors that shaders/common/activation.wgsl states with a margin of about 1.5 (its header has the measured
 * ones): of σ on |x| ≤ 12, of σ' everywhere. 0 means the same float32.
 */
const BOUNDS: Record<Activation, { value: number; derivative: number }> = {
  gelu: { value: 8e-7, derivative: 5e-7 },
  "gelu-tanh": { value: 1e-6, derivative: 4e-7 },
  relu: { value: 0, derivative: 0 },
  // One rounding of 0.01 and one of the product, of |x| ≤ 12.
  "leaky-relu": { value: 2e-8, derivative: 5e-10 },
  tanh: { value: 3e-7, derivative: 5e-7 },
  erf: { value: 3e-7, derivative: 6e-7 },
  softplus: { value: 1e-6, derivative: 2e-7 },
  silu: { value: 2e-6, derivative: 4e-7 },
  sin: { value: 2e-7, derivative: 2.5e-7 },
  identity: { value: 0, derivative: 0 },
};

/** σ and σ' at x, by a matrix product [n,1] · [1,1] whose epilogue applies them. */
async function evaluate(name: Activation, x: Float32Array<ArrayBuffer>) {
  const n = x.length;
  const params = {
    rows: n,
    columns: 1,
    inner: 1,
    a_row: 1,
    a_column: 1,
    b_row: 1,
    b_column: 1,
    y_row: 1,
    y_column: 1,
    a_at: 0,
    b_at: 0,
    y_at: 0,
    from_at: 0,
    ...{ a_layer: 0, b_layer: 0, y_layer: 0 },
    alpha: 1,
  };
  const ACTIVATION = ACTIVATIONS.indexOf(name);
  const run = (EPILOGUE: number) =>
    runKernel(
      gpu,
      "dense/matmul",
      { EPILOGUE, ACTIVATION },
      { a: x, b: Float32Array.of(1), y: poisoned(n), second: poisoned(n) },
      ["y", "second"],
      params,
      [1, Math.ceil(n / 16)],
    );
  const both = await run(2);
  const alone = await run(1);
  return { value: both.y, derivative: both.second, alone: alone.y };
}

/** n points: an even grid over ±limit, random ones, zeros of both signs and the smallest normal numbers. */
function points(limit: number, n: number, seed: number): Float32Array<ArrayBuffer> {
  const stream = new RandomStream(seed, "points");
  const x = Float32Array.from({ length: n }, (_, i) =>
    i % 2 === 0 ? limit * (-1 + (2 * i) / (n - 2)) : limit * (2 * stream.uniform(i) - 1),
  );
  x.set([0, -0, 1.2e-38, -1.2e-38, 1e-20, -1e-20, 1e-7, -1e-7], 0);
  return x;
}

function largestError(actual: Float32Array, expected: (i: number) => number, index: (i: number) => boolean): number {
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    if (!index(i)) continue;
    const error = Math.abs(actual[i] - expected(i));
    if (!(error <= largest)) largest = error; // also when it is NaN
  }
  return largest;
}

// One evaluation an activation: near ±12, wide ±1e4, and huge.
describe.each(ACTIVATIONS)("%s", (name) => {
  const near = points(12, 4000, 1);
  const wide = points(1e4, 2000, 2);
  const huge = Float32Array.from([1e5, 1e10, 1e20, 1e30, 3.1e18].flatMap((v) => [v, -v]));
  const x = new Float32Array(near.length + wide.length + huge.length);
  x.set(near);
  x.set(wide, near.length);
  x.set(huge, near.length + wide.length);
  const evaluated = evaluate(name, x);
  evaluated.catch(() => {}); // reported by the tests that await it

  test("value within its bound for |x| ≤ 12, sin for |x| ≤ 1e4", async () => {
    const { value } = await evaluated;
    const limit = name === "sin" ? 1e4 : 12;
    const error = largestError(
      value,
      (i) => activation(name, x[i]),
      (i) => Math.abs(x[i]) <= limit,
    );
    expect(error).toBeLessThanOrEqual(BOUNDS[name].value);
  });

  test("value within 4e-6 of its size beyond", async () => {
    const { value } = await evaluated;
    const limit = name === "sin" ? 1e4 : 1e31;
    for (let i = 0; i < x.length; i++) {
      const expected = activation(name, x[i]);
      // The lower tail of the builtin exp has a relative error of some 1e-5; below 1e-36 float32 underflows.
      if (Math.abs(x[i]) > 12 && Math.abs(x[i]) <= limit)
        expect(Math.abs(value[i] - expected)).toBeLessThanOrEqual(2e-6 + 4e-6 * Math.abs(expected));
    }
  });

  test("derivative within its bound everywhere", async () => {
    const { derivative } = await evaluated;
    const limit = name === "sin" ? 1e4 : 1e31;
    const error = largestError(
      derivative,
      (i) => activationDerivative(name, x[i]),
      (i) => Math.abs(x[i]) <= limit,
    );
    expect(error).toBeLessThanOrEqual(BOUNDS[name].derivative);
  });

  test("finite for |x| up to 1e30", async () => {
    const { value, derivative } = await evaluated;
    expect(value.every(Number.isFinite)).toBe(true);
    expect(derivative.every(Number.isFinite)).toBe(true);
  });

  test("the value alone is the pair's, within the bound (compilers may contract them differently)", async () => {
    const { value, alone } = await evaluated;
    expect(
      largestError(
        alone,
        (i) => value[i],
        (i) => Math.abs(value[i]) <= 12,
      ),
    ).toBeLessThanOrEqual(BOUNDS[name].value);
  });

  test("equals PyTorch's in float64", async () => {
    type Row = { value: TensorJson; derivative: TensorJson };
    const file = fixture<Record<string, TensorJson | Row>>("activations");
    const at = Float32Array.from((file.x as TensorJson).data);
    const { value, derivative } = await evaluate(name, at);
    const expected = file[name.replace("-", "_")] as Row;
    const keys = Object.keys(expected);
    const all = () => true;
    expect(keys).toHaveLength(2);
    const [y, dy] = keys.map((key) => (expected as unknown as Record<string, TensorJson>)[key]);
    const near = (i: number) => Math.abs(at[i]) <= 12;
    expect(largestError(value, (i) => y.data[i], near)).toBeLessThanOrEqual(BOUNDS[name].value);
    at.forEach((_, i) => {
      if (!near(i)) expect(Math.abs(value[i] - y.data[i])).toBeLessThanOrEqual(2e-6 + 4e-6 * Math.abs(y.data[i]));
    });
    expect(largestError(derivative, (i) => dy.data[i], all)).toBeLessThanOrEqual(BOUNDS[name].derivative);
  });
});
