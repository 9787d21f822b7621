/**
 * Does training stay smooth in depth under the optimisers of practice? Remark 1 of Marion, Wu, Sander and Biau (ICLR 2024)
 * conjectures so for momentum and Adam, whose updates are bounded.
 */
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { syntheticNotes } from "../synthetic.ts";
import { claimsOf } from "./claims.ts";
import {
  BETAS,
  type Case,
  casesOf,
  FAMILIES,
  idOf,
  type OptimizersConfig,
  optimizersSchema,
  PRESETS,
  type Row,
  trainingOf,
} from "./config.ts";
import { figuresOf, tablesOf } from "./report.ts";

export { adamFirstMove } from "./claims.ts";
export { type OptimizersConfig, optimizersSchema } from "./config.ts";

export const optimizers: Experiment<OptimizersConfig> = {
  name: "optimizers",
  title: "Optimisers of practice: do the steps between layers still fall like 1/L?",
  summary:
    "Propositions 3 and 8 of Marion, Wu, Sander and Biau (ICLR 2024) are about gradient flow; their Remark 1 conjectures an analogue for momentum and Adam because their " +
    "updates are bounded. Networks of growing depth, tied at the start, are trained by gradient descent, by Heun's and the classical Runge–Kutta method for the flow, " +
    "with momentum, Adam and AdamW. Measured: the exponent in L of max_k ‖V_{k+1} − V_k‖ and max_k ‖W_{k+1} − W_k‖, over seeds. Boundedness alone is not enough: Adam's " +
    "update is near a sign function of the gradient, which is no Lipschitz function of depth where a gradient changes sign, unless its ε is of the gradient's size.",
  schema: optimizersSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) =>
    planStudy(
      casesOf(config).map((one) => trainingOf(config, one)),
      profile,
    ),
  run,
};

async function record(config: OptimizersConfig, one: Case, replica: Replica, step: number): Promise<Row[]> {
  const { V, W } = await replica.depth();
  const { loss } = await replica.loss();
  const {
    method: { name },
    depth,
    seed,
  } = one;
  const common = { method: name, depth, seed };
  const state: Row = { table: "training", ...common, step, loss, max_step_V: V.maxStep, max_step_W: W.maxStep };
  if (step < config.steps) return [state];
  const change = await replica.change();
  const moved = FAMILIES.reduce((most, family) => change[family].reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
  const rows: Row[] = [state, { table: "moved", ...common, moved }];
  if (depth !== config.depths.at(-1) || seed !== config.seeds[0]) return rows;
  return [...rows, ...FAMILIES.flatMap((family) => roughestEntry(change[family], depth, { ...common, family }))];
}

/** The entry with the largest step between neighbouring layers, as change from the start over its largest size. */
function roughestEntry(layers: Float32Array, depth: number, common: Row): Row[] {
  const elements = layers.length / depth;
  let [entry, largest] = [0, -1];
  for (let i = elements; i < layers.length; i++) {
    const step = Math.abs(layers[i]! - layers[i - elements]!);
    if (step > largest) [entry, largest] = [i % elements, step];
  }
  const values = Array.from({ length: depth }, (_, k) => layers[k * elements + entry]!);
  const size = Math.max(...values.map(Math.abs));
  return values.map((value, k) => ({
    table: "entries",
    ...common,
    entry,
    layer: k + 1,
    s: (k + 1) / depth,
    change: value,
    scaled: size > 0 ? value / size : 0,
  }));
}

async function run(context: ExperimentContext<OptimizersConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const cases = new Map(casesOf(config).map((one) => [idOf(one), one]));
  const study = await runStudy(context, {
    trainings: [...cases.values()].map((one) => trainingOf(config, one)),
    record: ({ id }, replica, step) => record(config, cases.get(id)!, replica, step),
  });
  const all = [...study.records.values()].flatMap(({ rows }) => rows);
  const rows = (table: string) => all.flatMap(({ table: of, ...row }): Row[] => (of === table ? [row] : []));
  const states = rows("training");
  const ends = states.filter(({ step }) => step === config.steps);
  return {
    status: study.status,
    ...(study.detail !== undefined && { statusDetail: study.detail }),
    tables: tablesOf(config, states, rows("moved"), rows("entries")),
    figures: figuresOf(config),
    claims: claimsOf(config, states, ends, rows("moved")),
    notes: [
      ...syntheticNotes(config),
      `${config.steps} steps; ${config.methods.map(({ name, rate, optimiser, epsilon, weightDecay }) => `${name} η = ${rate}${optimiser.startsWith("adam") ? `, ε = ${epsilon}` : ""}${weightDecay > 0 ? `, weight decay ${weightDecay}` : ""}`).join("; ")}. Directions are L ∂ℓ/∂Z_k, so no rate depends on L; β₁ = ${BETAS.beta1}, β₂ = ${BETAS.beta2}.`,
      "The paper gives no experiment for Remark 1; rates are those at which each method lowers the loss, not tuned for a result.",
      "From V = 0 the first gradient of W is exactly 0, so Adam's first move of W is η sign(g) up to a constant where ε is small: an entry whose gradient changes sign between two layers steps by order η there, at any depth. Later moves add smooth steps of order 1/L, which hide the jump in the maximum until L is large.",
      "No clipping; GELU is unbounded. No float64 comparison (`--check`) here: tests of the flow hold every optimiser against float64.",
    ],
  };
}
