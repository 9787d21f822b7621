/**
 * Generalisation gap against smoothness in depth (Marion, "Generalization bounds for neural ordinary differential equations and deep
 * residual networks", NeurIPS 2023), on handwritten digits: starts from tied to independent layers give weights of very
 * different Lipschitz constants in depth.
 */
import { gradientFlowStep } from "../../reference/dense.ts";
import { loadSplit, type SplitDigits } from "../digits/training.ts";
import type { Experiment, ExperimentResult } from "../experiment.ts";
import type { Claim } from "../record.ts";
import { extremeClaim } from "../seed_claim.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { createTraining, weightsOf } from "../training.ts";
import { claimsOf, correlationRows, meanRows } from "./claims.ts";
import {
  allCases,
  type Case,
  type Context,
  cellId,
  type GeneralizationConfig,
  generalizationSchema,
  PRESETS,
  type Row,
  trainingOf,
} from "./config.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";

export const generalization: Experiment<GeneralizationConfig> = {
  name: "generalization",
  title: "Generalisation gap against smoothness in depth",
  summary:
    "Residual networks classify handwritten digits from starts between one W for all layers (tied), Gaussian processes in depth of " +
    "shrinking kernel length, and a draw for each layer (iid). After the same training time: the generalisation gap, test minus training " +
    "loss, against the Lipschitz constant of the weights in depth, L·max_k ‖W_{k+1} − W_k‖, in two norms, with A and B trained or frozen. " +
    "Marion (NeurIPS 2023) bounds the gap by a quantity that grows with this constant. Decided by rank correlations, across starts within each " +
    "seed and across seeds at one start.",
  schema: generalizationSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan(config, profile) {
    const rows = (count: number) => ({ inputs: new Float32Array(), targets: new Uint32Array(), rows: count });
    const data = { train: rows(config.trainRows), test: rows(config.testRows) };
    return planStudy(
      allCases(config).map((one) => trainingOf(config, one, data)),
      profile,
    );
  },
  run,
};

/** All trainings share one split, as the published ones share a data set. */
const SPLIT_SEED = 0;

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const split = await loadSplit(config, SPLIT_SEED);
  const checks = context.check ? await checkAgainstReference(context, split) : [];
  const cases = new Map(allCases(config).map((one) => [cellId(one), one]));
  const { status, detail, records } = await runStudy(context, {
    trainings: [...cases.values()].map((one) => trainingOf(config, one, split)),
    record: async ({ id }, replica, step) => [await measure(config, cases.get(id)!, replica, step)],
  });
  const curves = [...records.values()].flatMap(({ rows }) => rows);
  const networks = curves.filter(({ step }) => step === config.steps);
  const diverged = [...records].find(([, record]) => record.status === "diverged");
  const correlations = correlationRows(config, networks);
  return {
    status: status === "done" && diverged ? "diverged" : status,
    ...(detail !== undefined
      ? { statusDetail: detail }
      : diverged && { statusDetail: `${diverged[0]}: ${diverged[1].detail}` }),
    tables: tablesOf(curves, networks, correlations, meanRows(config, networks)),
    figures: figuresOf(config),
    claims: [...claimsOf(config, networks, correlations), ...checks],
    notes: notesOf(config, networks),
  };
}

async function measure(config: GeneralizationConfig, one: Case, replica: Replica, step: number): Promise<Row> {
  const { trainRows, testRows, depth, rate } = config;
  const train = await replica.loss();
  const test = await replica.heldOut();
  const { W, V } = await replica.depth();
  // Largest entries of the differences are wanted of the final weights alone.
  const largest = step === config.steps ? largestEntry(await wholeW(replica), depth) : null;
  return {
    ...one,
    step,
    time: step * rate,
    train_loss: train.loss,
    test_loss: test.loss,
    gap: test.loss - train.loss,
    train_accuracy: train.correct / trainRows,
    test_accuracy: test.correct / testRows,
    accuracy_gap: train.correct / trainRows - test.correct / testRows,
    lipschitz_2: depth * W.maxStep,
    lipschitz_max: largest && depth * largest.absolute,
    lipschitz_signed: largest && depth * largest.signed,
    lipschitz_2_V: depth * V.maxStep,
  };
}

async function wholeW(replica: Replica): Promise<Float64Array> {
  const initial = replica.initial().W;
  return Float64Array.from((await replica.change()).W, (value, i) => initial[i]! + value);
}

/** Over neighbouring layers of [L, elements]: the largest entry of a difference in absolute value, and as it is. */
export function largestEntry(layers: Float64Array, depth: number): { absolute: number; signed: number } {
  const elements = layers.length / depth;
  let absolute = 0;
  let signed = -Infinity;
  for (let i = elements; i < layers.length; i++) {
    const difference = layers[i]! - layers[i - elements]!;
    absolute = Math.max(absolute, Math.abs(difference));
    signed = Math.max(signed, difference);
  }
  return { absolute, signed };
}

/** Two steps of each activation from the iid start, against float64; the tolerance is that of `digits`. */
async function checkAgainstReference({ gpu, config }: Context, split: SplitDigits): Promise<Claim[]> {
  const { activations, seeds, width, hidden, rate } = config;
  let worst = 0;
  for (const activation of activations) {
    const { spec } = trainingOf(config, { activation, maps: "trained", start: "iid", seed: seeds[0]! }, split);
    const { A, V, W, B } = weightsOf(spec);
    const exact = {
      A: Float64Array.from(A),
      V: Float64Array.from(V),
      W: Float64Array.from(W),
      B: Float64Array.from(B),
    };
    const data = { n: spec.data.rows, inputs: spec.data.inputs, targets: spec.data.targets };
    const training = await createTraining(gpu, spec);
    try {
      for (let step = 0; step < 2; step++) {
        const { loss } = await training.flow.advance({ steps: 1 });
        const expected = gradientFlowStep(spec.shape, exact, data, spec.loss, rate, {
          A: true,
          V: true,
          W: true,
          B: true,
        });
        worst = Math.max(worst, Math.abs(loss / expected.loss - 1));
      }
    } finally {
      training.destroy();
    }
  }
  return [
    extremeClaim(
      {
        id: "check-loss",
        statement:
          "The loss before the first and the second step agrees with a float64 computation (largest relative error)",
        source: "float64 reference of this project",
        passes: { max: 2 * 2 ** -24 * 8 * (width + hidden) },
      },
      worst,
    ),
  ];
}
