import { expect, it } from "vitest";
import { workAt } from "../../src/experiment/work_precision/report.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { amplification } from "../../src/reference/amplification.ts";

const span = { t0: 0, t1: 2, steps: { kind: "fixed", count: 8 }, method: "rk4" } as const;

it("of y' = λ y is the sum of e^{λ(t1 − t_n)} of the method, in the weights at both ends", () => {
  const rate = -0.7;
  const { sum, rootSquares, solution } = amplification(FIELDS.exponential, {
    ...span,
    y0: [3],
    parameters: [rate],
    scale: 1,
  });
  // RK4 on y' = λ y multiplies by the polynomial of e^{λh} up to degree 4.
  const z = rate / 4;
  const factor = 1 + z + z ** 2 / 2 + z ** 3 / 6 + z ** 4 / 24;
  const weight = (n: number) => 1 + 3 * factor ** n;
  const grown = Array.from({ length: 8 }, (_, k) => (factor ** (7 - k) * weight(k + 1)) / weight(8));
  expect(solution.accepted).toBe(8);
  expect(sum).toBeCloseTo(
    grown.reduce((total, x) => total + x, 0),
    8,
  );
  expect(rootSquares).toBeCloseTo(Math.hypot(...grown), 8);
});

it("takes the worst component and the sizes of all derivatives", () => {
  // A rotation by t: |∂y(t1)/∂y(t)| has |cos| and |sin| in every row.
  const { sum, solution } = amplification(FIELDS["harmonic-oscillator"], {
    ...span,
    y0: [1, 0],
    parameters: [1],
    scale: 1e3,
  });
  const rows = Array.from({ length: 8 }, (_, k) => 2 - (k + 1) / 4).map(
    (t) => Math.abs(Math.cos(t)) + Math.abs(Math.sin(t)),
  );
  expect(solution.status).toBe("done");
  expect(sum / rows.reduce((total, x) => total + x, 0)).toBeCloseTo(1, 2);
});

it("is infinite where the solve does not get to the end", () => {
  const steps = { kind: "adaptive", rtol: 1e-6, atol: 1e-6 } as const;
  const options = { t0: 0, t1: 10, y0: [1], parameters: [1], scale: 1, method: "bosh3", maxSteps: 5, steps } as const;
  expect(amplification(FIELDS.exponential, options).sum).toBe(Number.POSITIVE_INFINITY);
});

it("work at an error lies between the tolerances around it", () => {
  const points = [
    { error: 1e-2, evaluations: 100, time: 1 },
    { error: 1e-4, evaluations: 400, time: 9 },
    { error: 1e-5, evaluations: 500, time: 10 },
  ];
  expect(workAt(points, 1e-3)).toEqual({ evaluations: expect.closeTo(200, 9), time: expect.closeTo(3, 9) });
  expect(workAt(points, 1e-4)).toEqual({ evaluations: 400, time: 9 });
  expect(workAt(points, 1e-6)).toBeUndefined();
  expect(workAt(points, 1)).toBeUndefined();
});
