import { expect, test } from "vitest";
import { adamFirstMove, optimizers } from "../../src/experiment/optimizers/optimizers.ts";
import { optimiserState, optimiserStep } from "../../src/reference/optimisers.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = optimizers.presets;
const whole = runExperiment(gpu, optimizers, smoke);

test("the smoke preset finishes; descent, momentum and Adam each have their claims", async () => {
  const result = await whole;
  expect(result.status).toBe("done");
  expect(formErrors(result)).toEqual([]);
  const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
  for (const { name } of smoke.methods)
    for (const id of ["v-slope", "w-slope", "w-early-slope"])
      expect(claims.get(`${name}-${id}`)?.measured, `${name}-${id}`).not.toBeNull();
  for (const id of ["loss-falls", "adam-bounded"]) expect(claims.get(id)?.verdict, id).toBe("holds");
});

test("after two steps, neighbouring layers differ under Adam by whole numbers of entries that moved the other way", async () => {
  const { rate } = smoke.methods.find(({ name }) => name === "adam")!;
  const jump = 2 * rate * adamFirstMove({ beta1: 0.9, beta2: 0.999 });
  const rows = rowsOf(await whole, "training").filter(({ method, step }) => method === "adam" && step === 2);
  expect(rows).toHaveLength(smoke.depths.length * smoke.seeds.length);
  const entries = rows.map(({ max_step_W }) => ((max_step_W as number) / jump) ** 2);
  // ε shortens the move of an entry of gradient g by ε/|g|, here a few per cent of the smallest.
  for (const count of entries) expect(Math.abs(count - Math.round(count))).toBeLessThan(0.1);
  expect(Math.max(...entries)).toBeGreaterThan(0.9);
});

test("Adam's first move after a gradient of 0 is that of its float64 reference", () => {
  const settings = { optimiser: "adam", momentum: 0, weightDecay: 0, beta1: 0.8, beta2: 0.99, epsilon: 1e-12 } as const;
  const state = optimiserState(1);
  const weight = Float64Array.of(0);
  for (const gradient of [0, -3]) optimiserStep(settings, state, weight, [gradient], 0.1);
  expect(weight[0]! / 0.1).toBeCloseTo(adamFirstMove(settings), 9);
});

test("presets satisfy the schema; two methods of one name do not", () => {
  for (const preset of Object.values(optimizers.presets)) expect(optimizers.schema.parse(preset)).toEqual(preset);
  const [first] = smoke.methods;
  expect(optimizers.schema.safeParse({ ...smoke, methods: [first, first] }).success).toBe(false);
  expect(
    optimizers.schema.safeParse({ ...smoke, methods: [{ ...first, optimiser: "adam", method: "rk4" }] }).success,
  ).toBe(false);
});
