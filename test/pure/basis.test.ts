import { describe, expect, it } from "vitest";
import type { Basis } from "../../src/config/neural.ts";
import { DOPRI5, EULER, HEUN, RK4 } from "../../src/ode/tableaus.ts";
import {
  basisMatrix,
  depthDistance,
  depthNorm,
  evaluateDepth,
  gaussLegendre,
  inverseMass,
  massMatrix,
  projectDepth,
  projectFunction,
  projectionMatrix,
  solveMass,
  stageBasis,
  unitCoefficients,
} from "../../src/plan/basis.ts";
import { relativeError } from "../support/compare.ts";

const BASES: Basis[] = [
  { kind: "constant", count: 1 },
  { kind: "constant", count: 7 },
  { kind: "linear", count: 2 },
  { kind: "linear", count: 6 },
  { kind: "chebyshev", count: 1 },
  { kind: "chebyshev", count: 2 },
  { kind: "chebyshev", count: 12 },
  { kind: "fourier", count: 1 },
  { kind: "fourier", count: 9 },
];
const name = ({ kind, count }: Basis) => `${kind} ${count}`;

/** Some numbers without a pattern, the same at every call. */
function numbers(count: number, seed = 1): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));
}

describe.each(BASES.map((basis) => ({ basis, name: name(basis) })))("$name", ({ basis }) => {
  const { count } = basis;

  it("has the mass matrix that quadrature gives, and its inverse", () => {
    const mass = massMatrix(basis);
    const expected = new Float64Array(count * count);
    // Two hundred and ten cells: kinks of 7 cells and of 5 intervals stand at their ends, and 12 points are plenty within one.
    const cells = 210;
    const { nodes, weights } = gaussLegendre(12);
    const times = Float64Array.from({ length: cells * 12 }, (_, at) => (Math.floor(at / 12) + nodes[at % 12]) / cells);
    const phi = basisMatrix(basis, times);
    for (let at = 0; at < times.length; at++)
      for (let i = 0; i < count; i++)
        for (let j = 0; j < count; j++)
          expected[i * count + j] += (weights[at % 12] / cells) * phi[at * count + i] * phi[at * count + j];
    for (let at = 0; at < mass.length; at++) expect(Math.abs(mass[at] - expected[at])).toBeLessThan(1e-13);
    const product = new Float64Array(count * count);
    const inverse = inverseMass(basis);
    for (let i = 0; i < count; i++)
      for (let j = 0; j < count; j++)
        for (let k = 0; k < count; k++) product[i * count + j] += mass[i * count + k] * inverse[k * count + j];
    for (let at = 0; at < product.length; at++)
      expect(Math.abs(product[at] - (at % (count + 1) === 0 ? 1 : 0))).toBeLessThan(1e-12);
  });

  it("represents the constant 1, and projects its own functions onto themselves", () => {
    const times = [0, 0.1, 1 / 3, 0.5, 0.999, 1];
    const one = evaluateDepth({ basis, coefficients: unitCoefficients(basis) }, times);
    for (const value of one) expect(Math.abs(value - 1)).toBeLessThan(1e-15);
    const coefficients = numbers(3 * count);
    expect(relativeError(projectDepth({ basis, coefficients }, basis), coefficients)).toBeLessThan(1e-12);
  });

  it("has the norm that the mass matrix gives, and evaluation is Φ times coefficients", () => {
    const coefficients = numbers(2 * count);
    const mass = massMatrix(basis);
    let square = 0;
    for (let i = 0; i < count; i++)
      for (let j = 0; j < count; j++)
        for (let e = 0; e < 2; e++) square += mass[i * count + j] * coefficients[2 * i + e] * coefficients[2 * j + e];
    expect(Math.abs(depthNorm({ basis, coefficients }) / Math.sqrt(square) - 1)).toBeLessThan(1e-12);
    const times = [0.05, 0.31, 0.77];
    const phi = basisMatrix(basis, times);
    const values = evaluateDepth({ basis, coefficients }, times);
    for (let i = 0; i < 3; i++)
      for (let e = 0; e < 2; e++) {
        let sum = 0;
        for (let j = 0; j < count; j++) sum += phi[i * count + j] * coefficients[2 * j + e];
        expect(Math.abs(values[2 * i + e] - sum)).toBeLessThan(1e-14);
      }
  });

  it("has a projection matrix that is M⁻¹Φᵀ", () => {
    const times = [0.02, 0.4, 0.41, 0.93];
    const projection = projectionMatrix(basis, times);
    const phi = basisMatrix(basis, times);
    const mass = massMatrix(basis);
    for (let i = 0; i < count; i++)
      for (let t = 0; t < 4; t++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += mass[i * count + k] * projection[k * 4 + t];
        expect(Math.abs(sum - phi[t * count + i])).toBeLessThan(1e-13);
      }
  });
});

describe("cells at the stages of a step", () => {
  it("belong to the step: with as many steps as cells, step n sees cell n at every stage", () => {
    const basis: Basis = { kind: "constant", count: 49 };
    for (const { c, b } of [EULER, HEUN, RK4, DOPRI5]) {
      const phi = stageBasis(basis, 49, c);
      for (let n = 0; n < 49; n++)
        for (let s = 0; s < b.length; s++)
          for (let j = 0; j < 49; j++) expect(phi[(n * b.length + s) * 49 + j]).toBe(j === n ? 1 : 0);
    }
  });

  it("with three steps a cell, each cell has three; with a step over two cells, the jump within takes the right one", () => {
    const cells = (count: number, steps: number) => {
      const phi = stageBasis({ kind: "constant", count }, steps, RK4.c);
      return Array.from({ length: steps * 4 }, (_, at) => phi.subarray(at * count, (at + 1) * count).indexOf(1));
    };
    expect(cells(2, 6)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(cells(4, 2)).toEqual([0, 1, 1, 1, 2, 3, 3, 3]);
  });

  it("without the step, a time on a jump takes the cell to its right, and 1 the last", () => {
    const phi = basisMatrix({ kind: "constant", count: 3 }, [0, 1 / 3, 2 / 3, 1]);
    expect([...phi]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]);
  });
});

describe("functions of depth", () => {
  const smooth = (s: number) => [Math.exp(s), Math.cos(3 * s)];

  it("a smooth function is projected with errors that fall as the theory says", () => {
    const error = (basis: Basis) => {
      const coefficients = projectFunction(basis, 2, smooth);
      const fine: Basis = { kind: "chebyshev", count: 30 };
      return depthDistance({ basis, coefficients }, { basis: fine, coefficients: projectFunction(fine, 2, smooth) });
    };
    const ratio = (kind: Basis["kind"], few: number, many: number) =>
      error({ kind, count: few }) / error({ kind, count: many });
    // Lengths h = 1/K, and 1/(K−1) for knots: halving h divides the error by 2 and by 4.
    expect(ratio("constant", 32, 64)).toBeCloseTo(2, 2);
    expect(ratio("linear", 33, 65)).toBeCloseTo(4, 2);
    // The Bernstein ellipse is as large as one likes (entire functions): faster than any power.
    expect(error({ kind: "chebyshev", count: 6 })).toBeLessThan(1e-3);
    expect(error({ kind: "chebyshev", count: 16 })).toBeLessThan(1e-13);
    // exp and cos do not close up: L² error K^{-1/2}.
    expect(ratio("fourier", 33, 129)).toBeCloseTo(2, 1);
  });

  it("the distance of a straight line to its cell means is 1/(K √12), across bases", () => {
    const line = { basis: { kind: "chebyshev", count: 2 } as const, coefficients: [1 / 2, 1 / 2] };
    for (const count of [1, 5, 64]) {
      const basis: Basis = { kind: "constant", count };
      const coefficients = projectDepth(line, basis);
      for (let k = 0; k < count; k++) expect(coefficients[k]).toBeCloseTo((k + 1 / 2) / count, 13);
      expect(depthDistance(line, { basis, coefficients }) * count * Math.sqrt(12)).toBeCloseTo(1, 10);
    }
  });

  it("a distance far below the functions themselves keeps its digits", () => {
    const basis: Basis = { kind: "chebyshev", count: 8 };
    const f = numbers(8, 2);
    const g = f.map((value, i) => value + (i === 0 ? 2 ** -30 : 0));
    const distance = depthDistance({ basis, coefficients: f }, { basis, coefficients: g });
    // Values of at most 8 are rounded to 8·2^-53 before they are subtracted: 1e-6 of 2^-30. Of squares, nothing would be left.
    expect(Math.abs(distance / (g[0] - f[0]) - 1)).toBeLessThan(1e-6);
  });

  it("M⁻¹ of a residual network's gradient is L times it", () => {
    const gradient = numbers(10 * 4);
    const flow = solveMass({ kind: "constant", count: 10 }, gradient);
    for (let i = 0; i < gradient.length; i++) expect(Math.abs(flow[i] - 10 * gradient[i])).toBeLessThan(1e-13);
  });

  it("refuses what has no meaning", () => {
    expect(() => massMatrix({ kind: "linear", count: 1 })).toThrow("basis.count");
    expect(() => basisMatrix({ kind: "fourier", count: 4 }, [0])).toThrow("must be odd");
    expect(() => basisMatrix({ kind: "constant", count: 4 }, [1.5])).toThrow("times[0] must lie in [0, 1], got 1.5");
    expect(() => basisMatrix({ kind: "constant", count: 4 }, [Number.NaN])).toThrow("times[0]");
    expect(() => depthNorm({ basis: { kind: "linear", count: 4 }, coefficients: [1, 2, 3] })).toThrow("multiple of 4");
  });
});
