import { describe, expect, test } from "vitest";
import { RandomStream } from "../../src/model/random.ts";
import { depthMean, depthPenalty, depthPenaltyGradient } from "../../src/reference/depth_penalty.ts";

const [depth, elements] = [5, 3];
const layers = new RandomStream(1, "layers").fillNormal(new Float64Array(depth * elements));

describe.each(["norm", "squared"] as const)("%s", (kind) => {
  test("the gradient agrees with central differences", () => {
    const gradient = depthPenaltyGradient(kind, 0.7, layers, depth);
    const h = 1e-5;
    for (let i = 0; i < layers.length; i++) {
      const at = (shift: number) => depthPenalty(kind, 0.7, layers.with(i, layers[i]! + shift), depth);
      // h² times a third derivative of order 1, and 2⁻⁵³/h.
      expect(Math.abs((at(h) - at(-h)) / (2 * h) - gradient[i]!)).toBeLessThan(1e-9);
    }
  });

  test("layers that are equal have neither penalty nor gradient", () => {
    const equal = Float64Array.from({ length: depth * elements }, (_, i) => layers[i % elements]!);
    expect(depthPenalty(kind, 0.7, equal, depth)).toBe(0);
    expect(depthPenaltyGradient(kind, 0.7, equal, depth).every((value) => value === 0)).toBe(true);
  });

  test("moving all layers alike changes nothing: the gradients of the layers cancel", () => {
    const gradient = depthPenaltyGradient(kind, 0.7, layers, depth);
    for (let i = 0; i < elements; i++) expect(depthMean(gradient, depth, i).value).toBeCloseTo(0, 14);
  });
});

test("by hand", () => {
  const two = Float64Array.of(1, 2, 4, 6);
  expect(depthPenalty("squared", 2, two, 2)).toBe(2 * 25);
  expect(depthPenalty("norm", 2, two, 2)).toBe(2 * 5);
  expect([...depthPenaltyGradient("squared", 2, two, 2)]).toEqual([-12, -16, 12, 16]);
  expect([...depthPenaltyGradient("norm", 2, two, 2)].map((value) => +value.toFixed(12))).toEqual([
    -1.2, -1.6, 1.2, 1.6,
  ]);
  expect(depthMean(two, 2, 1).value).toBe(4);
});
