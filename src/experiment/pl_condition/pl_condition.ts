/**
 * The local Polyak–Łojasiewicz condition of Marion, Wu, Sander, Biau (ICLR 2024, Definition 1 and Proposition 5): the ratio of squared gradient norm and loss at
 * the start, at random points of a ball around it, and along training; and the singular values it comes from (Lemma 21).
 */
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { compareWithFloat64 } from "../reference_steps.ts";
import { planStudy, runStudy } from "../study.ts";
import { claimsOf } from "./claims.ts";
import { collect } from "./collect.ts";
import { type PlConditionConfig, PRESETS, plConditionSchema, type Row, trainingId, trainingsOf } from "./config.ts";
import { hostRows } from "./host.ts";
import { figures, notes, tables } from "./report.ts";

type Context = ExperimentContext<PlConditionConfig>;

export const plCondition: Experiment<PlConditionConfig> = {
  name: "pl-condition",
  title: "The local Polyak–Łojasiewicz condition: where it holds and how it scales",
  summary:
    "Marion, Wu, Sander and Biau (ICLR 2024) prove that with m >= c₁ n, q >= d + d' and inputs of norm √q the loss satisfies ‖∂ℓ/∂A‖² + L Σ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖² >= μℓ in a ball around " +
    "the start (Proposition 5), with μ of order n^{−3/2} q^{−1} at least; the proof rests on the smallest singular value of the features σ(W x_i/√q) " +
    "(Lemma 21). Measured: the ratio for targets along the weakest direction of the start against n, q, m and L; the singular values in float64 against √m η_r/4 and " +
    "where m/n makes them collapse; the ratio at random points of the ball; and the ratio along training against the weakest eigenvalue of the start.",
  schema: plConditionSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) => planStudy(trainingsOf(config, undefined), profile),
  run,
};

async function run(context: Context): Promise<ExperimentResult> {
  const { config, signal } = context;
  const host = await hostRows(context);
  const study =
    host === undefined
      ? { status: "cancelled" as const, detail: "stopped in the computations on the host", records: new Map() }
      : await runStudy(context, {
          trainings: trainingsOf(config, host),
          record: async (training, replica, step) => {
            const { loss, plRatio } = await replica.gradient();
            const rate = training.spec.flow.rate;
            const row: Row = { step, time: step * rate, loss, pl_ratio: plRatio };
            if (training.recordSteps.length === 1) return [row];
            const { V, W } = await replica.depth();
            return [{ ...row, max_step_V: V.maxStep, max_step_W: W.maxStep }];
          },
        });
  const rows = collect(config, host ?? [], study.records);
  const seed = config.seeds[0]!;
  const training = trainingsOf({ ...config, seeds: [seed] }, undefined).find(({ id }) => id === trainingId(seed))!;
  const state = (step: number) => rows.training.find((row) => row.seed === seed && row.step === step);
  const checks =
    context.check && study.status === "done" && !signal.aborted
      ? await compareWithFloat64(context, training.spec, state, "the training")
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
