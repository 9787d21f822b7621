import { describe, expect, it } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { initialWeights, smoothCovariance } from "../../src/model/initialisation.ts";

function shapeOf(over: Partial<DenseShape>): DenseShape {
  return {
    inputs: 3,
    width: 5,
    hidden: 7,
    outputs: 2,
    depth: 4,
    activation: "gelu",
    widthFactors: "paper",
    beta: 1,
    ...over,
  };
}

describe("initialWeights", () => {
  it("has the paper's set-up as its default: V = 0, one W of standard normal entries, padded identities", () => {
    const shape = shapeOf({ width: 40, hidden: 60 });
    const { A, V, W, B, tied } = initialWeights({ shape, seed: 1, initialisation: "tied" });
    expect(tied).toBe(true);
    expect([A.length, V.length, W.length, B.length]).toEqual([120, 2400, 2400, 80]);
    A.forEach((a, i) => {
      expect(a).toBe(i < 9 && i % 4 === 0 ? 1 : 0); // (I_3; 0), [40, 3]
    });
    B.forEach((b, i) => {
      expect(b).toBe(i === 38 || i === 79 ? 1 : 0); // (0, I_2), [2, 40]
    });
    expect(V.every((v) => v === 0)).toBe(true);
    const variance = W.reduce((sum, w) => sum + w * w, 0) / W.length;
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / W.length));
  });

  it("draws the tied weights independently of depth, of the other tensors and of their scales", () => {
    const draw = (depth: number, outputScale: number, seed = 3) =>
      initialWeights({ shape: shapeOf({ depth }), seed, initialisation: "tied", outputScale, A: "normal" });
    const base = draw(2, 0.5);
    expect(draw(1000, 0.5)).toEqual(base);
    expect(draw(2, 0).W).toEqual(base.W);
    expect(draw(2, 0.5, 4).W).not.toEqual(base.W);
    // V and W are different streams: same length, different numbers.
    expect(base.V.map((v) => v * 2)).not.toEqual(base.W);
  });

  it("draws iid layers from (seed, layer, entry) alone", () => {
    const draw = (depth: number) =>
      initialWeights({ shape: shapeOf({ depth }), seed: 9, initialisation: "iid", outputScale: 1 });
    const [shallow, deep] = [draw(3), draw(50)];
    expect(deep.tied).toBe(false);
    expect(deep.W.slice(0, 105)).toEqual(shallow.W);
    expect(deep.V.slice(0, 105)).toEqual(shallow.V);
    expect(initialWeights({ shape: shapeOf({}), seed: 9, initialisation: "tied" }).W).toEqual(shallow.W.slice(0, 35));
    // Neighbouring layers are uncorrelated.
    let sum = 0;
    for (let i = 35; i < deep.W.length; i++) sum += deep.W[i] * deep.W[i - 35];
    expect(Math.abs(sum / (deep.W.length - 35))).toBeLessThan(5 / Math.sqrt(deep.W.length - 35));
  });

  it("scales V, W, A and B as asked", () => {
    const shape = shapeOf({ inputs: 50, width: 64, hidden: 80, outputs: 30 });
    const { A, V, W, B } = initialWeights({
      shape,
      seed: 2,
      initialisation: "iid",
      hiddenScale: 0.5,
      outputScale: 2,
      A: "normal",
      B: { std: 3 },
    });
    for (const [values, std] of [
      [A, 1 / 8],
      [V, 2],
      [W, 0.5],
      [B, 3],
    ] as const) {
      const variance = values.reduce((sum, w) => sum + w * w, 0) / values.length;
      expect(Math.abs(variance / std ** 2 - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
    }
  });

  it("refuses what it cannot do, by name", () => {
    const options = { shape: shapeOf({}), seed: 1, initialisation: "smooth" } as const;
    expect(() => initialWeights({ ...options, shape: shapeOf({ inputs: 6 }) })).toThrow(
      "width must be at least inputs = 6",
    );
    expect(() => initialWeights({ ...options, shape: shapeOf({ outputs: 8 }) })).toThrow(
      "width must be at least outputs = 8",
    );
    expect(() => initialWeights({ ...options, shape: shapeOf({ depth: 0 }) })).toThrow("shape.depth");
    expect(() => initialWeights({ ...options, kernelLength: 0.01 })).toThrow(
      "kernelLength must be in 0.02..10, got 0.01",
    );
    expect(() => initialWeights({ ...options, hiddenScale: -1 })).toThrow(ConfigError);
    expect(() => initialWeights({ ...options, B: { std: Number.NaN } })).toThrow("B.std");
    expect(() => initialWeights({ ...options, seed: -1 })).toThrow("seed");
  });
});

describe("smooth initialisation", () => {
  it.each([0.02, 0.05, 0.1, 0.37, 1, 3, 10])("length %f: the covariance is the Gaussian kernel to 1e-10", (length) => {
    for (let i = 0; i <= 200; i++) {
      const distance = i / 200;
      expect(
        Math.abs(smoothCovariance(distance, length) - Math.exp(-(distance ** 2) / (2 * length ** 2))),
      ).toBeLessThan(1e-10);
    }
  });

  it.each([0.02, 0.2, 1, 10])(
    "length %f: the drawn weights have that covariance, entry by entry independently",
    (length) => {
      const depth = 20;
      const shape = shapeOf({ width: 64, hidden: 64, depth });
      const { W } = initialWeights({ shape, seed: 6, initialisation: "smooth", kernelLength: length, hiddenScale: 2 });
      const count = 64 * 64;
      for (const [j, k] of [
        [0, 0],
        [19, 19],
        [4, 5],
        [4, 8],
        [0, 10],
        [0, 19],
      ]) {
        const exact = 4 * Math.exp(-(((j - k) / depth) ** 2) / (2 * length ** 2));
        let sum = 0;
        let shifted = 0;
        for (let i = 0; i < count; i++) {
          sum += W[j * count + i] * W[k * count + i];
          shifted += W[j * count + i] * W[k * count + ((i + 1) % count)];
        }
        // Five standard errors: the variance of a product is σ⁴ (1 + ρ²) <= 2 σ⁴.
        expect(Math.abs(sum / count - exact)).toBeLessThan(5 * 4 * Math.sqrt(2 / count));
        expect(Math.abs(shifted / count)).toBeLessThan(5 * 4 * Math.sqrt(2 / count));
      }
    },
  );

  it("samples the same functions of s = k/L at every depth, with differences of order 1/L", () => {
    const draw = (depth: number) =>
      initialWeights({
        shape: shapeOf({ depth }),
        seed: 11,
        initialisation: "smooth",
        kernelLength: 0.3,
        outputScale: 1,
      });
    const [shallow, deep] = [draw(8), draw(4096)];
    for (let k = 0; k < 8; k++) {
      for (let i = 0; i < 35; i++) {
        expect(deep.W[((k + 1) * 512 - 1) * 35 + i]).toBe(shallow.W[k * 35 + i]);
        expect(deep.V[((k + 1) * 512 - 1) * 35 + i]).toBe(shallow.V[k * 35 + i]);
      }
    }
    // The derivative of the process has standard deviation 1/l; the mean square difference of neighbours is (1 / (l L))².
    let sum = 0;
    for (let i = 35; i < deep.W.length; i++) sum += (deep.W[i] - deep.W[i - 35]) ** 2;
    const roughness = Math.sqrt(sum / (deep.W.length - 35)) * 4096 * 0.3;
    expect(roughness).toBeGreaterThan(0.7);
    expect(roughness).toBeLessThan(1.3);
  });

  it("reaches a depth of 65,536", () => {
    const shape = shapeOf({ width: 2, hidden: 3, inputs: 2, depth: 65_536 });
    const { W, tied } = initialWeights({ shape, seed: 1, initialisation: "smooth", kernelLength: 0.02 });
    expect(tied).toBe(false);
    expect(W.length).toBe(65_536 * 6);
    expect(W.every((w) => Math.abs(w) < 6)).toBe(true);
  });
});
