import { expect, test } from "vitest";
import { ballPoints, ballRadius, ballWeights } from "../../src/experiment/pl_condition/config.ts";
import { plCondition } from "../../src/experiment/pl_condition/pl_condition.ts";
import { theoremShape } from "../../src/experiment/theorem_setting.ts";
import { initialWeights } from "../../src/model/initialisation.ts";
import { openTestDevice } from "../support/device.ts";
import { formErrors, memoryCells, rowsOf, runExperiment } from "../support/experiment.ts";

const gpu = await openTestDevice();
const { smoke } = plCondition.presets;

test("every preset satisfies the schema, and q must be even", () => {
  for (const config of Object.values(plCondition.presets)) expect(plCondition.schema.parse(config)).toEqual(config);
  expect(plCondition.schema.safeParse({ ...smoke, width: 7 }).error?.issues[0]?.path).toEqual(["width"]);
});

test("points of the ball lie on its sphere in every group of Definition 1", () => {
  for (const point of ballPoints(smoke)) {
    const shape = theoremShape(point, point.depth);
    const start = initialWeights({ shape, seed: point.seed, initialisation: "tied" });
    const moved = ballWeights(point);
    const radius = ballRadius(point);
    const distance = (name: "A" | "V" | "W" | "B", layer = 0) => {
      const { length } = start[name];
      return Math.hypot(...start[name].map((value, i) => moved[name][layer * length + i]! - value));
    };
    expect(distance("A")).toBeCloseTo(radius, 5);
    expect(distance("B")).toBeCloseTo(radius, 5);
    const layers = moved.tied ? 1 : point.depth;
    for (let k = 0; k < layers; k++) expect(distance("V", k) + distance("W", k)).toBeCloseTo(radius, 5);
  }
});

test("the smoke preset: the device's ratios are the eigenvalues of float64, and interruption changes nothing", async () => {
  const cells = memoryCells();
  const stopped = await runExperiment(gpu, plCondition, smoke, { cells, abortAt: 3 });
  expect(stopped.status).toBe("cancelled");
  expect(formErrors(stopped)).toEqual([]);
  const result = await runExperiment(gpu, plCondition, smoke, { cells, check: true });
  expect(result.status).toBe("done");
  expect(formErrors(result)).toEqual([]);
  const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
  for (const id of [
    "rank-collapse",
    "ratio-collapses",
    "ratio-is-eigenvalue",
    "ball-ratio-is-eigenvalue",
    "ball-singular-value",
    "independent-of-depth",
    "training-bound",
    "float64-v-2",
    "float64-w-2",
    "float64-v-10",
    "float64-w-10",
  ])
    expect(claims.get(id)).toMatchObject({ verdict: "holds" });
  // No width of the smoke scan is four times n.
  expect(claims.get("lemma-21")).toMatchObject({ verdict: "not decided", measured: null });
  for (const row of rowsOf(result, "ball")) if (row.radius === 0) expect(row.relative).toBe(1);

  const loaded = await runExperiment(gpu, plCondition, smoke, { cells });
  expect(JSON.stringify(loaded.tables)).toBe(JSON.stringify(result.tables));
});
