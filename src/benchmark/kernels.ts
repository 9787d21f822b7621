import type { Cell, Claim, Figure, Table } from "../experiment/record.ts";
import { shaderFacts } from "../gpu/catalog.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import type { Work } from "../plan/work.ts";
import type { Ceilings } from "./ceilings.ts";
import { convRows } from "./kernel_rows/conv.ts";
import { denseRows } from "./kernel_rows/dense.ts";
import { flowRows } from "./kernel_rows/flow.ts";
import { lossRows } from "./kernel_rows/loss.ts";
import { metricRows } from "./kernel_rows/metric.ts";
import { odeRows } from "./kernel_rows/ode.ts";
import { odeGradientRows } from "./kernel_rows/ode_gradient.ts";
import { odeMethodRows } from "./kernel_rows/ode_methods.ts";
import { reversibleRow } from "./kernel_rows/ode_reversible.ts";
import { randomRows } from "./kernel_rows/random.ts";
import { type Expectation, type KernelCase, type KernelRow, rowSizes } from "./kernel_rows/row.ts";
import type { SuiteResult } from "./suite.ts";
import { type Timing, type TimingOptions, timeRecorded } from "./timing.ts";

export interface KernelSuiteOptions {
  /** Kernels or families to run, e.g. `dense/matmul` or `flow`; all when absent. */
  readonly only?: readonly string[] | undefined;
  /** Tiny sizes and few samples: to see that everything runs, not to be quoted. */
  readonly reduced?: boolean | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** Every kernel that the library dispatches, at the shapes it has in the experiments. */
export function kernelRows(profile: Gpu["profile"], reduced = false): KernelRow[] {
  const sizes = rowSizes(profile, reduced);
  return [
    ...convRows(profile, sizes),
    ...denseRows(profile, sizes),
    ...flowRows(profile, sizes),
    ...lossRows(sizes),
    ...metricRows(profile, sizes),
    ...odeRows(profile, sizes),
    ...odeGradientRows(profile, sizes),
    ...odeMethodRows(profile, sizes),
    reversibleRow(profile, sizes),
    ...randomRows(sizes),
  ];
}

/** Largest difference from the reference against its tolerance: both at the number where their ratio is largest. */
export interface Comparison {
  readonly error: number;
  readonly tolerance: number;
}

export interface KernelMeasurement {
  readonly row: KernelRow;
  /** `checked`: equal to its reference within the tolerance, then timed. Another one is not timed. */
  readonly status: "checked" | "failed" | "not offered";
  readonly variant: string;
  readonly comparison?: Comparison;
  readonly timing?: Timing;
  /** Compilation of this variant, ms; of several rows of one variant the first compiles. */
  readonly compileMs?: number;
  /** Why a row failed. */
  readonly detail?: string;
}

/** Compiles, checks and times one row. A failure is a status, not an exception. */
export async function measureKernel(
  gpu: Gpu,
  recorder: Recorder,
  row: KernelRow,
  timing: TimingOptions = {},
): Promise<KernelMeasurement> {
  if ((await shaderFacts(row.kernel)).subgroups && !gpu.profile.subgroups)
    return { row, status: "not offered", variant: "" };
  const tensors: Record<string, Tensor> = {};
  let variant = "";
  try {
    const prepared = row.prepare();
    variant = prepared.variant;
    const started = performance.now();
    const kernel = await gpu.kernel(row.kernel, prepared.constants, prepared.part);
    const compileMs = performance.now() - started;
    for (const [name, data] of Object.entries(prepared.tensors))
      tensors[name] =
        typeof data === "number"
          ? gpu.tensor(`${row.kernel} ${name}`, 4 * data)
          : gpu.upload(`${row.kernel} ${name}`, data);
    const record = () => recorder.dispatch(kernel, tensors, prepared.params, prepared.grid);
    record();
    recorder.submit();
    const comparison = await check(gpu, tensors, prepared);
    const measured = { row, variant, comparison, compileMs };
    // The comparison is written so that a NaN fails.
    if (!(comparison.error <= comparison.tolerance))
      return { ...measured, status: "failed", detail: "differs from the float64 reference" };
    return { ...measured, status: "checked", timing: await timeRecorded(gpu, recorder, record, timing) };
  } catch (error) {
    return { row, variant, status: "failed", detail: (error as Error).message.split("\n")[0]! };
  } finally {
    gpu.release(...Object.values(tensors));
  }
}

async function check(gpu: Gpu, tensors: Record<string, Tensor>, prepared: KernelCase): Promise<Comparison> {
  const outputs = new Map<string, Float32Array<ArrayBuffer>>();
  let worst: Comparison = { error: 0, tolerance: 0 };
  for (const expectation of prepared.expected()) {
    const { output } = expectation;
    const data = prepared.tensors[output]!;
    const length = typeof data === "number" ? data : data.length;
    const values = outputs.get(output) ?? (await gpu.read(tensors[output]!, 0, 4 * length));
    outputs.set(output, values);
    worst = worse(worst, compare(expectation, values));
  }
  return worst;
}

/** Error in units of the tolerance; a number that is none is infinitely bad. */
function badness({ error, tolerance }: Comparison): number {
  if (Number.isNaN(error)) return Number.POSITIVE_INFINITY;
  return error === 0 ? 0 : error / tolerance;
}

function worse(a: Comparison, b: Comparison): Comparison {
  const difference = badness(b) - badness(a);
  return difference > 0 || (badness(a) === badness(b) && b.tolerance > a.tolerance) ? b : a;
}

/** The number of an expectation that is furthest from it in units of its tolerance. */
export function compare({ take, values, tolerance }: Expectation, actual: Float32Array<ArrayBuffer>): Comparison {
  const taken = take ? take(actual) : actual;
  if (taken.length !== values.length)
    throw new RangeError(`the kernel left ${taken.length} numbers, its reference has ${values.length}`);
  let worst: Comparison = { error: 0, tolerance: 0 };
  for (let i = 0; i < values.length; i++) {
    worst = worse(worst, {
      error: Math.abs(taken[i]! - values[i]!),
      tolerance: typeof tolerance === "number" ? tolerance : tolerance[i]!,
    });
  }
  return worst;
}

/**
 * Times every kernel of the catalog (the ceilings' own apart) at its shapes in the experiments, each after its result has
 * been held against float64. Needs a minute or two on a software adapter.
 */
export async function kernelsSuite(
  gpu: Gpu,
  ceilings: Ceilings,
  options: KernelSuiteOptions = {},
): Promise<SuiteResult> {
  const { only, reduced = false, onProgress } = options;
  const rows = kernelRows(gpu.profile, reduced).filter(
    ({ kernel }) => only === undefined || only.includes(kernel) || only.includes(kernel.split("/")[0]!),
  );
  const recorder = new Recorder(gpu);
  const measured: KernelMeasurement[] = [];
  for (const row of rows) {
    const measurement = await measureKernel(gpu, recorder, row, reduced ? { samples: 3, sampleMs: 0.5 } : {});
    measured.push(measurement);
    onProgress?.(progressLine(measurement));
  }
  recorder.destroy();
  return kernelsResult(measured, ceilings);
}

function progressLine({ row, variant, status, timing, detail }: KernelMeasurement): string {
  const name = [row.kernel, variant, row.shape].filter((part) => part !== "").join(", ");
  return timing ? `${name}: ${(timing.median / 1000).toPrecision(3)} µs` : `${name}: ${detail ?? status}`;
}

export type Bound = "multiply-add" | "bytes" | "sequence" | "dispatch";

/** Least time of a dispatch on a device with these ceilings, in ns, and which of them sets it. */
export function floorOf(work: Work, ceilings: Ceilings): { nanoseconds: number; bound: Bound } {
  // GFLOP/s and GB/s are operations and bytes a nanosecond.
  const times: Record<Bound, number> = {
    "multiply-add": work.flops / ceilings.fma.value,
    bytes: work.bytes / ceilings.copy.value,
    sequence: work.sequential * ceilings.fmaLatency.value,
    dispatch: ceilings.dispatch.value,
  };
  const [bound, nanoseconds] = (Object.entries(times) as [Bound, number][]).reduce((a, b) => (b[1] > a[1] ? b : a));
  return { nanoseconds, bound };
}

/** Table, roofline and claim of measured kernels. */
export function kernelsResult(measured: readonly KernelMeasurement[], ceilings: Ceilings): SuiteResult {
  const rows = measured.map((measurement) => tableRow(measurement, ceilings));
  const failed = measured.filter(({ status }) => status === "failed");
  const clock = measured.find(({ timing }) => timing)?.timing?.clock ?? "host";
  const claim: Claim = {
    id: "kernels-equal-reference",
    statement: "Every kernel's result equals its float64 reference within its tolerance",
    source: "measured for this project",
    measured: failed.length,
    passes: { max: 0 },
    verdict: failed.length === 0 ? "holds" : "fails",
    note: "measured: rows of the table that fail",
  };
  return {
    tables: [kernelTable(rows, clock)],
    figures: [roofline(ceilings)],
    claims: [claim],
    notes: [
      "Operations and bytes of a kernel are those of its formula: what a layout computes twice, pads or compensates is not counted. Data that stay in a cache may move faster than the copy ceiling, which is measured beyond the caches: a share above 1 says so.",
      ...failed.map(({ row, variant, detail }) => `${row.kernel} (${variant}; ${row.shape}) failed: ${detail}`),
    ],
  };
}

function tableRow(measurement: KernelMeasurement, ceilings: Ceilings): Record<string, Cell> {
  const { row, status, variant, comparison, timing, compileMs } = measurement;
  const { work, layers } = row;
  const floor = floorOf(work, ceilings);
  const microseconds = (nanoseconds: number | undefined) => (nanoseconds === undefined ? null : nanoseconds / 1000);
  return {
    kernel: row.kernel,
    family: row.kernel.split("/")[0]!,
    variant,
    shape: row.shape,
    status,
    error: comparison?.error ?? null,
    tolerance: comparison?.tolerance ?? null,
    median: microseconds(timing?.median),
    lower: microseconds(timing?.lower),
    upper: microseconds(timing?.upper),
    arithmetic: timing ? work.flops / timing.median : null,
    traffic: timing ? work.bytes / timing.median : null,
    intensity: work.flops / work.bytes,
    bound: floor.bound,
    floor: microseconds(floor.nanoseconds),
    share: timing ? floor.nanoseconds / timing.median : null,
    "per layer": timing && layers ? microseconds(timing.median / layers) : null,
    "layer floor": layers ? microseconds((work.sequential * ceilings.fmaLatency.value) / layers) : null,
    compile: compileMs ?? null,
  };
}

function kernelTable(rows: Record<string, Cell>[], clock: Timing["clock"]): Table {
  const how = clock === "device" ? "timestamps of the device" : "the host's clock, submits included";
  return {
    name: "kernels",
    description: `Every kernel at its shapes in the experiments, checked against float64 and then timed by ${how}; floors from the ceilings of this device`,
    columns: [
      { name: "kernel", description: "name in the catalog" },
      { name: "family", description: "its folder" },
      { name: "variant", description: "constants and use that tell it from other variants" },
      { name: "shape", description: "sizes of the data; q, m: width and hidden units, n: rows of the batch, L: depth" },
      {
        name: "status",
        description: "checked; failed: not equal to its reference, not timed; or not offered by the device",
      },
      { name: "error", description: "largest difference from float64, where it is largest against its tolerance" },
      { name: "tolerance", description: "of that number, from the roundings that make it" },
      { name: "median", unit: "µs", description: "time of one dispatch, median of the samples" },
      { name: "lower", unit: "µs", description: "lower quartile" },
      { name: "upper", unit: "µs", description: "upper quartile" },
      {
        name: "arithmetic",
        unit: "GFLOP/s",
        description: "operations of the formula over the median; a multiply-add is 2, an activation 1",
      },
      { name: "traffic", unit: "GB/s", description: "bytes that must move over the median" },
      { name: "intensity", unit: "FLOP/B", description: "operations over bytes" },
      {
        name: "bound",
        description: "the ceiling that sets the floor; sequence: dependent multiply-adds one after the other",
      },
      { name: "floor", unit: "µs", description: "least time by the ceilings" },
      { name: "share", description: "floor over median: 1 is the best this device can do" },
      { name: "per layer", unit: "µs", description: "median over the layers of a sweep" },
      {
        name: "layer floor",
        unit: "µs",
        description:
          "sequential floor of a layer: its dependent multiply-adds, one row's sums in order, times their latency",
      },
      {
        name: "compile",
        unit: "ms",
        description: "time until the pipeline was ready; near 0 where an earlier row had the same variant",
      },
    ],
    rows,
  };
}

function roofline({ fma, copy }: Ceilings): Figure {
  return {
    name: "roofline",
    title: "Kernels under the roof of the device",
    caption:
      "Each point is a kernel at one shape: operations of its formula a second against operations a byte. A point on the roof does what the device can; short dispatches and long chains of layers keep a kernel below it.",
    table: "kernels",
    kind: "point",
    x: { field: "intensity", label: "operations a byte", scale: "log" },
    y: { field: "arithmetic", label: "rate", scale: "log" },
    color: { field: "family", label: "kernels" },
    roof: {
      rising: [{ value: copy.value, label: `copy, ${copy.value.toPrecision(2)} GB/s` }],
      level: [{ value: fma.value, label: `multiply-add, ${fma.value.toPrecision(2)} GFLOP/s` }],
    },
    pointLabel: "kernel",
    where: { status: "checked" },
  };
}
