import { describe, expect, it } from "vitest";
import { convShapeSchema, PAPER_CONV_SHAPE } from "../../src/config/conv.ts";
import {
  type ConvolutionSize,
  convBackwardFlops,
  convBytes,
  convForwardFlops,
  convolutionDataGradientWork,
  convolutionWeightGradientWork,
  convolutionWork,
} from "../../src/plan/conv_work.ts";

describe("work of a convolution", () => {
  const c: ConvolutionSize = { n: 2, channelsIn: 3, channelsOut: 5, kernel: 3, pixelsIn: 49, pixelsOut: 16 };

  it("is a multiply-add for each tap of each output", () => {
    const products = 2 * 16 * 5 * 3 * 9;
    expect(convolutionWork(c, false).flops).toBe(2 * products);
    expect(convolutionWork(c, true).flops).toBe(2 * products + 2 * 16 * 5);
    expect(convolutionDataGradientWork(c).flops).toBe(2 * products);
    expect(convolutionWeightGradientWork(c, true).flops).toBe(2 * products + 2 * 16 * 5);
    expect(convolutionWork(c, true).sequential).toBe(27);
    expect(convolutionDataGradientWork(c).sequential).toBe(45);
  });

  it("moves each tensor once", () => {
    const floats = 2 * 3 * 49 + 2 * 5 * 16 + 5 * 3 * 9;
    expect(convolutionWork(c, false).bytes).toBe(4 * floats);
    expect(convolutionWork(c, true).bytes).toBe(4 * (floats + 5));
    expect(convolutionWeightGradientWork(c, true).bytes).toBe(4 * (floats + 5));
  });
});

describe("work of the paper's network", () => {
  const one = convForwardFlops(PAPER_CONV_SHAPE, 1);

  it("is 118 million multiply-adds of its layers for an image, and little else", () => {
    const products = 256 * 2 * 16 * 16 * 9 * 100;
    expect(products).toBe(117_964_800);
    expect(one.total).toBe(256 * one.layer + one.ends);
    expect(one.total / (2 * products)).toBeGreaterThan(1);
    expect(one.total / (2 * products)).toBeLessThan(1.06);
    // Data and weight gradients: twice as many, without those of the images.
    const backward = convBackwardFlops(PAPER_CONV_SHAPE, 1);
    expect(backward.total / one.total).toBeGreaterThan(1.9);
    expect(backward.total / one.total).toBeLessThan(2.1);
  });

  it("grows with the batch, and without normalisation is less", () => {
    expect(convForwardFlops(PAPER_CONV_SHAPE, 64).total).toBe(64 * one.total);
    const plain = convShapeSchema.parse({ ...PAPER_CONV_SHAPE, normalisation: { kind: "none" } });
    expect(one.layer - convForwardFlops(plain, 1).layer).toBe(2 * 8 * 1600);
    expect(convBackwardFlops(PAPER_CONV_SHAPE, 1).layer - convBackwardFlops(plain, 1).layer).toBe(2 * 10 * 1600);
  });

  it("keeps weights, momenta and running moments", () => {
    expect(convBytes(PAPER_CONV_SHAPE, 64)).toEqual({
      parameters: 4 * 2 * 1_206_106,
      state: 4 * 64 * 1600,
      running: 4 * 2 * 16 * (1 + 512),
    });
  });
});
