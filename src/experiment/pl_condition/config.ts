/** What `pl-condition` evaluates and trains. */
import { z } from "zod";
import { type InitialWeights, initialWeights } from "../../model/initialisation.ts";
import { RandomStream } from "../../model/random.ts";
import type { Preset } from "../experiment.ts";
import { unpackFloats } from "../packed_floats.ts";
import type { Cell } from "../record.ts";
import { CHECK_STEPS } from "../reference_steps.ts";
import type { StudyTraining } from "../study.ts";
import { THEOREM_ACTIVATIONS, type TheoremSizes, theoremData, theoremShape } from "../theorem_setting.ts";
import { recordSteps } from "../training.ts";

const increasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value > list[i - 1]!);
const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
const width = z.int().min(2).multipleOf(2);
const sizes = z.int().min(1);

export const plConditionSchema = z.strictObject({
  activation: z.enum(THEOREM_ACTIVATIONS),
  samples: sizes.describe("n where it is not scanned"),
  width: width.describe("q = 2d = 2d' where it is not scanned"),
  hidden: sizes.describe("m where it is not scanned"),
  depth: sizes.describe("L where it is not scanned"),
  scan: z.strictObject({
    samples: z.array(sizes).refine(increasing, "must be increasing").describe("n, with m = n · hiddenPerSample"),
    hiddenPerSample: z.int().min(1),
    width: z.array(width).refine(increasing, "must be increasing").describe("q"),
    hidden: z.array(sizes).refine(increasing, "must be increasing").describe("m"),
    depth: z.array(sizes).refine(increasing, "must be increasing").describe("L"),
  }),
  ball: z.strictObject({
    samples: sizes,
    width,
    hidden: sizes,
    depth: sizes,
    radii: z
      .array(z.number().positive())
      .refine(increasing, "must be increasing")
      .describe("M, in units of 1/√(nq); Proposition 5 names at most 1/2"),
    points: z.int().min(1).describe("random points of each radius and kind"),
  }),
  training: z.strictObject({
    samples: sizes,
    hidden: sizes,
    depth: sizes,
    rate: z.number().positive().describe("η, Euler step of the flow"),
    steps: z.int().min(16).describe("iterations"),
    records: z.int().min(4).describe("about how many states are recorded"),
  }),
  seeds: z.array(z.int().min(0)).min(1).refine(distinct, "must not repeat").describe("one draw of W, X and Y each"),
});
export type PlConditionConfig = z.infer<typeof plConditionSchema>;

export type Row = Record<string, Cell>;
export const SCANS = ["samples", "width", "hidden", "depth"] as const;
export type Scan = (typeof SCANS)[number];
/** Targets of a scan: independent normal ones, or those along the weakest direction of the start. */
export const TARGETS = ["random", "weakest"] as const;
export type Targets = (typeof TARGETS)[number];
/** Perturbations of the layers: one for all, which depth cannot average out, or one for each. */
export const KINDS = ["common", "independent"] as const;
export type Kind = (typeof KINDS)[number];

const LAYERS = { A: false, Z: true, B: false } as const;
const ALL = { A: true, Z: true, B: true } as const;

const REDUCED: PlConditionConfig = {
  activation: "tanh",
  samples: 32,
  width: 32,
  hidden: 128,
  depth: 4,
  scan: {
    samples: [16, 24, 32, 48, 64, 96],
    hiddenPerSample: 4,
    width: [8, 16, 32, 64],
    hidden: [8, 16, 24, 32, 48, 64, 128],
    depth: [2, 8, 32],
  },
  ball: { samples: 8, width: 16, hidden: 32, depth: 4, radii: [0.5, 4, 16, 64], points: 3 },
  training: { samples: 12, hidden: 48, depth: 8, rate: 0.01, steps: 600, records: 24 },
  seeds: [0, 1, 2, 3, 4],
};
export const PRESETS: Record<Preset, PlConditionConfig> = {
  paper: {
    ...REDUCED,
    depth: 64,
    scan: {
      samples: [16, 32, 64, 128, 256],
      hiddenPerSample: 4,
      width: [8, 16, 32, 64, 128],
      hidden: [8, 16, 24, 32, 48, 64, 128, 256, 512],
      depth: [2, 8, 32, 128, 512],
    },
    ball: { ...REDUCED.ball, depth: 16, radii: [0.5, 1, 2, 4, 8, 16, 32, 64], points: 10 },
    training: { ...REDUCED.training, depth: 256, steps: 1000 },
    seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 4,
    width: 8,
    hidden: 8,
    depth: 2,
    scan: { samples: [4, 8], hiddenPerSample: 2, width: [4, 8], hidden: [2, 8], depth: [2, 3] },
    ball: { samples: 4, width: 8, hidden: 8, depth: 2, radii: [0.5, 32], points: 1 },
    training: { samples: 3, hidden: 8, depth: 2, rate: 0.02, steps: 32, records: 8 },
    seeds: [0, 1],
  },
};

/** A start of a scan. */
export interface ScanPoint extends TheoremSizes {
  readonly scan: Scan;
  readonly depth: number;
  readonly seed: number;
}

export function scanPoints(config: PlConditionConfig): ScanPoint[] {
  const { activation, samples, width: q, hidden, depth, scan, seeds } = config;
  const base = { activation, samples, width: q, hidden, depth };
  const points: Omit<ScanPoint, "seed">[] = [
    ...scan.samples.map((n) => ({ ...base, scan: "samples" as const, samples: n, hidden: scan.hiddenPerSample * n })),
    ...scan.width.map((value) => ({ ...base, scan: "width" as const, width: value })),
    ...scan.hidden.map((value) => ({ ...base, scan: "hidden" as const, hidden: value })),
    ...scan.depth.map((value) => ({ ...base, scan: "depth" as const, depth: value })),
  ];
  return points.flatMap((point) => seeds.map((seed) => ({ ...point, seed })));
}

export function scanId({ scan, samples, width: q, hidden, depth, seed }: ScanPoint, targets: Targets): string {
  return `${scan}-n${samples}-q${q}-m${hidden}-L${depth}-seed${seed}-${targets}`;
}

/** The weakest direction of a start depends on these alone. */
export function startId({ samples, width: q, hidden, seed }: Omit<ScanPoint, "activation">): string {
  return `start-n${samples}-q${q}-m${hidden}-seed${seed}`;
}

/** A point of the ball around a start; radius 0 is the start itself. */
export interface BallPoint extends TheoremSizes {
  readonly depth: number;
  readonly seed: number;
  /** In units of 1/√(nq). */
  readonly radius: number;
  readonly kind: Kind;
  readonly point: number;
}

export function ballPoints(config: PlConditionConfig): BallPoint[] {
  const { activation, ball, seeds } = config;
  const { samples, width: q, hidden, depth } = ball;
  const base = { activation, samples, width: q, hidden, depth };
  // Those of one kind have equal shapes and stand together.
  return KINDS.flatMap((kind) =>
    seeds.flatMap((seed) =>
      [0, ...ball.radii].flatMap((radius) =>
        Array.from({ length: radius === 0 ? 1 : ball.points }, (_, point) => ({ ...base, seed, radius, kind, point })),
      ),
    ),
  );
}

export function ballId({ seed, kind, radius, point }: BallPoint): string {
  return `ball-${kind}-r${radius}-p${point}-seed${seed}`;
}

export function ballRadius({ samples, width: q, radius }: Pick<BallPoint, "samples" | "width" | "radius">): number {
  return radius / Math.sqrt(samples * q);
}

export function trainingId(seed: number): string {
  return `training-seed${seed}`;
}

export function trainingSizes({ activation, width: q, training }: PlConditionConfig): TheoremSizes {
  return { activation, samples: training.samples, width: q, hidden: training.hidden };
}

export function trainingSteps({ training }: PlConditionConfig): number[] {
  return [...new Set([...recordSteps(training.steps, training.records), ...CHECK_STEPS])].sort((a, b) => a - b);
}

export function startWeights(sizes: TheoremSizes, depth: number, seed: number): InitialWeights {
  return initialWeights({ shape: theoremShape(sizes, depth), seed, initialisation: "tied" });
}

/** A vector of a given Euclidean norm in a random direction. */
function randomVector(length: number, norm: number, seed: number, stream: string): Float64Array {
  const vector = new RandomStream(seed, stream).fillNormal(new Float64Array(length));
  const factor = norm / Math.hypot(...vector);
  return vector.map((value) => value * factor);
}

/**
 * Weights at distance M of the start in the sense of Definition 1: A and B moved by M, every Z_k by M = ‖ΔV_k‖ + ‖ΔW_k‖ in equal shares, in
 * random directions.
 */
export function ballWeights(point: BallPoint): InitialWeights {
  const { depth, seed, kind } = point;
  const start = startWeights(point, depth, seed);
  const radius = ballRadius(point);
  if (radius === 0) return start;
  const moved = (name: "A" | "B", norm: number) => {
    const change = randomVector(start[name].length, norm, seed, `${ballId(point)} ${name}`);
    return start[name].map((value, i) => value + change[i]!);
  };
  const layers = (name: "V" | "W") => {
    const elements = start[name].length;
    const count = kind === "common" ? 1 : depth;
    const out = new Float32Array(count * elements);
    for (let k = 0; k < count; k++) {
      const change = randomVector(elements, radius / 2, seed, `${ballId(point)} ${name} ${k}`);
      for (let i = 0; i < elements; i++) out[k * elements + i] = start[name][i]! + change[i]!;
    }
    return out;
  };
  return {
    A: moved("A", radius),
    B: moved("B", radius),
    V: layers("V"),
    W: layers("W"),
    tied: kind === "common",
  };
}

/**
 * All evaluations and trainings.
 * @param host what `hostRows` computed; without it targets that depend on it are zero, which a plan does not mind
 */
export function trainingsOf(config: PlConditionConfig, host: readonly Row[] | undefined): StudyTraining[] {
  const { training, seeds } = config;
  const evaluation = (trained: typeof LAYERS | typeof ALL) => ({ rate: 1, trained, stop: { steps: 0 } });
  const targets = new Map(
    host?.flatMap((row) => (typeof row.targets === "string" ? [[row.id, row.targets] as const] : [])),
  );
  const targetsOf = (id: string, { samples, width: q }: TheoremSizes) => {
    const found = targets.get(id);
    return found === undefined ? new Float32Array((samples * q) / 2) : unpackFloats(found);
  };
  const scans = scanPoints(config).flatMap((point) =>
    TARGETS.map((kind): StudyTraining => {
      const data = theoremData(point, point.seed);
      return {
        id: scanId(point, kind),
        label: `scan of ${point.scan}, n=${point.samples} q=${point.width} m=${point.hidden} L=${point.depth}`,
        spec: {
          shape: theoremShape(point, point.depth),
          weights: { seed: point.seed, initialisation: "tied" },
          data: kind === "random" ? data : { ...data, targets: targetsOf(startId(point), point) },
          loss: "squared-norm",
          flow: evaluation(LAYERS),
        },
        recordSteps: [0],
      };
    }),
  );
  const ball = ballPoints(config).map(
    (point): StudyTraining => ({
      id: ballId(point),
      label: `ball of radius ${point.radius}/√(nq), seed ${point.seed}`,
      spec: {
        shape: theoremShape(point, point.depth),
        weights: ballWeights(point),
        data: { ...theoremData(point, point.seed), targets: targetsOf(ballId(point), point) },
        loss: "squared-norm",
        flow: evaluation(ALL),
      },
      recordSteps: [0],
    }),
  );
  const trainings = seeds.map(
    (seed): StudyTraining => ({
      id: trainingId(seed),
      label: `training L=${training.depth} seed ${seed}`,
      spec: {
        shape: theoremShape(trainingSizes(config), training.depth),
        weights: { seed, initialisation: "tied" },
        data: theoremData(trainingSizes(config), seed),
        loss: "squared-norm",
        flow: { rate: training.rate, trained: ALL, stop: { steps: training.steps } },
      },
      recordSteps: trainingSteps(config),
    }),
  );
  return [...scans, ...ball, ...trainings];
}
