/** Many trainings of one experiment, run into cells: the loop, its progress, its resumption and its end are the same for all. */
import { flowSchema } from "../config/flow.ts";
import type { DepthNorms, GradientNorms } from "../flow/measurements.ts";
import { DeviceError } from "../gpu/errors.ts";
import { type DenseData, DensePass, type StackEnds } from "../model/dense_pass.ts";
import type { CanonicalWeights } from "../model/dense_stack.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import { replicaBatches } from "../plan/replicas.ts";
import type { ExperimentContext, ExperimentPlan } from "./experiment.ts";
import type { Cell, RunStatus } from "./record.ts";
import {
  type CellRecord,
  createTraining,
  planTraining,
  runReplicas,
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
  /** States and adjoints of the trained rows at both ends of the stack. */
  ends(): Promise<StackEnds>;
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

/**
 * Runs a study; stops at a cancellation or when the device is lost, and returns what there is. Divergence ends one training only.
 * Trainings that follow one another and differ in seed, data, β and rate alone run side by side, as many as the device takes:
 * each of them is one replica of a batch, and a batch is one cell.
 */
export async function runStudy(context: ExperimentContext<unknown>, study: Study): Promise<StudyResult> {
  const records = new Map<string, CellRecord>();
  const total = studyWork(study.trainings);
  let done = 0;
  try {
    for (const batch of batchesOf(study.trainings, context.gpu.profile)) {
      const [first] = batch as [StudyTraining];
      const label = batch.length === 1 ? first.label : `${first.label} and ${batch.length - 1} more`;
      if (context.signal.aborted) return { status: "cancelled", detail: `stopped before ${label}`, records };
      const report = (steps: number, loss = Number.NaN) => {
        done += steps * first.spec.shape.depth * batch.length;
        context.progress({ done, total, label, ...(Number.isFinite(loss) && { loss }) });
      };
      const found = await runReplicas(
        context,
        batch.length === 1 ? first.id : `${first.id}--${batch.at(-1)!.id}`,
        first.recordSteps,
        () => openBatch(context, batch),
        ({ replicas }, step, r) => study.record(batch[r]!, replicas(step)[r]!, step),
        report,
      );
      // A batch that takes no step is looked at once.
      if (first.recordSteps.at(-1) === 0) report(1);
      batch.forEach(({ id }, r) => {
        records.set(id, found[r]!);
      });
      const cancelled = found.find(({ status }) => status === "cancelled");
      if (cancelled) return { status: "cancelled", detail: `${label}: ${cancelled.detail}`, records };
    }
    return { status: "done", records };
  } catch (error) {
    if (error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory"))
      return { status: error.kind, detail: error.message, records };
    throw error;
  }
}

/** What `deeplimit plan` says of a study: batches of equal shape, size and steps are one row. */
export function planStudy(trainings: readonly StudyTraining[], profile: DeviceProfile): ExperimentPlan {
  const rows = new Map<string, { count: number; batch: readonly StudyTraining[] }>();
  for (const batch of batchesOf(trainings, profile)) {
    const { spec, recordSteps } = batch[0]!;
    const { beta: _, ...same } = spec.shape;
    const key = JSON.stringify([same, spec.data.rows, recordSteps.at(-1) ?? 0, startsTied(spec), batch.length]);
    const row = rows.get(key);
    if (row) row.count += batch.length;
    else rows.set(key, { count: batch.length, batch });
  }
  let peakBytes = 0;
  const planned = [...rows.values()].map(({ count, batch }) => {
    const { spec, recordSteps } = batch[0]!;
    const replicas = batch.length;
    const { bytes, ...row } = planTraining(
      `${spec.shape.activation} L=${spec.shape.depth}${replicas > 1 ? `, ${replicas} at once` : ""}`,
      {
        shape: spec.shape,
        tied: startsTied(spec),
        rows: spec.data.rows,
        steps: recordSteps.at(-1) ?? 0,
        replicas,
        ...(spec.flow.trained && { trained: spec.flow.trained }),
      },
      profile,
      count,
    );
    const gradient = row.tensors.change!;
    peakBytes = Math.max(peakBytes, bytes + gradient);
    return { ...row, tensors: { ...row.tensors, gradient } };
  });
  return { trainings: planned, peakBytes, layerSteps: studyWork(trainings) };
}

/** The work of a study in its own progress: Σ depth · steps, at least one step of each. */
export function studyWork(trainings: readonly StudyTraining[]): number {
  return trainings.reduce(
    (sum, { spec, recordSteps }) => sum + spec.shape.depth * Math.max(1, recordSteps.at(-1) ?? 0),
    0,
  );
}

/** The trainings in their order, those in one batch that run side by side. */
function batchesOf(trainings: readonly StudyTraining[], profile: DeviceProfile): readonly (readonly StudyTraining[])[] {
  const runs: { readonly key: string; readonly trainings: StudyTraining[] }[] = [];
  for (const [i, training] of trainings.entries()) {
    const key = replicaKey(training) ?? `alone ${i}`;
    const run = runs.at(-1);
    if (run?.key === key) run.trainings.push(training);
    else runs.push({ key, trainings: [training] });
  }
  return runs.flatMap(({ trainings: run }) => {
    const { spec } = run[0]!;
    const options = { rows: spec.data.rows, tied: startsTied(spec) };
    let first = 0;
    return replicaBatches(spec.shape, profile, options, run.length).map((size) => {
      first += size;
      return run.slice(first - size, first);
    });
  });
}

/** What trainings must share to run side by side; undefined: such a training runs alone. */
function replicaKey({ spec, recordSteps, heldOut }: StudyTraining): string | undefined {
  const { beta: _, ...shape } = spec.shape;
  const { rate, ...flow } = flowSchema.parse(spec.flow);
  if (flow.method === "adaptive" || flow.stop.lossBelow !== undefined) return undefined;
  // Stages of a method and an end in training time go by one rate.
  const own = flow.method === "euler" && flow.stop.time === undefined ? null : rate;
  return JSON.stringify([shape, flow, own, spec.loss, spec.data.rows, startsTied(spec), recordSteps, heldOut?.rows]);
}

/** What a replica is asked for more than once at a step is measured once, for all replicas. */
async function openBatch(
  { gpu }: ExperimentContext<unknown>,
  batch: readonly StudyTraining[],
): Promise<Training & { readonly replicas: (step: number) => readonly Replica[] }> {
  const training = await createTraining(
    gpu,
    batch.map(({ spec }) => spec),
  );
  const { stack, pass, flow, measure, config } = training;
  const rows = batch.flatMap(({ heldOut }) => (heldOut ? [heldOut] : []));
  const held =
    rows.length > 0 ? await DensePass.create(stack, rows, training.spec.loss, { training: false }) : undefined;
  const atStep = (): Replica[] => {
    const depths = once(() => measure.depths(flow.recorder));
    const gradients = once(() => measure.gradients(flow.recorder, pass, config.trained));
    const losses = once(() => measure.losses(flow.recorder, pass));
    const heldOut = once(() => {
      if (!held) throw new Error("this training was given no rows to hold out");
      return measure.losses(flow.recorder, held);
    });
    const ends = once(() => pass.readEnds(flow.recorder));
    const state = once(() => stack.readState());
    return batch.map(({ spec }, r) => ({
      spec,
      depth: async () => (await depths())[r]!,
      gradient: async () => (await gradients())[r]!,
      loss: async () => (await losses())[r]!,
      heldOut: async () => (await heldOut())[r]!,
      ends: async () => (await ends())[r]!,
      initial: () => stack.initialOf(r),
      change: async () => stack.unpack(await state(), r),
    }));
  };
  let current: { readonly step: number; readonly replicas: readonly Replica[] } | undefined;
  return {
    ...training,
    replicas(step) {
      if (current?.step !== step) current = { step, replicas: atStep() };
      return current.replicas;
    },
    destroy() {
      held?.destroy();
      training.destroy();
    },
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
