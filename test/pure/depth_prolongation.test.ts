import { expect, test } from "vitest";
import { depthDistance } from "../../src/experiment/prolongation/training.ts";
import { PROLONGATIONS, prolongLayers, prolongWeights } from "../../src/model/depth_prolongation.ts";

/** Samples of a function with two entries in the middles of L layers. */
const sampled = (depth: number, f: (s: number) => [number, number]) =>
  Float64Array.from(Array.from({ length: depth }, (_, k) => f((k + 0.5) / depth)).flat());

const maxStep = (layers: Float64Array, elements: number) => {
  let largest = 0;
  for (let i = elements; i < layers.length; i += elements) {
    let squares = 0;
    for (let j = i; j < i + elements; j++) squares += (layers[j]! - layers[j - elements]!) ** 2;
    largest = Math.max(largest, Math.sqrt(squares));
  }
  return largest;
};

test("the same depth changes nothing", () => {
  const layers = sampled(5, (s) => [Math.sin(7 * s), s * s]);
  for (const method of PROLONGATIONS) expect(prolongLayers(layers, 5, 5, method)).toEqual(layers);
});

test("constant repeats layer ⌊kL/L'⌋, also where L' is no multiple of L", () => {
  expect([...prolongLayers(Float32Array.of(1, 2, 3), 3, 6, "constant")]).toEqual([1, 1, 2, 2, 3, 3]);
  expect([...prolongLayers(Float32Array.of(1, 2, 3), 3, 4, "constant")]).toEqual([1, 1, 2, 3]);
  expect([...prolongLayers(Float32Array.of(1, 2, 3, 4), 4, 2, "constant")]).toEqual([1, 3]);
});

test("linear weighs the neighbours 3/4 and 1/4 when the depth doubles, and keeps the ends", () => {
  expect([...prolongLayers(Float32Array.of(0, 4, 16), 3, 6, "linear")]).toEqual([0, 1, 3, 7, 13, 16]);
  expect([...prolongLayers(Float32Array.of(5), 1, 3, "linear")]).toEqual([5, 5, 5]);
});

test("linear reproduces linear functions between the first and the last middle", () => {
  const line = (s: number): [number, number] => [2 - 3 * s, 0.5 * s];
  const [from, to] = [7, 23];
  const prolonged = prolongLayers(sampled(from, line), from, to, "linear");
  for (let k = 0; k < to; k++) {
    const s = (k + 0.5) / to;
    if (s < 0.5 / from || s > 1 - 0.5 / from) continue;
    expect(prolonged[2 * k]).toBeCloseTo(line(s)[0], 12);
    expect(prolonged[2 * k + 1]).toBeCloseTo(line(s)[1], 12);
  }
});

test("doubling the depth keeps the largest step (constant) or at least halves it (linear)", () => {
  const layers = sampled(9, (s) => [Math.cos(11 * s), Math.sin(40 * s)]);
  const before = maxStep(layers, 2);
  expect(maxStep(prolongLayers(layers, 9, 18, "constant"), 2)).toBe(before);
  expect(maxStep(prolongLayers(layers, 9, 18, "linear"), 2)).toBeLessThanOrEqual(before / 2 + 1e-15);
});

test("both methods converge to the function: O(1/L), and O(1/L²) away from the ends", () => {
  const f = (s: number): [number, number] => [Math.sin(3 * s), Math.exp(-s)];
  const fine = 960;
  const target = sampled(fine, f);
  const errors = PROLONGATIONS.map((method) =>
    [10, 20, 40].map((depth) => {
      const prolonged = prolongLayers(sampled(depth, f), depth, fine, method);
      // The middle half of the layers.
      return depthDistance(prolonged.slice(fine / 2, (3 * fine) / 2), target.slice(fine / 2, (3 * fine) / 2), fine / 2)
        .sup;
    }),
  );
  for (const [i, order] of [1, 2].entries())
    for (const j of [0, 1]) {
      const rate = Math.log2(errors[i]![j]! / errors[i]![j + 1]!);
      expect(rate).toBeGreaterThan(order - 0.15);
      expect(rate).toBeLessThan(order + 0.15);
    }
});

test("weights keep A and B and are no longer tied; a depth that does not fit is an error that names it", () => {
  const weights = {
    A: Float32Array.of(1),
    B: Float32Array.of(2),
    V: Float32Array.of(1, 3),
    W: Float32Array.of(5, 7),
  };
  const prolonged = prolongWeights(weights, { depth: 2 }, 4, "linear");
  expect(prolonged).toEqual({
    A: weights.A,
    B: weights.B,
    V: Float32Array.of(1, 1.5, 2.5, 3),
    W: Float32Array.of(5, 5.5, 6.5, 7),
    tied: false,
  });
  expect(() => prolongWeights(weights, { depth: 2 }, 0, "linear")).toThrow(/newDepth must be a whole number >= 1/);
  expect(() => prolongLayers(weights.V, 3, 6, "constant")).toThrow(/layers must hold a multiple of depth = 3/);
});
