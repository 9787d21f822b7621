import { type EsdirkTableau, hermiteWeights } from "../method.ts";

/** Weights of the polynomial through the given nodes, at x (Lagrange). */
function lagrange(nodes: readonly number[], x: number): number[] {
  return nodes.map((node, j) =>
    nodes.reduce((product, other, i) => (i === j ? product : (product * (x - other)) / (node - other)), 1),
  );
}

// γ³ − 3γ² + 3γ/2 − 1/6 = 0: the value at which the method of order 3 is L-stable.
const G = 0.435866521508459;
const A3 = [(-4 * G * G + 6 * G - 1) / (4 * G), (1 - 2 * G) / (4 * G), G];
const A4 = [(6 * G - 1) / (12 * G), -1 / ((24 * G - 12) * G), (-6 * G * G + 6 * G - 1) / (6 * G - 3), G];

/** Kværnø 3(2) (BIT Numerical Mathematics 44, 2004): L-stable, the embedded method A-stable. */
export const KVAERNO3: EsdirkTableau = {
  kind: "esdirk",
  name: "kvaerno3",
  order: 3,
  gamma: G,
  a: [[], [G, G], A3, A4],
  b: A4,
  c: [0, 2 * G, 1, 1],
  error: A4.map((weight, s) => weight - (A3[s] ?? 0)),
  errorOrder: 2,
  predictor: [[], [1], lagrange([0, 2 * G], 1), [0, 0, 1]],
  dense: { order: 3, weights: hermiteWeights(A4, 0, 3) },
};

const C5 = [0, 0.52, 1.230333209967908, 0.8957659843500759, 0.43639360985864756, 1, 1];
const A6 = [0.13855640231268224, 0, -0.04245337201752043, 0.02446657898003141, 0.6194303907248068, 0.26];
const A7 = [
  0.1365975117764029, 0, -0.05496908796538376, -0.04118626728321046, 0.629933048990164, 0.06962479448202728, 0.26,
];

/** Kværnø 5(4) (BIT Numerical Mathematics 44, 2004): L-stable, the embedded method A-stable; a stage lies beyond the step. */
export const KVAERNO5: EsdirkTableau = {
  kind: "esdirk",
  name: "kvaerno5",
  order: 5,
  gamma: 0.26,
  a: [
    [],
    [0.26, 0.26],
    [0.13, 0.8403332099679081, 0.26],
    [0.22371961478320504, 0.476755323197997, -0.06470895363112615, 0.26],
    [0.16648564323248322, 0.1045001884159172, 0.03631482272098715, -0.13090704451073998, 0.26],
    A6,
    A7,
  ],
  b: A7,
  c: C5,
  error: A7.map((weight, s) => weight - (A6[s] ?? 0)),
  errorOrder: 4,
  predictor: [
    [],
    [1],
    lagrange(C5.slice(0, 2), C5[2]),
    lagrange(C5.slice(0, 3), C5[3]),
    lagrange(C5.slice(0, 3), C5[4]),
    lagrange(C5.slice(0, 3), C5[5]),
    [0, 0, 0, 0, 0, 1],
  ],
  dense: { order: 3, weights: hermiteWeights(A7, 0, 6) },
};
