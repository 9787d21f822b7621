/**
 * Training level by level: a shallow network is trained, its weights are read as functions of depth and sampled for twice as many
 * layers, and training goes on. Compared with the training that is deep from the start, in cost and in what comes out.
 */
import { prolongWeights } from "../../model/depth_prolongation.ts";
import { initialWeights } from "../../model/initialisation.ts";
import { denseForward, denseLoss } from "../../reference/dense.ts";
import type { Experiment, ExperimentResult } from "../experiment.ts";
import type { Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { planStudy } from "../study.ts";
import { createTraining } from "../training.ts";
import { claimsOf } from "./claims.ts";
import {
  allTrainings,
  type Context,
  jump,
  METHODS,
  PRESETS,
  type ProlongationConfig,
  prolongationSchema,
  shapeOf,
} from "./config.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";
import { trainAll } from "./training.ts";

export const prolongation: Experiment<ProlongationConfig> = {
  name: "prolongation",
  title: "Train shallow, prolong in depth, train on",
  summary:
    "If the weights of a residual network discretise a function of depth (Theorem 4 of Marion, Wu, Sander and Biau, ICLR 2024), a shallow network can be trained, its weights sampled " +
    "for twice as many layers, and the gradient flow continued there. Measured on random regression data, over seeds: how far the loss jumps at a prolongation and how that falls with depth, " +
    "what constant prolongation and linear interpolation do to the Lipschitz constant of the weights in depth, and how the result, after several levels, compares with a network " +
    "that was deep from the start, against the layer-steps and the seconds that each costs.",
  schema: prolongationSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) => planStudy(allTrainings(config), profile),
  run,
};

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const checks = context.check ? await checkAgainstReference(context) : [];
  const collected = await trainAll(context);
  return {
    status: collected.status,
    ...(collected.detail !== undefined && { statusDetail: collected.detail }),
    tables: tablesOf(config, collected),
    figures: figuresOf(config),
    claims: [...claimsOf(config, collected), ...checks],
    notes: notesOf(config, collected),
  };
}

/** Rough weights of the smallest depth, prolonged: the loss on the device against float64. 2⁻²⁴ · 8 (q + m), as for one evaluation of `digits`. */
async function checkAgainstReference({ gpu, config }: Context): Promise<Claim[]> {
  const { depths, seeds, width, hidden } = config;
  const shape = shapeOf(config, depths[0]!);
  const draw = initialWeights({ shape, seed: seeds[0]!, initialisation: "iid", outputScale: 1 });
  let worst = 0;
  for (const method of METHODS) {
    const weights = prolongWeights(draw, shape, 2 * shape.depth, method);
    const { spec } = jump(config, method, 2 * shape.depth, seeds[0]!, weights);
    const training = await createTraining(gpu, spec);
    try {
      const { loss } = await training.measure.loss(training.flow.recorder, training.pass);
      const { data } = spec;
      const exact = Object.fromEntries(
        (["A", "V", "W", "B"] as const).map((name) => [name, Float64Array.from(weights[name])]),
      ) as Record<"A" | "V" | "W" | "B", Float64Array>;
      const { output } = denseForward(spec.shape, exact, data.inputs, data.rows);
      const expected = denseLoss(spec.loss, output, data.targets, data.rows, width).loss;
      worst = Math.max(worst, Math.abs(loss / expected - 1));
    } finally {
      training.destroy();
    }
  }
  const passes = { max: 2 ** -24 * 8 * (width + hidden) };
  return [
    {
      id: "check-loss",
      statement: `The loss of weights prolonged from L = ${depths[0]} agrees with a float64 computation (largest relative error)`,
      source: "float64 reference of this project",
      measured: worst,
      passes,
      verdict: judge(worst, passes),
    },
  ];
}
