/**
 * Smoothness in depth of networks trained on real data: which of "start tied over depth or independent" and "smooth or
 * kinked activation" leaves the trained weights a discretised function of depth (Marion, Wu, Sander, Biau, ICLR 2024,
 * Propositions 3 and 8, Table 1), here by gradient flow on handwritten digits.
 */
import { z } from "zod";
import {
  ACTIVATIONS,
  type Activation,
  type DenseShape,
  INITIALISATIONS,
  type Initialisation,
} from "../config/dense.ts";
import { meanOfRows, scaleRowsToNorm, splitTrainTest } from "../data/preprocess.ts";
import { DeviceError } from "../gpu/errors.ts";
import { type DenseData, DensePass } from "../model/dense_pass.ts";
import type { DenseStack } from "../model/dense_stack.ts";
import { RandomStream } from "../model/random.ts";
import { planDense } from "../plan/dense.ts";
import { gradientFlowStep } from "../reference/dense.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult, Preset } from "./experiment.ts";
import type { Cell, Claim, Column, Figure, RunStatus, Table } from "./record.ts";
import { type Interval, judge, meanInterval, slopeOverSeeds } from "./statistics.ts";
import { type CellRecord, createTraining, planTraining, recordSteps, runCell, type TrainingSpec } from "./training.ts";

/** Sizes of the dataset; its reader, which only Node can load, checks the same numbers. */
const IMAGES = 1797;
const PIXELS = 64;
const CLASSES = 10;

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;

export const digitsSchema = z
  .strictObject({
    activations: z.array(z.enum(ACTIVATIONS)).min(1).refine(distinct, "must not repeat"),
    initialisations: z.array(z.enum(INITIALISATIONS)).min(1).refine(distinct, "must not repeat"),
    depths: z.array(z.int().min(2)).min(1).refine(increasing, "must be increasing"),
    seeds: z
      .array(z.int().min(0))
      .min(1)
      .refine(distinct, "must not repeat")
      .describe("one repetition each: another split and other initial weights"),
    trainRows: z.int().min(1),
    testRows: z.int().min(1),
    width: z.int().min(1).describe("q"),
    hidden: z.int().min(1).describe("m"),
    widthFactors: z.enum(["paper", "code"]).describe("paper: 1/√m and 1/√q in the network; code: 1"),
    hiddenScale: z.number().positive().describe("standard deviation of the entries of W at the start"),
    rate: z.number().positive().describe("η, the time step of the flow"),
    steps: z.int().min(2),
    records: z.int().min(1).describe("about how many states are recorded along a training"),
  })
  .refine(({ trainRows, testRows }) => trainRows + testRows <= IMAGES, {
    path: ["testRows"],
    message: `must leave trainRows + testRows at most ${IMAGES}`,
  });
export type DigitsConfig = z.infer<typeof digitsSchema>;

type Row = Record<string, Cell>;
type Context = ExperimentContext<DigitsConfig>;

const FAMILIES = ["V", "W"] as const;
type Family = (typeof FAMILIES)[number];
const TRAINED = { A: true, Z: true, B: true } as const;
const CONFIDENCE = 0.95;
const KINKED: readonly Activation[] = ["relu", "leaky-relu"];

/** Tolerance around the exponent −1 of Propositions 3 and 8: at these depths the next order in 1/L still shows. */
const INVERSE_DEPTH = { min: -1.25, max: -0.8 };
/** An exponent above this is no decay that a limit could hide in: 0 is that of independent layers. */
const NO_DECAY = { min: -0.5 };

/**
 * `code` width factors with W ~ N(0, 1/q): the function and the start of the paper's text (its W ~ N(0, 1) with 1/√q), on the
 * layer clock of its code. With `paper` factors the gradients of V and W carry 1/√m and 1/√q, and at q = 16 the maps A and B fit these
 * digits before the layers have moved: L·max‖W_{k+1} − W_k‖ was 0.006 at t = 600 (GELU, tied, 112 rows; 2026-11).
 * W ~ N(0, 1) with `code` factors, z of variance ‖h‖², fits as fast but generalises worse (test 0.80 against 0.87) and diverged at η = 0.1.
 */
const REDUCED: DigitsConfig = {
  activations: ["gelu", "relu"],
  initialisations: ["tied", "iid"],
  depths: [16, 32, 64, 128, 256],
  seeds: [0, 1, 2],
  trainRows: 112,
  testRows: 504,
  width: 16,
  hidden: 32,
  widthFactors: "code",
  hiddenScale: 0.25,
  rate: 0.2,
  steps: 100,
  records: 10,
};
const PRESETS: Record<Preset, DigitsConfig> = {
  paper: {
    ...REDUCED,
    depths: [16, 64, 256, 1024],
    seeds: [0, 1, 2, 3, 4],
    trainRows: 1400,
    testRows: 397,
    steps: 1000,
    records: 40,
  },
  reduced: REDUCED,
  smoke: { ...REDUCED, depths: [4, 8, 16], seeds: [0, 1], trainRows: 28, testRows: 56, steps: 20, records: 4 },
};

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

// ---------------------------------------------------------------------------------------------------------------- set-up

/** One training run. */
interface Case {
  readonly activation: Activation;
  readonly initialisation: Initialisation;
  readonly depth: number;
  readonly seed: number;
}

/** Seed by seed, shallow first: what an interrupted run leaves is whole repetitions and the shallow end of one more. */
function allCases(config: DigitsConfig): Case[] {
  const { seeds, depths, activations, initialisations } = config;
  return seeds.flatMap((seed) =>
    depths.flatMap((depth) =>
      activations.flatMap((activation) =>
        initialisations.map((initialisation) => ({ activation, initialisation, depth, seed })),
      ),
    ),
  );
}

function cellId({ activation, initialisation, depth, seed }: Case): string {
  return `${activation}-${initialisation}-L${depth}-seed${seed}`;
}

function labelOf({ activation, initialisation, depth, seed }: Case): string {
  return `${activation} ${initialisation} L=${depth} seed ${seed}`;
}

function shapeOf(config: DigitsConfig, activation: Activation, depth: number): DenseShape {
  const { width, hidden, widthFactors } = config;
  return { inputs: PIXELS, width, hidden, outputs: CLASSES, depth, activation, widthFactors, beta: 1 };
}

function specOf(config: DigitsConfig, { activation, initialisation, depth, seed }: Case, data: DenseData) {
  const { hiddenScale, rate, steps } = config;
  return {
    shape: shapeOf(config, activation, depth),
    // A ~ N(0, 1/q) keeps E‖A x‖² = ‖x‖².
    weights: { seed, initialisation, hiddenScale, A: "normal", B: "normal" },
    data,
    loss: "cross-entropy",
    flow: { rate, trained: TRAINED, stop: { steps } },
  } satisfies TrainingSpec;
}

/** States with a row: also the two ends of the first and of the last step, for the energy identity. */
function recordedSteps({ steps, records }: DigitsConfig): number[] {
  return [...new Set([...recordSteps(steps, records), steps - 1])].sort((a, b) => a - b);
}

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

function layerStepsOf(config: DigitsConfig): number {
  return config.steps * allCases(config).reduce((sum, { depth }) => sum + depth, 0);
}

interface SplitDigits {
  readonly train: DenseData;
  readonly test: DenseData;
}

/** Splits by a permutation of the seed's own; images minus the mean of the training rows, scaled to ‖x‖ = √q (Proposition 5). */
async function loadSplit(config: DigitsConfig, seed: number): Promise<SplitDigits> {
  const { trainRows, testRows, width } = config;
  const { readDigits } = await import("../data/digits.ts");
  const { images, labels, count } = readDigits();
  const { train, test } = splitTrainTest(count, trainRows, new RandomStream(seed, "split").permutation(count));
  const mean = meanOfRows(images, PIXELS, train);
  const scaled = scaleRowsToNorm(images, count, PIXELS, Math.sqrt(width), mean);
  const pick = (rows: Uint32Array): DenseData => {
    const inputs = new Float32Array(rows.length * PIXELS);
    for (const [i, row] of rows.entries()) inputs.set(scaled.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS);
    return { inputs, targets: Uint32Array.from(rows, (row) => labels[row]!), rows: rows.length };
  };
  return { train: pick(train), test: pick(test.slice(0, testRows)) };
}

// ---------------------------------------------------------------------------------------------------------------- training

/** What all finished and begun trainings left. */
interface Collected {
  readonly training: Row[];
  readonly layers: Row[];
  readonly smoothness: Row[];
  /** Cells that ran to their last step. */
  readonly finished: Set<string>;
  status: RunStatus;
  detail?: string;
}

async function run(context: Context): Promise<ExperimentResult> {
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

async function trainCase(
  context: Context,
  one: Case,
  { train, test }: SplitDigits,
  onSteps: (steps: number, loss: number) => void,
): Promise<CellRecord> {
  const { gpu, config } = context;
  const spec = specOf(config, one, train);
  const steps = recordedSteps(config);
  let testPass: DensePass | undefined;
  return runCell(
    context,
    cellId(one),
    steps,
    async () => {
      const training = await createTraining(gpu, spec);
      const pass = await DensePass.create(training.stack, test, spec.loss, { training: false });
      testPass = pass;
      return {
        ...training,
        destroy() {
          pass.destroy();
          training.destroy();
        },
      };
    },
    async ({ stack, flow, pass, measure }, step) => {
      const gradient = await measure.gradient(flow.recorder, pass, TRAINED);
      const { W, V } = await measure.depth(flow.recorder);
      const held = await measure.loss(flow.recorder, testPass!);
      const state: Row = {
        table: "training",
        ...one,
        step,
        time: step * config.rate,
        loss: gradient.loss,
        accuracy: gradient.correct / train.rows,
        test_loss: held.loss,
        test_accuracy: held.correct / test.rows,
        pl_ratio: gradient.plRatio,
        energy_rate: gradient.energyRate,
        max_step_V: V.maxStep,
        max_step_W: W.maxStep,
        mean_step_V: V.meanStep,
        mean_step_W: W.meanStep,
        max_norm_V: V.maxNorm,
        max_norm_W: W.maxNorm,
      };
      if (step < config.steps) return [state];
      const shown = one.seed === config.seeds[0] && one.depth === config.depths.at(-1);
      return [state, ...(await lastRows(stack, one, shown))];
    },
    onSteps,
  );
}

/** Roughness of the trained weights, and one entry of V_k and W_k against depth where it is shown. */
async function lastRows(stack: DenseStack, one: Case, shown: boolean): Promise<Row[]> {
  const { depth, width, hidden } = stack.shape;
  const { initial } = stack;
  const change = await stack.readChange();
  // What all layers share cancels in the roughness; the change alone keeps the digits that W itself rounds away.
  const moving = (family: Family) =>
    stack.tied ? change[family] : change[family].map((value, i) => value + initial[family][i]!);
  const rows: Row[] = [
    {
      table: "roughness",
      roughness_V: roughness(moving("V"), depth),
      roughness_W: roughness(moving("W"), depth),
    },
  ];
  if (!shown) return rows;
  const layer = width * hidden;
  for (const state of ["before", "after"] as const) {
    for (let k = 0; k < depth; k++) {
      const entry = (family: Family) =>
        initial[family][k * layer]! + (state === "after" ? change[family][k * layer]! : 0);
      rows.push({ table: "layers", ...one, layer: k + 1, s: (k + 1) / depth, state, V: entry("V"), W: entry("W") });
    }
  }
  return rows;
}

/**
 * Half of von Neumann's ratio over depth, [L, elements]: ½ Σ_k ‖X_{k+1} − X_k‖² / Σ_k ‖X_k − X̄‖² (von Neumann, Ann. Math. Statist. 12, 1941):
 * 1 for independent layers, O(1/L²) for samples of a Lipschitz function. Null when no layer differs.
 */
function roughness(layers: Float32Array, depth: number): number | null {
  const elements = layers.length / depth;
  let steps = 0;
  let spread = 0;
  for (let i = 0; i < elements; i++) {
    let mean = 0;
    for (let k = 0; k < depth; k++) mean += layers[k * elements + i]! / depth;
    for (let k = 0; k < depth; k++) {
      const value = layers[k * elements + i]!;
      spread += (value - mean) ** 2;
      if (k > 0) steps += (value - layers[(k - 1) * elements + i]!) ** 2;
    }
  }
  // Both means over L − 1: for independent layers numerator and denominator then estimate the same variance without bias.
  return spread > 0 ? steps / (2 * spread) : null;
}

function collect(collected: Collected, one: Case, record: CellRecord): void {
  const rows = (table: string) =>
    record.rows.filter((row) => row.table === table).map(({ table: _, ...row }) => row as Row);
  const training = rows("training");
  collected.training.push(...training);
  collected.layers.push(...rows("layers"));
  if (record.status !== "done") {
    // The first misfortune names the run; later cells still run after a divergence.
    if (collected.status === "done" || record.status === "cancelled") {
      collected.status = record.status;
      collected.detail = `${labelOf(one)}: ${record.detail}`;
    }
    return;
  }
  collected.finished.add(cellId(one));
  const [first, last, rough] = [training[0]!, training.at(-1)!, rows("roughness")[0]!];
  for (const family of FAMILIES) {
    const [initial, final] = [first, last].map((row) => row[`max_step_${family}`] as number);
    collected.smoothness.push({
      ...one,
      family,
      max_step_initial: initial!,
      max_step_final: final!,
      scaled_final: one.depth * final!,
      ratio: initial! > 0 ? final! / initial! : null,
      roughness: rough[`roughness_${family}`]!,
    });
  }
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

// ---------------------------------------------------------------------------------------------------------------- report

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

interface Combination {
  readonly activation: Activation;
  readonly initialisation: Initialisation;
}

function combinations({ activations, initialisations }: DigitsConfig): Combination[] {
  return initialisations.flatMap((initialisation) => activations.map((activation) => ({ activation, initialisation })));
}

function nameOf({ activation, initialisation }: Combination): string {
  return `${activation}, ${initialisation}`;
}

function matches(row: Row, wanted: Readonly<Record<string, Cell>>): boolean {
  return Object.entries(wanted).every(([key, value]) => row[key] === value);
}

/** A number for each seed that finished every depth of a combination, and how many of its cells are missing. */
interface PerSeed {
  readonly seeds: readonly number[];
  readonly missing: number;
}

function finishedSeeds(config: DigitsConfig, { finished }: Collected, combination: Combination): PerSeed {
  const { seeds, depths } = config;
  const has = (seed: number, depth: number) => finished.has(cellId({ ...combination, depth, seed }));
  return {
    seeds: seeds.filter((seed) => depths.every((depth) => has(seed, depth))),
    missing: seeds.reduce((sum, seed) => sum + depths.filter((depth) => !has(seed, depth)).length, 0),
  };
}

interface Estimate {
  readonly measured: number;
  readonly interval: Interval;
  readonly perSeed: readonly number[];
  readonly source: "seeds" | "regression";
}

/** Exponent in L of one number a cell, with its interval over seeds; undefined where it cannot be had. */
function depthSlope(
  { depths }: DigitsConfig,
  seeds: readonly number[],
  value: (depth: number, seed: number) => number,
): Estimate | undefined {
  if (depths.length < 2 || seeds.length === 0) return undefined;
  const series = seeds.map((seed) => ({ x: depths, y: depths.map((depth) => value(depth, seed)) }));
  if (series.some(({ y }) => y.some((each) => !(each > 0 && Number.isFinite(each))))) return undefined;
  const { slope, interval, perSeed, source } = slopeOverSeeds(series, CONFIDENCE);
  return { measured: slope, interval, perSeed, source };
}

function overSeeds(values: readonly number[]): Estimate | undefined {
  if (values.length === 0 || values.some((value) => !Number.isFinite(value))) return undefined;
  const { mean, interval } = meanInterval(values, CONFIDENCE);
  return { measured: mean, interval, perSeed: values, source: "seeds" };
}

function stepSlope(config: DigitsConfig, collected: Collected, combination: Combination, family: Family) {
  const { seeds } = finishedSeeds(config, collected, combination);
  const cells = collected.smoothness.filter((row) => matches(row, { ...combination, family }));
  return depthSlope(
    config,
    seeds,
    (depth, seed) => cells.find((row) => matches(row, { depth, seed }))!.max_step_final as number,
  );
}

function slopeRows(config: DigitsConfig, collected: Collected): Row[] {
  return FAMILIES.flatMap((family) =>
    combinations(config).flatMap((combination): Row[] => {
      const slope = stepSlope(config, collected, combination, family);
      if (!slope) return [];
      const [lower, upper] = slope.interval.map((end) => (Number.isFinite(end) ? end : null));
      const { measured, perSeed, source } = slope;
      return [
        {
          ...combination,
          family,
          slope: measured,
          lower: lower!,
          upper: upper!,
          interval_from: source,
          seeds: perSeed.length,
        },
      ];
    }),
  );
}

/** Geometric mean over seeds of the final max step at every depth, with the interval of the mean logarithm. */
function stepsByDepth(config: DigitsConfig, { smoothness }: Collected): Row[] {
  return FAMILIES.flatMap((family) =>
    combinations(config).flatMap((combination) =>
      config.depths.flatMap((depth): Row[] => {
        const logs = smoothness
          .filter((row) => matches(row, { ...combination, family, depth }) && (row.max_step_final as number) > 0)
          .map((row) => Math.log(row.max_step_final as number));
        if (logs.length === 0) return [];
        const { mean, interval } = meanInterval(logs, CONFIDENCE);
        const [lower, upper] = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
        const common = { case: nameOf(combination), ...combination, family, depth, seeds: logs.length };
        return [{ ...common, max_step: Math.exp(mean), lower: lower!, upper: upper! }];
      }),
    ),
  );
}

const CURVES = ["loss", "accuracy", "test_loss", "test_accuracy", "pl_ratio"] as const;

/** Mean, least and largest over seeds of what is recorded along training. */
function meanCurves(config: DigitsConfig, { training }: Collected): Row[] {
  const rows: Row[] = [];
  for (const combination of combinations(config))
    for (const depth of config.depths) {
      const cells = training.filter((row) => matches(row, { ...combination, depth }));
      for (const step of recordSteps(config.steps, config.records)) {
        const states = cells.filter((row) => row.step === step);
        if (states.length === 0) continue;
        const row: Row = {
          case: nameOf(combination),
          ...combination,
          depth,
          step,
          time: step * config.rate,
          seeds: states.length,
        };
        for (const name of CURVES) {
          const values = states.map((state) => state[name] as number);
          row[name] = values.reduce((sum, value) => sum + value, 0) / values.length;
          row[`${name}_low`] = Math.min(...values);
          row[`${name}_high`] = Math.max(...values);
        }
        rows.push(row);
      }
    }
  return rows;
}

// ---------------------------------------------------------------------------------------------------------------- claims

function claimsOf(config: DigitsConfig, collected: Collected): Claim[] {
  const smooth = config.activations.filter((activation) => !KINKED.includes(activation));
  const kinked = config.activations.filter((activation) => KINKED.includes(activation));
  const claims: Claim[] = [];
  for (const initialisation of config.initialisations) {
    if (initialisation === "iid") {
      for (const activation of config.activations)
        for (const family of FAMILIES)
          claims.push(
            slopeClaim(config, collected, { activation, initialisation }, family, NO_DECAY, {
              statement: "does not fall with L: independent layers stay rough",
              source: "paper, Table 1 and section 5 (iid start: trained weights not smooth)",
            }),
          );
      continue;
    }
    for (const activation of smooth) {
      const combination = { activation, initialisation };
      for (const family of FAMILIES)
        claims.push(
          slopeClaim(config, collected, combination, family, INVERSE_DEPTH, {
            statement: "falls like 1/L",
            source: "paper, Propositions 3 and 8 (ii)",
          }),
        );
      claims.push(...plClaims(config, collected, combination));
    }
    for (const activation of kinked) {
      const combination = { activation, initialisation };
      claims.push(
        slopeClaim(config, collected, combination, "W", NO_DECAY, {
          statement: "does not fall with L, although all layers start equal",
          source: "paper, Table 1 (ReLU, tied start: trained weights not smooth) and Appendix D (a step of order 1)",
        }),
        slopeClaim(config, collected, combination, "V", INVERSE_DEPTH, {
          statement: "still falls like 1/L",
          source: "measured for this project",
        }),
      );
      for (const other of smooth)
        claims.push(differenceClaim(config, collected, combination, { activation: other, initialisation }));
    }
  }
  claims.push(monotoneClaim(collected), ...energyClaims(config, collected, smooth));
  for (const combination of combinations(config)) claims.push(accuracyClaim(config, collected, combination));
  return claims;
}

interface Wording {
  readonly id: string;
  readonly statement: string;
  readonly source: string;
  readonly note?: string;
}

/** A claim about an estimate over seeds; cells that are missing leave it undecided, with what the others say. */
function estimateClaim(
  wording: Wording,
  estimate: Estimate | undefined,
  passes: Claim["passes"],
  missing: number,
): Claim {
  const notes = [
    wording.note,
    missing > 0 ? `${missing} ${missing === 1 ? "training is" : "trainings are"} missing` : undefined,
    estimate?.source === "regression" ? "one seed: the interval is that of the fitted line" : undefined,
  ].filter((note) => note !== undefined);
  return {
    id: wording.id,
    statement: wording.statement,
    source: wording.source,
    measured: estimate?.measured ?? null,
    ...(estimate && { interval: estimate.interval, confidence: CONFIDENCE }),
    passes,
    verdict: missing > 0 || !estimate ? "not decided" : judge(estimate.measured, passes, estimate.interval),
    ...(notes.length > 0 && { note: notes.join("; ") }),
  };
}

function slopeClaim(
  config: DigitsConfig,
  collected: Collected,
  combination: Combination,
  family: Family,
  passes: Claim["passes"],
  { statement, source }: Pick<Wording, "statement" | "source">,
): Claim {
  const { activation, initialisation } = combination;
  return estimateClaim(
    {
      id: `${activation}-${initialisation}-${family.toLowerCase()}-slope`,
      statement: `${activation}, ${initialisation} start: max_k ‖${family}_{k+1} − ${family}_k‖ after training ${statement} (exponent in L)`,
      source,
    },
    stepSlope(config, collected, combination, family),
    passes,
    finishedSeeds(config, collected, combination).missing,
  );
}

/** Same seeds, so same weights and digits: the difference of two exponents takes out what finite depth does to both. */
function differenceClaim(config: DigitsConfig, collected: Collected, kinked: Combination, smooth: Combination): Claim {
  const both = [kinked, smooth].map((combination) => finishedSeeds(config, collected, combination));
  const shared = both[0]!.seeds.filter((seed) => both[1]!.seeds.includes(seed));
  const slopeOf = (combination: Combination, seed: number) =>
    stepSlope({ ...config, seeds: [seed] }, collected, combination, "W")?.measured ?? Number.NaN;
  return estimateClaim(
    {
      id: `${kinked.activation}-minus-${smooth.activation}-${kinked.initialisation}-w-slope`,
      statement: `${kinked.initialisation} start: max_k ‖W_{k+1} − W_k‖ falls more slowly with L for ${kinked.activation} than for ${smooth.activation} (difference of exponents, seed by seed)`,
      source: "measured for this project",
    },
    overSeeds(shared.map((seed) => slopeOf(kinked, seed) - slopeOf(smooth, seed))),
    { min: 0 },
    both[0]!.missing + both[1]!.missing,
  );
}

/** The ratio of Definition 1 along training: bounded away from zero, and by a bound that does not depend on L. */
function plClaims(config: DigitsConfig, collected: Collected, combination: Combination): Claim[] {
  const { activation, initialisation } = combination;
  const { seeds, missing } = finishedSeeds(config, collected, combination);
  const cells = collected.training.filter((row) => matches(row, { ...combination }));
  const least = (wanted: Readonly<Record<string, Cell>>) =>
    Math.min(...cells.filter((row) => matches(row, wanted)).map((row) => row.pl_ratio as number));
  const all = seeds.length > 0 ? least({}) : null;
  const passes = { min: 1e-6 };
  const note = "with cross-entropy the ratio falls as the loss does: the infimum of the loss is not attained";
  return [
    {
      id: `${activation}-${initialisation}-pl-positive`,
      statement: `${activation}, ${initialisation} start: the Polyak–Łojasiewicz ratio stays positive (least over seeds, depths and recorded states)`,
      source: "paper, Definition 1 and Theorem 6",
      measured: all,
      passes,
      verdict: missing > 0 ? "not decided" : judge(all, passes),
      note,
    },
    estimateClaim(
      {
        id: `${activation}-${initialisation}-pl-uniform`,
        statement: `${activation}, ${initialisation} start: the least Polyak–Łojasiewicz ratio of a training does not depend on L (exponent in L)`,
        source: "paper, Proposition 5 and Theorem 6 (constants uniform in L)",
      },
      depthSlope(config, seeds, (depth, seed) => least({ depth, seed })),
      { min: -0.1, max: 0.1 },
      missing,
    ),
  ];
}

function monotoneClaim({ training, status }: Collected): Claim {
  let largest: number | null = null;
  for (let i = 1; i < training.length; i++) {
    const [before, after] = [training[i - 1]!, training[i]!];
    if ((after.step as number) <= (before.step as number)) continue; // the next training begins
    largest = Math.max(largest ?? 0, (after.loss as number) / (before.loss as number));
  }
  const passes = { max: 1 };
  return {
    id: "loss-falls",
    statement:
      "The training loss falls from every recorded state to the next, in all trainings (largest ratio of neighbours)",
    source: "paper, eq. (4): dℓ/dt = −(‖∂ℓ/∂A‖² + L Σ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖²)",
    measured: largest,
    passes,
    verdict: status === "done" ? judge(largest, passes) : "not decided",
  };
}

/**
 * The energy identity over the first and the last Euler step. With E = −dℓ/dt of the flow and a step η, Taylor's formula gives
 * (ℓ_s − ℓ_{s+1})/η = E_s − (η/2) g̃ᵀHg̃ + O(η²) and E_{s+1} = E_s − 2η g̃ᵀHg̃ + O(η²), hence (3E_s + E_{s+1})/4 + O(η²):
 * on a quadratic of curvature λ along the gradient the relative remainder is (ηλ)²/4, so the tolerance 0.05 allows ηλ up to 0.45.
 */
function energyClaims(config: DigitsConfig, collected: Collected, smooth: readonly Activation[]): Claim[] {
  const { rate, steps } = config;
  const passes = { max: 0.05 };
  const wanted = combinations(config).filter(({ activation }) => smooth.includes(activation));
  if (wanted.length === 0) return [];
  const missing = wanted.reduce((sum, each) => sum + finishedSeeds(config, collected, each).missing, 0);
  const rows = collected.training.filter((row) => smooth.includes(row.activation as Activation));
  let largest: number | null = null;
  for (let i = 1; i < rows.length; i++) {
    const [before, after] = [rows[i - 1]!, rows[i]!];
    const step = before.step as number;
    if (after.step !== step + 1 || (step !== 0 && step !== steps - 1)) continue;
    const fall = ((before.loss as number) - (after.loss as number)) / rate;
    const energy = (3 * (before.energy_rate as number) + (after.energy_rate as number)) / 4;
    largest = Math.max(largest ?? 0, Math.abs(fall / energy - 1));
  }
  return [
    {
      id: "energy-identity",
      statement:
        "The loss falls at the rate of the squared gradient norms, first and last step, smooth activations (largest relative difference)",
      source: "paper, eq. (4)",
      measured: largest,
      passes,
      verdict: missing > 0 ? "not decided" : judge(largest, passes),
      note: `with the Euler step's own first-order error taken out; the remainder is of second order in η = ${rate}`,
    },
  ];
}

function accuracyClaim(config: DigitsConfig, collected: Collected, combination: Combination): Claim {
  const depth = config.depths.at(-1)!;
  const { activation, initialisation } = combination;
  const last = collected.training.filter((row) => matches(row, { ...combination, depth, step: config.steps }));
  return estimateClaim(
    {
      id: `${activation}-${initialisation}-test-accuracy`,
      statement: `${activation}, ${initialisation} start: accuracy on ${config.testRows} held-out digits at L = ${depth} is above one half (chance: 0.1)`,
      source: "measured for this project",
    },
    overSeeds(last.map((row) => row.test_accuracy as number)),
    { min: 0.5 },
    config.seeds.length - last.length,
  );
}

// ---------------------------------------------------------------------------------------------------------------- tables, figures, notes

const CASE_COLUMNS: readonly Column[] = [
  { name: "activation", description: "σ" },
  { name: "initialisation", description: "W at the start: tied (one draw for all layers) or iid (a draw for each)" },
  { name: "depth", description: "number of layers L" },
  { name: "seed", description: "of the split and of the initial weights" },
];
const FAMILY_COLUMN: Column = { name: "family", description: "weights meant: V or W" };
const CASE_NAME_COLUMN: Column = { name: "case", description: "activation and initialisation" };
const SEEDS_COLUMN: Column = { name: "seeds", description: "seeds that contribute" };

function tablesOf(config: DigitsConfig, collected: Collected, slopes: readonly Row[], curves: readonly Row[]): Table[] {
  const [activation, initialisation, depth] = CASE_COLUMNS as [Column, Column, Column];
  return [
    {
      name: "training",
      description: "Every recorded state of every training.",
      columns: [
        ...CASE_COLUMNS,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t = step · η" },
        { name: "loss", description: "cross-entropy on the training rows, natural logarithm" },
        { name: "accuracy", description: "share of the training rows classified rightly" },
        { name: "test_loss", description: "cross-entropy on the test rows" },
        { name: "test_accuracy", description: "share of the test rows classified rightly" },
        { name: "pl_ratio", description: "energy_rate / loss, the Polyak–Łojasiewicz ratio of Definition 1" },
        { name: "energy_rate", description: "‖∂ℓ/∂A‖² + L Σ_k ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖² = −dℓ/dt" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
        { name: "mean_step_V", unit: "‖·‖_F", description: "mean_k ‖V_{k+1} − V_k‖" },
        { name: "mean_step_W", unit: "‖·‖_F", description: "mean_k ‖W_{k+1} − W_k‖" },
        { name: "max_norm_V", unit: "‖·‖_F", description: "max_k ‖V_k‖" },
        { name: "max_norm_W", unit: "‖·‖_F", description: "max_k ‖W_k‖" },
      ],
      rows: collected.training,
    },
    {
      name: "weights-by-depth",
      description: `The first entry of V_k and of W_k in every layer, before and after training, at L = ${config.depths.at(-1)}, seed ${config.seeds[0]}.`,
      columns: [
        ...CASE_COLUMNS,
        { name: "layer", description: "k = 1 … L" },
        { name: "s", description: "position k/L" },
        { name: "state", description: "before or after training" },
        { name: "V", description: "first row, first column of V_k" },
        { name: "W", description: "first row, first column of W_k" },
      ],
      rows: collected.layers,
    },
    {
      name: "smoothness",
      description: "Differences of neighbouring layers in every finished training.",
      columns: [
        ...CASE_COLUMNS,
        FAMILY_COLUMN,
        { name: "max_step_initial", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖ before training" },
        { name: "max_step_final", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖ after training" },
        { name: "scaled_final", unit: "‖·‖_F", description: "L · max_step_final, a Lipschitz constant in s = k/L" },
        { name: "ratio", description: "max_step_final / max_step_initial; empty where all layers start equal" },
        {
          name: "roughness",
          description:
            "½ Σ_k ‖X_{k+1} − X_k‖² / Σ_k ‖X_k − X̄‖² after training: 1 for independent layers, O(1/L²) for a Lipschitz function of k/L",
        },
      ],
      rows: collected.smoothness,
    },
    {
      name: "smoothness-by-depth",
      description: "Geometric mean over seeds of the final max step at every depth.",
      columns: [
        CASE_NAME_COLUMN,
        activation,
        initialisation,
        FAMILY_COLUMN,
        depth,
        SEEDS_COLUMN,
        { name: "max_step", unit: "‖·‖_F", description: "geometric mean of max_k ‖X_{k+1} − X_k‖ after training" },
        { name: "lower", unit: "‖·‖_F", description: "lower end of its 95 % interval (Student's t on logarithms)" },
        { name: "upper", unit: "‖·‖_F", description: "upper end of its 95 % interval" },
      ],
      rows: stepsByDepth(config, collected),
    },
    {
      name: "slopes",
      description:
        "Exponent p of max_k ‖X_{k+1} − X_k‖ ≈ C·L^p after training: a least-squares line for each seed, averaged.",
      columns: [
        activation,
        initialisation,
        FAMILY_COLUMN,
        { name: "slope", description: "p" },
        { name: "lower", description: "lower end of its 95 % interval" },
        { name: "upper", description: "upper end of its 95 % interval" },
        {
          name: "interval_from",
          description: "seeds: Student's t over seeds; regression: scatter about the line of a single seed",
        },
        SEEDS_COLUMN,
      ],
      rows: [...slopes],
    },
    {
      name: "curves",
      description: "Mean, least and largest over seeds along training.",
      columns: [
        CASE_NAME_COLUMN,
        activation,
        initialisation,
        depth,
        { name: "step", description: "Euler steps taken" },
        { name: "time", description: "training time t" },
        SEEDS_COLUMN,
        ...CURVES.flatMap((name) => [
          { name, description: `mean over seeds of ${name} in the table training` },
          { name: `${name}_low`, description: `least over seeds of ${name}` },
          { name: `${name}_high`, description: `largest over seeds of ${name}` },
        ]),
      ],
      rows: [...curves],
    },
  ];
}

function figuresOf(config: DigitsConfig, { training }: Collected): Figure[] {
  // A run that was stopped shows the deepest networks it has.
  const deepest = training.reduce((most, row) => Math.max(most, row.depth as number), 0) || config.depths.at(-1)!;
  const activation = { field: "activation", label: "activation" };
  const start = { field: "initialisation", label: "start" };
  const byCase = { field: "case", label: "activation, start" };
  const time = { field: "time", label: "training time t" };
  const entries = (family: Family, sentence: string): Figure => ({
    name: `weights-${family.toLowerCase()}`,
    title: `One entry of ${family}_k against depth (L=${config.depths.at(-1)})`,
    caption:
      `The first entry of ${family}_k for every layer k, seed ${config.seeds[0]}. A curve means that the trained network discretises a neural ODE; ` +
      `noise means that it does not. ${sentence}`,
    table: "weights-by-depth",
    kind: "line",
    x: { field: "s", label: "position in depth, k/L" },
    y: { field: family, label: `entry of ${family}_k` },
    color: { field: "state", label: "training" },
    columnFacet: activation,
    rowFacet: start,
  });
  const curve = (name: (typeof CURVES)[number], title: string, label: string, log: boolean): Figure => ({
    name: name.replaceAll("_", "-"),
    title: `${title} along training (L=${deepest})`,
    caption:
      `Mean over seeds; the band runs from the least to the largest of ${config.seeds.length} ${config.seeds.length === 1 ? "seed" : "seeds"}. ` +
      "Where only one line is seen, the other lies under it.",
    table: "curves",
    kind: "line",
    x: time,
    y: { field: name, label, ...(log && { scale: "log" }) },
    color: start,
    columnFacet: activation,
    interval: [`${name}_low`, `${name}_high`],
    where: { depth: deepest },
  });
  return [
    {
      name: "max-step",
      title: "Largest step between neighbouring layers, after training",
      caption:
        "max_k ‖X_{k+1} − X_k‖_F for X = V and W, geometric mean over seeds with its 95 % interval. Weights that are samples of a Lipschitz function of " +
        "k/L follow the guide of slope −1; independent layers stay level. Where only one of two cases is seen, the other lies under it.",
      table: "smoothness-by-depth",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "max_step", label: "max step after training", scale: "log" },
      color: byCase,
      columnFacet: { field: "family", label: "weights" },
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
    },
    entries("W", "Panels share the axis: the tied start is shown on a scale of its own below."),
    ...(config.initialisations.includes("tied")
      ? [
          {
            ...entries("W", ""),
            name: "weights-w-tied",
            title: `One entry of W_k against depth, tied start (L=${config.depths.at(-1)})`,
            caption: `The first entry of W_k for every layer k, seed ${config.seeds[0]}; before training all layers are equal.`,
            rowFacet: undefined,
            where: { initialisation: "tied" },
          },
        ].map(({ rowFacet: _, ...figure }): Figure => figure)
      : []),
    entries("V", "Before training V = 0."),
    curve("loss", "Training loss", "cross-entropy, training rows", true),
    curve("test_accuracy", "Test accuracy", "test accuracy", false),
    curve("pl_ratio", "Polyak–Łojasiewicz ratio", "−(dℓ/dt) / ℓ", true),
  ];
}

function notesOf(config: DigitsConfig, { finished }: Collected): string[] {
  const { trainRows, testRows, depths, seeds, width, hidden, widthFactors, hiddenScale, rate, steps } = config;
  const notes = [
    `Data: ${trainRows} training and ${testRows} test rows of the ${IMAGES} images of 8 × 8 pixels in the UCI set "Optical Recognition of Handwritten Digits" ` +
      "(Alpaydin and Kaynak, doi 10.24432/C50P49), split anew for each seed; writers are shared by both sides, so the accuracies are not " +
      "comparable with those on the set's own split. Images are centred by the mean of the training rows and scaled to ‖x‖ = √q.",
    `Network: q = ${width}, m = ${hidden}, width factors of the paper's ${widthFactors === "code" ? "code (none)" : "text (1/√m, 1/√q)"}, W ~ N(0, ${hiddenScale}²), ` +
      `V = 0, A and B ~ N(0, 1/q), all trained; Euler with η = ${rate}, ${steps} steps, t = ${Number((rate * steps).toPrecision(6))}; depths ${depths.join(", ")}; ${seeds.length} seeds.`,
    "Not the setting of the proofs in full: the flow is not clipped (Proposition 3), GELU is not bounded, and the loss is the cross-entropy, not the squared norm.",
  ];
  if (width < PIXELS + CLASSES)
    notes.push(
      `q = ${width} is below d + d' = ${PIXELS + CLASSES}, which Proposition 5 asks for: A projects the images, and no Polyak–Łojasiewicz constant is promised.`,
    );
  const paper = PRESETS.paper;
  if (depths.at(-1)! < paper.depths.at(-1)! || trainRows < paper.trainRows || seeds.length < paper.seeds.length)
    notes.push(
      `Reduced: the preset "paper" takes depths up to ${paper.depths.at(-1)}, ${paper.trainRows} training rows, ${paper.seeds.length} seeds and ${paper.steps} steps, for a GPU. ` +
        "The paper itself trains convolutional networks on CIFAR-10.",
    );
  const wanted = allCases(config).length;
  if (finished.size < wanted)
    notes.push(`${finished.size} of ${wanted} trainings finished; claims that need the others are not decided.`);
  return notes;
}
