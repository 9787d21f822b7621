/** Measures which layout and tile sizes a device walks a shape's layers with fastest. */
import type { DenseShape } from "../config/dense.ts";
import { flowSchema } from "../config/flow.ts";
import { GradientFlow } from "../flow/gradient_flow.ts";
import type { Gpu } from "../gpu/device.ts";
import { KernelError } from "../gpu/errors.ts";
import { type DenseData, DensePass } from "../model/dense_pass.ts";
import { DenseStack, type GroupName } from "../model/dense_stack.ts";
import { initialWeights } from "../model/initialisation.ts";
import { RandomStream } from "../model/random.ts";
import { denseCandidates } from "../plan/candidates.ts";
import { estimateLayer, paddedWidth, planDense, stackBytes } from "../plan/dense.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import { choiceText, type DenseChoice, type ShapeClass, shapeClass, type TunedChoice } from "../plan/tuning.ts";
import { summarise } from "./timing.ts";
import {
  CHECK_STEPS,
  type Checked,
  dismiss,
  formatMs,
  HOPELESS,
  type MeasuredChoice,
  ratioOf,
  type TuneShape,
  winner,
} from "./tune_decisions.ts";

export type { MeasuredChoice, TuneShape } from "./tune_decisions.ts";

export interface TuneOptions {
  /** Layers of the network measured, fewer where they do not fit. Default 256. */
  readonly depth?: number;
  /** Rounds, in each of which every candidate is measured once. Default 5. */
  readonly rounds?: number;
  /** A measurement repeats the step until it lasts about this long. Default 300. */
  readonly sampleMs?: number;
  /** Default: `denseCandidates`, whose first is the plan's own choice. */
  readonly choices?: readonly DenseChoice[];
  readonly onProgress?: (line: string) => void;
}

export interface TuneResult {
  readonly shape: TuneShape;
  readonly of: ShapeClass;
  readonly depth: number;
  /** The plan's own choice first. */
  readonly candidates: readonly MeasuredChoice[];
  /** The winner, where it was faster than the plan's own choice in every round. */
  readonly tuned?: TunedChoice;
}

/** Steps of the check at it take some per cent off the loss, whatever the width: a wrong gradient shows. */
const RATE = 0.1;
/** Bytes of a training that is measured, and milliseconds of its step as the plan estimates them. */
const MEMORY_BYTES = 1_073_741_824;
const STEP_MS = 2000;
/**
 * Samples before the one that counts. On a software adapter a flow learns over its first six batches how long to wait
 * for the next: its step took 48 ms at first and 25 then (q = 16, m = 32, n = 100, L = 256; SwiftShader, 2026-11-23).
 */
const WARM_UP_SAMPLES = { software: 6, hardware: 1 };

/** The network measured for a shape: d = d' = q, exact GELU, factors 1/√q and 1/√m. */
export function tuneNetwork({ width, hidden }: TuneShape, depth: number): DenseShape {
  return {
    ...{ inputs: width, width, hidden, outputs: width, depth },
    ...({ activation: "gelu", widthFactors: "paper", beta: 1 } as const),
  };
}

/** The asked depth, halved until a training at it fits and its step is short enough to be repeated. */
export function tuneDepth(shape: TuneShape, profile: DeviceProfile, asked = 256): number {
  for (let depth = asked; ; depth = Math.ceil(depth / 2)) {
    const network = tuneNetwork(shape, depth);
    const stack = stackBytes(network, true, profile);
    const { tensors } = planDense(network, profile, { rows: shape.rows, training: true });
    const bytes = [...Object.values(stack), 2 * stack.change!, ...Object.values(tensors)];
    const fits = Math.max(...bytes) <= profile.maxBufferBytes && bytes.reduce((a, b) => a + b) <= MEMORY_BYTES;
    const short = depth * estimateLayer(network, shape.rows, profile) <= 1e6 * STEP_MS;
    if ((fits && short) || depth === 1) return depth;
  }
}

/**
 * Times whole training steps of every candidate, in turn, after checking that all of them give the same loss.
 * @throws ConfigError when a layer of the shape does not fit the device
 */
export async function tune(gpu: Gpu, shape: TuneShape, options: TuneOptions = {}): Promise<TuneResult> {
  const { rounds = 5, sampleMs = 300, onProgress } = options;
  const { width, hidden, rows } = shape;
  const depth = tuneDepth(shape, gpu.profile, options.depth);
  const network = tuneNetwork(shape, depth);
  const choices = options.choices ?? denseCandidates(network, gpu.profile, rows);
  const stack = DenseStack.create(gpu, network, initialWeights({ shape: network, seed: 0, initialisation: "tied" }));
  const start = Object.fromEntries(
    Object.values(stack.groups).map(({ name, floats }) => [name, new Float32Array(floats)]),
  ) as Record<GroupName, Float32Array<ArrayBuffer>>;
  const normal = (stream: string) => new RandomStream(0, stream).fillNormal(new Float32Array(rows * width));
  const data: DenseData = { inputs: normal("X"), targets: normal("Y"), rows };
  // Every measurement has a pass of its own: how buffers and threads happen to lie can make one slow for as long as it lives.
  const visit = async <T>(choice: DenseChoice, measure: (flow: GradientFlow) => Promise<T>): Promise<T> => {
    stack.writeState(start);
    const pass = await DensePass.create(stack, data, "mean-square", { training: true, choice });
    const flow = await GradientFlow.create(stack, pass, flowSchema.parse({ rate: RATE, stop: { steps: 1e9 } }));
    try {
      return await measure(flow);
    } finally {
      flow.destroy();
      pass.destroy();
    }
  };
  try {
    const checked: Checked[] = [];
    for (const choice of choices) {
      const fastest = Math.min(...checked.map(({ stepMs = Number.POSITIVE_INFINITY }) => stepMs));
      const candidate = await check(choice, visit, HOPELESS * fastest);
      checked.push(candidate);
      const { text, loss, stepMs, reason } = candidate;
      const agreed = loss === undefined ? "" : `loss ${loss.toPrecision(7)}, `;
      onProgress?.(`${text}: ${reason ?? `${agreed}about ${formatMs(stepMs!)} ms a step`}`);
    }
    const dismissed = dismiss(checked, shape, depth);
    const times = new Map<Checked, number[]>();
    for (let round = 0; round < rounds; round++) {
      onProgress?.(`round ${round + 1} of ${rounds}`);
      for (const candidate of checked) {
        if (dismissed.has(candidate)) continue;
        const steps = Math.max(1, Math.round(sampleMs / candidate.stepMs!));
        const warmUp = WARM_UP_SAMPLES[gpu.profile.kind] * steps;
        const ms = await visit(candidate.choice, (flow) => timeSteps(flow, steps, warmUp));
        times.set(candidate, [...(times.get(candidate) ?? []), ms]);
      }
    }
    const own = times.get(checked[0]!);
    const candidates = checked.map((candidate): MeasuredChoice => {
      const { choice, text, loss } = candidate;
      const measured = times.get(candidate);
      const reason = dismissed.get(candidate);
      return {
        ...{ choice, text },
        ...(loss !== undefined && { loss }),
        ...(measured && { time: summarise(measured) }),
        ...(measured && own && { ratio: ratioOf(measured, own) }),
        ...(reason !== undefined && { reason }),
      };
    });
    const of = shapeClass(paddedWidth(width, gpu.profile), hidden, rows, true);
    const tuned = winner(candidates, of, depth, new Date().toISOString().slice(0, 10));
    return { shape, of, depth, candidates, ...(tuned && { tuned }) };
  } finally {
    stack.destroy();
  }
}

type Visit = <T>(choice: DenseChoice, measure: (flow: GradientFlow) => Promise<T>) => Promise<T>;

/** A few steps from the start: their loss, and the time of the quickest; given up when that exceeds `mostMs`. */
async function check(choice: DenseChoice, visit: Visit, mostMs: number): Promise<Checked> {
  const text = choiceText(choice);
  try {
    return await visit(choice, async (flow) => {
      let stepMs = Number.POSITIVE_INFINITY;
      for (let step = 0; step < CHECK_STEPS; step++) {
        // The first step may compile.
        if (step > 1 && stepMs > mostMs) return { choice, text, stepMs };
        const started = performance.now();
        await flow.advance({ steps: 1 });
        stepMs = Math.min(stepMs, performance.now() - started);
      }
      return { choice, text, loss: flow.state.loss, stepMs };
    });
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { choice, text, reason: `does not compile: ${error.message.split("\n")[0]}` };
  }
}

/** Mean milliseconds of a step, after `warmUp` others. */
async function timeSteps(flow: GradientFlow, steps: number, warmUp: number): Promise<number> {
  await flow.advance({ steps: warmUp });
  const started = performance.now();
  const state = await flow.advance({ steps });
  if (state.status === "diverged") throw new Error(`the training that is timed diverged at step ${state.step}`);
  return (performance.now() - started) / steps;
}
