import { expect, it } from "vitest";
import { FIELD_NAMES, FIELDS } from "../../src/ode/fields.ts";

const exact = (x: number): number => x;
const fields = Object.values(FIELDS);

/** A state near the usual one, with no special zeros. */
function stateOf(initial: readonly number[]): Float64Array {
  return Float64Array.from(initial, (value, i) => value + 0.3 + 0.1 * i);
}

function evaluate(field: (typeof fields)[number], y: Float64Array, parameters: ArrayLike<number>): Float64Array {
  const out = new Float64Array(field.dimension);
  field.evaluate(0, y, parameters, out, exact);
  return out;
}

/** ∂f/∂x_j by Richardson-extrapolated central differences: error O(h⁴), about 1e-11 of the scale of f. */
function derivative(of: (x: Float64Array) => Float64Array, x: Float64Array, j: number): Float64Array {
  const central = (h: number): Float64Array => {
    const [up, down] = [x.slice(), x.slice()];
    up[j] += h;
    down[j] -= h;
    const [high, low] = [of(up), of(down)];
    return high.map((value, i) => (value - low[i]) / (up[j] - down[j]));
  };
  const h = 1e-3 * Math.max(Math.abs(x[j]), 1e-3);
  const [coarse, fine] = [central(2 * h), central(h)];
  return fine.map((value, i) => (4 * value - coarse[i]) / 3);
}

it("the catalog's keys are the fields' names", () => {
  expect(Object.entries(FIELDS).map(([key, { name }]) => [key, name])).toEqual(FIELD_NAMES.map((name) => [name, name]));
});

it.each(fields)("$name: shapes, Jacobian and products agree with differences", (field) => {
  const { dimension, components, parameters, defaults, initial } = field;
  expect([components.length, initial.length]).toEqual([dimension, dimension]);
  expect(defaults.length).toBe(parameters.length);
  const y = stateOf(initial);
  const p = Float64Array.from(defaults);
  const jacobian = new Float64Array(dimension * dimension).fill(Number.NaN);
  field.jacobian(0, y, p, jacobian);
  const scale = Math.max(1, ...evaluate(field, y, p).map(Math.abs), ...jacobian.map(Math.abs));
  const close = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(1e-8 * scale);
  for (let j = 0; j < dimension; j++) {
    derivative((x) => evaluate(field, x, p), y, j).forEach((value, i) => {
      close(jacobian[i * dimension + j], value);
    });
  }
  const byParameter = Array.from(p, (_, k) => derivative((x) => evaluate(field, y, x), p, k));
  for (let i = 0; i < dimension; i++) {
    const w = new Float64Array(dimension);
    w[i] = 1;
    const gradY = new Float64Array(dimension).fill(Number.NaN);
    const gradParameters = new Float64Array(p.length).fill(Number.NaN);
    expect(field.vjp(0, y, p, w, gradY, gradParameters)).toBe(0);
    gradY.forEach((value, j) => {
      expect(Math.abs(value - jacobian[i * dimension + j])).toBeLessThan(1e-14 * scale);
    });
    gradParameters.forEach((value, k) => {
      close(value, byParameter[k][i]);
    });
  }
});

it.each(fields.filter(({ invariants }) => invariants.length > 0))(
  "$name: invariants do not change along f",
  (field) => {
    const y = stateOf(field.initial);
    const f = evaluate(field, y, field.defaults);
    for (const { value } of field.invariants) {
      const along = y.reduce((sum, _, j) => {
        const gradient = derivative((x) => Float64Array.of(value(x, field.defaults)), y, j)[0];
        return sum + gradient * f[j];
      }, 0);
      expect(Math.abs(along)).toBeLessThan(1e-8 * Math.max(1, ...f.map(Math.abs)));
    }
  },
);

it.each(fields)("$name: separable exactly when both diagonal blocks of the Jacobian vanish", (field) => {
  const { dimension: n, separable, initial, defaults } = field;
  const jacobian = new Float64Array(n * n);
  field.jacobian(0, stateOf(initial), defaults, jacobian);
  const inBlocks = jacobian.some((value, at) => value !== 0 && Math.floor(at / n) < n / 2 === at % n < n / 2);
  expect(separable).toBe(n % 2 === 0 && !inBlocks);
});

it.each(fields)("$name: in float32 every component is a float32, near the exact one", (field) => {
  const y = stateOf(field.initial).map(Math.fround);
  const p = Float64Array.from(field.defaults, Math.fround);
  const single = new Float64Array(field.dimension);
  field.evaluate(0, y, p, single, Math.fround);
  const full = evaluate(field, y, p);
  expect(Array.from(single)).toEqual(Array.from(single.map(Math.fround)));
  const largest = Math.max(1, ...full.map(Math.abs));
  single.forEach((value, i) => {
    expect(Math.abs(value - full[i])).toBeLessThan(8 * 2 ** -24 * largest);
  });
});
