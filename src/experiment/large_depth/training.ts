import type { Checkpoint } from "../../flow/checkpoint.ts";
import { INDEXINGS } from "../../flow/measurements.ts";
import { checkpointTraining, restoreTraining } from "../../flow/training_checkpoint.ts";
import { DeviceError } from "../../gpu/errors.ts";
import type { ExperimentContext } from "../experiment.ts";
import type { Cell, RunStatus } from "../record.ts";
import { createTraining, type Training } from "../training.ts";
import { allDepths, FAMILIES, type Family, type LargeDepthConfig, recordedSteps, specOf, TRAINED } from "./config.ts";

type Row = Record<string, Cell>;

/** Steps of the reference between two looks at the clock. */
const STRETCH = 8;
const CELL = "lockstep";

/** What the trainings gave: rows of the tables `steps` and `distances`. */
export interface Lockstep {
  status: RunStatus;
  detail?: string;
  readonly steps: Row[];
  readonly distances: Row[];
}

/** Over every iteration so far: max_k‖·‖_F at its largest, and Σ_k‖·‖_F² summed, for V and W. */
interface History {
  readonly largest: Record<Family, number>;
  readonly squares: Record<Family, number>;
}

/**
 * Trains all depths and the reference together, from record to record, so that distances are taken on the device. A finished
 * run is loaded; a checkpointed one continues bit by bit.
 */
export async function trainInLockstep(context: ExperimentContext<LargeDepthConfig>): Promise<Lockstep> {
  const { gpu, config, cells, signal } = context;
  const finished = (await cells.load(CELL)) as Lockstep | undefined;
  const depths = allDepths(config);
  const layerSteps = config.steps * depths.reduce((sum, depth) => sum + depth, 0);
  if (finished) {
    context.progress({ done: layerSteps, total: layerSteps, label: "loaded" });
    return finished;
  }
  const result: Lockstep = { status: "done", steps: [], distances: [] };
  const histories = depths.map((): History => ({ largest: { V: 0, W: 0 }, squares: { V: 0, W: 0 } }));
  const records = recordedSteps(config);
  const trainings: Training[] = [];
  let nextRecord = 0;
  try {
    for (const depth of depths) trainings.push(await createTraining(gpu, specOf(config, depth)));
    const saved = await cells.loadCheckpoint(CELL);
    if (saved) nextRecord = restore(saved, trainings, result, histories);

    const report = (training: Training) => {
      const { step, loss } = training.flow.state;
      const done = trainings.reduce((sum, { flow, spec }) => sum + flow.state.step * spec.shape.depth, 0);
      const label = `L=${training.spec.shape.depth}, step ${step} of ${config.steps}`;
      context.progress({ done, total: layerSteps, label, ...(Number.isFinite(loss) && { loss }) });
    };
    let lastSave = performance.now();
    const save = async () => {
      await cells.saveCheckpoint(CELL, await checkpoint(trainings, result, histories, nextRecord));
      lastSave = performance.now();
    };

    for (; nextRecord < records.length; nextRecord++) {
      const target = records[nextRecord]!;
      for (const [i, training] of trainings.entries()) {
        const { flow, measure } = training;
        const isReference = i === config.depths.length;
        while (flow.state.step < target) {
          const steps = isReference ? Math.min(STRETCH, target - flow.state.step) : 1;
          const state = await flow.advance({ steps, signal, onProgress: () => report(training) });
          if (state.status === "cancelled") {
            await save();
            return stop(result, "cancelled", `stopped at step ${state.step} of depth ${depths[i]}`);
          }
          if (state.status === "diverged") {
            const { step, loss } = state.divergedAt!;
            stop(result, "diverged", `loss ${loss} at step ${step} of depth ${depths[i]}`);
            await cells.save(CELL, result);
            return result;
          }
          if (!isReference) remember(histories[i]!, await measure.depth(flow.recorder));
          if (performance.now() - lastSave > 1000 * cells.checkpointSeconds) await save();
        }
      }
      const rows = await recordStep(config, trainings, histories, target);
      const bad = rows.steps.find(({ loss }) => !Number.isFinite(loss));
      if (bad) {
        stop(result, "diverged", `loss ${bad.loss} at step ${target} of depth ${bad.depth}`);
        break;
      }
      result.steps.push(...rows.steps);
      result.distances.push(...rows.distances);
    }
    await cells.save(CELL, result);
    return result;
  } catch (error) {
    if (error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory"))
      return stop(result, error.kind, error.message);
    throw error;
  } finally {
    for (const training of trainings) training.destroy();
  }
}

function stop(result: Lockstep, status: RunStatus, detail: string): Lockstep {
  result.status = status;
  result.detail = detail;
  return result;
}

type Norms = Record<Family, { readonly maxStep: number; readonly sumSquaredSteps: number }>;

function remember({ largest, squares }: History, norms: Norms): void {
  for (const family of FAMILIES) {
    largest[family] = Math.max(largest[family], norms[family].maxStep);
    squares[family] += norms[family].sumSquaredSteps;
  }
}

async function recordStep(
  config: LargeDepthConfig,
  trainings: readonly Training[],
  histories: readonly History[],
  step: number,
) {
  const steps: Row[] = [];
  const distances: Row[] = [];
  const reference = trainings.at(-1)!;
  const time = step * config.rate;
  for (const [i, { spec, flow, pass, measure }] of trainings.entries()) {
    const { depth } = spec.shape;
    const { recorder } = flow;
    const isReference = i === config.depths.length;
    const norms = await measure.depth(recorder);
    const { largest, squares } = histories[i]!;
    const gradient = isReference ? undefined : await measure.gradient(recorder, pass, TRAINED);
    const loss = gradient?.loss ?? (await measure.loss(recorder, pass)).loss;
    const overTime = (value: number) => (isReference ? null : value);
    steps.push({
      depth,
      reference: isReference,
      step,
      time,
      loss,
      energyRate: gradient?.energyRate ?? null,
      plRatio: gradient?.plRatio ?? null,
      maxStepV: norms.V.maxStep,
      maxStepW: norms.W.maxStep,
      meanStepV: norms.V.meanStep,
      meanStepW: norms.W.meanStep,
      captionV: overTime(largest.V),
      captionW: overTime(largest.W),
      caption: overTime(Math.max(largest.V, largest.W)),
      published: overTime(Math.sqrt(Math.max(squares.V, squares.W))),
    });
    if (isReference) continue;
    for (const indexing of INDEXINGS) {
      const distance = await measure.distance(recorder, reference.stack, indexing);
      for (const family of FAMILIES) distances.push({ depth, step, time, family, indexing, ...distance[family] });
    }
  }
  return { steps, distances };
}

async function checkpoint(
  trainings: readonly Training[],
  { steps, distances }: Lockstep,
  histories: readonly History[],
  nextRecord: number,
): Promise<Checkpoint> {
  const parts: Checkpoint[] = [];
  for (const { stack, flow, spec } of trainings)
    parts.push(await checkpointTraining(stack, flow, `L${spec.shape.depth}/`));
  return {
    tensors: Object.assign({}, ...parts.map(({ tensors }) => tensors)) as Checkpoint["tensors"],
    metadata: {
      ...(Object.assign({}, ...parts.map(({ metadata }) => metadata)) as Checkpoint["metadata"]),
      progress: JSON.stringify({ steps, distances, histories, nextRecord }),
    },
  };
}

/** Puts back what {@link checkpoint} kept and returns the index of the next record. */
function restore(saved: Checkpoint, trainings: readonly Training[], result: Lockstep, histories: History[]): number {
  for (const { stack, flow, spec } of trainings)
    restoreTraining(stack, flow, saved, `checkpoint of ${CELL}`, `L${spec.shape.depth}/`);
  const kept = JSON.parse(saved.metadata.progress!) as Pick<Lockstep, "steps" | "distances"> & {
    readonly histories: History[];
    readonly nextRecord: number;
  };
  result.steps.push(...kept.steps);
  result.distances.push(...kept.distances);
  histories.splice(0, histories.length, ...kept.histories);
  return kept.nextRecord;
}
