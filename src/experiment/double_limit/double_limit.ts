/**
 * Theorem 6 of Marion, Wu, Sander, Biau (ICLR 2024): the limits in depth and in training time exist and commute, and the limit interpolates the data.
 * First t → ∞: depths are trained to zero loss and extrapolated to L → ∞. First L → ∞: a reference many times as deep stands for
 * the limit at every t and is trained to zero loss. Functions are compared on points that are not trained on.
 */
import { denseForward } from "../../reference/dense.ts";
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { packFloats } from "../packed_floats.ts";
import { compareWithFloat64 } from "../reference_steps.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { spherePoints } from "../theorem_setting.ts";
import { claimsOf } from "./claims.ts";
import { collect } from "./collect.ts";
import { type DoubleLimitConfig, doubleLimitSchema, PRESETS, type Row, specOf, trainingsOf } from "./config.ts";
import { figures, notes, tables } from "./report.ts";

type Context = ExperimentContext<DoubleLimitConfig>;

export const doubleLimit: Experiment<DoubleLimitConfig> = {
  name: "double-limit",
  title: "Depth and training time to infinity: do the limits commute?",
  summary:
    "Theorem 6 of Marion, Wu, Sander and Biau (ICLR 2024): under the assumptions of Proposition 5 the flow reaches zero loss exponentially, at a rate that does " +
    "not depend on the depth; the trained network converges as L and t go to infinity in any order, and its limit interpolates the data. Here networks of growing depth " +
    "are trained to zero loss and extrapolated in L, and a reference many times as deep is trained alike. Measured: the distance of functions on fresh points " +
    "and of the weights as functions of depth, the rate of the loss against L, the loss that is left, and the distance between the two orders of the limits.",
  schema: doubleLimitSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) => planStudy(trainingsOf(config), profile),
  run,
};

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const trainings = trainingsOf(config);
  const variants = new Map(trainings.map(({ id, variant }) => [id, variant]));
  const study = await runStudy(context, {
    trainings,
    record: ({ id, spec }, replica, step) => {
      const { rate, steps } = config[variants.get(id)!];
      const seed = (spec.weights as { seed: number }).seed;
      return stateRows(config, replica, seed, step, step * rate, step === steps);
    },
  });
  const rows = collect(config, study.records);
  const [depth, seed] = [config.depths[0]!, config.seeds[0]!];
  const state = (step: number) =>
    rows.states.find((row) => row.variant === "all" && row.depth === depth && row.seed === seed && row.step === step);
  const checks =
    context.check && study.status === "done"
      ? await compareWithFloat64(context, specOf(config, "all", depth, seed), state, `all trained, L = ${depth}`)
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

async function stateRows(
  config: DoubleLimitConfig,
  replica: Replica,
  seed: number,
  step: number,
  time: number,
  last: boolean,
): Promise<Row[]> {
  const { loss, plRatio } = await replica.gradient();
  const { V, W } = await replica.depth();
  const change = await replica.change();
  const rows: Row[] = [
    {
      table: "states",
      step,
      time,
      loss,
      pl_ratio: plRatio,
      max_step_V: V.maxStep,
      max_step_W: W.maxStep,
    },
    { table: "outputs", step, F: JSON.stringify(freshOutputs(config, replica, change, seed)) },
  ];
  if (last) rows.push({ table: "weights", V: packFloats(change.V), W: packFloats(change.W) });
  return rows;
}

/** F on the fresh points in float64, from weights as they are on the device: differences between depths keep their digits. */
function freshOutputs(
  { fresh, width }: DoubleLimitConfig,
  { spec, ...replica }: Replica,
  change: Awaited<ReturnType<Replica["change"]>>,
  seed: number,
): number[] {
  const initial = replica.initial();
  const add = (name: "A" | "V" | "W" | "B") => Float64Array.from(change[name], (value, i) => value + initial[name][i]!);
  const weights = { A: add("A"), V: add("V"), W: add("W"), B: add("B") };
  return Array.from(denseForward(spec.shape, weights, spherePoints(fresh, width, seed, "fresh"), fresh).output);
}
