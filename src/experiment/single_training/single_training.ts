import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import type { Cell, Claim, Figure, Table } from "../record.ts";
import { roughness } from "../statistics.ts";
import { type Replica, runStudy } from "../study.ts";
import { recordSteps } from "../training.ts";
import {
  PRESETS,
  planOf,
  type SingleTrainingConfig,
  SMOOTH_ROUGHNESS,
  singleTrainingSchema,
  smoothnessVerdict,
  specOf,
} from "./config.ts";

type Row = Record<string, Cell>;
const FAMILIES = ["V", "W"] as const;

export const singleTraining: Experiment<SingleTrainingConfig> = {
  name: "single-training",
  title: "One training, every choice open",
  summary:
    "One residual network h_{k+1} = h_k + L^-β V_{k+1} σ(W_{k+1} h_k), one choice of data, start and optimiser: what the laboratory page " +
    "shows live, run again and recorded. The question is that of Marion, Wu, Sander and Biau (ICLR 2024): are the trained weights those of a " +
    "smooth function of depth?",
  schema: singleTrainingSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan(config, profile) {
    const { bytes, ...row } = planOf(config, profile);
    return { trainings: [row], peakBytes: bytes, layerSteps: config.depth * config.steps };
  },
  run,
};

async function run(context: ExperimentContext<SingleTrainingConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const digits = config.dataset === "digits" ? (await import("../../data/digits.ts")).readDigits() : undefined;
  const training = {
    id: "training",
    label: `${config.activation} ${config.initialisation} L=${config.depth}`,
    spec: specOf(config, digits),
    recordSteps: recordSteps(config.steps, config.records),
  };
  const { status, detail, records } = await runStudy(context, {
    trainings: [training],
    record: (_, replica, step) => recordState(config, replica, step),
  });
  const record = records.get(training.id);
  const rows = (table: string) =>
    (record?.rows ?? []).filter((row) => row.table === table).map(({ table: _, ...row }) => row as Row);
  const ended = status === "done" && record ? record.status : status;
  const endedDetail = detail ?? record?.detail;
  return {
    status: ended,
    ...(endedDetail !== undefined && { statusDetail: endedDetail }),
    tables: tablesOf(rows("training"), rows("layers")),
    figures: FIGURES,
    claims: claimsOf(config, rows("training").at(-1)),
    notes: [
      `Smooth: half of von Neumann's ratio of the moving weights over depth is at most ${SMOOTH_ROUGHNESS}, that of waves of 20 layers or more.`,
      ...(context.check ? ["--check is not available for this experiment; digits and large-depth have it."] : []),
    ],
  };
}

async function recordState(config: SingleTrainingConfig, replica: Replica, step: number): Promise<Row[]> {
  const { depth, width, hidden } = config;
  const [norms, { loss }] = [await replica.depth(), await replica.loss()];
  const [initial, change] = [replica.initial(), await replica.change()];
  const tied = config.initialisation === "tied";
  // What all layers share cancels; the change alone keeps the digits that W itself rounds away.
  const rough = (family: "V" | "W") =>
    roughness(tied ? change[family] : change[family].map((value, i) => value + initial[family][i]!), depth);
  const state: Row = {
    table: "training",
    step,
    time: step * config.rate,
    loss,
    lipschitz_V: depth * norms.V.maxStep,
    lipschitz_W: depth * norms.W.maxStep,
    roughness_V: rough("V"),
    roughness_W: rough("W"),
  };
  if (step !== 0 && step !== config.steps) return [state];
  const rows = [state];
  for (let k = 0; k < depth; k++)
    for (const family of FAMILIES) {
      const at = k * width * hidden;
      const value = initial[family][at]! + change[family][at]!;
      rows.push({ table: "layers", s: (k + 1) / depth, family, state: step === 0 ? "before" : "after", value });
    }
  return rows;
}

function tablesOf(training: Row[], layers: Row[]): Table[] {
  return [
    {
      name: "training",
      description: "The states recorded along the training.",
      columns: [
        { name: "step", description: "Iteration." },
        { name: "time", description: "Training time t = step · η." },
        { name: "loss", description: "Loss at this state." },
        ...FAMILIES.map((family) => ({
          name: `lipschitz_${family}`,
          unit: "‖·‖_F",
          description: `L · max_k ‖${family}_{k+1} − ${family}_k‖.`,
        })),
        ...FAMILIES.map((family) => ({
          name: `roughness_${family}`,
          description: `Half of von Neumann's ratio of ${family} over depth: 1 for independent layers, O(1/L²) for a smooth function.`,
        })),
      ],
      rows: training,
    },
    {
      name: "layers",
      description: "First entry of V_k and W_k over depth, before and after.",
      columns: [
        { name: "s", description: "k/L." },
        { name: "family", description: "V or W." },
        { name: "state", description: "before or after training." },
        { name: "value", description: "The entry." },
      ],
      rows: layers,
    },
  ];
}

const TIME = { field: "time", label: "training time t" } as const;
const FIGURES: readonly Figure[] = [
  {
    name: "weights-over-depth",
    title: "One entry of V_k and of W_k over depth",
    caption: "The first entry of each layer's weights, before and after training.",
    table: "layers",
    kind: "line",
    x: { field: "s", label: "s = k/L" },
    y: { field: "value", label: "entry" },
    color: { field: "state", label: "state" },
    columnFacet: { field: "family", label: "weights" },
  },
  {
    name: "loss",
    title: "Loss",
    caption: "Loss along the training.",
    table: "training",
    kind: "line",
    x: TIME,
    y: { field: "loss", label: "loss", scale: "log" },
  },
  ...FAMILIES.map(
    (family): Figure => ({
      name: `lipschitz-${family.toLowerCase()}`,
      title: `Largest step of ${family} over depth, times L`,
      caption: `L · max_k ‖${family}_{k+1} − ${family}_k‖ stays bounded in L when the weights are a Lipschitz function of depth.`,
      table: "training",
      kind: "line",
      x: TIME,
      y: { field: `lipschitz_${family}`, label: `L · max‖Δ${family}‖` },
    }),
  ),
];

function claimsOf(config: SingleTrainingConfig, last: Row | undefined): Claim[] {
  return FAMILIES.map((family) => {
    const measured = last?.step === config.steps ? ((last[`roughness_${family}`] ?? null) as number | null) : null;
    return {
      id: `smooth-${family}`,
      statement: `After training, ${family} is a smooth function of depth: half of von Neumann's ratio over the layers`,
      source: "Marion et al. (ICLR 2024), Proposition 3; measure of this project",
      measured,
      passes: { max: SMOOTH_ROUGHNESS },
      verdict: smoothnessVerdict(measured),
    };
  });
}
