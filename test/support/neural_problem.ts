import type { Loss } from "../../src/config/dense.ts";
import type { Basis, NeuralShape } from "../../src/config/neural.ts";
import { RandomStream } from "../../src/model/random.ts";
import type { Tableau } from "../../src/ode/tableaus.ts";
import { stageBasis } from "../../src/plan/basis.ts";
import type { DenseData } from "../../src/reference/dense.ts";
import type { NeuralMesh, NeuralWeights } from "../../src/reference/neural_ode.ts";

const SMALL: NeuralShape = {
  inputs: 2,
  width: 3,
  hidden: 5,
  outputs: 2,
  activation: "tanh",
  widthFactors: "paper",
};

/** A neural ODE with random coefficients and data; every number is a function of the seed. */
export function neuralProblem(
  basis: Basis,
  change: Partial<NeuralShape> = {},
  { rows = 4, loss = "squared-norm" as Loss, seed = 5 } = {},
) {
  const shape = { ...SMALL, ...change };
  const { inputs, width, hidden, outputs } = shape;
  const draw = (label: string, size: number) => new RandomStream(seed, label).fillNormal(new Float64Array(size));
  const layers = basis.count * width * hidden;
  const weights: NeuralWeights = {
    A: draw("A", width * inputs),
    V: draw("V", layers),
    W: draw("W", layers),
    B: draw("B", outputs * width),
  };
  const targets =
    loss === "cross-entropy"
      ? Uint32Array.from({ length: rows }, (_, i) => i % outputs)
      : draw("targets", rows * outputs);
  const data: DenseData = { n: rows, inputs: draw("inputs", rows * inputs), targets };
  return { shape, weights, data, loss };
}

export function neuralMesh(basis: Basis, tableau: Tableau, steps: number): NeuralMesh {
  return { steps, tableau, basis: stageBasis(basis, steps, tableau.c) };
}
