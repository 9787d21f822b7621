/** Which training steps are timed, which are left out and why, and what their times decide. Pure. */
import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { Claim } from "../experiment/record.ts";
import { judge, logLogSlope } from "../experiment/statistics.ts";
import { type DensePlan, planDense, stackBytes } from "../plan/dense.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import type { Work } from "../plan/work.ts";

export type StepAxis = "depth" | "width" | "batch";

export const SYMBOL: Readonly<Record<StepAxis, string>> = { depth: "L", width: "q", batch: "n" };

/** One size along an axis: L, q or n. */
export interface StepPoint {
  readonly axis: StepAxis;
  readonly size: number;
  readonly shape: DenseShape;
  readonly rows: number;
}

const BASE = { depth: 64, width: 16, rows: 100 };

export const STEP_SIZES: Readonly<Record<StepAxis, readonly number[]>> = {
  depth: [16, 64, 256, 1024, 4096, 16_384, 65_536],
  width: [16, 32, 64, 128, 256, 512, 1024],
  batch: [16, 64, 256, 1024, 4096, 16_384, 65_536],
};

/** The paper's figure 1 (d = q = 16, m = 32, n = 100) with one of depth, width (m = 2q) and batch moved. */
export function stepPoint(axis: StepAxis, size: number): StepPoint {
  if (!Number.isInteger(size) || size < 1) throw new ConfigError(axis, "must be an integer of at least 1", size);
  const depth = axis === "depth" ? size : BASE.depth;
  const width = axis === "width" ? size : BASE.width;
  return {
    axis,
    size,
    shape: {
      inputs: width,
      width,
      hidden: 2 * width,
      outputs: width,
      depth,
      activation: "gelu",
      // Without the factors 1/√m and 1/√q wide networks diverge at once; they cost nothing.
      widthFactors: axis === "width" ? "paper" : "code",
      beta: 1,
    },
    rows: axis === "batch" ? size : BASE.rows,
  };
}

export interface MemoryNeed {
  readonly plan: DensePlan;
  /** Bytes of all tensors of a training, and of its largest. */
  readonly bytes: number;
  readonly largest: { readonly name: string; readonly bytes: number };
}

/**
 * Device memory of a training of V and W by explicit Euler.
 * @throws ConfigError when a layer exceeds the adapter's largest binding
 */
export function stepMemory(point: StepPoint, profile: DeviceProfile): MemoryNeed {
  const plan = planDense(point.shape, profile, { rows: point.rows, training: true });
  const stack = stackBytes(point.shape, true, profile);
  const tensors = Object.entries({
    ...stack,
    "last good change": stack.change!,
    "last good change but one": stack.change!,
    ...plan.tensors,
  });
  const [name, largest] = tensors.reduce((a, b) => (b[1] > a[1] ? b : a));
  return {
    plan,
    bytes: tensors.reduce((sum, [, bytes]) => sum + bytes, 0),
    largest: { name, bytes: largest },
  };
}

/** A point that was measured: operations and milliseconds of a step. */
export interface MeasuredStep {
  readonly flops: number;
  readonly ms: number;
}

/**
 * Time of a step of `flops` operations, extrapolated from the points before it: along the line through the last two on
 * logarithmic axes, never flatter than linear and never steeper than quadratic; from one point, linear. Undefined from none.
 */
export function predictedMs(before: readonly MeasuredStep[], flops: number): number | undefined {
  const last = before.at(-1);
  if (last === undefined) return undefined;
  const previous = before.at(-2);
  const slope =
    previous === undefined || previous.flops === last.flops
      ? 1
      : Math.log(last.ms / previous.ms) / Math.log(last.flops / previous.flops);
  return last.ms * (flops / last.flops) ** Math.min(2, Math.max(1, slope));
}

/** What the floor needs of the device's ceilings: GFLOP/s, GB/s and nanoseconds of a dependent multiply-add. */
export interface StepCeilings {
  readonly fma: { readonly value: number };
  readonly copy: { readonly value: number };
  readonly fmaLatency: { readonly value: number };
}

export interface Floor {
  readonly ms: number;
  readonly boundBy: "arithmetic" | "memory" | "latency";
}

/** The least time that the device's ceilings allow for the work, and which of them sets it. */
export function floorOf(work: Work, ceilings: StepCeilings): Floor {
  const floors: Floor[] = [
    { boundBy: "arithmetic", ms: work.flops / (1e6 * ceilings.fma.value) },
    { boundBy: "memory", ms: work.bytes / (1e6 * ceilings.copy.value) },
    { boundBy: "latency", ms: (work.sequential * ceilings.fmaLatency.value) / 1e6 },
  ];
  return floors.reduce((a, b) => (b.ms > a.ms ? b : a));
}

const SOURCE = "measured for this project";
const CONFIDENCE = 0.95;
/** Below these the fixed cost of a step (a submit, four dispatches, a map) shows. */
const FIT_FROM = { depth: 64, batch: 64 };
const FIT_POINTS = 3;

/** A size and the times of its steps in milliseconds. */
export interface TimedSize {
  readonly size: number;
  readonly time: {
    readonly median: number;
    readonly lower: number;
    readonly upper: number;
    readonly samples: number;
  };
  readonly median: MedianInterval;
}

export interface MedianInterval {
  readonly interval: readonly [lower: number, upper: number];
  readonly confidence: number;
}

/**
 * Interval of a median that assumes no distribution: from the k-th smallest to the k-th largest value, with the largest k
 * that the binomial distribution allows (Conover, Practical Nonparametric Statistics, 3.2). Fewer than six values do not
 * reach 95 %: theirs is from least to largest, with the confidence it has.
 * @throws RangeError on an empty list
 */
export function medianInterval(values: readonly number[], confidence = 0.95): MedianInterval {
  const count = values.length;
  if (count === 0) throw new RangeError("at least one value is needed, got none");
  const sorted = values.toSorted((a, b) => a - b);
  // P(exactly i of the values lie below the median), and the sum up to i: one tail.
  let chance = 0.5 ** count;
  let tail = chance;
  let k = 0;
  for (; k + 1 < count / 2; k++) {
    const next = (chance * (count - k)) / (k + 1);
    if (2 * (tail + next) > 1 - confidence) break;
    chance = next;
    tail += next;
  }
  return { interval: [sorted[k]!, sorted[count - 1 - k]!], confidence: 1 - 2 * tail };
}

/** The exponent p of time ∝ size^p over the larger sizes. */
export function exponentClaim(axis: "depth" | "batch", times: readonly TimedSize[]): Claim {
  const from = FIT_FROM[axis];
  const fitted = times.filter(({ size }) => size >= from);
  const common =
    axis === "depth"
      ? {
          id: "linear-in-depth",
          statement: `Cost of a step is linear in depth: exponent of L over L ≥ ${from}`,
          source: SOURCE,
          passes: { min: 0.9, max: 1.05 },
        }
      : {
          id: "linear-in-batch",
          statement: `Cost of a step grows at most linearly with the batch: exponent of n over n ≥ ${from}`,
          source: SOURCE,
          passes: { max: 1.05 },
        };
  if (fitted.length < FIT_POINTS)
    return {
      ...common,
      measured: null,
      verdict: "not decided",
      note: `needs at least ${FIT_POINTS} measured sizes from ${SYMBOL[axis]} = ${from} on, there are ${fitted.length}`,
    };
  const { slope, interval } = logLogSlope(
    fitted.map(({ size }) => size),
    fitted.map(({ time }) => time.median),
    CONFIDENCE,
  );
  const sizes = fitted.map(({ size }) => size);
  return {
    ...common,
    measured: slope,
    interval,
    confidence: CONFIDENCE,
    verdict: judge(slope, common.passes, interval),
    note: `${fitted.length} sizes, ${SYMBOL[axis]} = ${Math.min(...sizes)} … ${Math.max(...sizes)}; the interval is the scatter about a straight line`,
  };
}

/** Milliseconds of a step of the first prototype on two cores of SwiftShader 5.0 (2026-11), by depth; q = 16, n = 100. */
const PROTOTYPE_MS: Readonly<Record<number, number>> = { 64: 23, 256: 103, 1024: 346 };
const PROTOTYPE_CORES = 2;

/** At least twice as fast as the prototype; only SwiftShader on two cores, where the prototype was timed, decides it. */
export function prototypeClaims(times: readonly TimedSize[], adapter: string, cores: number): Claim[] {
  return times.flatMap(({ size, time, median: { interval, confidence } }): Claim[] => {
    const { median, lower, upper, samples } = time;
    const prototype = PROTOTYPE_MS[size];
    if (prototype === undefined) return [];
    const passes = { max: prototype / 2 };
    const comparable = /swiftshader/i.test(adapter) && cores === PROTOTYPE_CORES;
    const spread = `median of ${samples} steps, quartiles ${lower.toPrecision(3)} and ${upper.toPrecision(3)} ms`;
    return [
      {
        id: `twice-the-prototype-${size}`,
        statement: `A step at L = ${size}, q = 16, m = 32, n = 100 takes at most half of the prototype's ${prototype} ms: milliseconds`,
        source: SOURCE,
        measured: median,
        interval,
        confidence,
        passes,
        verdict: comparable ? judge(median, passes, interval) : "not decided",
        note: comparable
          ? spread
          : `${spread}; the prototype was timed on ${PROTOTYPE_CORES} cores of SwiftShader, this is ${adapter} on ${cores}`,
      },
    ];
  });
}
