/**
 * ReLU loses what smooth activations keep: the counter-example of Appendix D of Marion, Wu, Sander and Biau (ICLR 2024). A start
 * whose neighbouring layers differ by 1/L ends at a step of order 1, however deep the network.
 */
import { z } from "zod";
import { ACTIVATIONS, type Activation } from "../config/dense.ts";
import { gradientFlowStep } from "../reference/dense.ts";
import type { Experiment, ExperimentContext, ExperimentResult, Preset } from "./experiment.ts";
import type { Cell, Claim, Figure, Table } from "./record.ts";
import { type Interval, judge, logLogSlope } from "./statistics.ts";
import { planStudy, type Replica, runStudy, type StudyTraining } from "./study.ts";
import { createTraining, recordSteps, type TrainingSpec, weightsOf } from "./training.ts";

type Row = Record<string, Cell>;

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

export const reluCounterexampleSchema = z.strictObject({
  activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
  halfDepths: z
    .array(z.int().min(1))
    .min(1)
    .refine(increasing, "must be increasing")
    .describe("L; the network has 2L layers"),
  input: z.number().positive().describe("x, the one sample"),
  factor: z.number().gt(1).describe("C: the target is C·x"),
  method: z.enum(["euler", "heun", "rk4"]).describe("of the flow; euler is gradient descent"),
  rate: z.number().positive().describe("η, time step of the flow"),
  steps: z.int().min(2),
  records: z.int().min(1).describe("about how many states are recorded along a training"),
});
export type ReluCounterexampleConfig = z.infer<typeof reluCounterexampleSchema>;
type Context = ExperimentContext<ReluCounterexampleConfig>;

const REDUCED: ReluCounterexampleConfig = {
  activations: ["relu", "gelu", "silu"],
  halfDepths: [4, 16, 64, 256],
  input: 1,
  factor: 2,
  method: "euler",
  rate: 0.05,
  steps: 150,
  records: 30,
};
const PRESETS: Record<Preset, ReluCounterexampleConfig> = {
  paper: { ...REDUCED, halfDepths: [4, 16, 64, 256, 1024, 4096], records: 40 },
  reduced: REDUCED,
  smoke: { ...REDUCED, activations: ["relu", "gelu"], halfDepths: [4, 16, 64], records: 3 },
};

const SOURCE = "Marion, Wu, Sander, Biau (ICLR 2024), Appendix D";
const MEASURED = "measured for this project";
const CONFIDENCE = 0.95;
/** Tolerance around the exponent −1 of Proposition 3: at the least L the next order in 1/L is 4 % of it. */
const INVERSE_DEPTH = { min: -1.1, max: -0.9 };
/** An exponent above this is no decay that a limit could hide in. */
const NO_DECAY = { min: -0.5 };
/**
 * A float64 program's largest step for GELU, C = 2 and x = 1, by L; three digits. Smooth activations end where their path leads,
 * and that depends on the time step: these are the numbers of gradient descent with η = 0.05.
 */
const GELU_STEPS: Readonly<Record<number, number>> = { 4: 0.479, 16: 0.127, 64: 0.0323, 256: 0.00811 };
/** Weights at the shallow end, where single layers can be seen. */
const SHOWN_LAYERS = 32;

export const reluCounterexample: Experiment<ReluCounterexampleConfig> = {
  name: "relu-counterexample",
  title: "ReLU counter-example: a step of order 1 from a start with steps of 1/L",
  summary:
    "Appendix D of Marion, Wu, Sander and Biau (ICLR 2024) shows that the implicit regularisation towards a neural ODE needs a smooth activation. One " +
    "sample (x, Cx), scalar states, 2L layers h_{k+1} = h_k + relu(w_{k+1} h_k) / (2L), w_k(0) = (−1)^k / (2L), gradient flow of (h_{2L} − Cx)²: layers that start " +
    "negative are dead and never move, the others move alike to w* = 2L (C^{1/L} − 1) ≥ 2 ln C. Neighbouring layers, 1/L apart at the start, end at a distance of order 1 " +
    "for every L. The same start under a smooth activation keeps steps of order 1/L.",
  schema: reluCounterexampleSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) => planStudy(trainingsOf(config), profile),
  run,
};

/** Limit of the layers that are alive: (1 + w*\/(2L))^L = C. */
export function limitWeight(halfDepth: number, factor: number): number {
  return 2 * halfDepth * (factor ** (1 / halfDepth) - 1);
}

/** Three roundings a layer (product, activation, sum), each at most 2⁻²⁴ of the state. */
function outputRounding(halfDepth: number): number {
  return 3 * 2 * halfDepth * 2 ** -24;
}

/** Relative error δ of h_{2L} moves w* by at most 2 C^{1/L} δ: w* = 2L (C^{1/L} − 1) with C(1 + δ) for C. */
function limitTolerance(halfDepth: number, factor: number): number {
  return 2 * factor ** (1 / halfDepth) * outputRounding(halfDepth);
}

function specOf(config: ReluCounterexampleConfig, activation: Activation, halfDepth: number): TrainingSpec {
  const { input, factor, method, rate, steps } = config;
  const depth = 2 * halfDepth;
  return {
    shape: { inputs: 1, width: 1, hidden: 1, outputs: 1, depth, activation, widthFactors: "code", beta: 1 },
    weights: {
      A: Float32Array.of(1),
      V: new Float32Array(depth).fill(1),
      // Layer k = 1 … 2L stands at k − 1.
      W: Float32Array.from({ length: depth }, (_, i) => (i % 2 === 0 ? -1 : 1) / depth),
      B: Float32Array.of(1),
      tied: false,
    },
    data: { inputs: Float32Array.of(input), targets: Float32Array.of(factor * input), rows: 1 },
    loss: "squared-norm",
    flow: {
      method,
      rate,
      trained: { A: false, Z: true, B: false },
      layerFactors: { V: 0, W: 1 },
      stop: { steps },
    },
  };
}

function trainingsOf(config: ReluCounterexampleConfig): StudyTraining[] {
  return config.halfDepths.flatMap((halfDepth) =>
    config.activations.map((activation) => ({
      id: idOf(activation, halfDepth),
      label: `${activation} L=${halfDepth}`,
      spec: specOf(config, activation, halfDepth),
      recordSteps: recordSteps(config.steps, config.records),
    })),
  );
}

function idOf(activation: Activation, halfDepth: number): string {
  return `${activation}-L${halfDepth}`;
}

async function record(config: ReluCounterexampleConfig, replica: Replica, step: number): Promise<Row[]> {
  const { activation, depth } = replica.spec.shape;
  const { W } = await replica.depth();
  const { loss } = await replica.loss();
  const start = replica.initial().W;
  const change = (await replica.change()).W;
  const weights = Array.from(change, (value, i) => start[i]! + value);
  const odd = Array.from(change).filter((_, i) => i % 2 === 0);
  const even = weights.filter((_, i) => i % 2 === 1);
  const common = { activation, half_depth: depth / 2, step, time: step * config.rate };
  const state: Row = {
    table: "training",
    ...common,
    loss,
    max_step: W.maxStep,
    scaled_step: (depth / 2) * W.maxStep,
    even_mean: even.reduce((sum, w) => sum + w, 0) / even.length,
    even_least: Math.min(...even),
    even_largest: Math.max(...even),
    odd_moved: Math.max(...odd.map(Math.abs)),
  };
  if (depth !== SHOWN_LAYERS || (step !== 0 && step !== config.steps)) return [state];
  return [
    state,
    ...weights.map((w, i) => ({
      table: "weights",
      ...common,
      layer: i + 1,
      w,
      state: step === 0 ? "start" : "trained",
    })),
  ];
}

async function run(context: Context): Promise<ExperimentResult> {
  const { config } = context;
  const trainings = trainingsOf(config);
  const study = await runStudy(context, {
    trainings,
    record: (_, replica, step) => record(config, replica, step),
  });
  const rows = (table: string) =>
    trainings
      .flatMap(({ id }) => study.records.get(id)?.rows ?? [])
      .flatMap(({ table: of, ...row }) => (of === table ? [row] : []));
  const states = rows("training");
  const checks = context.check && study.status === "done" ? await checkAgainstReference(context) : [];
  return {
    status: study.status,
    ...(study.detail !== undefined && { statusDetail: study.detail }),
    tables: tablesOf(states, rows("weights")),
    figures: figuresOf(config),
    claims: [...claimsOf(config, states), ...checks],
    notes: notesOf(config),
  };
}

function claimsOf(config: ReluCounterexampleConfig, states: readonly Row[]): Claim[] {
  const { activations, halfDepths, factor, input, method, rate, steps } = config;
  const last = (activation: Activation, halfDepth: number) =>
    states.find((row) => row.activation === activation && row.half_depth === halfDepth && row.step === steps);
  const number = (row: Row | undefined, field: string) => (row ? (row[field] as number) : null);
  const list: Claim[] = [];
  const add = (
    id: string,
    statement: string,
    source: string,
    measured: number | null,
    passes: Claim["passes"],
    extra: { interval?: Interval; note?: string } = {},
  ) =>
    list.push({
      id,
      statement,
      source,
      measured,
      ...extra,
      passes,
      verdict: measured === null ? "not decided" : judge(measured, passes, extra.interval),
      ...(measured === null && { note: "the training did not finish" }),
    });
  const largest = (values: readonly (number | null)[]) =>
    values.some((value) => value === null) ? null : Math.max(...(values as number[]));

  if (activations.includes("relu")) {
    const ends = halfDepths.map((halfDepth) => last("relu", halfDepth));
    for (const [i, halfDepth] of halfDepths.entries()) {
      const limit = limitWeight(halfDepth, factor);
      const tolerance = limitTolerance(halfDepth, factor);
      const end = ends[i];
      add(
        `relu-limit-${halfDepth}`,
        `ReLU, L = ${halfDepth}: the layers that are alive end at w* = 2L (C^{1/L} − 1) = ${limit.toFixed(7)} (their mean minus w*)`,
        SOURCE,
        end ? (end.even_mean as number) - limit : null,
        { min: -tolerance, max: tolerance },
        {
          ...(end && {
            interval: [(end.even_least as number) - limit, (end.even_largest as number) - limit] as const,
          }),
          note: "Interval: least and largest of the L layers. Range: float32 rounds h_{2L} by at most 6L·2⁻²⁴, which moves w* by 2 C^{1/L} times that.",
        },
      );
    }
    add(
      "relu-odd-fixed",
      "ReLU: the odd layers, which start negative, never move (largest change over all L and recorded times)",
      SOURCE,
      largest(states.filter(({ activation }) => activation === "relu").map((row) => row.odd_moved as number)),
      { min: 0, max: 0 },
    );
    add(
      "relu-even-equal",
      "ReLU: the even layers move alike (largest minus least of them, over all L and recorded times, in units of the float32 bound)",
      SOURCE,
      largest(
        states
          .filter(({ activation }) => activation === "relu")
          .map(
            (row) =>
              ((row.even_largest as number) - (row.even_least as number)) /
              limitTolerance(row.half_depth as number, factor),
          ),
      ),
      { max: 1 },
      { note: "Equal in exact arithmetic: p_k h_{k−1} does not depend on k. Unit: the tolerance of w* at that L." },
    );
    const gaps = ends.map((end) => number(end, "max_step"));
    add(
      "relu-step-order-1",
      `ReLU: the largest step |w_{k+1} − w_k| after training is at least 2 ln C = ${(2 * Math.log(factor)).toFixed(4)} at every L (least over L)`,
      SOURCE,
      gaps.includes(null) ? null : Math.min(...(gaps as number[])),
      { min: 2 * Math.log(factor) },
    );
  }
  if (activations.includes("gelu") && factor === 2 && input === 1 && method === "euler" && rate === 0.05)
    for (const halfDepth of halfDepths) {
      const expected = GELU_STEPS[halfDepth];
      if (expected === undefined) continue;
      const unit = 10 ** (Math.floor(Math.log10(expected)) - 2);
      add(
        `gelu-step-${halfDepth}`,
        `GELU, L = ${halfDepth}: the largest step after training is ${expected}, about 2.07 / L`,
        "float64 program, independent of this one",
        number(last("gelu", halfDepth), "max_step"),
        { min: expected - unit, max: expected + unit },
        { note: "Range: one unit of the third digit, the last that is known." },
      );
    }
  for (const activation of activations) {
    // Layers that start below the kink of leaky-relu cross it, after a time that falls like 1/L: neither exponent is predicted.
    if (activation === "leaky-relu") continue;
    const kinked = activation === "relu";
    const y = halfDepths.map((halfDepth) => number(last(activation, halfDepth), "max_step"));
    const fit =
      halfDepths.length < 3 || y.includes(null) ? undefined : logLogSlope(halfDepths, y as number[], CONFIDENCE);
    const passes = kinked ? NO_DECAY : INVERSE_DEPTH;
    list.push({
      id: `${activation}-step-slope`,
      statement: `${activation}: the largest step after training ${kinked ? "does not fall with L" : "falls like 1/L"} (exponent of L)`,
      source: activation === "relu" ? SOURCE : activation === "gelu" ? "Proposition 3 of the same paper" : MEASURED,
      measured: fit?.slope ?? null,
      ...(fit && { interval: fit.interval, confidence: CONFIDENCE }),
      passes,
      verdict: fit ? judge(fit.slope, passes, fit.interval) : "not decided",
      note: fit ? "No draws: the interval is that of the straight line." : "needs at least 3 depths that finished",
    });
  }
  const fits = activations.flatMap((activation) =>
    halfDepths.map((halfDepth) => {
      const loss = number(last(activation, halfDepth), "loss");
      return loss === null ? null : Math.sqrt(loss) / (factor * input * outputRounding(halfDepth));
    }),
  );
  add(
    "fits-the-sample",
    "Every network fits its sample, up to the rounding of its output (largest |h_{2L} − Cx| over C x · 6L·2⁻²⁴)",
    SOURCE,
    largest(fits),
    { max: 1 },
  );
  return list;
}

/** Some steps of explicit Euler at the least L against float64: every one rounds w by at most the bound of {@link outputRounding}. */
async function checkAgainstReference({ gpu, config }: Context): Promise<Claim[]> {
  const steps = Math.min(20, config.steps);
  const halfDepth = config.halfDepths[0]!;
  let measured = 0;
  for (const activation of config.activations) {
    const { flow, ...rest } = specOf(config, activation, halfDepth);
    const spec: TrainingSpec = { ...rest, flow: { ...flow, method: "euler" } };
    const training = await createTraining(gpu, spec);
    try {
      await training.flow.advance({ steps });
      const exact = Object.fromEntries(
        Object.entries(weightsOf(spec)).flatMap(([name, values]) =>
          values instanceof Float32Array ? [[name, Float64Array.from(values)]] : [],
        ),
      ) as Record<"A" | "V" | "W" | "B", Float64Array>;
      const data = { n: 1, inputs: spec.data.inputs, targets: spec.data.targets as Float32Array };
      for (let step = 0; step < steps; step++)
        gradientFlowStep(spec.shape, exact, data, spec.loss, config.rate, { A: false, V: false, W: true, B: false });
      const { W } = await training.stack.readWeights();
      measured = Math.max(measured, ...Array.from(W, (w, i) => Math.abs(w - exact.W[i]!)));
    } finally {
      training.destroy();
    }
  }
  const passes = { max: steps * limitTolerance(halfDepth, config.factor) };
  return [
    {
      id: "check-weights",
      statement: `${steps} explicit Euler steps at L = ${halfDepth}, all activations: the weights agree with a float64 computation (largest difference)`,
      source: "float64 reference of this project",
      measured,
      passes,
      verdict: judge(measured, passes),
    },
  ];
}

function tablesOf(states: readonly Row[], weights: readonly Row[]): Table[] {
  const activation = { name: "activation", description: "σ" };
  const halfDepth = { name: "half_depth", description: "L; the network has 2L layers" };
  const step = { name: "step", description: "steps taken" };
  const time = { name: "time", description: "training time t" };
  return [
    {
      name: "training",
      description: "States along every training; odd and even are layer numbers k = 1 … 2L.",
      columns: [
        activation,
        halfDepth,
        step,
        time,
        { name: "loss", description: "(h_{2L} − Cx)²" },
        { name: "max_step", description: "max_k |w_{k+1} − w_k|" },
        { name: "scaled_step", description: "L · max_k |w_{k+1} − w_k|" },
        { name: "even_mean", description: "mean of the even layers' weights" },
        { name: "even_least", description: "least of them" },
        { name: "even_largest", description: "largest of them" },
        { name: "odd_moved", description: "largest |w_k(t) − w_k(0)| of the odd layers" },
      ],
      rows: [...states],
    },
    {
      name: "weights",
      description: `Weights of every layer before and after training, at 2L = ${SHOWN_LAYERS}.`,
      columns: [
        activation,
        halfDepth,
        step,
        time,
        { name: "layer", description: "k" },
        { name: "w", description: "w_k" },
        { name: "state", description: "start or trained" },
      ],
      rows: [...weights],
    },
  ];
}

function figuresOf({ steps, halfDepths }: ReluCounterexampleConfig): Figure[] {
  const activation = { field: "activation", label: "activation" };
  const shown: Figure = {
    name: "weights",
    title: `Weights against depth (L = ${SHOWN_LAYERS / 2})`,
    caption: `w_k of every one of the 2L = ${SHOWN_LAYERS} layers at the start and after training. ReLU: odd layers stay, even layers rise together.`,
    table: "weights",
    kind: "line",
    x: { field: "layer", label: "layer k" },
    y: { field: "w", label: "w_k" },
    color: { field: "state", label: "weights" },
    columnFacet: activation,
  };
  return [
    {
      name: "max-step",
      title: "Largest step between neighbouring layers, after training",
      caption:
        "max_k |w_{k+1} − w_k| against L. All start at 1/L; with a kink the steps end at order 1, with a smooth activation they keep falling like 1/L.",
      table: "training",
      kind: "line",
      x: { field: "half_depth", label: "L (half the layers)", scale: "log2" },
      y: { field: "max_step", label: "max step after training", scale: "log" },
      color: activation,
      guides: [{ slope: -1, label: "slope −1" }],
      where: { step: steps },
    },
    ...(halfDepths.includes(SHOWN_LAYERS / 2) ? [shown] : []),
    {
      name: "max-step-in-time",
      title: "Largest step along training",
      caption: "max_k |w_{k+1} − w_k| against training time t, for every L.",
      table: "training",
      kind: "line",
      x: { field: "time", label: "training time t" },
      y: { field: "max_step", label: "max step", scale: "log" },
      color: { field: "half_depth", label: "L", scale: "log2", sequential: true },
      columnFacet: activation,
    },
  ];
}

function notesOf({ activations, steps, method, rate, factor, input }: ReluCounterexampleConfig): string[] {
  return [
    `x = ${input}, C = ${factor}; method ${method}, ${steps} steps of ${rate}. The stack trained is h + V σ(W h) / (2L) with V = 1 held fixed and W = w trained; no clipping.`,
    "Where a smooth activation ends depends on the path to it, so on the time step; `--set method=rk4` follows the flow itself more closely. ReLU's limit does not.",
    "The ODE printed in Appendix D for the layers that are alive lacks a factor x / (2L); the limit point does not depend on it.",
    "The computation has no random draw: intervals speak of layers or of a straight line, not of seeds.",
    ...(activations.some((name) => name !== "relu" && name !== "gelu")
      ? ["The appendix has ReLU only; the other activations take the same start."]
      : []),
  ];
}
