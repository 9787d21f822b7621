/** Times one training step on the device. */
import type { DenseShape } from "../config/dense.ts";
import { flowSchema } from "../config/flow.ts";
import { GradientFlow } from "../flow/gradient_flow.ts";
import { formatBytes, type Gpu } from "../gpu/device.ts";
import type { KernelTime } from "../gpu/recorder.ts";
import { DensePass } from "../model/dense_pass.ts";
import { DenseStack } from "../model/dense_stack.ts";
import { initialWeights } from "../model/initialisation.ts";
import { RandomStream } from "../model/random.ts";
import { denseStepWork, type Work } from "../plan/work.ts";
import {
  type MeasuredStep,
  type MedianInterval,
  type MemoryNeed,
  medianInterval,
  predictedMs,
  type StepPoint,
  SYMBOL,
  stepMemory,
} from "./step_points.ts";
import { summarise, warmUp } from "./timing.ts";

export interface StepTimingOptions {
  /** Timed steps of a point, at least; short steps are repeated for a second or 31 times. Default 5. */
  readonly steps?: number | undefined;
  /** A point expected to take longer is skipped, and one that does stops early. Default 60. */
  readonly secondsPerPoint?: number | undefined;
  /** Device memory a training may take. Default: only single buffers are held against the adapter's limit. */
  readonly memoryBytes?: number | undefined;
  /** Points after its abort are rows that say so. */
  readonly signal?: AbortSignal | undefined;
  /** Peak memory of the host process so far, where it can be known. */
  readonly hostBytes?: (() => number) | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

const TRAINED = { A: false, Z: true, B: false };
export const STEP_RATE = 0.01;
/** At least; see `warmUp`. */
const WARM_UP_STEPS = 2;
const SHORT_STEPS_MS = 1000;
const MOST_STEPS = 31;
/** Dispatches that carry timestamps: the recorder holds 2048. */
const MOST_PROFILED = 2000;

const KERNEL_PARTS = ["forward", "adjoint", "gradient", "update"] as const;
export type KernelPart = (typeof KERNEL_PARTS)[number] | "other";
type Spread = ReturnType<typeof summarise>;

/** A point and what became of it. */
export interface TimedPoint {
  readonly point: StepPoint;
  readonly measured?: MeasuredPoint;
  readonly status: "measured" | "skipped" | "failed" | "stopped";
  readonly reason?: string;
}

export interface MeasuredPoint {
  readonly work: Work;
  /** Of a step, in milliseconds. */
  readonly time: Spread;
  readonly median: MedianInterval;
  readonly layout: string;
  readonly dispatches: number;
  readonly submits: number;
  /** Device milliseconds of a step by part, of parts that have a kernel of their own. */
  readonly parts: Partial<Record<KernelPart, number>>;
  readonly deviceBytes: number;
  readonly hostBytes?: number;
  readonly reason?: string;
}

/**
 * Measures a point, or says why not: a device that failed, a training that does not fit, or steps that would take too long
 * by the points `before` it.
 */
export async function timePoint(
  gpu: Gpu,
  point: StepPoint,
  before: readonly TimedPoint[],
  options: StepTimingOptions,
): Promise<TimedPoint> {
  const { steps = 5, secondsPerPoint = 60, memoryBytes = Number.POSITIVE_INFINITY, onProgress } = options;
  const label = `step at ${SYMBOL[point.axis]} = ${point.size}`;
  const without = (status: "skipped" | "failed", reason: string): TimedPoint => {
    onProgress?.(`${label}: ${status}, ${reason}`);
    return { point, status, reason };
  };
  if (options.signal?.aborted) return { point, status: "stopped", reason: "Ctrl-C" };
  try {
    gpu.check();
  } catch (error) {
    return without("skipped", `the device failed before: ${(error as Error).message}`);
  }
  let need: MemoryNeed;
  try {
    need = stepMemory(point, gpu.profile);
  } catch (error) {
    return without("skipped", `does not fit: ${(error as Error).message}`);
  }
  const { largest, bytes } = need;
  if (largest.bytes > gpu.profile.maxBufferBytes)
    return without(
      "skipped",
      `does not fit: ${largest.name} needs ${formatBytes(largest.bytes)}, the adapter's largest buffer is ${formatBytes(gpu.profile.maxBufferBytes)}`,
    );
  if (bytes > memoryBytes)
    return without(
      "skipped",
      `does not fit: needs ${formatBytes(bytes)} on the device, ${formatBytes(memoryBytes)} are allowed`,
    );
  const work = denseStepWork(need.plan);
  const known = before.flatMap(({ measured }): MeasuredStep[] =>
    measured ? [{ flops: measured.work.flops, ms: measured.time.median }] : [],
  );
  const predicted = predictedMs(known, work.flops);
  // Warm-up, timed steps, and one with timestamps.
  const all = WARM_UP_STEPS + steps + 1;
  if (predicted !== undefined && all * predicted > 1000 * secondsPerPoint)
    return without(
      "skipped",
      `${all} steps would take ${((all * predicted) / 1000).toFixed(0)} s, extrapolated from the points before it; the limit of a point is ${secondsPerPoint} s`,
    );
  try {
    const measured = await measure(gpu, point, work, steps, 1000 * secondsPerPoint, options.hostBytes);
    onProgress?.(`${label}: ${measured.time.median.toFixed(measured.time.median < 100 ? 1 : 0)} ms`);
    return { point, measured, status: "measured", ...(measured.reason !== undefined && { reason: measured.reason }) };
  } catch (error) {
    return without("failed", (error as Error).message.split("\n")[0]!);
  }
}

export interface StepTraining {
  readonly shape: DenseShape;
  readonly stack: DenseStack;
  readonly pass: DensePass;
  readonly flow: GradientFlow;
  readonly inputs: Float32Array<ArrayBuffer>;
  readonly targets: Float32Array<ArrayBuffer>;
  destroy(): void;
}

/** Networks with tied W ~ N(0, 1) and V = 0, side by side, on independent normal data that they share. */
export async function createStepTraining(gpu: Gpu, { shape, rows }: StepPoint, replicas = 1): Promise<StepTraining> {
  const inputs = new Float32Array(rows * shape.inputs);
  const targets = new Float32Array(rows * shape.outputs);
  new RandomStream(0, "inputs").fillNormal(inputs);
  new RandomStream(0, "targets").fillNormal(targets);
  const owned: { destroy(): void }[] = [];
  const destroy = () => {
    for (const one of owned.reverse()) one.destroy();
  };
  try {
    const initial = Array.from({ length: replicas }, (_, seed) =>
      initialWeights({ shape, seed, initialisation: "tied" }),
    );
    const stack = DenseStack.create(gpu, shape, initial);
    owned.push(stack);
    const pass = await DensePass.create(stack, { inputs, targets, rows }, "mean-square", { training: true });
    owned.push(pass);
    const config = flowSchema.parse({ rate: STEP_RATE, stop: { steps: Number.MAX_SAFE_INTEGER }, trained: TRAINED });
    const flow = await GradientFlow.create(stack, pass, config);
    owned.push(flow);
    return { shape, stack, pass, flow, inputs, targets, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Advances by whole steps. @throws Error when the flow stops: a stopped flow would be timed doing nothing. */
export async function advance(flow: GradientFlow, steps: number): Promise<void> {
  const { step } = flow.state;
  const { status, divergedAt } = await flow.advance({ steps });
  if (flow.state.step !== step + steps)
    throw new Error(`the flow ended as ${status}${divergedAt ? ` at step ${divergedAt.step}` : ""}`);
}

async function measure(
  gpu: Gpu,
  point: StepPoint,
  work: Work,
  steps: number,
  limitMs: number,
  hostBytes?: () => number,
): Promise<MeasuredPoint> {
  const peakBefore = gpu.peakBytes;
  gpu.peakBytes = gpu.bytesInUse;
  const training = await createStepTraining(gpu, point);
  try {
    const { flow, pass } = training;
    const { recorder } = flow;
    const started = performance.now();
    const late = () => performance.now() - started > limitMs;
    await warmUp(() => advance(flow, 1), Math.min(2000, limitMs));
    const before = { dispatches: recorder.dispatches, submits: recorder.submits };
    const times: number[] = [];
    let sum = 0;
    while (times.length < steps || (sum < SHORT_STEPS_MS && times.length < MOST_STEPS)) {
      if (times.length > 0 && late()) break;
      const start = performance.now();
      await advance(flow, 1);
      const ms = performance.now() - start;
      times.push(ms);
      sum += ms;
    }
    const dispatches = (recorder.dispatches - before.dispatches) / times.length;
    const submits = (recorder.submits - before.submits) / times.length;
    const time = summarise(times);
    const profiled = Math.min(Math.max(1, Math.min(5, Math.floor(200 / time.median))), MOST_PROFILED / dispatches);
    const parts = profiled >= 1 ? await profileSteps(flow, Math.floor(profiled)) : {};
    return {
      work,
      time,
      median: medianInterval(times),
      layout: pass.plan.layout,
      dispatches,
      submits,
      parts,
      deviceBytes: gpu.peakBytes,
      ...(hostBytes && { hostBytes: hostBytes() }),
      ...(times.length < steps && {
        reason: `stopped after ${times.length} timed steps: the limit of a point is ${limitMs / 1000} s`,
      }),
    };
  } finally {
    training.destroy();
    gpu.peakBytes = Math.max(peakBefore, gpu.peakBytes);
  }
}

/** Device milliseconds of a step by part, by timestamps around every dispatch; empty where there are none. */
async function profileSteps(flow: GradientFlow, steps: number): Promise<Partial<Record<KernelPart, number>>> {
  flow.recorder.startProfile();
  await advance(flow, steps);
  return partsOf(await flow.recorder.endProfile(), steps);
}

/** The times of kernels, summed by the part of a step that their names say they are. */
export function partsOf(times: ReadonlyMap<string, KernelTime>, steps: number): Partial<Record<KernelPart, number>> {
  const parts: Partial<Record<KernelPart, number>> = {};
  for (const [label, { nanoseconds }] of times) {
    const part = KERNEL_PARTS.find((name) => label.includes(name)) ?? "other";
    parts[part] = (parts[part] ?? 0) + nanoseconds / (1e6 * steps);
  }
  return parts;
}
