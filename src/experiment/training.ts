import type { DenseShape, Loss } from "../config/dense.ts";
import { type FlowConfig, type FlowInput, flowSchema } from "../config/flow.ts";
import { GradientFlow } from "../flow/gradient_flow.ts";
import { Measurements } from "../flow/measurements.ts";
import { checkpointTraining, restoreTraining } from "../flow/training_checkpoint.ts";
import type { Gpu } from "../gpu/device.ts";
import { type DenseData, DensePass } from "../model/dense_pass.ts";
import { DenseStack } from "../model/dense_stack.ts";
import { type InitialWeights, type InitialWeightsOptions, initialWeights } from "../model/initialisation.ts";
import { dispatchesPerStep, planDense, stackBytes } from "../plan/dense.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import type { DepthSolver } from "../plan/stages.ts";
import type { ExperimentContext, ExperimentPlan } from "./experiment.ts";
import type { Cell } from "./record.ts";

/** One training run: what is trained, from where, on what, how. */
export interface TrainingSpec {
  readonly shape: DenseShape;
  /** A draw, or weights of one's own. */
  readonly weights: Omit<InitialWeightsOptions, "shape"> | InitialWeights;
  readonly data: DenseData;
  readonly loss: Loss;
  readonly flow: FlowInput;
}

export interface Training {
  readonly spec: TrainingSpec;
  readonly config: FlowConfig;
  readonly stack: DenseStack;
  readonly pass: DensePass;
  readonly flow: GradientFlow;
  readonly measure: Measurements;
  destroy(): void;
}

/** The initial weights of a training. */
export function weightsOf({ shape, weights }: TrainingSpec): InitialWeights {
  return "W" in weights ? weights : initialWeights({ ...weights, shape });
}

/** Whether all layers start from one. */
export function startsTied({ weights }: TrainingSpec): boolean {
  return "W" in weights ? weights.tied : weights.initialisation === "tied";
}

/** A training, or several of one shape side by side: the specs differ in weights, data, β and rate alone. */
export async function createTraining(gpu: Gpu, spec: TrainingSpec | readonly TrainingSpec[]): Promise<Training> {
  const specs = "shape" in spec ? [spec] : spec;
  const [first] = specs as [TrainingSpec];
  const config = flowSchema.parse(first.flow);
  const betas = specs.map(({ shape }) => shape.beta);
  const stack = DenseStack.create(gpu, first.shape, specs.map(weightsOf), { betas });
  const data = specs.map((one) => one.data);
  const pass = await DensePass.create(stack, data, first.loss, { training: true });
  const flow = await GradientFlow.create(stack, pass, config, { rates: specs.map(({ flow }) => flow.rate) });
  const measure = await Measurements.create(stack);
  return {
    spec: first,
    config,
    stack,
    pass,
    flow,
    measure,
    destroy() {
      measure.destroy();
      flow.destroy();
      pass.destroy();
      stack.destroy();
    },
  };
}

export interface CellRecord<R = Record<string, Cell>> {
  readonly status: "done" | "diverged" | "cancelled";
  readonly detail?: string;
  readonly rows: R[];
}

/**
 * Runs a training through its record steps; `record` returns the rows of one step, which JSON must carry. A finished cell is loaded instead of
 * run; a checkpointed one continues bit by bit.
 */
export async function runCell<T extends Pick<Training, "stack" | "flow" | "destroy">, R = Record<string, Cell>>(
  context: ExperimentContext<unknown>,
  id: string,
  recordSteps: readonly number[],
  create: () => Promise<T>,
  record: (training: T, step: number) => Promise<R[]>,
  onSteps: (steps: number, loss: number) => void,
): Promise<CellRecord<R>> {
  return (await runReplicas(context, id, recordSteps, create, record, onSteps))[0]!;
}

/** The same for a training of several replicas: one cell, one checkpoint, and a record for each of them. */
export async function runReplicas<T extends Pick<Training, "stack" | "flow" | "destroy">, R = Record<string, Cell>>(
  context: ExperimentContext<unknown>,
  id: string,
  recordSteps: readonly number[],
  create: () => Promise<T>,
  record: (training: T, step: number, replica: number) => Promise<R[]>,
  onSteps: (steps: number, loss: number) => void,
): Promise<CellRecord<R>[]> {
  const { cells, signal } = context;
  const finished = await cells.load(id);
  const last = recordSteps.at(-1) ?? 0;
  if (finished) {
    onSteps(last, Number.NaN);
    return (Array.isArray(finished) ? finished : [finished]) as CellRecord<R>[];
  }
  const training = await create();
  try {
    const { flow, stack } = training;
    let rows: R[][] = Array.from({ length: stack.replicas }, () => []);
    let next = 0;
    const saved = await cells.loadCheckpoint(id);
    if (saved) {
      restoreTraining(stack, flow, saved, `checkpoint of ${id}`);
      rows = JSON.parse(saved.metadata.rows ?? "[]") as R[][];
      next = Number(saved.metadata.nextRecord ?? 0);
      onSteps(flow.state.step, flow.state.loss);
    }
    const save = async () => {
      const { tensors, metadata } = await checkpointTraining(stack, flow);
      const extra = { rows: JSON.stringify(rows), nextRecord: String(next) };
      await cells.saveCheckpoint(id, { tensors, metadata: { ...metadata, ...extra } });
    };
    /** The records as they stand; a replica that has diverged says so. */
    const records = (status: "done" | "cancelled", detail?: string): CellRecord<R>[] =>
      flow.state.replicas.map(({ divergedAt }, r) => {
        if (!divergedAt) return { status, ...(detail !== undefined && { detail }), rows: rows[r]! };
        const restored = stack.replicas === 1 ? `; last good state at step ${flow.state.step}` : "";
        const where = `loss ${divergedAt.loss} at step ${divergedAt.step}${restored}`;
        return { status: "diverged", detail: where, rows: rows[r]! };
      });
    const finish = async () => {
      const all = records("done");
      await cells.save(id, all.length === 1 ? all[0] : all);
      return all;
    };
    let lastSave = performance.now();
    let state = flow.state;
    for (; next < recordSteps.length; next++) {
      const target = recordSteps[next]!;
      let before = flow.state.step;
      while (flow.state.step < target) {
        // A bounded stretch between looks at the clock, so that a checkpoint is never far away.
        state = await flow.advance({
          steps: Math.min(target - flow.state.step, 64),
          signal,
          onProgress: ({ step, loss }) => {
            onSteps(step - before, loss);
            before = step;
          },
        });
        if (state.status === "diverged") return await finish();
        if (state.status === "cancelled") {
          await save();
          return records("cancelled", `stopped at step ${state.step}`);
        }
        if (performance.now() - lastSave > 1000 * cells.checkpointSeconds) {
          await save();
          lastSave = performance.now();
        }
      }
      for (const [r, { divergedAt }] of flow.state.replicas.entries())
        if (!divergedAt) rows[r]!.push(...(await record(training, target, r)));
    }
    return await finish();
  } finally {
    training.destroy();
  }
}

/** One row of `deeplimit plan`. */
export function planTraining(
  label: string,
  spec: Pick<TrainingSpec, "shape"> & {
    readonly tied: boolean;
    readonly rows: number;
    readonly steps: number;
    /** Default: A, Z and B are all trained. */
    readonly trained?: FlowConfig["trained"];
    /** The layers are coefficients of a neural ODE, solved so. */
    readonly solver?: DepthSolver;
    /** Stacks side by side; default 1. */
    readonly replicas?: number;
  },
  profile: DeviceProfile,
  count = 1,
): ExperimentPlan["trainings"][number] & { readonly bytes: number } {
  const { replicas = 1 } = spec;
  const plan = planDense(spec.shape, profile, {
    rows: spec.rows,
    replicas,
    training: true,
    ...(spec.solver && { solver: spec.solver }),
  });
  const stack = stackBytes(spec.shape, spec.tied, profile, replicas);
  // Replicas that diverge stay as they are.
  const lastGood = replicas === 1 ? { lastGood: 2 * stack.change! } : {};
  const tensors = { ...stack, ...lastGood, ...plan.tensors };
  return {
    label,
    count,
    steps: spec.steps,
    layout: plan.layout,
    segments: plan.segments.length,
    states: plan.states,
    dispatchesPerStep: dispatchesPerStep(plan, spec.trained ?? { A: true, Z: true, B: true }),
    tensors,
    notes: plan.notes,
    dense: { width: spec.shape.width, hidden: spec.shape.hidden, rows: spec.rows },
    bytes: Object.values(tensors).reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Steps 0 … total at about `count` places, always with the first two and the last. */
export function recordSteps(total: number, count: number): number[] {
  const steps = new Set([0, Math.min(1, total), total]);
  for (let i = 1; i < count; i++) steps.add(Math.round((i * total) / count));
  return [...steps].sort((a, b) => a - b);
}
