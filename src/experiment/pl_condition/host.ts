/** What is computed in float64 before the device is asked: singular values, weakest directions, kernels of the ball. */
import { RandomStream } from "../../model/random.ts";
import type { ExperimentContext } from "../experiment.ts";
import { packFloats } from "../packed_floats.ts";
import { type TheoremSizes, theoremData, theoremShape } from "../theorem_setting.ts";
import {
  type BallPoint,
  ballId,
  ballPoints,
  ballRadius,
  ballWeights,
  type PlConditionConfig,
  type Row,
  type ScanPoint,
  scanPoints,
  startId,
  startWeights,
  trainingSizes,
} from "./config.ts";
import { features, spectrumOf, startKernel, tangentSpectrum } from "./features.ts";

const CELL = "host";

/** Rows of the tables features, ball, shift and training-start, with the targets of evaluations by id; undefined when stopped. */
export async function hostRows({
  config,
  cells,
  signal,
  progress,
}: ExperimentContext<PlConditionConfig>): Promise<Row[] | undefined> {
  const known = (await cells.load(CELL)) as Row[] | undefined;
  if (known) return known;
  const jobs: (() => Row)[] = [
    // Directions do not depend on L: one depth stands for all.
    ...scanPoints(config)
      .filter(({ scan, depth }) => scan !== "depth" || depth === config.scan.depth[0])
      .map((point) => () => startRow(point)),
    ...ballPoints(config).map((point) => () => ballRow(point)),
    ...config.seeds.flatMap((seed) => [
      () => trainingStartRow(config, seed),
      ...config.ball.radii.map((radius) => () => shiftRow(config, radius, seed)),
    ]),
  ];
  const rows: Row[] = [];
  for (const [i, job] of jobs.entries()) {
    // A decomposition blocks: let the host draw and hear a cancellation in between.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return undefined;
    progress({ done: i, total: jobs.length, label: "singular values and kernels in float64" });
    rows.push(job());
  }
  await cells.save(CELL, rows);
  return rows;
}

function startFeatures(sizes: TheoremSizes, seed: number, moved?: Float64Array) {
  const { W } = startWeights(sizes, 1, seed);
  const inputs = theoremData(sizes, seed).inputs as Float32Array;
  return { inputs, sigma: features(sizes, moved ? moved.map((value, i) => value + W[i]!) : W, inputs) };
}

function startRow(point: ScanPoint): Row {
  const { scan, samples, width, hidden, seed } = point;
  const { inputs, sigma } = startFeatures(point, seed);
  const { smallest, largest } = spectrumOf(sigma);
  const kernel = startKernel(sigma, inputs, false);
  return {
    table: "features",
    id: startId(point),
    targets: packFloats(targetsAlong(kernel.weakest, width / 2)),
    scan,
    samples,
    width,
    hidden,
    seed,
    smallest,
    largest,
    weakest_eigenvalue: kernel.smallest,
    strongest_eigenvalue: kernel.largest,
  };
}

/** Targets [n, d'] along a direction of the samples [n]: its first column, of the size √n that normal targets have in a column. */
function targetsAlong(direction: readonly number[], outputs: number): Float32Array {
  const targets = new Float32Array(direction.length * outputs);
  const size = Math.sqrt(direction.length);
  for (const [i, value] of direction.entries()) targets[i * outputs] = size * value;
  return targets;
}

/** Targets that leave a residual, of size √n, along the weakest direction at the point itself. */
function ballRow(point: BallPoint): Row {
  const { samples, depth, seed } = point;
  const shape = theoremShape(point, depth);
  const { A, V, W, B } = ballWeights(point);
  const elements = depth * shape.width * shape.hidden;
  const whole = (layers: Float32Array) => Float64Array.from({ length: elements }, (_, i) => layers[i % layers.length]!);
  const weights = { A: Float64Array.from(A), V: whole(V), W: whole(W), B: Float64Array.from(B) };
  const { inputs } = theoremData(point, seed);
  const { smallest, largest, weakest, output } = tangentSpectrum(shape, weights, inputs as Float32Array, samples);
  const size = Math.sqrt(samples);
  const targets = Float32Array.from(output, (value, i) => value - size * weakest[i]!);
  return {
    table: "ball",
    id: ballId(point),
    targets: packFloats(targets),
    weakest_eigenvalue: smallest,
    strongest_eigenvalue: largest,
  };
}

function trainingStartRow(config: PlConditionConfig, seed: number): Row {
  const { inputs, sigma } = startFeatures(trainingSizes(config), seed);
  return { table: "training-start", seed, weakest_eigenvalue: startKernel(sigma, inputs, true).smallest };
}

/** Smallest singular value before and after W moves by a random vector of norm M. */
function shiftRow(config: PlConditionConfig, radius: number, seed: number): Row {
  const { samples, width, hidden } = config;
  const norm = ballRadius({ samples, width, radius });
  const direction = new RandomStream(seed, `shift r${radius}`).fillNormal(new Float64Array(hidden * width));
  const length = Math.hypot(...direction);
  const before = spectrumOf(startFeatures(config, seed).sigma).smallest;
  const moved = direction.map((value) => (value * norm) / length);
  const after = spectrumOf(startFeatures(config, seed, moved).sigma).smallest;
  return { table: "shift", seed, radius, norm, before, after, samples };
}
