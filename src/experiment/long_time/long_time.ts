/**
 * Figure 2 of Marion, Wu, Sander, Biau (ICLR 2024): long training times. The loss falls exponentially (Theorem 6), L·max_k‖Z_{k+1} − Z_k‖
 * saturates (Proposition 8), and the weights converge at half the rate of the loss (A.2).
 */
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { packFloats } from "../packed_floats.ts";
import { compareWithFloat64 } from "../reference_steps.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { claimsOf } from "./claims.ts";
import { collect } from "./collect.ts";
import {
  keptSteps,
  type LongTimeConfig,
  longTimeSchema,
  PRESETS,
  type Row,
  SETUPS,
  specOf,
  trainingsOf,
} from "./config.ts";
import { figures, notes, tables } from "./report.ts";

type Context = ExperimentContext<LongTimeConfig>;

export const longTime: Experiment<LongTimeConfig> = {
  name: "long-time",
  title: "Long training time: figure 2 of the paper",
  summary:
    "A residual network h_{k+1} = h_k + V_{k+1} σ(W_{k+1} h_k) / L starts from tied W and V = 0 and follows the gradient flow of a regression on random " +
    "data until the loss is nearly zero. Marion, Wu, Sander and Biau (ICLR 2024) prove that under a Polyak–Łojasiewicz condition the loss " +
    "falls exponentially, uniformly in the depth (Theorem 6), that neighbouring layers stay within K/L of each other with K independent of the " +
    "training time (Proposition 8), and that the weights converge at half the rate of the loss (A.2). Measured over seeds: the rate of the loss and its " +
    "equality with the Polyak–Łojasiewicz ratio, the saturation of L·max_k‖Z_{k+1} − Z_k‖, and the distance to the last weights against the square root of the loss.",
  schema: longTimeSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) => planStudy(trainingsOf(config), profile),
  run,
};

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const kept = new Map(SETUPS.map((name) => [name, new Set(keptSteps(config, name))]));
  const trainings = trainingsOf(config);
  const study = await runStudy(context, {
    trainings,
    record: async ({ id }, replica, step) => {
      const name = SETUPS.find((each) => id.startsWith(each))!;
      return [
        await stateRow(config[name].rate, replica, step),
        ...(kept.get(name)!.has(step) ? [await weightsRow(replica, step)] : []),
      ];
    },
  });
  const rows = collect(config, study.records);
  const seed = config.small.seeds[0]!;
  const state = (step: number) =>
    rows.states.find((row) => row.setup === "small" && row.seed === seed && row.step === step);
  const checks =
    context.check && study.status === "done"
      ? await compareWithFloat64(context, specOf(config, "small", seed), state, "small set-up")
      : [];
  const stoppedInCheck = checks === undefined;
  const detail = stoppedInCheck ? "stopped in the comparison with float64" : (study.detail ?? rows.misfortune);
  return {
    status: stoppedInCheck ? "cancelled" : study.status === "done" && rows.misfortune ? "diverged" : study.status,
    ...(detail !== undefined && { statusDetail: detail }),
    tables: tables(rows),
    figures: figures(config, rows),
    claims: [...claimsOf(config, rows), ...(checks ?? [])],
    notes: notes(config),
  };
}

async function stateRow(rate: number, replica: Replica, step: number): Promise<Row> {
  const { loss, plRatio } = await replica.gradient();
  const { V, W } = await replica.depth();
  const { depth } = replica.spec.shape;
  return {
    table: "states",
    step,
    time: step * rate,
    loss,
    pl_ratio: plRatio,
    max_step_V: V.maxStep,
    max_step_W: W.maxStep,
    scaled_step_V: depth * V.maxStep,
    scaled_step_W: depth * W.maxStep,
  };
}

async function weightsRow(replica: Replica, step: number): Promise<Row> {
  const { V, W } = await replica.change();
  return { table: "weights", step, V: packFloats(V), W: packFloats(W) };
}
