import { describe, expect, it } from "vitest";
import { PRESETS, type SingleTrainingConfig, specOf } from "../../src/experiment/single_training/config.ts";
import { singleTraining } from "../../src/experiment/single_training/single_training.ts";
import { roughness } from "../../src/experiment/statistics.ts";
import { createTraining } from "../../src/experiment/training.ts";
import { readEntries, readRoughness } from "../../web/src/worker/layer_samples.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();

const run = (config: SingleTrainingConfig) =>
  singleTraining.run({
    gpu,
    config,
    preset: "smoke",
    signal: new AbortController().signal,
    cells: {
      load: async () => undefined,
      save: async () => {},
      loadCheckpoint: async () => undefined,
      saveCheckpoint: async () => {},
      checkpointSeconds: 1000,
    },
    progress: () => {},
    check: false,
  });

it.each([
  { dataset: "gaussian", initialisation: "tied", verdicts: ["holds", "holds"] },
  { dataset: "digits", initialisation: "iid", verdicts: ["fails", "fails"] },
] as const)("smoke, $dataset, $initialisation", async ({ dataset, initialisation, verdicts }) => {
  const result = await run({ ...PRESETS.smoke, dataset, initialisation });
  expect(result.status).toBe("done");
  expect(result.claims.map(({ verdict }) => verdict)).toEqual(verdicts);
  const [training, layers] = result.tables;
  const losses = training!.rows.map(({ loss }) => loss as number);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(layers!.rows.length).toBe(2 * 2 * PRESETS.smoke.depth);
});

// More layers than are read whole, and fewer; the page draws what these read.
describe.each([
  { initialisation: "tied", depth: 40 },
  { initialisation: "iid", depth: 40 },
  { initialisation: "smooth", depth: 600 },
] as const)("samples of a stack, $initialisation, L = $depth", ({ initialisation, depth }) => {
  it("are its weights", async () => {
    const spec = specOf({ ...PRESETS.smoke, rows: 3, width: 3, hidden: 5, depth, initialisation });
    const { stack, flow, destroy } = await createTraining(gpu, spec);
    await flow.advance({ steps: 2 });
    const [entries, rough, change] = [await readEntries(stack), await readRoughness(stack), await stack.readChange()];
    const { initial } = stack;
    destroy();
    expect(entries.depths.length).toBe(Math.min(depth, 512));
    expect([entries.depths[0], entries.depths.at(-1)]).toEqual([1 / depth, 1]);
    for (const family of ["V", "W"] as const) {
      for (const [i, s] of entries.depths.entries()) {
        const at = (Math.round(s * depth) - 1) * 15;
        expect(entries[family][i]).toBe(initial[family][at]! + change[family][at]!);
      }
      const tied = initialisation === "tied";
      const moving = Float64Array.from(change[family], (value, i) => value + (tied ? 0 : initial[family][i]!));
      const whole = roughness(moving, depth)!;
      const near = depth <= 128 ? 1e-9 : 0.35;
      expect(Math.abs(rough[family]! / whole - 1)).toBeLessThan(near);
    }
  });
});
