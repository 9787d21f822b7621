import { expect, test } from "vitest";
import { clipping, clipSize } from "../../src/experiment/clipping/clipping.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = clipping.presets;
const whole = runExperiment(gpu, clipping, smoke);

test("the smoke preset finishes: bounds hold, the plain flow diverges where the clipped one does not", async () => {
  const result = await whole;
  expect(result.status).toBe("done");
  expect(formErrors(result)).toEqual([]);
  const verdicts = Object.fromEntries(result.claims.map(({ id, verdict }) => [id, verdict]));
  expect(verdicts).toMatchObject({
    "norm-bound": "holds",
    "speed-bound": "holds",
    "plain-blows-up": "holds",
    "clipped-no-blow-up": "holds",
    "coordinate-limit": "holds",
    "coordinate-monotone": "holds",
    "coordinate-10-step-slope": "holds",
  });
  const ends = rowsOf(result, "trainings");
  expect(ends.filter(({ status }) => status === "diverged").every(({ clip }) => clip === "none")).toBe(true);
  for (const row of ends.filter(({ status }) => status === "diverged")) expect(row.detail).toMatch(/step \d+/);
});

test("a bound that acts moves saturated coordinates at full speed and slows the loss, one that does not leaves every bit", async () => {
  const result = await whole;
  const losses = (name: string) =>
    rowsOf(result, "training")
      .filter((row) => row.case === name && row.depth === 16 && row.seed === 0 && row.rate === smoke.rate)
      .map(({ loss }) => loss as number);
  expect(losses("coordinate 10")).toEqual(losses("none"));
  expect(losses("norm 0.3").at(-1)).toBeGreaterThan(losses("none").at(-1)!);
  const speeds = rowsOf(result, "trainings")
    .filter(({ clip }) => clip === "norm")
    .map(({ moved, bound, rate }) => (moved as number) / ((bound as number) * (rate as number) * smoke.steps));
  expect(Math.max(...speeds)).toBeGreaterThan(0.9);
});

test("M_π of a matrix of p coordinates is √p C by coordinate and C by norm", () => {
  expect(clipSize({ width: 4, hidden: 9 }, { clip: "coordinate", bound: 0.5 })).toBe(3);
  expect(clipSize({ width: 4, hidden: 2 }, { clip: "coordinate", bound: 0.5 })).toBe(2);
  expect(clipSize({ width: 4, hidden: 9 }, { clip: "norm", bound: 0.5 })).toBe(0.5);
});

test("stopped at once, nothing is decided", async () => {
  const result = await runExperiment(gpu, clipping, smoke, { abortAt: 1 });
  expect(result.status).toBe("cancelled");
  expect(new Set(result.claims.map(({ verdict }) => verdict))).toEqual(new Set(["not decided"]));
});

test("presets satisfy the schema, and bounds must increase", () => {
  for (const preset of Object.values(clipping.presets)) expect(clipping.schema.parse(preset)).toEqual(preset);
  expect(clipping.schema.safeParse({ ...smoke, normBounds: [1, 0.5] }).success).toBe(false);
});
