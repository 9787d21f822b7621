/** Independent weights that do have an ODE limit: error rates of Chizat, "The hidden width of deep ResNets" (2509.10167). */
import type { DeviceProfile } from "../../plan/device_profile.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { Cell } from "../record.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { checkClaims } from "./check.ts";
import { claims, errorRows, exponents, type NetworkState } from "./claims.ts";
import { casesOf, type MeanFieldConfig, meanFieldSchema, PRESETS } from "./config.ts";
import { figures, notes, tables } from "./report.ts";

export const meanField: Experiment<MeanFieldConfig> = {
  name: "mean-field",
  title: "Mean-field scaling: independent weights with an ODE limit",
  summary:
    "Residual networks h_l = h_{l−1} + 1/(LM) Σ_j v_jl tanh(u_jl · h_{l−1}/D) with independent weights of variance D, trained by gradient descent with " +
    "rates proportional to L M D (Chizat, 2509.10167). In this scaling each coordinate of the state is an average of LM independent terms, so that " +
    "independent weights do have an ODE limit, with error O(1/L + √(D/(LM))). Measured: the distance of the last state to that of a much larger network " +
    "over L, M and D, at initialisation and after training, its exponents, and that training moves the state by as much at any size.",
  schema: meanFieldSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config: MeanFieldConfig, profile: DeviceProfile): ExperimentPlan => planStudy(casesOf(config), profile),
  run,
};

async function run(context: ExperimentContext<MeanFieldConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const result = await runStudy(context, {
    trainings: casesOf(config),
    record: (_, replica, step) => record(replica, step),
  });
  const states = new Map([...result.records].map(([id, { rows }]) => [id, rows.map(stateOf)]));
  const errors = errorRows(config, states);
  const found = exponents(config, errors);
  return {
    status: result.status,
    ...(result.detail !== undefined && { statusDetail: result.detail }),
    tables: tables(config, errors, found),
    figures: figures(config),
    claims: [...claims(config, errors, found), ...(context.check ? checkClaims(config, states) : [])],
    notes: notes(config),
  };
}

/** The states themselves are recorded: what they are compared with may be trained later. */
async function record(replica: Replica, step: number): Promise<Record<string, Cell>[]> {
  const { firstState, lastState } = await replica.ends();
  const { loss } = await replica.loss();
  return [{ step, loss, first: JSON.stringify([...firstState]), last: JSON.stringify([...lastState]) }];
}

function stateOf(row: Record<string, Cell>): NetworkState {
  return {
    step: row.step as number,
    loss: row.loss as number,
    first: JSON.parse(row.first as string) as number[],
    last: JSON.parse(row.last as string) as number[],
  };
}
