/**
 * Smoothness in depth of networks trained on real data: which of "start tied over depth or independent" and "smooth or
 * kinked activation" leaves the trained weights a discretised function of depth (Marion, Wu, Sander, Biau, ICLR 2024,
 * Propositions 3 and 8, Table 1), here by gradient flow on handwritten digits.
 */
import { DeviceError } from "../../gpu/errors.ts";
import { planDense } from "../../plan/dense.ts";
import { gradientFlowStep } from "../../reference/dense.ts";
import type { Experiment, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { createTraining, planTraining } from "../training.ts";
import { claimsOf, meanCurves, slopeRows } from "./claims.ts";
import {
  allCases,
  type Context,
  type DigitsConfig,
  digitsSchema,
  labelOf,
  layerStepsOf,
  PRESETS,
  shapeOf,
  specOf,
} from "./config.ts";
import { figuresOf, notesOf, tablesOf } from "./report.ts";
import { type Collected, collect, loadSplit, type SplitDigits, trainCase } from "./training.ts";

export { type DigitsConfig, digitsSchema } from "./config.ts";

export const digits: Experiment<DigitsConfig> = {
  name: "digits",
  title: "Handwritten digits: are the trained weights a function of depth?",
  summary:
    "Residual networks h_{k+1} = h_k + V_{k+1} σ(W_{k+1} h_k) / L of growing depth L classify 8 × 8 handwritten digits (UCI). All weights " +
    "follow the gradient flow of the cross-entropy (Euler steps; the layers on the clock scaled by L), from V = 0 and a W that is either one draw " +
    "shared by all layers (tied) or a draw for each (iid), with GELU or ReLU. Marion, Wu, Sander and Biau (ICLR 2024) prove for tied starts and " +
    "smooth activations that neighbouring layers stay within K/L of each other, so that the trained network discretises a neural ODE, and find " +
    "in their experiments that ReLU or an iid start breaks it. Measured: max_k ‖W_{k+1} − W_k‖_F and the same for V against L, in each of " +
    "the four cases, with accuracy on held-out digits and the Polyak–Łojasiewicz ratio that drives convergence.",
  schema: digitsSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: DigitsConfig, profile: Parameters<typeof planTraining>[2]): ExperimentPlan {
  const { activations, initialisations, depths, seeds, trainRows, testRows, steps } = config;
  let peakBytes = 0;
  const trainings = depths.flatMap((depth) =>
    activations.flatMap((activation) =>
      initialisations.map((initialisation) => {
        const shape = shapeOf(config, activation, depth);
        const label = `${activation} ${initialisation} L=${depth}`;
        const tied = initialisation === "tied";
        const { bytes, ...row } = planTraining(
          label,
          { shape, tied, rows: trainRows, steps },
          profile,
          // One at a time: seeds add time, not memory.
          seeds.length,
        );
        const test = planDense(shape, profile, { rows: testRows, training: false });
        const extra = {
          testPass: Object.values(test.tensors).reduce((sum, each) => sum + each, 0),
          gradient: row.tensors.lastGood! / 2,
        };
        peakBytes = Math.max(peakBytes, bytes + extra.testPass + extra.gradient);
        return { ...row, tensors: { ...row.tensors, ...extra } };
      }),
    ),
  );
  return { trainings, peakBytes, layerSteps: layerStepsOf(config) };
}

export async function run(context: Context): Promise<ExperimentResult> {
  const { config, signal } = context;
  const collected: Collected = { training: [], layers: [], smoothness: [], finished: new Set(), status: "done" };
  const checks: Claim[] = [];
  const total = layerStepsOf(config);
  let done = 0;
  try {
    if (context.check) checks.push(...(await checkAgainstReference(context)));
    let split: { readonly seed: number; readonly data: SplitDigits } | undefined;
    for (const one of allCases(config)) {
      if (signal.aborted) {
        collected.status = "cancelled";
        collected.detail = `stopped before ${labelOf(one)}`;
        break;
      }
      if (split?.seed !== one.seed) split = { seed: one.seed, data: await loadSplit(config, one.seed) };
      const record = await trainCase(context, one, split.data, (steps, loss) => {
        done += steps * one.depth;
        context.progress({ done, total, label: labelOf(one), ...(Number.isFinite(loss) && { loss }) });
      });
      collect(collected, one, record);
      if (record.status === "cancelled") break;
    }
  } catch (error) {
    if (!(error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory")))
      throw error;
    collected.status = error.kind;
    collected.detail = error.message;
  }
  return report(config, collected, checks);
}

/**
 * The first two steps at the smallest depth, every activation and initialisation, against float64. The tolerance is that of one evaluation,
 * 2⁻²⁴ · 8 (q + m): every rounding of a sum of q or m products enters at most once a layer; for each of the steps.
 */
async function checkAgainstReference(context: Context): Promise<Claim[]> {
  const { gpu, config } = context;
  const { activations, initialisations, depths, seeds, width, hidden, rate } = config;
  const steps = 2;
  const depth = depths[0]!;
  const seed = seeds[0]!;
  const { train } = await loadSplit(config, seed);
  const worst = { loss: 0, change: 0 };
  for (const activation of activations)
    for (const initialisation of initialisations) {
      const spec = specOf(config, { activation, initialisation, depth, seed }, train);
      const training = await createTraining(gpu, spec);
      try {
        const { initial } = training.stack;
        const weights = Object.fromEntries(
          (["A", "V", "W", "B"] as const).map((name) => [name, Float64Array.from(initial[name])]),
        ) as Record<"A" | "V" | "W" | "B", Float64Array>;
        const data = { n: train.rows, inputs: train.inputs, targets: train.targets };
        for (let step = 0; step < steps; step++) {
          const { loss } = await training.flow.advance({ steps: 1 });
          const moving = { A: true, V: true, W: true, B: true };
          const exact = gradientFlowStep(spec.shape, weights, data, spec.loss, rate, moving);
          worst.loss = Math.max(worst.loss, Math.abs(loss - exact.loss) / exact.loss);
        }
        const change = await training.stack.readChange();
        for (const name of ["A", "V", "W", "B"] as const) {
          const exact = weights[name].map((value, i) => value - initial[name][i]!);
          const error = maxAbs(exact.map((value, i) => value - change[name][i]!)) / maxAbs(exact);
          worst.change = Math.max(worst.change, error);
        }
      } finally {
        training.destroy();
      }
    }
  const passes = { max: steps * 2 ** -24 * 8 * (width + hidden) };
  const claim = (id: string, what: string, measured: number): Claim => ({
    id,
    statement: `First ${steps} steps at L = ${depth}, all cases: ${what} agrees with a float64 computation (largest relative error)`,
    source: "float64 reference of this project",
    measured,
    passes,
    verdict: judge(measured, passes),
  });
  return [
    claim("check-loss", "the loss", worst.loss),
    claim("check-change", "the change of A, V, W and B", worst.change),
  ];
}

function maxAbs(values: Float64Array): number {
  return values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

function report(config: DigitsConfig, collected: Collected, checks: readonly Claim[]): ExperimentResult {
  const slopes = slopeRows(config, collected);
  const curves = meanCurves(config, collected);
  return {
    status: collected.status,
    ...(collected.detail !== undefined && { statusDetail: collected.detail }),
    tables: tablesOf(config, collected, slopes, curves),
    figures: figuresOf(config, collected),
    claims: [...claimsOf(config, collected), ...checks],
    notes: notesOf(config, collected),
  };
}
