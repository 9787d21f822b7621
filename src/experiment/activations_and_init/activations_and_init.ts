/** Which activations and initial weights leave trained weights a smooth function of depth, decided by exponents in L. */
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { roughness } from "../statistics.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { claimsOf, comparedWithEye, verdictRows } from "./claims.ts";
import {
  type ActivationsAndInitConfig,
  activationsAndInitSchema,
  FAMILIES,
  type Planned,
  PRESETS,
  plannedOf,
  type Row,
} from "./config.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";
import { POWERS, stepsAlongDepth, variation, weightsAlongDepth } from "./smoothness.ts";

export const activationsAndInit: Experiment<ActivationsAndInitConfig> = {
  name: "activations-and-init",
  title: "Smooth weights need a smooth activation and a smooth start",
  summary:
    "Marion, Wu, Sander and Biau (ICLR 2024) find weights that vary smoothly with depth after training from smooth initial weights with a smooth activation, and not with ReLU " +
    "or from independent layers; their Table 1 says so by a look at the weights. Here every activation is trained from weights tied over depth, from Gaussian " +
    "processes of several lengths and from independent layers, at growing depth and over seeds, and the verdict is a rule on a number: the exponent in L of " +
    "max_k ‖X_{k+1} − X_k‖, with roughness ratios and p-variations beside it.",
  schema: activationsAndInitSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) =>
    planStudy(
      plannedOf(config).map(({ training }) => training),
      profile,
    ),
  run,
};

async function run(context: ExperimentContext<ActivationsAndInitConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const planned = plannedOf(config);
  const byId = new Map(planned.map((one) => [one.training.id, one]));
  const study = await runStudy(context, {
    trainings: planned.map(({ training }) => training),
    record: ({ id }, replica) => rowsOf(byId.get(id)!, replica),
  });
  const rows = (published: boolean) =>
    planned.flatMap(({ training, published: kind }) =>
      kind === published ? (study.records.get(training.id)?.rows ?? []) : [],
    );
  const [states, published] = [rows(false), rows(true)];
  const verdicts = verdictRows(config, states);
  const diverged = [...study.records].find(([, { status }]) => status === "diverged");
  const detail = study.detail ?? (diverged && `${byId.get(diverged[0])!.training.label}: ${diverged[1].detail}`);
  return {
    status: study.status === "done" && diverged ? "diverged" : study.status,
    ...(detail !== undefined && { statusDetail: detail }),
    tables: tablesOf(config, states, published, verdicts, comparedWithEye(config, verdicts)),
    figures: figuresOf(),
    claims: claimsOf(config, states, published, verdicts),
    notes: notesOf(config),
  };
}

async function rowsOf({ activation, start, depth, seed }: Planned, replica: Replica): Promise<Row[]> {
  const { loss } = await replica.loss();
  const initial = replica.initial();
  const change = await replica.change();
  return FAMILIES.map((family) => {
    const steps = stepsAlongDepth(initial[family], change[family], depth);
    return {
      ...{ activation, start: start.name, depth, seed, loss, family },
      max_step: steps.reduce((largest, step) => Math.max(largest, step), 0),
      roughness: roughness(weightsAlongDepth(initial, change, family), depth),
      ...Object.fromEntries(POWERS.map((p) => [`variation_${p}`, variation(steps, p)])),
    };
  });
}
