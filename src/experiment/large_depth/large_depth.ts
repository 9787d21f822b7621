/**
 * Figure 1 of Marion, Wu, Sander, Biau (ICLR 2024): smoothness of the weights in depth, and their convergence to a limit.
 *
 * Two statistics of neighbouring layers are kept apart, because the published panel does not show what its caption says:
 * - the caption's, max over k and t' ≤ t of ‖Z_{k+1}(t') − Z_k(t')‖_F, which Proposition 3 bounds by K/L;
 * - the published code's, (Σ_{t'≤t} Σ_k ‖Z_{k+1}(t') − Z_k(t')‖_F²)^{1/2}, the larger of V's and W's, with t' every
 *   iteration: L terms of order 1/L² make it fall like L^{-1/2}. That t' runs over every iteration, with no weight, is
 *   read off the numbers: at L = 1024 and t = 50 a float64 program found 0.214 for L·max_k‖V_{k+1} − V_k‖ and 0.0219 for
 *   the sum; here, on another random draw, they are 0.208 and 0.0215, and summed over every tenth iteration 0.0079.
 */
import { gradientFlowStep, stepNorms } from "../../reference/dense.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { Cell, Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { planTraining, weightsOf } from "../training.ts";
import { claims, fitSlopes, MEASURED_SOURCE } from "./claims.ts";
import { allDepths, FAMILIES, type LargeDepthConfig, largeDepthSchema, PRESETS, shapeOf, specOf } from "./config.ts";
import { figures, notes, tables } from "./report.ts";
import { trainInLockstep } from "./training.ts";

type Context = ExperimentContext<LargeDepthConfig>;

const ONLY_LAYERS = { A: false, Z: true, B: false };
const CHECK_STEPS = [2, 10];
/** Beyond this a step of the float64 reference takes more than seconds. */
const CHECK_DEPTH = 1024;

export const largeDepth: Experiment<LargeDepthConfig> = {
  name: "large-depth",
  title: "Large depth at finite training time: figure 1 of the paper",
  summary:
    "Residual networks h_{k+1} = h_k + V_{k+1} σ(W_{k+1} h_k) / L of depths 2 to 1024 and a reference of depth 2^14 start from the same " +
    "W (tied over depth, standard normal) and V = 0, and follow the same gradient flow on the same random regression data (Euler steps, A = B = I " +
    "frozen). Measured: how far neighbouring layers grow apart (Proposition 3 of Marion, Wu, Sander and Biau, ICLR 2024: at most K/L), and how " +
    "far the weights, as functions of depth, are from those of the reference (Theorem 4 (ii): they converge; no rate is stated). Figure 1 " +
    "(left) as published shows a cumulative statistic that falls like L^{-1/2}, not the maximum its caption names, which falls like 1/L; " +
    "both are here.",
  schema: largeDepthSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: LargeDepthConfig, profile: Parameters<typeof planTraining>[2]): ExperimentPlan {
  const { samples, steps, referenceDepth } = config;
  let peakBytes = 0;
  const trainings = allDepths(config).map((depth) => {
    const shape = shapeOf(config, depth);
    const isReference = depth === referenceDepth;
    const label = isReference ? `reference L=${depth}` : `L=${depth}`;
    const { bytes, ...row } = planTraining(
      label,
      { shape, tied: true, rows: samples, steps, trained: ONLY_LAYERS },
      profile,
    );
    // Layer norms of the interpolated distance have the reference's length; PL ratios need a whole gradient.
    const extra: Record<string, number> = { layerNorms: 16 * referenceDepth };
    if (!isReference) extra.gradient = row.tensors.lastGood! / 2;
    peakBytes += bytes + Object.values(extra).reduce((sum, value) => sum + value, 0);
    return { ...row, tensors: { ...row.tensors, ...extra } };
  });
  return { trainings, peakBytes, layerSteps: steps * allDepths(config).reduce((sum, depth) => sum + depth, 0) };
}

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const lockstep = await trainInLockstep(context);
  const checks = context.check && lockstep.status === "done" ? await compareWithFloat64(context, lockstep.steps) : [];
  const stoppedInCheck = checks === undefined;
  const slopes = fitSlopes(lockstep);
  const lastStep = Math.max(0, ...lockstep.steps.map(({ step }) => step as number));
  return {
    status: stoppedInCheck ? "cancelled" : lockstep.status,
    ...(stoppedInCheck && { statusDetail: "stopped in the comparison with float64" }),
    ...(lockstep.detail !== undefined && { statusDetail: lockstep.detail }),
    tables: tables(lockstep, slopes),
    figures: figures(lastStep),
    claims: [...claims(config, lockstep, slopes, lastStep), ...(checks ?? [])],
    notes: notes(config),
  };
}

/**
 * The first steps of the largest affordable depth against the float64 reference, from the same weights and data.
 * Undefined when it was stopped.
 */
async function compareWithFloat64(
  context: Context,
  rows: readonly Record<string, Cell>[],
): Promise<Claim[] | undefined> {
  const { config, signal } = context;
  const depth = config.depths.filter((candidate) => candidate <= CHECK_DEPTH).at(-1);
  if (depth === undefined) return [];
  const steps = CHECK_STEPS.filter((step) => step <= config.steps);
  const spec = specOf(config, depth);
  const { shape, data, loss } = spec;
  const initial = weightsOf(spec);
  const repeated = (layer: Float32Array) => {
    const out = new Float64Array(depth * layer.length);
    for (let k = 0; k < depth; k++) out.set(layer, k * layer.length);
    return out;
  };
  const weights = {
    A: Float64Array.from(initial.A),
    B: Float64Array.from(initial.B),
    V: repeated(initial.V),
    W: repeated(initial.W),
  };
  const samples = { n: data.rows, inputs: data.inputs, targets: data.targets };
  const trained = { A: false, V: true, W: true, B: false };
  const list: Claim[] = [];
  for (let step = 1; step <= steps.at(-1)!; step++) {
    // Each step blocks for seconds: let the host draw and hear a cancellation in between.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return undefined;
    context.progress({
      done: step,
      total: steps.at(-1)!,
      label: `float64 L=${depth}, step ${step} of ${steps.at(-1)}`,
    });
    gradientFlowStep(shape, weights, samples, loss, config.rate, trained);
    if (!steps.includes(step)) continue;
    const expected = stepNorms(weights.V, weights.W, shape);
    const row = rows.find((candidate) => candidate.depth === depth && candidate.step === step)!;
    for (const family of FAMILIES) {
      const value = row[`maxStep${family}`] as number;
      const measured = Math.abs(value / expected[family].max - 1);
      const passes = { max: step === 2 ? 1e-3 : 1e-4 };
      list.push({
        id: `float64-${family.toLowerCase()}-${step}`,
        statement: `max_k‖${family}_{k+1} − ${family}_k‖_F at L = ${depth} after ${step} steps agrees with the float64 reference: relative error`,
        source: MEASURED_SOURCE,
        measured,
        passes,
        verdict: judge(measured, passes),
        note: `${value.toPrecision(6)} on the device, ${expected[family].max.toPrecision(6)} in float64`,
      });
    }
  }
  return list;
}
