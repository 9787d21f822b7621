import { describe, expect, it } from "vitest";
import type { Activation, DenseShape } from "../../src/config/dense.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { RandomStream } from "../../src/model/random.ts";
import {
  type DenseData,
  type DenseTrained,
  type DenseWeights,
  denseForward,
  denseGradients,
  denseLoss,
  gradientFlowStep,
  stepNorms,
} from "../../src/reference/dense.ts";
import { relativeError } from "../support/compare.ts";
import { denseFixture, type FlowFixture, fixture } from "../support/fixtures.ts";

type TensorName = "X" | "Y" | "A" | "V" | "W" | "B";

const ONLY_V_AND_W: DenseTrained = { A: false, V: true, W: true, B: false };
const ALL: DenseTrained = { A: true, V: true, W: true, B: true };

function loadDense(name: string) {
  const { file: golden, shape, loss } = denseFixture(name);
  const { config } = golden;
  const of = (key: TensorName) => Float64Array.from(golden[key].data);
  const weights: DenseWeights = { A: of("A"), V: of("V"), W: of("W"), B: of("B") };
  const targets = loss === "cross-entropy" ? Uint32Array.from(golden.labels) : of("Y");
  const data: DenseData = { n: config.n, inputs: of("X"), targets };
  return { golden, shape, loss, weights, data };
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
}

function identity(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
}

function repeat(layer: Float64Array, times: number): Float64Array {
  return Float64Array.from({ length: layer.length * times }, (_, i) => layer[i % layer.length]);
}

const DENSE = [
  "dense_paper_gelu",
  "dense_code_gelu",
  "dense_paper_tanh_ce",
  "dense_sqrt_relu",
  "dense_odd_sizes_softplus",
] as const;

describe.each(DENSE)("%s", (name) => {
  const { golden, shape, loss, weights, data } = loadDense(name);

  it("gives PyTorch's float64 loss, output, states and gradients", () => {
    const result = denseGradients(shape, weights, data, loss);
    expect(Math.abs(result.loss / golden.loss - 1)).toBeLessThan(1e-12);
    for (const key of ["output", "states", "dA", "dV", "dW", "dB"] as const) {
      expect(relativeError(result[key], golden[key].data), key).toBeLessThan(1e-12);
    }
  });

  it("has gradients that finite differences of its loss confirm", () => {
    const { dA, dV, dW, dB } = denseGradients(shape, weights, data, loss);
    const gradients: DenseWeights = { A: dA, V: dV, W: dW, B: dB };
    const value = () =>
      denseLoss(loss, denseForward(shape, weights, data.inputs, data.n).output, data.targets, data.n, shape.outputs)
        .loss;
    const h = 1e-6;
    for (const group of ["A", "V", "W", "B"] as const) {
      const w = weights[group];
      const stride = Math.max(1, Math.floor(w.length / 7));
      for (let i = 0; i < w.length; i += stride) {
        const kept = w[i];
        w[i] = kept + h;
        const above = value();
        w[i] = kept - h;
        const below = value();
        w[i] = kept;
        // 2^-53 · loss (a few units, some hundred roundings) / h: 1e-8 is ten times what rounding can do.
        expect(Math.abs((above - below) / (2 * h) - gradients[group][i]), `${group}[${i}]`).toBeLessThan(1e-8);
      }
    }
  });

  it("loses energy as the flow says: dl/dt = -(|dA|² + L |dZ|² + |dB|²)", () => {
    const { dA, dV, dW, dB } = denseGradients(shape, weights, data, loss);
    const rate = -(norm(dA) ** 2 + shape.depth * (norm(dV) ** 2 + norm(dW) ** 2) + norm(dB) ** 2);
    const lossAfter = (eta: number) => {
      const moved = { A: weights.A.slice(), V: weights.V.slice(), W: weights.W.slice(), B: weights.B.slice() };
      gradientFlowStep(shape, moved, data, loss, eta, ALL);
      return denseGradients(shape, moved, data, loss).loss;
    };
    const eta = 1e-6;
    // Central difference in t; what is left is η²/6 of the third derivative.
    expect(Math.abs((lossAfter(eta) - lossAfter(-eta)) / (2 * eta) / rate - 1)).toBeLessThan(1e-6);
  });
});

describe.each(["flow_L8", "flow_L128"])("%s", (name) => {
  it("follows PyTorch's float64 gradient descent", () => {
    const golden = fixture<FlowFixture>(name);
    const { n, d, m, L, steps, lr } = golden.config;
    const shape: DenseShape = {
      inputs: d,
      width: d,
      hidden: m,
      outputs: d,
      depth: L,
      activation: "gelu",
      widthFactors: "code",
      beta: 1,
    };
    const W0 = Float64Array.from(golden.W0.data);
    const weights: DenseWeights = { A: identity(d), V: new Float64Array(L * d * m), W: repeat(W0, L), B: identity(d) };
    const data: DenseData = { n, inputs: golden.X.data, targets: golden.Y.data };
    // The deep case is cut short to keep the file within seconds.
    const count = L > 64 ? 8 : steps;
    for (let step = 0; step < count; step++) {
      const norms = stepNorms(weights.V, weights.W, shape);
      // The differences between layers are those of nearly equal numbers: an absolute floor of a few hundred roundings.
      expect(Math.abs(norms.V.max - golden.max_step_V[step])).toBeLessThan(1e-13 + 1e-10 * golden.max_step_V[step]);
      expect(Math.abs(norms.W.max - golden.max_step_W[step])).toBeLessThan(1e-13 + 1e-10 * golden.max_step_W[step]);
      const before = gradientFlowStep(shape, weights, data, "mean-square", lr, ONLY_V_AND_W);
      expect(Math.abs(before.loss / golden.losses[step] - 1)).toBeLessThan(1e-12);
    }
    expect(weights.A).toEqual(identity(d));
    if (count === steps) {
      expect(Math.abs(norm(weights.V) / golden.V_norm - 1)).toBeLessThan(1e-12);
      expect(Math.abs(norm(weights.W.map((w, i) => w - W0[i % W0.length])) / golden.W_change_norm - 1)).toBeLessThan(
        1e-12,
      );
      expect(relativeError(weights.V, golden.V!.data)).toBeLessThan(1e-12);
      expect(relativeError(weights.W, golden.W!.data)).toBeLessThan(1e-12);
    }
  });
});

describe("exact facts of the flow", () => {
  it.each(["gelu", "tanh", "relu", "sin"] as const)(
    "%s: from V = 0 and tied W the layers stay exactly equal for one step and differ after two",
    (activation) => {
      const shape: DenseShape = {
        inputs: 3,
        width: 5,
        hidden: 7,
        outputs: 2,
        depth: 9,
        activation,
        widthFactors: "paper",
        beta: 1,
      };
      const draw = (label: string, size: number) => new RandomStream(5, label).fillNormal(new Float64Array(size));
      const weights: DenseWeights = {
        A: draw("A", 15),
        V: new Float64Array(9 * 35),
        W: repeat(draw("W", 35), 9),
        B: draw("B", 10),
      };
      const data: DenseData = { n: 6, inputs: draw("x", 18), targets: draw("y", 12) };
      const W0 = weights.W.slice();
      const differences = () => {
        const { V, W } = stepNorms(weights.V, weights.W, shape);
        return [V.max, W.max];
      };
      expect(differences()).toEqual([0, 0]);
      const first = gradientFlowStep(shape, weights, data, "squared-norm", 0.01, ALL);
      expect(first.dW.every((g) => g === 0)).toBe(true);
      expect(norm(first.dV)).toBeGreaterThan(0);
      expect(differences()).toEqual([0, 0]);
      expect(weights.W).toEqual(W0);
      gradientFlowStep(shape, weights, data, "squared-norm", 0.01, ALL);
      expect(differences()[0]).toBeGreaterThan(0);
      expect(differences()[1]).toBeGreaterThan(0);
    },
  );

  // Marion et al. (ICLR 2024), appendix D: depth 2L, h += relu(w h) / (2L), loss (h_2L - C x)², w_k(0) = (-1)^k / (2L), k = 1..2L.
  function counterExample(activation: Activation, half: number) {
    const depth = 2 * half;
    const shape: DenseShape = {
      inputs: 1,
      width: 1,
      hidden: 1,
      outputs: 1,
      depth,
      activation,
      widthFactors: "code",
      beta: 1,
    };
    const one = () => Float64Array.of(1);
    const W = Float64Array.from({ length: depth }, (_, k) => (k % 2 === 1 ? 1 : -1) / depth);
    const weights: DenseWeights = { A: one(), V: new Float64Array(depth).fill(1), W, B: one() };
    const data: DenseData = { n: 1, inputs: one(), targets: Float64Array.of(2) };
    const trained = { A: false, V: false, W: true, B: false };
    for (let step = 0; step < 400; step++) gradientFlowStep(shape, weights, data, "squared-norm", 0.05, trained);
    return { W, max: stepNorms(weights.V, W, shape).W.max };
  }

  it.each([
    [4, 1.5136569],
    [16, 1.416761],
    [64, 1.3938286],
  ])("ReLU does not keep neighbouring layers close (L = %i): even weights reach 2L (2^(1/L) - 1)", (half, printed) => {
    const { W, max } = counterExample("relu", half);
    const limit = 2 * half * (2 ** (1 / half) - 1);
    expect(limit).toBeCloseTo(printed, 6);
    for (let k = 0; k < 2 * half; k++) {
      if (k % 2 === 0) expect(W[k]).toBe(-1 / (2 * half));
      else expect(Math.abs(W[k] - limit)).toBeLessThan(1e-12);
    }
    expect(max).toBeCloseTo(limit + 1 / (2 * half), 12);
  });

  it("GELU in the same set-up keeps L times the difference bounded", () => {
    // 2.07/L is where the float64 flow settles (own computation); the first factor shows that it is 1/L and not constant.
    const [shallow, deep] = [counterExample("gelu", 4).max, counterExample("gelu", 64).max];
    expect(shallow * 4).toBeGreaterThan(1.8);
    expect(shallow * 4).toBeLessThan(2.1);
    expect(deep * 64).toBeGreaterThan(2.0);
    expect(deep * 64).toBeLessThan(2.15);
  });
});

describe("denseLoss", () => {
  it("counts argmax hits, the first of equal outputs", () => {
    const output = Float64Array.of(1, 2, 0, 3, 3, 1, 0, 0, 5);
    expect(denseLoss("cross-entropy", output, [1, 0, 2], 3, 3).correct).toBe(3);
    expect(denseLoss("cross-entropy", output, [1, 1, 0], 3, 3).correct).toBe(1);
    expect(denseLoss("squared-norm", output, [0, 1, 0, 0, 1, 0, 0, 0, 1], 3, 3).correct).toBe(2);
  });

  it("does not overflow for large logits", () => {
    const { loss, gradOutput } = denseLoss("cross-entropy", Float64Array.of(2000, 0, -2000), [1], 1, 3);
    expect(loss).toBe(2000);
    expect([...gradOutput]).toEqual([1, -1, 0]);
  });

  it("refuses labels and lengths that do not fit", () => {
    expect(() => denseLoss("cross-entropy", new Float64Array(3), [3], 1, 3)).toThrow(ConfigError);
    expect(() => denseLoss("cross-entropy", new Float64Array(3), [0.5], 1, 3)).toThrow("targets[0]");
    expect(() => denseLoss("mean-square", new Float64Array(3), [1, 2], 1, 3)).toThrow("must hold 3 numbers, got 2");
  });
});

describe("stepNorms", () => {
  it("is zero at depth 1 and reports max, mean and sum of squares", () => {
    const base = {
      inputs: 1,
      width: 1,
      hidden: 2,
      outputs: 1,
      activation: "gelu",
      widthFactors: "code",
      beta: 1,
    } as const;
    const single = stepNorms(Float64Array.of(1, 2), Float64Array.of(3, 4), { ...base, depth: 1 });
    expect(single.V).toEqual({ max: 0, mean: 0, sumOfSquares: 0 });
    const three = stepNorms(Float64Array.of(0, 0, 3, 4, 3, 4), Float64Array.of(1, 0, 1, 0, 1, 2), {
      ...base,
      depth: 3,
    });
    expect(three.V).toEqual({ max: 5, mean: 2.5, sumOfSquares: 25 });
    expect(three.W).toEqual({ max: 2, mean: 1, sumOfSquares: 4 });
  });
});
