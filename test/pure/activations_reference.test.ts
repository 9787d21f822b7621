import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ACTIVATIONS, type Activation } from "../../src/config/dense.ts";
import { activation, activationDerivative, erf, erfc } from "../../src/reference/activations.ts";

interface Tensor {
  shape: number[];
  data: number[];
}
type Golden = { x: Tensor } & Record<string, { y: Tensor; dy: Tensor }>;

const golden = JSON.parse(readFileSync(new URL("../fixtures/activations.json", import.meta.url), "utf8")) as Golden;

/** [x, σ(x), σ'(x)] computed with mpmath (120 digits), rounded to float64; chosen where float64 programs lose digits. */
const EXACT: Partial<Record<Activation, [number, number, number][]>> = {
  gelu: [
    [-30, -1.472014178144456e-196, -4.416031690708495e-195],
    [-12, -2.1317785344932147e-32, -2.5578956616748956e-31],
    [-5, -1.4332578593959695e-6, -7.146946001792295e-6],
    [1e-8, 5.000000039894228e-9, 0.5000000079788456],
  ],
  "gelu-tanh": [
    [-12, -1.635985449353491e-61, -5.29040335252259e-60],
    [-5, -2.291796196629507e-7, -1.5463619875325953e-6],
  ],
  softplus: [
    [-60, 8.75651076269652e-27, 8.75651076269652e-27],
    [-12, 6.144193477732806e-6, 6.144174602214718e-6],
  ],
  silu: [
    [-60, -5.253906457617913e-25, -5.166341349990947e-25],
    [-5, -0.03346425462142428, -0.02654743242966592],
  ],
  tanh: [
    [-60, -1, 3.0670592294888e-52],
    [12, 0.9999999999244973, 1.510053817597626e-10],
  ],
  erf: [
    [-12, -1, 3.266251823898804e-63],
    [5, 0.9999999999984626, 1.5670866531017336e-11],
  ],
};

describe("activations in float64", () => {
  it.each(ACTIVATIONS)("%s agrees with PyTorch's float64 value and derivative", (name) => {
    const expected = golden[name.replace("-", "_")];
    golden.x.data.forEach((x, i) => {
      // 1e-13: PyTorch's gelu and gelu-tanh cancel to 1e-16 |x| in the lower tail, its softplus is x from x = 20 on (the points beyond are 30 and 60).
      expect(Math.abs(activation(name, x) - expected.y.data[i])).toBeLessThan(1e-13 * (1 + Math.abs(x)));
      expect(Math.abs(activationDerivative(name, x) - expected.dy.data[i])).toBeLessThan(1e-13);
    });
  });

  it.each(Object.entries(EXACT) as [Activation, [number, number, number][]][])(
    "%s is relatively right in the tails",
    (name, rows) => {
      for (const [x, y, dy] of rows) {
        // x/√2 carries two roundings (√½ and the product), and exp(-x²/2) amplifies a relative error of x by x².
        const tolerance = 2 ** -53 * (16 + 2 * x * x);
        expect(Math.abs(activation(name, x) / y - 1)).toBeLessThan(tolerance);
        expect(Math.abs(activationDerivative(name, x) / dy - 1)).toBeLessThan(tolerance);
      }
    },
  );

  it.each(ACTIVATIONS)("%s: the derivative is the slope of the value", (name) => {
    const h = 1e-5;
    for (const x of [-7.3, -2.1, -0.75, -0.1, 0.2, 0.9, 1.7, 4.4, 9]) {
      const slope = (activation(name, x + h) - activation(name, x - h)) / (2 * h);
      // Central difference: h²/6 |σ'''| + 2^-53 |σ| / h.
      expect(Math.abs(activationDerivative(name, x) - slope)).toBeLessThan(1e-9);
    }
  });

  it.each(ACTIVATIONS)("%s is finite for every finite argument", (name) => {
    for (const x of [0, 1e-300, 40, 1e3, 1e10, 1e30, 1e300]) {
      for (const signed of [x, -x]) {
        expect(Number.isFinite(activation(name, signed))).toBe(true);
        expect(Number.isFinite(activationDerivative(name, signed))).toBe(true);
      }
    }
    expect(activation(name, Number.NaN)).toBeNaN();
  });

  it("erf and erfc agree with their series and continued fraction across the pieces of the approximation", () => {
    for (let i = 1; i <= 24 * 16; i++) {
      const x = i / 16 + 0.001;
      if (x < 3) {
        // erf x = 2/√π exp(-x²) (x + 2x³/3 + 4x⁵/15 + …), all terms positive
        let term = x;
        let sum = x;
        for (let k = 1; k < 90; k++) {
          term *= (2 * x * x) / (2 * k + 1);
          sum += term;
        }
        const exact = ((2 * Math.exp(-x * x)) / Math.sqrt(Math.PI)) * sum;
        expect(Math.abs(erf(x) - exact)).toBeLessThan(5e-15);
        expect(erf(-x)).toBe(-erf(x));
      } else {
        let fraction = x;
        for (let k = 200; k >= 1; k--) fraction = x + k / 2 / fraction;
        const exact = Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
        expect(Math.abs(erfc(x) / exact - 1)).toBeLessThan(2 ** -53 * (16 + 2 * x * x));
      }
      expect(erf(x) + erfc(x)).toBeCloseTo(1, 15);
    }
  });
});
