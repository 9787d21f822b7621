import { expect, it } from "vitest";
import {
  type EsdirkTableau,
  hermite,
  METHOD_NAMES,
  METHODS,
  type Method,
  type RosenbrockTableau,
  type Tableau,
} from "../../src/ode/tableaus.ts";
import { interpolantWeights } from "../../src/reference/ode_steps.ts";
import {
  methodResiduals,
  orderResiduals,
  ORDER_ROUNDING as ROUNDING,
  rootedTrees,
  rosenbrockMatrices,
  square,
  treeDensity,
} from "../../src/reference/order_conditions.ts";

const TREES = rootedTrees(9);
const THETAS = [0.15, 0.5, 0.85];
const methods: readonly Method[] = Object.values(METHODS);
const explicit = methods.filter((method): method is Tableau => method.kind === "explicit");
const esdirk = methods.filter((method): method is EsdirkTableau => method.kind === "esdirk");
const rosenbrock = methods.filter((method): method is RosenbrockTableau => method.kind === "rosenbrock");

function sum(row: readonly number[]): number {
  return row.reduce((total, x) => total + x, 0);
}

/** Rounding of a sum of the numbers in a row, of its derivative as a polynomial of degree 8 too. */
function slack(row: readonly number[]): number {
  return 2 ** -53 * 16 * Math.max(1, sum(row.map(Math.abs)));
}

/** Expects the conditions up to `order` to hold to rounding, and one of the next order to fail. */
function expectOrder(residuals: readonly number[], order: number): void {
  expect(Math.max(...residuals.slice(0, order))).toBeLessThan(ROUNDING);
  expect(residuals[order]).toBeGreaterThan(1e-8);
}

it("the trees are those of the literature: 1, 1, 2, 4, 9, 20, 48, 115, 286", () => {
  expect(TREES.map((list) => list.length)).toEqual([1, 1, 2, 4, 9, 20, 48, 115, 286]);
  expect(TREES.map((list) => new Set(list.map((tree) => JSON.stringify(tree))).size)).toEqual(
    TREES.map((list) => list.length),
  );
  // A path of n vertices has density n!, a bush n.
  expect(TREES[3].map(treeDensity).sort((x, y) => x - y)).toEqual([4, 8, 12, 24]);
});

it("the catalog's keys are the methods' names", () => {
  expect(Object.entries(METHODS).map(([key, method]) => [key, method.name])).toEqual(
    METHOD_NAMES.map((name) => [name, name]),
  );
});

it.each(explicit)("$name: rows sum to stage times, order, embedded order, FSAL", (tableau) => {
  const { a, b, c, order, error, errorOrder, fsal } = tableau;
  expect([a.length, c.length]).toEqual([b.length, b.length]);
  a.forEach((row, s) => {
    expect(row.length).toBeLessThanOrEqual(s);
    expect(Math.abs(sum(row) - c[s])).toBeLessThan(slack(row));
  });
  const matrix = square(a, b.length);
  expectOrder(orderResiduals(TREES.slice(0, order + 1), matrix, b), order);
  if (error) {
    const embedded = b.map((weight, s) => weight - error[s]);
    expectOrder(orderResiduals(TREES.slice(0, errorOrder! + 1), matrix, embedded), errorOrder!);
  }
  expect(fsal).toBe(
    c[c.length - 1] === 1 && b.length > 1 && a[b.length - 1].every((x, r) => x === b[r]) && a.at(-1)!.length > 0,
  );
});

it.each(explicit)("$name: the interpolant has its order inside, and both ends", ({ a, b, c, dense }) => {
  const n = b.length + dense.extraA.length;
  const rows = square([...a, ...dense.extraA], n);
  expect(dense.weights.length).toBe(n);
  dense.extraA.forEach((row, s) => {
    expect(Math.abs(sum(row) - dense.extraC[s])).toBeLessThan(slack(row));
  });
  for (const theta of THETAS) {
    const weights = interpolantWeights(dense, theta);
    expectOrder(orderResiduals(TREES.slice(0, dense.order + 1), rows, weights, { theta }), dense.order);
  }
  interpolantWeights(dense, 1).forEach((weight, s) => {
    expect(Math.abs(weight - (b[s] ?? 0))).toBeLessThan(slack(dense.weights[s]));
  });
  // Slopes at the ends: f(t_n, y_n) is the first stage, f(t_{n+1}, y_{n+1}) a stage whose row is b.
  const end = rows.findIndex((row, s) => [...c, ...dense.extraC][s] === 1 && b.every((x, r) => row[r] === x));
  dense.weights.forEach((row, s) => {
    expect(Math.abs(row[0] - (s === 0 ? 1 : 0))).toBeLessThan(slack(row));
    const slope = row.reduce((total, x, j) => total + (j + 1) * x, 0);
    expect(Math.abs(slope - (s === end ? 1 : 0))).toBeLessThan(slack(row));
  });
});

it("Hermite interpolants of methods with one of their own have order 3", () => {
  for (const { order, b, a, fsal } of explicit.filter((tableau) => tableau.order >= 5)) {
    const dense = hermite(order, b, fsal);
    const rows = square([...a, ...dense.extraA], b.length + dense.extraA.length);
    const residuals = orderResiduals(TREES.slice(0, 4), rows, interpolantWeights(dense, 0.4), { theta: 0.4 });
    expectOrder(residuals, 3);
  }
});

it.each(esdirk)("$name: rows, order, embedded order, interpolant, L-stability", (tableau) => {
  const { a, b, c, gamma, order, error, errorOrder, dense, predictor } = tableau;
  const n = b.length;
  const rows = square(a, n);
  expect(a[n - 1]).toBe(b);
  a.forEach((row, s) => {
    expect(Math.abs(sum(row) - c[s])).toBeLessThan(slack(row));
    if (s > 0) expect(row[s]).toBe(gamma);
    if (s > 0) expect(sum(predictor[s])).toBeCloseTo(1, 12);
    expect(predictor[s].length).toBeLessThanOrEqual(s);
  });
  expectOrder(orderResiduals(TREES.slice(0, order + 1), rows, b), order);
  const embedded = b.map((weight, s) => weight - error[s]);
  expectOrder(orderResiduals(TREES.slice(0, errorOrder + 1), rows, embedded), errorOrder);
  const weights = interpolantWeights(dense, 0.4);
  expectOrder(orderResiduals(TREES.slice(0, 4), rows, weights, { theta: 0.4 }), dense.order);
  // |R(iy)| ≤ 1 and R(∞) bounded by 1: A-stable; R(∞) = 0 of the method itself.
  for (const w of [b, embedded]) {
    for (let y = 0.1; y < 1e3; y *= 1.3) expect(stability(rows, w, { re: 0, im: y })).toBeLessThan(1 + 1e-9);
    expect(stability(rows, w, { re: -1e9, im: 0 })).toBeLessThan(1);
  }
  expect(stability(rows, b, { re: -1e13, im: 0 })).toBeLessThan(2e-12);
});

interface Complex {
  re: number;
  im: number;
}

/** |R(z)| of y' = z y by the stages, one after another (lower triangular a). */
function stability(a: readonly (readonly number[])[], b: readonly number[], z: Complex): number {
  const k: Complex[] = [];
  a.forEach((row, s) => {
    const base = { re: 1, im: 0 };
    for (let r = 0; r < s; r++) {
      base.re += row[r] * k[r].re;
      base.im += row[r] * k[r].im;
    }
    const numerator = { re: z.re * base.re - z.im * base.im, im: z.re * base.im + z.im * base.re };
    const denominator = { re: 1 - row[s] * z.re, im: -row[s] * z.im };
    const size = denominator.re ** 2 + denominator.im ** 2;
    k.push({
      re: (numerator.re * denominator.re + numerator.im * denominator.im) / size,
      im: (numerator.im * denominator.re - numerator.re * denominator.im) / size,
    });
  });
  const re = b.reduce((total, x, s) => total + x * k[s].re, 1);
  const im = b.reduce((total, x, s) => total + x * k[s].im, 0);
  return Math.hypot(re, im);
}

it.each(rosenbrock)(
  "$name: stage times, order conditions with exact Jacobian, embedded order, interpolant",
  (tableau) => {
    const { a, b, c, d, order, error, errorOrder, dense, fsal } = tableau;
    const { Gamma, alpha, beta, weights } = rosenbrockMatrices(tableau);
    alpha.forEach((row, s) => {
      expect(Math.abs(sum(row) - c[s])).toBeLessThan(ROUNDING);
      expect(Math.abs(sum(Gamma[s]) - d[s])).toBeLessThan(ROUNDING);
    });
    const check = (ofU: readonly number[], holds: number, theta = 1): void => {
      const residuals = orderResiduals(TREES.slice(0, holds + 1), alpha, weights(ofU), { theta, single: beta });
      expectOrder(residuals, holds);
    };
    check(b, order);
    const embedded = b.map((weight, s) => weight - error[s]);
    // Rosenbrock23 advances with its method of order 2 and estimates with one of order 3.
    check(embedded, tableau.name === "rosenbrock23" ? 3 : errorOrder);
    for (const theta of THETAS) check(interpolantWeights(dense, theta), dense.order, theta);
    interpolantWeights(dense, 1).forEach((weight, s) => {
      expect(Math.abs(weight - b[s])).toBeLessThan(ROUNDING);
    });
    const last = b.length - 1;
    expect(fsal).toBe(c[last] === 1 && b[last] === 0 && a[last].every((x, r) => x === b[r]));
  },
);

it("symplectic coefficients add up to one step", () => {
  expect(sum(METHODS.leapfrog.kicks)).toBe(1);
  expect(sum(METHODS.leapfrog.drifts)).toBe(1);
  expect(METHODS.leapfrog.kicks.length).toBe(METHODS.leapfrog.drifts.length + 1);
});

it("residuals by a method's name: rounding up to its order, none for other kinds", () => {
  for (const name of METHOD_NAMES) {
    const residuals = methodResiduals(name);
    if (["leapfrog", "reversible-heun"].includes(name)) expect(residuals).toBeUndefined();
    else expectOrder(residuals!, METHODS[name].order);
  }
});
