/**
 * A penalty on the differences of neighbouring layers (Marion, "Generalization bounds for neural ordinary differential equations and
 * deep residual networks", NeurIPS 2023): what it does to smoothness in depth and to the generalisation gap, on handwritten digits.
 */
import { loadSplit, type SplitDigits } from "../digits/training.ts";
import type { Experiment, ExperimentResult } from "../experiment.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { claimsOf, meanRows } from "./claims.ts";
import {
  allTrainings,
  type Context,
  type DepthPenaltyConfig,
  depthPenaltyExperimentSchema,
  PRESETS,
  type Row,
} from "./config.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";

export const depthPenalty: Experiment<DepthPenaltyConfig> = {
  name: "depth-penalty",
  title: "A penalty on the differences of neighbouring layers",
  summary:
    "Residual networks classify handwritten digits with Adam, the loss augmented by λ ‖W_{2:} − W_{:L−1}‖_F and the same for V (or by their squares), λ from 0 to ∞, " +
    "where the layers share one weight. Measured over seeds, each against its own training without penalty: how much smoother in depth the weights end, and what that does " +
    "to the generalisation gap and to test accuracy. Marion (NeurIPS 2023) proposes the penalty on the ground of a bound that grows with the Lipschitz constant in depth.",
  schema: depthPenaltyExperimentSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan(config, profile) {
    const rows = (count: number) => ({ inputs: new Float32Array(), targets: new Uint32Array(), rows: count });
    const data = { train: rows(config.trainRows), test: rows(config.testRows) };
    return planStudy(
      allTrainings(config, data).map(({ training }) => training),
      profile,
    );
  },
  run,
};

/** All trainings share one split, as the published ones share a data set. */
const SPLIT_SEED = 0;

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const split: SplitDigits = await loadSplit(config, SPLIT_SEED);
  const trainings = allTrainings(config, split);
  const byId = new Map(trainings.map((one) => [one.training.id, one]));
  const { status, detail, records } = await runStudy(context, {
    trainings: trainings.map(({ training }) => training),
    record: async ({ id }, replica, step) => {
      const { condition, seed } = byId.get(id)!;
      return [{ penalty: condition.name, seed, step, ...(await measure(config, replica)) }];
    },
  });
  const curves = [...records.values()].flatMap(({ rows }) => rows);
  const networks = curves.filter(({ step }) => step === config.steps);
  const diverged = [...records].find(([, record]) => record.status === "diverged");
  return {
    status: status === "done" && diverged ? "diverged" : status,
    ...(detail !== undefined
      ? { statusDetail: detail }
      : diverged && { statusDetail: `${diverged[0]}: ${diverged[1].detail}` }),
    tables: tablesOf(curves, networks, meanRows(config, curves)),
    figures: figuresOf(config),
    claims: claimsOf(config, networks),
    notes: notesOf(config, networks),
  };
}

async function measure({ trainRows, testRows, depth }: DepthPenaltyConfig, replica: Replica): Promise<Row> {
  const train = await replica.loss();
  const test = await replica.heldOut();
  const { W, V } = await replica.depth();
  const trainAccuracy = train.correct / trainRows;
  const testAccuracy = test.correct / testRows;
  return {
    train_loss: train.loss,
    test_loss: test.loss,
    gap: test.loss - train.loss,
    test_accuracy: testAccuracy,
    accuracy_gap: trainAccuracy - testAccuracy,
    lipschitz_V: depth * V.maxStep,
    lipschitz_W: depth * W.maxStep,
    train_accuracy: trainAccuracy,
  };
}
