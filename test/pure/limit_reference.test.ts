import { describe, expect, it } from "vitest";
import type { Basis, NeuralShape } from "../../src/config/neural.ts";
import { logLogSlope } from "../../src/experiment/statistics.ts";
import { RandomStream } from "../../src/model/random.ts";
import { EULER, RK4, type Tableau } from "../../src/ode/tableaus.ts";
import { type DepthFunction, depthDistance, inverseMass, projectFunction } from "../../src/plan/basis.ts";
import { type NeuralFlow, type NeuralWeights, neuralFlowStep } from "../../src/reference/neural_ode.ts";
import { neuralMesh } from "../support/neural_problem.ts";

const SHAPE: NeuralShape = { inputs: 2, width: 3, hidden: 4, outputs: 2, activation: "gelu", widthFactors: "paper" };
const ROWS = 5;
const TRAINED = { A: true, V: true, W: true, B: true };
const TIME_STEPS = 6;
const RATE = 0.1;

const draw = (label: string, size: number) => new RandomStream(3, label).fillNormal(new Float64Array(size));
const DATA = { n: ROWS, inputs: draw("x", 2 * ROWS), targets: draw("y", 2 * ROWS) };

/** Smooth initial functions of depth: a few random waves, an entry each. */
function smoothFunction(label: string, size: number) {
  const waves = draw(label, 3 * size);
  return (s: number) =>
    Float64Array.from(
      { length: size },
      (_, e) => 0.5 * (waves[e] + waves[size + e] * Math.sin(3 * s)) + 0.25 * waves[2 * size + e] * Math.cos(4 * s),
    );
}

/** Training to t = 0.6 from the same smooth initial functions and the same data, discretised over depth as asked. */
function train(basis: Basis, method: Tableau, steps: number): { V: DepthFunction; W: DepthFunction } {
  const { width, hidden, inputs, outputs } = SHAPE;
  const size = width * hidden;
  const weights: NeuralWeights = {
    A: draw("A", width * inputs),
    V: projectFunction(basis, size, smoothFunction("V", size)),
    W: projectFunction(basis, size, smoothFunction("W", size)),
    B: draw("B", outputs * width),
  };
  const flow: NeuralFlow = {
    shape: SHAPE,
    mesh: neuralMesh(basis, method, steps),
    inverseMass: inverseMass(basis),
    data: DATA,
    loss: "squared-norm",
    trained: TRAINED,
  };
  for (let step = 0; step < TIME_STEPS; step++) neuralFlowStep(flow, weights, RK4, RATE);
  return { V: { basis, coefficients: weights.V }, W: { basis, coefficients: weights.W } };
}

const stack = (depth: number) => train({ kind: "constant", count: depth }, EULER, depth);
const limit = (count: number, steps: number) => train({ kind: "chebyshev", count }, RK4, steps);

describe("the limiting training dynamics", () => {
  // Polynomials oscillate fastest at the ends, where neighbouring extrema of T_11 are 0.02 apart: the steps must resolve them.
  const reference = limit(12, 64);
  const depths = [4, 8, 16, 32];
  const stacks = depths.map(stack);

  it("is what residual networks converge to, at rate 1/L in depth", () => {
    for (const family of ["V", "W"] as const) {
      const distances = stacks.map((one) => depthDistance(one[family], reference[family]));
      const { slope } = logLogSlope(depths, distances);
      expect(Math.abs(slope + 1), family).toBeLessThan(0.15);
    }
  });

  it("is found by a few polynomials and steps of order 4, far closer than by as many layers", () => {
    const counts = [4, 6, 8, 10];
    const few = counts.map((count) => limit(count, 32));
    for (const family of ["V", "W"] as const) {
      const errors = few.map((one) => depthDistance(one[family], reference[family]));
      // Layers give 1/K; the initial functions are entire, and so is GELU: faster than any power, here than K^-3 from the start.
      for (let i = 1; i < errors.length; i++)
        expect(errors[i]).toBeLessThan(errors[i - 1] * (counts[i - 1] / counts[i]) ** 3);
      expect(errors[2]).toBeLessThan(depthDistance(stacks[1][family], reference[family]) / 30);
    }
  });
});
