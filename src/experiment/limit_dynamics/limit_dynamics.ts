/**
 * The limiting training dynamics of Marion, Wu, Sander, Biau (ICLR 2024, section A.5) as the limit of residual networks: it is
 * computed as a neural ODE with weights in a basis over depth, and takes the place of a very deep stack.
 */
import { depthSolver, neededStages } from "../../ode/neural_ode.ts";
import { EULER } from "../../ode/tableaus.ts";
import { depthDistance, depthNorm, inverseMass, stageBasis, unitCoefficients } from "../../plan/basis.ts";
import { type NeuralFlow, type NeuralWeights, neuralFlowStep } from "../../reference/neural_ode.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { planTraining, weightsOf } from "../training.ts";
import { claims, find, fitRates, MEASURED_SOURCE } from "./claims.ts";
import {
  discretisations,
  FAMILIES,
  fieldOf,
  type LimitDynamicsConfig,
  limitDynamicsSchema,
  PRESETS,
  shapeOf,
  specOf,
  TRAINED,
} from "./config.ts";
import { figures, notes, tables } from "./report.ts";
import { type LimitDynamics, trainAll } from "./training.ts";

type Context = ExperimentContext<LimitDynamicsConfig>;

const CHECK_STEPS = 10;
/** Of float32: sums over rows and stages of terms rounded to 2^-24. */
const CHECK_TOLERANCE = 1e-4;

export const limitDynamics: Experiment<LimitDynamicsConfig> = {
  name: "limit-dynamics",
  title: "The limiting training dynamics, and how fast stacks approach it",
  summary:
    "Theorem 4 of Marion, Wu, Sander and Biau (ICLR 2024): trained by gradient flow from the same smooth weights, residual networks of growing depth L " +
    "converge to a limiting dynamics in which weights are functions of depth and follow the gradient of the loss in L²([0,1]). Here that limit is computed " +
    "directly, as a neural ODE with weights in a basis of a few functions and a solver of high order, and trained beside stacks of many depths on the same data. " +
    "Measured: the rate of convergence in L, which the theorem does not state; how well the limit itself is known, from a second discretisation; and " +
    "what it costs, against a stack of depth 2^14 as stand-in for the limit.",
  schema: limitDynamicsSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: LimitDynamicsConfig, profile: Parameters<typeof planTraining>[2]): ExperimentPlan {
  let peakBytes = 0;
  let layerSteps = 0;
  const trainings = discretisations(config).map(({ name, kind, depth, stages, solver, records }) => {
    const steps = records.at(-1)!;
    const { bytes, ...row } = planTraining(
      name,
      {
        shape: shapeOf(config, depth),
        tied: kind === "stack",
        rows: config.samples,
        steps,
        trained: TRAINED,
        ...(solver && { solver: depthSolver(solver, "l2") }),
      },
      profile,
    );
    peakBytes = Math.max(peakBytes, bytes);
    layerSteps += stages * steps;
    return row;
  });
  return { trainings, peakBytes, layerSteps };
}

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const result = await trainAll(context);
  const checks = context.check && result.status === "done" ? await compareWithFloat64(context, result) : [];
  const rates = fitRates(result, config);
  return {
    status: checks === undefined ? "cancelled" : result.status,
    ...(checks === undefined && { statusDetail: "stopped in the comparison with float64" }),
    ...(result.detail !== undefined && { statusDetail: result.detail }),
    tables: tables(config, result, rates),
    figures: figures(config, result),
    claims: [...claims(config, result, rates), ...(checks ?? [])],
    notes: notes(config),
  };
}

/** The first iterations of the limit against the float64 reference, from the same weights and data. Undefined when stopped. */
async function compareWithFloat64(
  { config, signal, progress }: Context,
  result: LimitDynamics,
): Promise<Claim[] | undefined> {
  const { basis, method, steps } = config.limit;
  const spec = specOf(config, basis.count);
  const { shape, data, loss } = spec;
  const tableau = neededStages(method);
  const flow: NeuralFlow = {
    shape: fieldOf(shape),
    mesh: { steps, tableau, basis: stageBasis(basis, steps, tableau.c) },
    inverseMass: inverseMass(basis),
    data: { n: data.rows, inputs: data.inputs, targets: data.targets },
    loss,
    trained: { A: false, V: true, W: true, B: false },
  };
  const initial = weightsOf(spec);
  const tied = (layer: Float32Array) => {
    const coefficients = new Float64Array(basis.count * layer.length);
    for (const [j, one] of unitCoefficients(basis).entries())
      for (let e = 0; e < layer.length; e++) coefficients[j * layer.length + e] = one * layer[e]!;
    return coefficients;
  };
  const start = { V: tied(initial.V), W: tied(initial.W) };
  const weights: NeuralWeights = {
    A: Float64Array.from(initial.A),
    B: Float64Array.from(initial.B),
    V: start.V.slice(),
    W: start.W.slice(),
  };
  const compared = find(result, "limit")!.snapshots.filter(({ step }) => step > 0 && step <= CHECK_STEPS);
  const last = compared.at(-1)?.step ?? 0;
  const list: Claim[] = [];
  for (let step = 1; step <= last; step++) {
    // Each step blocks for up to a second: let the host draw and hear a cancellation in between.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return undefined;
    progress({ done: step, total: last, label: `float64 ${basis.kind} ${basis.count}, step ${step} of ${last}` });
    neuralFlowStep(flow, weights, EULER, config.rate);
    const snapshot = compared.find((candidate) => candidate.step === step);
    if (!snapshot) continue;
    for (const family of FAMILIES) {
      const coefficients = weights[family].map((value, i) => value - start[family][i]!);
      const size = depthNorm({ basis, coefficients });
      // In the first iteration W does not move: its gradient is exactly 0 where V is.
      if (size === 0) continue;
      const measured = depthDistance({ basis, coefficients }, { basis, coefficients: snapshot.change![family] }) / size;
      const passes = { max: CHECK_TOLERANCE };
      list.push({
        id: `float64-${family.toLowerCase()}-${step}`,
        statement: `The limit's change of ${family} after ${step} iterations agrees with the float64 reference: relative error in L²`,
        source: MEASURED_SOURCE,
        measured,
        passes,
        verdict: judge(measured, passes),
      });
    }
  }
  return list;
}
