/** Many trainings of one experiment, run into cells: the loop, its progress, its resumption and its end are the same for all. */
import type { DepthNorms, GradientNorms } from "../flow/measurements.ts";
import { DeviceError } from "../gpu/errors.ts";
import { type DenseData, DensePass } from "../model/dense_pass.ts";
import type { CanonicalWeights } from "../model/dense_stack.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import type { ExperimentContext, ExperimentPlan } from "./experiment.ts";
import type { Cell, RunStatus } from "./record.ts";
import {
  type CellRecord,
  createTraining,
  planTraining,
  runCell,
  startsTied,
  type Training,
  type TrainingSpec,
} from "./training.ts";

type Row = Record<string, Cell>;

/** One training of a study. */
export interface StudyTraining {
  /** Unique in the study and a file stem: letters, digits, dots, dashes. */
  readonly id: string;
  /** For the progress line, e.g. "gelu tied L=64 seed 1". */
  readonly label: string;
  readonly spec: TrainingSpec;
  /** Steps after which `record` is called, increasing; the last one ends the training. */
  readonly recordSteps: readonly number[];
  /** Rows that are not trained on, for `Replica.heldOut`. */
  readonly heldOut?: DenseData;
}

/** A training at one of its recorded steps: what can be measured, at the current weights. */
export interface Replica {
  readonly spec: TrainingSpec;
  /** Norms along depth of V and W. */
  depth(): Promise<{ W: DepthNorms; V: DepthNorms }>;
  /** Loss and gradient norms over the groups that are trained. */
  gradient(): Promise<GradientNorms>;
  loss(): Promise<{ loss: number; correct: number }>;
  /** Loss of the rows kept out. */
  heldOut(): Promise<{ loss: number; correct: number }>;
  /** The initial weights, with tied layers repeated. */
  initial(): CanonicalWeights;
  /** The change from the initial weights. */
  change(): Promise<CanonicalWeights>;
}

export interface Study {
  readonly trainings: readonly StudyTraining[];
  /** Rows of one recorded step; they must survive JSON. */
  record(training: StudyTraining, replica: Replica, step: number): Promise<Row[]>;
}

export interface StudyResult {
  /** `done` also when trainings diverged: their records say so. */
  readonly status: RunStatus;
  readonly detail?: string;
  /** By id; a training that was not begun is absent. */
  readonly records: ReadonlyMap<string, CellRecord>;
}

/** Runs a study; stops at a cancellation or when the device is lost, and returns what there is. Divergence ends one training only. */
export async function runStudy(context: ExperimentContext<unknown>, study: Study): Promise<StudyResult> {
  const records = new Map<string, CellRecord>();
  const total = layerSteps(study.trainings);
  let done = 0;
  try {
    for (const training of study.trainings) {
      const { id, label, spec } = training;
      if (context.signal.aborted) return { status: "cancelled", detail: `stopped before ${label}`, records };
      const record = await runCell(
        context,
        id,
        training.recordSteps,
        () => openReplica(context, training),
        ({ replica }, step) => study.record(training, replica, step),
        (steps, loss) => {
          done += steps * spec.shape.depth;
          context.progress({ done, total, label, ...(Number.isFinite(loss) && { loss }) });
        },
      );
      records.set(id, record);
      if (record.status === "cancelled") return { status: "cancelled", detail: `${label}: ${record.detail}`, records };
    }
    return { status: "done", records };
  } catch (error) {
    if (error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory"))
      return { status: error.kind, detail: error.message, records };
    throw error;
  }
}

/** What `deeplimit plan` says of a study: trainings of equal shape and steps are one row. */
export function planStudy(trainings: readonly StudyTraining[], profile: DeviceProfile): ExperimentPlan {
  const rows = new Map<string, { label: string; count: number; training: StudyTraining }>();
  for (const training of trainings) {
    const { shape, data } = training.spec;
    const { beta: _, ...same } = shape;
    const steps = training.recordSteps.at(-1) ?? 0;
    const key = JSON.stringify([same, data.rows, steps, startsTied(training.spec)]);
    const row = rows.get(key);
    if (row) row.count++;
    else rows.set(key, { label: `${shape.activation} L=${shape.depth}`, count: 1, training });
  }
  let peakBytes = 0;
  const planned = [...rows.values()].map(({ label, count, training: { spec, recordSteps } }) => {
    const { bytes, ...row } = planTraining(
      label,
      {
        shape: spec.shape,
        tied: startsTied(spec),
        rows: spec.data.rows,
        steps: recordSteps.at(-1) ?? 0,
        ...(spec.flow.trained && { trained: spec.flow.trained }),
      },
      profile,
      count,
    );
    const gradient = row.tensors.lastGood! / 2;
    peakBytes = Math.max(peakBytes, bytes + gradient);
    return { ...row, tensors: { ...row.tensors, gradient } };
  });
  return { trainings: planned, peakBytes, layerSteps: layerSteps(trainings) };
}

function layerSteps(trainings: readonly StudyTraining[]): number {
  return trainings.reduce((sum, { spec, recordSteps }) => sum + spec.shape.depth * (recordSteps.at(-1) ?? 0), 0);
}

async function openReplica(
  { gpu }: ExperimentContext<unknown>,
  { spec, heldOut }: StudyTraining,
): Promise<Training & { readonly replica: Replica }> {
  const training = await createTraining(gpu, spec);
  const { stack, pass, flow, measure, config } = training;
  const held = heldOut && (await DensePass.create(stack, heldOut, spec.loss, { training: false }));
  return {
    ...training,
    replica: {
      spec,
      depth: () => measure.depth(flow.recorder),
      gradient: () => measure.gradient(flow.recorder, pass, config.trained),
      loss: () => measure.loss(flow.recorder, pass),
      heldOut() {
        if (!held) throw new Error("this training was given no rows to hold out");
        return measure.loss(flow.recorder, held);
      },
      initial: () => stack.initial,
      change: () => stack.readChange(),
    },
    destroy() {
      held?.destroy();
      training.destroy();
    },
  };
}
