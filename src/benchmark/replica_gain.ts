/** What it gains to train stacks of one shape side by side, in one dispatch grid, rather than one after another. */
import type { Cell, Table } from "../experiment/record.ts";
import { quantile } from "../experiment/statistics.ts";
import type { Gpu } from "../gpu/device.ts";
import { replicaBatches } from "../plan/replicas.ts";
import type { StepPoint } from "./step_points.ts";
import { advance, createStepTraining } from "./step_timing.ts";

export interface ReplicaCase {
  readonly replicas: number;
  readonly depth: number;
  readonly rows: number;
  readonly width: number;
  readonly hidden: number;
}

export interface ReplicaGainOptions {
  /** Pairs of timed batches, one of a single stack and one of all replicas in turn. Default 7. */
  readonly pairs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** Eight seeds at a size of the paper's experiments and at one far too small for a device. */
export const REPLICA_CASES: readonly ReplicaCase[] = [
  { replicas: 8, depth: 64, rows: 50, width: 16, hidden: 32 },
  { replicas: 8, depth: 64, rows: 12, width: 4, hidden: 8 },
];

/** Steps of a timed batch: what a study takes between two looks at its losses, at least. */
const STEPS = 16;

/** Milliseconds of a step of one stack and of R side by side, in turns, and R times the one over the other. */
export async function replicaGain(
  gpu: Gpu,
  cases: readonly ReplicaCase[],
  { pairs = 7, signal, onProgress }: ReplicaGainOptions,
): Promise<Table> {
  const rows: Record<string, Cell>[] = [];
  for (const one of cases) {
    if (signal?.aborted) break;
    const label = `${one.replicas} replicas of n = ${one.rows}, q = ${one.width}`;
    try {
      const measured = await measureCase(gpu, one, pairs);
      rows.push({ ...one, ...measured, status: "measured" });
      onProgress?.(`${label}: gain ${measured.gain.toFixed(2)}`);
    } catch (error) {
      const [status] = (error as Error).message.split("\n");
      rows.push({ ...one, ...NOT_MEASURED, status: `failed: ${status}` });
      onProgress?.(`${label}: failed, ${status}`);
    }
  }
  return {
    name: "replicas",
    description:
      "Trainings of one shape side by side in one dispatch grid, against as many one after another: a step of explicit Euler (V and W trained, exact GELU).",
    columns: [
      { name: "replicas", description: "R, trainings of one shape" },
      { name: "depth", description: "L" },
      { name: "rows", description: "n of each" },
      { name: "width", description: "q" },
      { name: "hidden", description: "m" },
      { name: "batches", description: "into which a study divides them on this device" },
      { name: "one", unit: "ms", description: "step of one, median of the batches of steps" },
      { name: "all", unit: "ms", description: "step of all of them side by side" },
      { name: "gain", description: "R times the one over the other, median of pairs measured in turn" },
      { name: "lower", description: "lower quartile of the gain" },
      { name: "upper", description: "upper quartile of the gain" },
      { name: "status", description: "measured, or why not" },
    ],
    rows,
  };
}

const NOT_MEASURED = { batches: null, one: null, all: null, gain: null, lower: null, upper: null };

async function measureCase(gpu: Gpu, one: ReplicaCase, pairs: number) {
  const { replicas, depth, rows, width, hidden } = one;
  const point: StepPoint = {
    axis: "depth",
    size: depth,
    shape: {
      ...{ inputs: width, width, hidden, outputs: width, depth },
      ...{ activation: "gelu", widthFactors: "paper", beta: 1 },
    },
    rows,
  };
  const sizes = replicaBatches(point.shape, gpu.profile, { rows, tied: true }, replicas);
  const single = await createStepTraining(gpu, point);
  const batches = [];
  try {
    for (const size of sizes) batches.push(await createStepTraining(gpu, point, size));
    const time = async (trainings: readonly (typeof single)[]) => {
      const start = performance.now();
      for (const { flow } of trainings) await advance(flow, STEPS);
      return (performance.now() - start) / STEPS;
    };
    for (const trainings of [[single], batches]) await time(trainings);
    const times: { readonly alone: number; readonly all: number }[] = [];
    for (let i = 0; i < pairs; i++) times.push({ alone: await time([single]), all: await time(batches) });
    const gains = times.map(({ alone, all }) => (replicas * alone) / all);
    return {
      batches: sizes.length,
      one: quantile(
        times.map(({ alone }) => alone),
        0.5,
      ),
      all: quantile(
        times.map(({ all }) => all),
        0.5,
      ),
      ...{ gain: quantile(gains, 0.5), lower: quantile(gains, 0.25), upper: quantile(gains, 0.75) },
    };
  } finally {
    for (const training of [single, ...batches]) training.destroy();
  }
}
