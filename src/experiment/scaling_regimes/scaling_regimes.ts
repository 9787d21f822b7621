/**
 * The scale L^-β of a residual layer against the regularity of weights over depth: Marion, Fermanian, Biau, Vert, "Scaling ResNets in
 * the large-depth regime" (JMLR 26, 2025), figures 1, 3 to 9.
 */
import type { DeviceProfile } from "../../plan/device_profile.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import { planStudy, runStudy } from "../study.ts";
import { checkClaims } from "./check.ts";
import { accuracies, claims, criticals, exponents, mapRows } from "./claims.ts";
import { PRESETS, type ScalingRegimesConfig, scalingRegimesSchema } from "./config.ts";
import { figures, notes, tables } from "./report.ts";
import { blankSplit, type Case, digitsOf, initialCases, record, trainedCases } from "./training.ts";

export const scalingRegimes: Experiment<ScalingRegimesConfig> = {
  name: "scaling-regimes",
  title: "Scaling regimes: residual scale L^-β and regularity of the weights",
  summary:
    "Residual networks with scale L^-β whose weights over depth are independent, smooth (increments of a Gaussian process), or increments of fractional " +
    "Brownian motion with Hurst exponent H (Marion, Fermanian, Biau and Vert, JMLR 2025). Measured at initialisation: how far states and loss gradients " +
    "move from one end of the network to the other, ‖h_L − h_0‖/‖h_0‖ and ‖p_0 − p_L‖/‖p_L‖, their exponents in L, and the β at which these pass 0: " +
    "1/2 for independent, 1 for smooth weights, a continuum between. After a short training: test accuracy, the same ratios, and whether weights stay as rough as they were.",
  schema: scalingRegimesSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: ScalingRegimesConfig, profile: DeviceProfile): ExperimentPlan {
  const blank = blankSplit(config);
  const splits = Array.from({ length: config.trained.seeds }, () => blank);
  return planStudy([...initialCases(config), ...trainedCases(config, splits)], profile);
}

async function run(context: ExperimentContext<ScalingRegimesConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const splits = [];
  for (let seed = 0; seed < config.trained.seeds; seed++) splits.push(await digitsOf(config, seed));
  const cases = [...initialCases(config), ...trainedCases(config, splits)];
  const result = await runStudy(context, {
    trainings: cases,
    record: (one, replica, step) => record(one as Case, replica, step),
  });
  const rowsOf = (wanted: (one: Case) => boolean) =>
    cases.filter(wanted).flatMap(({ id }) => result.records.get(id)?.rows ?? []);
  const initial = rowsOf(({ rate }) => rate === null);
  const trained = rowsOf(({ rate }) => rate !== null);
  const found = exponents(initial);
  const critical = criticals(found);
  const best = accuracies(trained, config);
  return {
    status: result.status,
    ...(result.detail !== undefined && { statusDetail: result.detail }),
    tables: tables(initial, found, critical, mapRows(initial), trained, best),
    figures: figures(config),
    claims: [...claims(config, initial, found, critical, best), ...(context.check ? checkClaims(cases, initial) : [])],
    notes: notes(config),
  };
}
