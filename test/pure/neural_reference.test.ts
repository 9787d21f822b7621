import { describe, expect, it } from "vitest";
import { LOSSES } from "../../src/config/dense.ts";
import { type Basis, NEURAL_METHODS } from "../../src/config/neural.ts";
import { DOPRI5, DOPRI8, EULER, HEUN, METHODS, RK4, TSIT5 } from "../../src/ode/tableaus.ts";
import { inverseMass } from "../../src/plan/basis.ts";
import { denseGradients, denseLoss, gradientFlowStep } from "../../src/reference/dense.ts";
import {
  type NeuralFlow,
  type NeuralWeights,
  neuralDirections,
  neuralFlowStep,
  neuralForward,
  neuralGradients,
} from "../../src/reference/neural_ode.ts";
import { relativeError } from "../support/compare.ts";
import { neuralMesh, neuralProblem } from "../support/neural_problem.ts";

const KEYS = ["A", "V", "W", "B"] as const;
const ALL = { A: true, V: true, W: true, B: true };

const copy = ({ A, V, W, B }: NeuralWeights): NeuralWeights => ({
  A: A.slice(),
  V: V.slice(),
  W: W.slice(),
  B: B.slice(),
});

describe("a residual network is Euler's method with cells for layers", () => {
  it.each(["paper", "code"] as const)("forward pass and gradients, width factors %s", (widthFactors) => {
    const basis: Basis = { kind: "constant", count: 12 };
    const { shape, weights, data } = neuralProblem(basis, { widthFactors, activation: "gelu" });
    const mesh = neuralMesh(basis, EULER, 12);
    const dense = { ...shape, depth: 12, beta: 1 };
    const ours = neuralGradients(shape, weights, mesh, data, "squared-norm");
    const theirs = denseGradients(dense, weights, data, "squared-norm");
    expect(Math.abs(ours.loss / theirs.loss - 1)).toBeLessThan(1e-14);
    for (const key of ["states", "output", "dA", "dV", "dW", "dB"] as const)
      expect(relativeError(ours[key], theirs[key]), key).toBeLessThan(1e-14);

    const flow: NeuralFlow = {
      shape,
      mesh,
      inverseMass: inverseMass(basis),
      data,
      loss: "squared-norm",
      trained: { ...ALL, A: false },
    };
    const moved = copy(weights);
    const before = neuralFlowStep(flow, moved, EULER, 0.1);
    gradientFlowStep(dense, weights, data, "squared-norm", 0.1, flow.trained);
    expect(before).toBe(ours.loss);
    for (const key of KEYS) expect(relativeError(moved[key], weights[key]), key).toBeLessThan(1e-14);
  });
});

describe("y' = w(s) y with w linear between knots (G4)", () => {
  it("has value y_0 exp(trapz w) and derivatives y h, half of it at the ends", () => {
    const knots = 6;
    const basis: Basis = { kind: "linear", count: knots };
    const { shape, data } = neuralProblem(
      basis,
      { inputs: 1, width: 1, hidden: 1, outputs: 1, activation: "identity" },
      { rows: 1 },
    );
    const V = Float64Array.of(0.3, -1.2, 0.8, 2.1, -0.4, 1.7);
    const one = () => Float64Array.of(1);
    const weights: NeuralWeights = { A: one(), V, W: new Float64Array(knots).fill(1), B: one() };
    const h = 1 / (knots - 1);
    const integral = V.reduce((sum, w, i) => sum + w * (i === 0 || i === knots - 1 ? h / 2 : h), 0);
    const expected = data.inputs[0] * Math.exp(integral);
    // With two steps between knots the method of order 8 is within 1e-10; four divide that by 2^8.
    const gradients = neuralGradients(shape, weights, neuralMesh(basis, DOPRI8, 20), data, "squared-norm");
    expect(Math.abs(gradients.output[0] / expected - 1)).toBeLessThan(1e-12);
    const residual = 2 * (gradients.output[0] - data.targets[0]);
    for (let i = 0; i < knots; i++) {
      const share = i === 0 || i === knots - 1 ? h / 2 : h;
      expect(Math.abs(gradients.dV[i] / (residual * expected * share) - 1), `knot ${i}`).toBeLessThan(1e-11);
    }
  });
});

describe("gradients", () => {
  const cases = [
    { basis: { kind: "constant", count: 3 } as const, tableau: HEUN, steps: 6, loss: "squared-norm" as const },
    // Steps that straddle cells.
    { basis: { kind: "constant", count: 4 } as const, tableau: RK4, steps: 3, loss: "mean-square" as const },
    { basis: { kind: "linear", count: 4 } as const, tableau: TSIT5, steps: 2, loss: "cross-entropy" as const },
    { basis: { kind: "chebyshev", count: 4 } as const, tableau: RK4, steps: 3, loss: "squared-norm" as const },
    { basis: { kind: "fourier", count: 3 } as const, tableau: DOPRI5, steps: 2, loss: "mean-square" as const },
  ];
  it("cover every loss", () => expect(new Set(cases.map(({ loss }) => loss)).size).toBe(LOSSES.length));

  it.each(cases)(
    "of $basis.kind weights by $tableau.name: finite differences agree",
    ({ basis, tableau, steps, loss }) => {
      const { shape, weights, data } = neuralProblem(basis, {}, { loss });
      const mesh = neuralMesh(basis, tableau, steps);
      const { dA, dV, dW, dB, dInputs } = neuralGradients(shape, weights, mesh, data, loss);
      const value = () =>
        denseLoss(loss, neuralForward(shape, weights, mesh, data).output, data.targets, data.n, shape.outputs).loss;
      const h = 1e-5;
      const inputs = data.inputs as Float64Array;
      const pairs = [
        [weights.A, dA],
        [weights.V, dV],
        [weights.W, dW],
        [weights.B, dB],
        [inputs, dInputs],
      ] as const;
      for (const [at, gradient] of pairs)
        for (let i = 0; i < at.length; i++) {
          const kept = at[i];
          at[i] = kept + h;
          const above = value();
          at[i] = kept - h;
          const below = value();
          at[i] = kept;
          // h² of the third derivative (hundreds, where outputs are tens), and rounding 2^-53 · loss / h.
          expect(Math.abs((above - below) / (2 * h) - gradient[i])).toBeLessThan(1e-7 * (1 + Math.abs(gradient[i])));
        }
    },
  );
});

describe("order of convergence in the number of steps", () => {
  const outputs = (basis: Basis, method: (typeof NEURAL_METHODS)[number], steps: number) => {
    const { shape, weights, data } = neuralProblem(basis);
    const halved = (values: Float64Array) => values.map((value) => value / 2);
    const mild = { ...weights, V: halved(weights.V), W: halved(weights.W) };
    return neuralForward(shape, mild, neuralMesh(basis, METHODS[method], steps), data).output;
  };
  const observed = (basis: Basis, method: (typeof NEURAL_METHODS)[number], few: number) => {
    const fine = outputs(basis, "dopri8", 192);
    const [coarse, finer] = [few, 2 * few].map((steps) => relativeError(outputs(basis, method, steps), fine));
    return Math.log2(coarse / finer);
  };
  const hasOrder = (slope: number, order: number) => {
    // Terms of higher order fall faster, and steepen a slope between meshes that are not yet fine.
    expect(slope).toBeGreaterThan(order - 0.25);
    expect(slope).toBeLessThan(order + 0.6);
  };

  it.each(NEURAL_METHODS)("%s has its order with smooth weights", (method) => {
    const { order } = METHODS[method];
    hasOrder(observed({ kind: "chebyshev", count: 3 }, method, order >= 7 ? 16 : 32), order);
  });

  it("is kept by weights with jumps and kinks, where steps end there", () => {
    hasOrder(observed({ kind: "constant", count: 4 }, "rk4", 16), 4);
    hasOrder(observed({ kind: "constant", count: 4 }, "dopri5", 16), 5);
    hasOrder(observed({ kind: "linear", count: 5 }, "rk4", 16), 4);
  });

  it("is lost where steps straddle jumps", () => {
    expect(observed({ kind: "constant", count: 5 }, "rk4", 16)).toBeLessThan(2.5);
  });
});

describe("the flow of the coefficients", () => {
  const basis: Basis = { kind: "chebyshev", count: 4 };
  const { shape, weights, data, loss } = neuralProblem(basis);
  const flow: NeuralFlow = {
    shape,
    mesh: neuralMesh(basis, RK4, 4),
    inverseMass: inverseMass(basis),
    data,
    loss,
    trained: ALL,
  };

  it("loses energy as the gradient in L² says: dℓ/dt = −(‖∂ℓ/∂A‖² + ∫‖∂ℓ/∂Z‖² ds + ‖∂ℓ/∂B‖²)", () => {
    const { energyRate } = neuralDirections(flow, weights);
    const lossAfter = (eta: number) => {
      const moved = copy(weights);
      neuralFlowStep(flow, moved, EULER, eta);
      return neuralDirections(flow, moved).loss;
    };
    const eta = 1e-7;
    // Central difference in t: η² of the third derivative, and rounding 2^-53 · loss / (η · rate), both far below 1e-6.
    expect(Math.abs((lossAfter(eta) - lossAfter(-eta)) / (2 * eta) / -energyRate - 1)).toBeLessThan(1e-6);
  });

  it("does not depend on the basis of the same functions", () => {
    // Straight lines are spanned by two hats and by T_0, T_1: f = (c_0 + c_1 (2s − 1)) has end values c_0 ∓ c_1.
    const polynomial: Basis = { kind: "chebyshev", count: 2 };
    const hats: Basis = { kind: "linear", count: 2 };
    const problem = neuralProblem(polynomial);
    const toHats = (coefficients: Float64Array) => {
      const size = coefficients.length / 2;
      return Float64Array.from(
        coefficients,
        (_, i) => coefficients[i % size] + (i < size ? -1 : 1) * coefficients[size + (i % size)],
      );
    };
    const { shape, data, loss } = problem;
    const moved = [polynomial, hats].map((basis) => {
      const start = copy(problem.weights);
      if (basis === hats) Object.assign(start, { V: toHats(start.V), W: toHats(start.W) });
      const mesh = neuralMesh(basis, RK4, 3);
      const inverse = inverseMass(basis);
      neuralFlowStep({ shape, mesh, inverseMass: inverse, data, loss, trained: ALL }, start, HEUN, 0.05);
      return start;
    });
    expect(relativeError(toHats(moved[0].V), moved[1].V)).toBeLessThan(1e-13);
    expect(relativeError(toHats(moved[0].W), moved[1].W)).toBeLessThan(1e-13);
    expect(relativeError(moved[0].A, moved[1].A)).toBeLessThan(1e-13);
  });

  it("leaves alone what is not trained", () => {
    const moved = copy(weights);
    neuralFlowStep({ ...flow, trained: { A: false, V: false, W: true, B: false } }, moved, RK4, 0.1);
    expect([moved.A, moved.V, moved.B]).toEqual([weights.A, weights.V, weights.B]);
    expect(moved.W).not.toEqual(weights.W);
  });
});

it("refuses arrays that do not fit", () => {
  const basis: Basis = { kind: "chebyshev", count: 3 };
  const { shape, weights, data } = neuralProblem(basis);
  const mesh = neuralMesh(basis, RK4, 2);
  expect(() => neuralForward(shape, { ...weights, V: weights.V.slice(1) }, mesh, data)).toThrow(
    "V must hold 45 numbers",
  );
  expect(() => neuralForward(shape, weights, { ...mesh, basis: mesh.basis.slice(1) }, data)).toThrow("multiple of 8");
});
