/** The training step, timed over depth, width and batch, and its accuracy against float64. */
import type { Cell, Claim, Column, Figure, Table } from "../experiment/record.ts";
import { Measurements } from "../flow/measurements.ts";
import type { Gpu } from "../gpu/device.ts";
import { gradientFlowStep, stepNorms } from "../reference/dense.ts";
import { REPLICA_CASES, type ReplicaCase, replicaGain } from "./replica_gain.ts";
import {
  exponentClaim,
  floorOf,
  prototypeClaims,
  STEP_SIZES,
  type StepAxis,
  type StepCeilings,
  SYMBOL,
  stepPoint,
} from "./step_points.ts";
import {
  advance,
  createStepTraining,
  STEP_RATE,
  type StepTimingOptions,
  type TimedPoint,
  timePoint,
} from "./step_timing.ts";
import type { SuiteResult } from "./suite.ts";

export interface WorkloadOptions extends StepTimingOptions {
  /** L of the depth axis, q of the width axis, n of the batch axis, increasing. */
  readonly depths?: readonly number[] | undefined;
  readonly widths?: readonly number[] | undefined;
  readonly batches?: readonly number[] | undefined;
  /** Sizes at which replicas are timed; default REPLICA_CASES. */
  readonly replicas?: readonly ReplicaCase[] | undefined;
}

export interface AccuracyOptions {
  /** Default 1024. */
  readonly depth?: number | undefined;
  /** Steps after which weights are compared; default 2, 5, 10. */
  readonly at?: readonly number[] | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

const AXES = ["depth", "width", "batch"] as const;
const MIB = 2 ** 20;

/**
 * One explicit Euler step with V and W trained (exact GELU, mean over entries), over depth (q = 16, m = 32, n = 100), width
 * (m = 2q, n = 100, L = 64) and batch (q = 16, m = 32, L = 64), and side by side for several seeds. Points that do not fit or would take too long are rows that
 * say so. A device that fails ends the suite's measurements, not the suite.
 * @throws ConfigError when a size is not a positive integer
 */
export async function workloadsSuite(
  gpu: Gpu,
  ceilings?: StepCeilings,
  options: WorkloadOptions = {},
): Promise<SuiteResult> {
  const sizes: Record<StepAxis, readonly number[]> = {
    depth: options.depths ?? STEP_SIZES.depth,
    width: options.widths ?? STEP_SIZES.width,
    batch: options.batches ?? STEP_SIZES.batch,
  };
  const points = AXES.flatMap((axis) => sizes[axis].map((size) => stepPoint(axis, size)));
  const timed: TimedPoint[] = [];
  const along = (axis: StepAxis) => timed.filter(({ point }) => point.axis === axis);
  for (const point of points) timed.push(await timePoint(gpu, point, along(point.axis), options));
  const replicas = await replicaGain(gpu, options.replicas ?? REPLICA_CASES, {
    pairs: options.steps,
    signal: options.signal,
    onProgress: options.onProgress,
  });

  const times = (axis: StepAxis) =>
    along(axis).flatMap(({ point, measured }) => (measured ? [{ size: point.size, ...measured }] : []));
  const claims: Claim[] = [exponentClaim("depth", times("depth")), exponentClaim("batch", times("batch"))];
  if (gpu.facts.software) claims.push(...prototypeClaims(times("depth"), gpu.name, gpu.profile.parallelGroups));
  const hasFloor = ceilings !== undefined;
  return {
    tables: [...AXES.map((axis) => stepTable(axis, along(axis), ceilings)), curvesTable(timed, ceilings), replicas],
    figures: AXES.filter((axis) => times(axis).length > 0).map((axis) => stepFigure(axis, hasFloor)),
    claims,
    notes: [
      `A step is timed from its call to the arrival of its loss on the host, one at a time, after those that warm up (until two in succession differ by less than a fifth, or for 2 s); creating and compiling are not in it.`,
      "The width axis uses the factors 1/√m and 1/√q, because wide networks without them diverge; the cost is the same.",
      ...(hasFloor
        ? [
            "The floor is the largest of three times: useful operations at the rate of the register-only loop, compulsory traffic at the rate of a copy, and the chain of dependent multiply-adds along depth at their latency.",
          ]
        : ["Without the device's ceilings there is no floor."]),
      ...(gpu.timestamps ? [] : ["The device offers no timestamps: times by kernel are missing."]),
    ],
  };
}

const AXIS_TEXT: Readonly<Record<StepAxis, { label: string; rest: string }>> = {
  depth: { label: `depth ${SYMBOL.depth}`, rest: "q = 16, m = 32, n = 100" },
  width: { label: `width ${SYMBOL.width}`, rest: "m = 2q, n = 100, L = 64" },
  batch: { label: `batch ${SYMBOL.batch}`, rest: "q = 16, m = 32, L = 64" },
};

function stepColumns(axis: StepAxis): Column[] {
  const ms = (name: string, description: string): Column => ({ name, unit: "ms", description });
  return [
    { name: axis, description: AXIS_TEXT[axis].label },
    { name: "layout", description: "how the plan walks the layers: rows, tile or matmul" },
    ms("median", "of the wall time of a step"),
    ms("lower", "lower quartile"),
    ms("upper", "upper quartile"),
    ms("min", "quickest step"),
    { name: "steps", description: "timed steps" },
    { name: "per layer", unit: "µs", description: "median over L" },
    { name: "dispatches", description: "of a step" },
    { name: "submits", description: "of a step" },
    ms("forward", "device time of the forward kernels of a step, by timestamps"),
    ms("adjoint", "device time of the adjoint kernels, with the weight gradients in the layout rows"),
    ms("gradient", "device time of the weight gradients, where they are a kernel of their own"),
    ms("update", "device time of the update"),
    ms("other", "device time of all other kernels; in the layout matmul these are the matrix products of all layers"),
    { name: "device memory", unit: "MiB", description: "peak of live buffers" },
    { name: "host memory", unit: "MiB", description: "peak of the host process so far" },
    ms("floor", "least time that the device's ceilings allow for the useful work"),
    { name: "bound by", description: "the ceiling that sets the floor" },
    { name: "share", unit: "%", description: "floor over median" },
    { name: "status", description: "measured, skipped, failed or stopped (Ctrl-C)" },
    { name: "reason", description: "why a point has no times" },
  ];
}

function stepTable(axis: StepAxis, timed: readonly TimedPoint[], ceilings?: StepCeilings): Table {
  return {
    name: `step-${axis}`,
    description: `One training step over ${AXIS_TEXT[axis].label}; ${AXIS_TEXT[axis].rest}.`,
    columns: stepColumns(axis),
    rows: timed.map((one) => stepRow(one, ceilings)),
  };
}

function stepRow({ point, measured, status, reason }: TimedPoint, ceilings?: StepCeilings): Record<string, Cell> {
  const floor = measured && ceilings ? floorOf(measured.work, ceilings) : undefined;
  return {
    [point.axis]: point.size,
    layout: measured?.layout ?? null,
    median: measured?.time.median ?? null,
    lower: measured?.time.lower ?? null,
    upper: measured?.time.upper ?? null,
    min: measured?.time.min ?? null,
    steps: measured?.time.samples ?? null,
    "per layer": measured ? (1000 * measured.time.median) / point.shape.depth : null,
    dispatches: measured?.dispatches ?? null,
    submits: measured?.submits ?? null,
    forward: measured?.parts.forward ?? null,
    adjoint: measured?.parts.adjoint ?? null,
    gradient: measured?.parts.gradient ?? null,
    update: measured?.parts.update ?? null,
    other: measured?.parts.other ?? null,
    "device memory": measured ? measured.deviceBytes / MIB : null,
    "host memory": measured?.hostBytes === undefined ? null : measured.hostBytes / MIB,
    floor: floor?.ms ?? null,
    "bound by": floor?.boundBy ?? null,
    share: measured && floor ? (100 * floor.ms) / measured.time.median : null,
    status,
    reason: reason ?? null,
  };
}

const CURVES = "step-curves";

/** The three axes and their floors as series, for the figures. */
function curvesTable(timed: readonly TimedPoint[], ceilings?: StepCeilings): Table {
  const rows: Record<string, Cell>[] = timed.flatMap(({ point, measured }) => {
    if (!measured) return [];
    const { axis, size } = point;
    const { median, lower, upper } = measured.time;
    const floor = ceilings && floorOf(measured.work, ceilings).ms;
    return [
      { axis, size, series: "measured", ms: median, lower, upper },
      ...(floor === undefined ? [] : [{ axis, size, series: "floor", ms: floor, lower: null, upper: null }]),
    ];
  });
  return {
    name: CURVES,
    description: "Medians of the step tables and their floors, one row a point, as drawn.",
    columns: [
      { name: "axis", description: "depth, width or batch" },
      { name: "size", description: "L, q or n" },
      { name: "series", description: "measured or floor" },
      { name: "ms", unit: "ms", description: "of a step" },
      { name: "lower", unit: "ms", description: "lower quartile" },
      { name: "upper", unit: "ms", description: "upper quartile" },
    ],
    rows,
  };
}

function stepFigure(axis: StepAxis, hasFloor: boolean): Figure {
  const slope = axis === "width" ? 2 : 1;
  return {
    name: `step-${axis}`,
    title: `Training step over ${axis}`,
    caption: `Median and quartiles of the wall time of one step; ${AXIS_TEXT[axis].rest}.${hasFloor ? " The floor is what the device's ceilings allow for the useful work." : ""}`,
    table: CURVES,
    kind: "line",
    x: { field: "size", label: AXIS_TEXT[axis].label, scale: "log2" },
    y: { field: "ms", label: "step in ms", scale: "log" },
    color: { field: "series", label: "step" },
    interval: ["lower", "upper"],
    guides: [{ slope, label: slope === 1 ? "linear" : "quadratic" }],
    where: { axis },
  };
}

/**
 * max_k ‖W_{k+1} − W_k‖_F and max_k ‖V_{k+1} − V_k‖_F in float32 on the device against plain loops in float64, after the
 * given steps of the paper's figure 1.
 * @throws DeviceError when the device fails
 */
export async function accuracySuite(gpu: Gpu, options: AccuracyOptions = {}): Promise<SuiteResult> {
  const { depth = 1024, at = [2, 5, 10], onProgress } = options;
  const point = stepPoint("depth", depth);
  const { shape, stack, flow, inputs, targets, destroy } = await createStepTraining(gpu, point);
  const rows: Record<string, Cell>[] = [];
  try {
    const measurements = await Measurements.create(stack);
    try {
      const { A, V, W, B } = stack.initial;
      const weights = {
        A: new Float64Array(A),
        V: new Float64Array(V),
        W: new Float64Array(W),
        B: new Float64Array(B),
      };
      for (let step = 1; step <= Math.max(...at); step++) {
        await advance(flow, 1);
        // Each step of the reference blocks for up to seconds: let the host draw in between.
        await new Promise((resolve) => setTimeout(resolve));
        const trained = { A: false, V: true, W: true, B: false };
        gradientFlowStep(shape, weights, { n: point.rows, inputs, targets }, "mean-square", STEP_RATE, trained);
        if (!at.includes(step)) continue;
        const reference = stepNorms(weights.V, weights.W, shape);
        const measured = await measurements.depth(flow.recorder);
        for (const family of ["W", "V"] as const) {
          const float64 = reference[family].max;
          const device = measured[family].maxStep;
          rows.push({ steps: step, family, float64, device, error: Math.abs(device / float64 - 1) });
        }
        onProgress?.(`accuracy after ${step} steps`);
      }
    } finally {
      measurements.destroy();
    }
  } finally {
    destroy();
  }
  return {
    tables: [
      {
        name: "accuracy",
        description: `Largest difference of neighbouring layers after some steps at L = ${depth}, q = 16, m = 32, n = ${point.rows}: float32 on the device against float64 in plain loops, from the same weights and data.`,
        columns: [
          { name: "steps", description: "explicit Euler steps taken" },
          { name: "family", description: "weights meant: W or V" },
          { name: "float64", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖ in float64" },
          { name: "device", unit: "‖·‖_F", description: "the same on the device" },
          { name: "error", description: "relative error of the device's" },
        ],
        rows,
      },
    ],
    figures: [],
    claims: [],
    notes: [
      "Differences of neighbouring layers are what the experiments measure; they are orders of magnitude smaller than the weights.",
    ],
  };
}
