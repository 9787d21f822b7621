import { expect, test } from "vitest";
import { SOLVE_METHODS } from "../../src/config/ode.ts";
import { METHODS, type Tableau } from "../../src/ode/tableaus.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";
import { type Case, N1, reference, solveCase } from "../support/ode_ensembles.ts";

const gpu = await openTestDevice();

/**
 * Where the device neither fuses nor reorders operations, all that separates it from the float32 emulation are powers in
 * the step-size controller: steps differ in their last bits, and none is accepted here and rejected there.
 */
const exact = /SwiftShader/.test(gpu.name);

// Forwards, backwards, inside, and nowhere: seven trajectories of a field that depends on t.
const spans = [
  [0, 1],
  [1, 0],
  [0, 0.5],
  [0.25, 0.25],
  [-1, 1],
  [0.75, -0.5],
  [0, 1],
] as const;
const source: Case = {
  field: N1,
  initial: Float32Array.from(spans.flatMap((_, j) => [1.1 - 0.2 * j, 2.2 - 0.3 * j])),
  start: Float32Array.from(spans, ([t0]) => t0),
  end: Float32Array.from(spans, ([, t1]) => t1),
};
// |t| ≤ 1 and the coupling 1 make the field's Lipschitz constant at most 2 in the largest component.
const LIPSCHITZ = 2;

/** Bound on the growth of rounding errors over `steps` steps, each of at most `operations` roundings of the largest number. */
function roundingBound(j: number, steps: number, operations: number, largest: number): number {
  const span = Math.abs(spans[j][1] - spans[j][0]);
  return steps * operations * EPSILON * largest * Math.exp(LIPSCHITZ * span);
}

/** Σ |weights|, at least 1: how much sums over stages may cancel. */
function cancellation({ a, b }: Tableau): number {
  return Math.max(1, ...[...a, b].map((row) => row.reduce((sum, x) => sum + Math.abs(x), 0)));
}

const explicit = SOLVE_METHODS.map((method) => METHODS[method]).filter((method) => method.kind === "explicit");
const pairs = explicit.filter((tableau) => "error" in tableau);

test.each(explicit)("fixed steps of $name are those of the reference", async (tableau: Tableau) => {
  const { name: method } = tableau as { name: (typeof explicit)[number]["name"] };
  const steps = { kind: "fixed", count: 11 } as const;
  const result = await solveCase(gpu, source, { method, steps });
  const twice = await solveCase(gpu, source, { method, steps });
  expect(twice.states).toEqual(result.states);
  spans.forEach(([, t1], j) => {
    const emulated = reference(source, j, { method, steps, round: Math.fround });
    const float64 = reference(source, j, { method, steps });
    expect(result.status[j]).toBe("done");
    expect(result.times[j]).toBe(t1);
    expect(result.accepted[j]).toBe(emulated.accepted);
    expect(result.evaluations[j]).toBe(emulated.evaluations);
    const y = [...result.states.subarray(2 * j, 2 * j + 2)];
    if (exact) expect(y).toEqual([...emulated.y]);
    const largest = Math.max(...float64.y.map(Math.abs), 3);
    const bound = roundingBound(j, 11, 2 + 4 * tableau.b.length * 0.2 * cancellation(tableau), largest);
    y.forEach((value, i) => {
      expect(Math.abs(value - float64.y[i])).toBeLessThanOrEqual(bound);
    });
  });
});

test.each(pairs)("adaptive steps of $name are those of the reference", async ({ name: method, b }) => {
  const [rtol, atol] = [1e-4, 1e-5];
  const steps = { kind: "adaptive", rtol, atol } as const;
  const result = await solveCase(gpu, source, { method, steps });
  spans.forEach(([t0, t1], j) => {
    const emulated = reference(source, j, { method, steps, round: Math.fround });
    expect(result.status[j]).toBe("done");
    expect(result.times[j]).toBe(t1);
    const slack = exact ? 0 : 2;
    expect(Math.abs(result.accepted[j] - emulated.accepted)).toBeLessThanOrEqual(slack);
    expect(Math.abs(result.rejected[j] - emulated.rejected)).toBeLessThanOrEqual(slack);
    expect(Math.abs(result.evaluations[j] - emulated.evaluations)).toBeLessThanOrEqual(slack * b.length);
    for (let i = 0; i < 2; i++) {
      // Both have an error of the tolerance in every step.
      const tolerance = emulated.accepted * (atol + rtol * 6) * Math.exp(LIPSCHITZ * Math.abs(t1 - t0));
      expect(Math.abs(result.states[2 * j + i] - emulated.y[i])).toBeLessThanOrEqual(tolerance);
    }
  });
  // Exact: x = e^{t²/2} (x0 + t y0), y = e^{t²/2} y0 for those that start at 0.
  for (const j of [0, 2, 6]) {
    const [x0, y0, t1] = [source.initial[2 * j], source.initial[2 * j + 1], spans[j][1]];
    const growth = Math.exp((t1 * t1) / 2);
    const tolerance = (result.accepted[j] + 1) * (atol + rtol * 6) * Math.exp(LIPSCHITZ * t1);
    expect(Math.abs(result.states[2 * j] - growth * (x0 + t1 * y0))).toBeLessThanOrEqual(tolerance);
    expect(Math.abs(result.states[2 * j + 1] - growth * y0)).toBeLessThanOrEqual(tolerance);
  }
});
