/**
 * Initial roughness under training: Proposition 7 of Marion, Wu, Sander and Biau (ICLR 2024) bounds how much steps between
 * neighbouring layers grow by a factor that does not depend on the depth.
 */
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { syntheticNotes } from "../synthetic.ts";
import { claimsOf, endRows, fitRows } from "./claims.ts";
import { casesOf, idOf, PRESETS, type RoughnessConfig, roughnessSchema, trainingOf } from "./config.ts";
import { figuresOf, tablesOf } from "./report.ts";

export { type RoughnessConfig, roughnessSchema, roughStart } from "./config.ts";

export const roughness: Experiment<RoughnessConfig> = {
  name: "roughness",
  title: "Rough starts: training amplifies steps between layers by a factor independent of depth",
  summary:
    "Proposition 7 of Marion, Wu, Sander and Biau (ICLR 2024), by a Gronwall argument: ‖Z_{k+1}(t) − Z_k(t)‖ ≤ (‖Z_{k+1}(0) − Z_k(0)‖ + βT/L) e^{αT} with α and β that " +
    "do not depend on L. Networks of growing depth start from weights tied over depth plus a perturbation whose steps are exactly r/L, an alternating sign (zigzag) or " +
    "a walk of independent directions. Measured: the amplification max_{k,t} ‖Z_{k+1} − Z_k‖ · L/r and the least factor e^{aT} with which the bound holds at " +
    "all r, against L.",
  schema: roughnessSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) =>
    planStudy(
      casesOf(config).map((one) => trainingOf(config, one)),
      profile,
    ),
  run,
};

/** max_k (‖V_{k+1} − V_k‖_F + ‖W_{k+1} − W_k‖_F); initial values and changes are subtracted apart, so that nothing is rounded away. */
async function largestStep(replica: Replica): Promise<number> {
  const { depth, width, hidden } = replica.spec.shape;
  const elements = width * hidden;
  const initial = replica.initial();
  const change = await replica.change();
  let largest = 0;
  for (let k = 1; k < depth; k++) {
    let total = 0;
    for (const family of ["V", "W"] as const) {
      let squares = 0;
      for (let i = k * elements; i < (k + 1) * elements; i++)
        squares +=
          (initial[family][i]! -
            initial[family][i - elements]! +
            (change[family][i]! - change[family][i - elements]!)) **
          2;
      total += Math.sqrt(squares);
    }
    largest = Math.max(largest, total);
  }
  return largest;
}

async function run(context: ExperimentContext<RoughnessConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const cases = new Map(casesOf(config).map((one) => [idOf(one), one]));
  const study = await runStudy(context, {
    trainings: [...cases.values()].map((one) => trainingOf(config, one)),
    record: async ({ id }, replica, step) => {
      const { kind, r, depth, seed } = cases.get(id)!;
      const { loss } = await replica.loss();
      const maxStep = await largestStep(replica);
      const common = { kind, r, depth, seed, step, time: step * config.rate };
      return [{ ...common, loss, max_step: maxStep, scaled_step: depth * maxStep }];
    },
  });
  const states = [...study.records.values()].flatMap(({ rows }) => rows);
  const ends = endRows(config, states);
  const fits = fitRows(config, ends);
  return {
    status: study.status,
    ...(study.detail !== undefined && { statusDetail: study.detail }),
    tables: tablesOf(states, ends, fits),
    figures: figuresOf(config),
    claims: claimsOf(config, ends, fits),
    notes: [
      ...syntheticNotes(config),
      `The perturbation moves V and W by r/(2L) a layer each; ${config.steps} Euler steps of ${config.rate}, t = ${Number((config.steps * config.rate).toPrecision(6))}; ${config.seeds.length} seeds.`,
      "The bound is the one that the proof's Gronwall step yields, e^{αT} on both terms; the statement prints it on the second term only. Both are compared.",
      "No clipping, and GELU is unbounded: the proposition does not formally cover this run. Its constants are far too large to compare with.",
      "No float64 comparison (`--check`) here: tied starts of the same network have it in large-depth.",
      ...(config.depths.at(-1)! < PRESETS.paper.depths.at(-1)!
        ? [
            `Reduced: the preset paper goes to L = ${PRESETS.paper.depths.at(-1)} with ${PRESETS.paper.samples} samples, ${PRESETS.paper.seeds.length} seeds and t = ${PRESETS.paper.steps * PRESETS.paper.rate}.`,
          ]
        : []),
    ],
  };
}
