import { Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { features, spectrumOf, startKernel, tangentSpectrum } from "../../src/experiment/pl_condition/features.ts";
import {
  gaussHermite,
  hermiteCoefficients,
  lipschitzConstant,
  strongestCoefficient,
} from "../../src/experiment/pl_condition/hermite.ts";
import { theoremData, theoremShape } from "../../src/experiment/theorem_setting.ts";
import { RandomStream } from "../../src/model/random.ts";
import { denseGradients } from "../../src/reference/dense.ts";

describe("Hermite coefficients", () => {
  it("come from a rule that is exact for polynomials: moments 1, 0, 1, 0, 3, …, (2k − 1)!!", () => {
    const { nodes, weights } = gaussHermite(12);
    const moment = (power: number) => nodes.reduce((sum, x, i) => sum + weights[i]! * x ** power, 0);
    for (const [power, exact] of [
      [0, 1],
      [1, 0],
      [2, 1],
      [4, 3],
      [6, 15],
      [8, 105],
      [7, 0],
    ] as const)
      expect(moment(power)).toBeCloseTo(exact, 9);
  });

  it("agree with the values that were listed beforehand, to their five digits", () => {
    const tanh = hermiteCoefficients("tanh", 6);
    expect(tanh[1]).toBeCloseTo(0.60571, 5);
    expect(tanh[3]).toBeCloseTo(-0.14844, 5);
    expect(tanh[5]).toBeCloseTo(0.06255, 5);
    for (const r of [0, 2, 4, 6]) expect(Math.abs(tanh[r]!)).toBeLessThan(1e-12);
    const gelu = hermiteCoefficients("gelu", 4);
    for (const [r, value] of [0.28209, 0.5, 0.29921, 0, -0.07198].entries()) expect(gelu[r]).toBeCloseTo(value, 5);
  });

  it("agree with closed forms", () => {
    // σ = sin: η_r = e^{-1/2} (−1)^{(r−1)/2} / √(r!) for odd r. ReLU: 1/√(2π), 1/2, 1/(2√π), 0, −1/√(48π).
    const sine = hermiteCoefficients("sin", 5);
    for (const [r, value] of [0, 1, 0, -1 / Math.sqrt(6), 0, 1 / Math.sqrt(120)].entries())
      expect(sine[r]).toBeCloseTo(value * Math.exp(-0.5), 12);
    const relu = hermiteCoefficients("relu", 4);
    const exact = [1 / Math.sqrt(2 * Math.PI), 0.5, 1 / (2 * Math.sqrt(Math.PI)), 0, -1 / Math.sqrt(48 * Math.PI)];
    for (const [r, value] of exact.entries()) expect(Math.abs(relu[r]! - value)).toBeLessThan(2e-3);
  });

  it("pick the strongest beyond the linear one", () => {
    expect(strongestCoefficient("tanh", 9)).toEqual({ r: 3, eta: expect.closeTo(0.14844, 5) });
    expect(strongestCoefficient("gelu", 9).r).toBe(2);
    expect(lipschitzConstant("tanh")).toBe(1);
    expect(lipschitzConstant("erf")).toBeCloseTo(2 / Math.sqrt(Math.PI), 12);
  });
});

const sizes = { activation: "tanh", samples: 6, width: 4, hidden: 9 } as const;
const data = theoremData(sizes, 3);
const W = new RandomStream(3, "W").fillNormal(new Float32Array(sizes.hidden * sizes.width));
const sigma = features(sizes, W, data.inputs);

describe("features and the kernel at the start", () => {
  it("lie on the sphere of radius √q", () => {
    for (let i = 0; i < sizes.samples; i++)
      expect(Math.hypot(data.inputs[2 * i]!, data.inputs[2 * i + 1]!)).toBeCloseTo(2, 6);
  });

  it("give the singular values: the weakest direction attains the smallest", () => {
    const { smallest, largest, weakest } = spectrumOf(sigma);
    expect(
      Matrix.rowVector([...weakest])
        .mmul(sigma)
        .norm(),
    ).toBeCloseTo(smallest, 10);
    const squares = sigma.mmul(sigma.transpose());
    expect(largest ** 2).toBeLessThanOrEqual(squares.trace() + 1e-12);
    expect(6 * smallest ** 2).toBeLessThanOrEqual(squares.trace());
  });

  it("lose their rank with fewer units than samples", () => {
    const few = { ...sizes, hidden: 4 };
    const { smallest, largest } = spectrumOf(features(few, W, data.inputs));
    expect(smallest / largest).toBeLessThan(1e-14);
  });

  it("give the ratio for the weakest residual at weights of any kind, and none is below it", () => {
    const shape = theoremShape(sizes, 3);
    const normal = (length: number, stream: string) =>
      new RandomStream(5, stream).fillNormal(new Float64Array(length), 0, 0.5);
    const elements = 3 * sizes.width * sizes.hidden;
    const weights = { A: normal(8, "A"), V: normal(elements, "V"), W: normal(elements, "W"), B: normal(8, "B") };
    const { smallest, largest, weakest, output } = tangentSpectrum(shape, weights, data.inputs as Float32Array, 6);
    const ratioOf = (residual: readonly number[]) => {
      const targets = output.map((value, i) => value - residual[i]!);
      const { loss, dA, dB, dV, dW } = denseGradients(
        shape,
        weights,
        { n: 6, inputs: data.inputs, targets },
        "squared-norm",
      );
      const square = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
      return (square(dA) + square(dB) + 3 * (square(dV) + square(dW))) / loss;
    };
    expect(Math.abs(ratioOf(weakest) - smallest) / largest).toBeLessThan(1e-12);
    for (let i = 0; i < 5; i++) expect(ratioOf([...normal(12, `residual ${i}`)])).toBeGreaterThan(smallest);
  });

  it("predict the Polyak–Łojasiewicz ratio of the float64 gradient, at any depth", () => {
    const half = sizes.width / 2;
    for (const depth of [1, 3])
      for (const maps of [false, true]) {
        const shape = theoremShape(sizes, depth);
        const { smallest, largest, weakest } = startKernel(sigma, data.inputs, maps);
        const targets = Float64Array.from({ length: sizes.samples * half }, (_, i) =>
          i % half === 0 ? weakest[Math.floor(i / half)]! : 0,
        );
        const identity = (rows: number, columns: number, shift: number) =>
          Float64Array.from({ length: rows * columns }, (_, i) =>
            (i % columns) - shift === Math.floor(i / columns) ||
            (columns < rows && i % columns === Math.floor(i / columns))
              ? 1
              : 0,
          );
        const weights = {
          A: identity(sizes.width, half, 0),
          B: identity(half, sizes.width, half),
          V: new Float64Array(depth * sizes.width * sizes.hidden),
          W: Float64Array.from({ length: depth * W.length }, (_, i) => W[i % W.length]!),
        };
        const gradient = denseGradients(
          shape,
          weights,
          { n: sizes.samples, inputs: data.inputs, targets },
          "squared-norm",
        );
        const square = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
        const layers = depth * (square(gradient.dV) + square(gradient.dW));
        const ratio = (layers + (maps ? square(gradient.dA) + square(gradient.dB) : 0)) / gradient.loss;
        expect(Math.abs(ratio - smallest) / largest).toBeLessThan(1e-13);
        if (!maps) continue;
        // At the start F's outputs do not mix, and the whole Jacobian has the same eigenvalues.
        const whole = tangentSpectrum(shape, weights, data.inputs as Float32Array, sizes.samples);
        expect(Math.abs(whole.smallest - smallest) / largest).toBeLessThan(1e-13);
        expect(whole.largest).toBeCloseTo(largest, 10);
      }
  });
});
