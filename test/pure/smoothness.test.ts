import { describe, expect, test } from "vitest";
import { activationsAndInit } from "../../src/experiment/activations_and_init/activations_and_init.ts";
import { resolvedDepths } from "../../src/experiment/activations_and_init/config.ts";
import {
  joined,
  POWERS,
  smoothnessOf,
  stepsAlongDepth,
  variation,
  variationIndex,
} from "../../src/experiment/activations_and_init/smoothness.ts";
import { furtherDraw, logLogSlope } from "../../src/experiment/statistics.ts";
import { RandomStream } from "../../src/model/random.ts";

/** Exponents in L of the p-variations of a path that is drawn at several depths. */
function exponents(layer: (k: number, depth: number) => readonly number[]): number[] {
  const depths = [64, 128, 256, 512];
  const steps = depths.map((depth) => {
    const layers = Float32Array.from(Array.from({ length: depth }, (_, k) => layer(k, depth)).flat());
    return stepsAlongDepth(layers, new Float32Array(layers.length), depth);
  });
  return POWERS.map(
    (p) =>
      logLogSlope(
        depths,
        steps.map((each) => variation(each, p)),
      ).slope,
  );
}

describe("p-variation along depth", () => {
  const noise = new RandomStream(1, "noise");

  test("of a smooth function falls as 1 − p, and its index is 1", () => {
    const found = exponents((k, depth) => [Math.sin(3 * (k / depth)), Math.cos(k / depth)]);
    POWERS.forEach((p, i) => {
      expect(found[i]).toBeCloseTo(1 - p, 1);
    });
    expect(variationIndex(found)).toBeCloseTo(1, 1);
  });

  test("of a random walk has index 2, of independent layers none", () => {
    const walk = (k: number, depth: number) => {
      let at = 0;
      for (let i = 0; i <= k; i++) at += noise.normal(1000 * depth + i) / Math.sqrt(depth);
      return [at];
    };
    expect(variationIndex(exponents(walk))!).toBeGreaterThan(1.7);
    expect(variationIndex(exponents(walk))!).toBeLessThan(2.4);
    const independent = exponents((k, depth) =>
      Array.from({ length: 50 }, (_, i) => noise.normal(1e6 + 100 * (600 * depth + k) + i)),
    );
    expect(variationIndex(independent)).toBeNull();
  });

  test("of differences below the rounding of the weights", () => {
    const initial = new Float32Array(6).fill(1000);
    const change = Float32Array.of(0, 0, 3e-8, 4e-8, 0, 0);
    const steps = stepsAlongDepth(initial, change, 3);
    expect([...steps].map((step) => step / 5e-8)).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)]);
    expect(variation(steps, 2) / 5e-15).toBeCloseTo(1, 6);
  });
});

test("the rule", () => {
  expect(smoothnessOf(-1, [-1.05, -0.95])).toBe("smooth");
  expect(smoothnessOf(-0.95, [-1, -0.89])).toBe("smooth");
  expect(smoothnessOf(-1, [-1.6, -0.4])).toBe("undecided");
  expect(smoothnessOf(-0.85, [-0.88, -0.8])).toBe("undecided");
  expect(smoothnessOf(-0.3, [-0.7, 0.1])).toBe("rough");
  expect(smoothnessOf(-0.7, [-0.8, -0.6])).toBe("undecided");
  expect(smoothnessOf(-1, [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])).toBe("undecided");
  expect(joined(["smooth", "smooth"])).toBe("smooth");
  expect(joined(["smooth", "undecided"])).toBe("undecided");
  expect(joined(["undecided", "rough"])).toBe("rough");
});

test("a further draw: score and limit of the prediction interval", () => {
  // Draws 1, 2, 3: mean 2, s = 1, so a value of 4 lies 2 / √(4/3) away; t quantile of 2 degrees of freedom at 97.5 %.
  const { score, limit } = furtherDraw([1, 2, 3], 4);
  expect(score).toBeCloseTo(Math.sqrt(3), 12);
  expect(limit).toBeCloseTo(4.30265, 4);
  expect(() => furtherDraw([1], 2)).toThrow(RangeError);
  expect(() => furtherDraw([2, 2], 2)).toThrow(RangeError);
});

test("a smooth start counts from the depth on that resolves it", () => {
  const config = { ...activationsAndInit.presets.paper, depths: [16, 32, 64, 128] };
  const smooth = (kernelLength: number) => ({ name: "smooth", initialisation: "smooth", kernelLength }) as const;
  expect(resolvedDepths(config, smooth(0.25))).toEqual([16, 32, 64, 128]);
  expect(resolvedDepths(config, smooth(0.1))).toEqual([64, 128]);
  expect(resolvedDepths({ ...config, parametrisation: "paper" }, smooth(0.05))).toEqual([32, 64, 128]);
  expect(resolvedDepths(config, { name: "iid", initialisation: "iid" })).toEqual([16, 32, 64, 128]);
});
