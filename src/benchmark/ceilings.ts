import type { Column, Table } from "../experiment/record.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { type Params, Recorder } from "../gpu/recorder.ts";
import { RandomStream } from "../model/random.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import type { SuiteResult } from "./suite.ts";
import { summarise, type Timing, timeRecorded } from "./timing.ts";

/** What a device does at most (rates) or at least (times): median with quartiles of the best configuration measured. */
export interface Ceiling {
  readonly value: number;
  readonly unit: "GFLOP/s" | "GB/s" | "ns";
  readonly lower: number;
  readonly upper: number;
  /** The configuration that was best, and by which clock when not by the device's. */
  readonly note?: string;
}

/** The device's own limits, measured: what every other number of the benchmark is held against. */
export interface Ceilings {
  /** Multiply-adds in registers, f32; a multiply-add is 2 operations. */
  readonly fma: Ceiling;
  /** The same in f16, where the adapter offers it. */
  readonly fmaHalf?: Ceiling;
  /** Copy of a buffer larger than the caches, bytes read and bytes written. */
  readonly copy: Ceiling;
  /** Reading the same buffer. */
  readonly read: Ceiling;
  /** A multiply-add that needs the result of the one before. */
  readonly fmaLatency: Ceiling;
  /** A workgroup barrier, 64 invocations. */
  readonly barrier: Ceiling;
  /** A workgroup barrier, 256 invocations. */
  readonly barrierWide: Ceiling;
  /** A dispatch of next to nothing that needs the result of the one before, within a pass. */
  readonly dispatch: Ceiling;
  /** A submit of one such dispatch, by the host's clock, with its recording. */
  readonly submit: Ceiling;
  /** From the submit of a copy of 16 bytes to their arrival on the host, by the host's clock. */
  readonly mapRoundTrip: Ceiling;
  /** A load whose address is the result of the load before, from a table of 16 KiB, with indices clamped as WebGPU does. */
  readonly gatherClamped: Ceiling;
  /** The same on a device that does not clamp. */
  readonly gatherUnclamped?: Ceiling;
}

export interface CeilingsOptions {
  /** A second device of the same adapter, opened with Dawn's flag `enable-dawn-features=disable_robustness`. */
  readonly unclamped?: Gpu | undefined;
  /** Tiny sizes and few samples: to see that everything runs, not to be quoted. */
  readonly reduced?: boolean | undefined;
  readonly onProgress?: ((part: string) => void) | undefined;
}

interface Effort {
  readonly samples: number;
  /** A sample lasts about this long. */
  readonly callMs: number;
  /** Workgroups, and invocations of one, that fill the device. */
  readonly groups: number;
  readonly workgroup: number;
  readonly copyBytes: number;
  readonly submits: number;
  readonly roundTrips: number;
}

const MIB = 2 ** 20;

function effort(gpu: Gpu, reduced: boolean): Effort {
  const { kind, maxBindingBytes, maxBufferBytes } = gpu.profile;
  const software = kind === "software";
  // Buffers beyond the last cache: 256 MiB where a GPU has 50 to 100 MB of it, 64 MiB for processors. Workgroups: an H200
  // holds 270,000 invocations, 16,384 groups of 256 are 15 times as many; a processor needs a few for each core.
  const copyBytes = reduced ? MIB : Math.min((software ? 64 : 256) * MIB, maxBindingBytes, maxBufferBytes);
  return {
    samples: reduced ? 3 : 9,
    callMs: reduced ? 1 : software ? 25 : 5,
    groups: software ? 64 : reduced ? 256 : 16_384,
    workgroup: software ? 64 : 256,
    copyBytes: Math.floor(copyBytes / MIB) * MIB,
    submits: reduced ? 20 : 200,
    roundTrips: reduced ? 10 : 100,
  };
}

/**
 * Measures the ceilings of a device, each in a few configurations of which the best counts.
 * Takes 12 s on SwiftShader with two idle cores (2026-11-23).
 * @throws DeviceError when the device fails, KernelError when a kernel does not compile
 */
export async function measureCeilings(gpu: Gpu, options: CeilingsOptions = {}): Promise<Ceilings> {
  const { unclamped, reduced = false, onProgress } = options;
  const bench = new Bench(gpu, effort(gpu, reduced));
  const part = <T>(name: string, measure: () => Promise<T>): Promise<T> => {
    onProgress?.(name);
    return measure();
  };
  try {
    const half = gpu.features.includes("shader-f16");
    return {
      fma: await part("multiply-add f32", () => multiplyAdd(bench, "ceiling/multiply_add", reduced)),
      ...(half
        ? { fmaHalf: await part("multiply-add f16", () => multiplyAdd(bench, "ceiling/multiply_add_half", reduced)) }
        : {}),
      ...(await part("copy and read", () => memory(bench, reduced))),
      fmaLatency: await part("multiply-add latency", () => latency(bench)),
      barrier: await part("barrier, 64 invocations", () => barrier(bench, 64)),
      barrierWide: await part("barrier, 256 invocations", () => barrier(bench, 256)),
      ...(await part("dispatch, submit, map round trip", () => overheads(bench))),
      ...(await part("dependent load", () => gather(bench, unclamped))),
    };
  } finally {
    bench.destroy();
  }
}

/** A device, its recorder and the buffers of one measurement after another. */
class Bench {
  readonly gpu: Gpu;
  readonly effort: Effort;
  readonly recorder: Recorder;
  readonly y: Tensor;

  constructor(gpu: Gpu, how: Effort) {
    this.gpu = gpu;
    this.effort = how;
    this.recorder = new Recorder(gpu);
    this.y = gpu.tensor("ceiling results", 4096);
  }

  destroy(): void {
    this.recorder.destroy();
    this.gpu.release(this.y);
  }

  /** Time of a single call. */
  time(record: () => void, samples = this.effort.samples): Promise<Timing> {
    return timeRecorded(this.gpu, this.recorder, record, { samples, maxCalls: 1 });
  }

  /** Time of a call with so many trips that it lasts about `callMs`. */
  async timeLoop(
    record: (trips: number) => void,
    mostTrips = 2 ** 24,
  ): Promise<{ readonly timing: Timing; readonly trips: number }> {
    let trips = 1;
    for (;;) {
      // The shortest of three: one call delayed by other work on the machine must not end the search.
      const { min } = await this.time(() => record(trips), 3);
      // A short call is mostly launch, which does not grow with the trips: going by it does not overshoot.
      const growth = Math.min(64, (1e6 * this.effort.callMs) / Math.max(min, 1));
      if (growth < 2 || trips === mostTrips) break;
      trips = Math.min(mostTrips, Math.ceil(trips * growth));
    }
    return { timing: await this.time(() => record(trips)), trips };
  }

  /** The same of a dispatch, repeated within a pass. */
  timeDispatch(record: () => void): Promise<{ readonly timing: Timing; readonly trips: number }> {
    return this.timeLoop((trips) => {
      for (let i = 0; i < trips; i++) record();
    }, 1000);
  }
}

/** `amount` operations or bytes a call: per nanosecond is giga per second. */
function rate(timing: Timing, amount: number, unit: "GFLOP/s" | "GB/s", note: string): Ceiling {
  const { median, lower, upper } = timing;
  return { value: amount / median, unit, lower: amount / upper, upper: amount / lower, note: withClock(note, timing) };
}

/** Nanoseconds of one of `count` things a call does one after the other. */
function duration(timing: Pick<Timing, "median" | "lower" | "upper" | "clock">, count: number, note: string): Ceiling {
  const { median, lower, upper } = timing;
  return {
    value: median / count,
    unit: "ns",
    lower: lower / count,
    upper: upper / count,
    note: withClock(note, timing),
  };
}

function withClock(note: string, { clock }: Pick<Timing, "clock">): string {
  return clock === "host" ? `${note}; host clock` : note;
}

const expression = (fused: boolean) => (fused ? "fma(a, x, b)" : "a * x + b");

// |a| < 1 keeps the chains bounded, and its sign keeps them moving: no denormals, no infinities, no constant operands.
const FACTORS = { a: -0.97, b: 0.5 };
/** No sum of a kernel reaches it. */
const NEVER = 1e30;

interface MultiplyAddVariant {
  readonly CHAINS: number;
  readonly FUSED: boolean;
  readonly WORKGROUP: number;
}

/**
 * Multiply-adds of four lanes an invocation makes in one trip. The loop itself is lost in 512 scalar ones: with one step a
 * trip instead of 64, SwiftShader made 11 GFLOP/s on two cores instead of 77 (2026-11-23).
 */
const MULTIPLY_ADDS = 128;

async function multiplyAdd(
  bench: Bench,
  name: "ceiling/multiply_add" | "ceiling/multiply_add_half",
  reduced: boolean,
): Promise<Ceiling> {
  const { gpu, recorder, y, effort } = bench;
  let best: { variant: MultiplyAddVariant; ceiling: Ceiling } | undefined;
  const attempt = async (variant: MultiplyAddVariant) => {
    const { CHAINS, FUSED, WORKGROUP } = variant;
    const kernel = await gpu.kernel(name, { ...variant, STEPS: MULTIPLY_ADDS / CHAINS });
    const { timing, trips } = await bench.timeLoop((loops) =>
      recorder.dispatch(kernel, { y }, { trips: loops, ...FACTORS, threshold: NEVER }, [effort.groups]),
    );
    const operations = effort.groups * WORKGROUP * MULTIPLY_ADDS * 4 * 2 * trips;
    const note = `${expression(FUSED)}, ${CHAINS} chains of vec4, ${effort.groups} workgroups of ${WORKGROUP}`;
    const ceiling = rate(timing, operations, "GFLOP/s", note);
    if (!best || ceiling.value > best.ceiling.value) best = { variant, ceiling };
    return best.variant;
  };
  // Few chains leave latency open, many fall out of the registers; then the other form and the other size of the best.
  let variant = await attempt({ CHAINS: 2, FUSED: true, WORKGROUP: effort.workgroup });
  if (!reduced) {
    variant = await attempt({ ...variant, CHAINS: 4 });
    variant = await attempt({ ...variant, CHAINS: 8 });
    variant = await attempt({ ...variant, FUSED: false });
    await attempt({ ...variant, WORKGROUP: effort.workgroup === 64 ? 256 : 64 });
  }
  return best!.ceiling;
}

async function memory(bench: Bench, reduced: boolean): Promise<{ copy: Ceiling; read: Ceiling }> {
  const { gpu, recorder, y: sums, effort } = bench;
  const bytes = effort.copyBytes;
  const x = gpu.tensor("ceiling x", bytes);
  const y = gpu.tensor("ceiling y", bytes);
  try {
    const noise = new RandomStream(0, "ceiling").fillNormal(new Float32Array(MIB / 4));
    for (let offset = 0; offset < bytes; offset += MIB) gpu.write(x, noise, offset);
    const best = async (
      name: KernelName,
      moved: number,
      record: (kernel: Kernel, tiles: number, groups: number) => void,
    ) => {
      const ceilings: Ceiling[] = [];
      for (const ITEMS of reduced ? [4] : [1, 4]) {
        const WORKGROUP = effort.workgroup;
        const kernel = await gpu.kernel(name, { ITEMS, WORKGROUP });
        const tiles = bytes / (16 * ITEMS * WORKGROUP);
        const groups = Math.min(tiles, effort.groups);
        const { timing, trips } = await bench.timeDispatch(() => record(kernel, tiles, groups));
        const note = `${bytes / MIB} MiB, ${ITEMS} vec4f at a time, ${groups} workgroups of ${WORKGROUP}`;
        ceilings.push(rate(timing, moved * trips, "GB/s", note));
      }
      return ceilings.reduce((a, b) => (b.value > a.value ? b : a));
    };
    return {
      copy: await best("ceiling/copy", 2 * bytes, (kernel, tiles, groups) =>
        recorder.dispatch(kernel, { x, y }, { tiles }, [groups]),
      ),
      read: await best("ceiling/read", bytes, (kernel, tiles, groups) =>
        recorder.dispatch(kernel, { x, y: sums }, { tiles, threshold: NEVER }, [groups]),
      ),
    };
  } finally {
    gpu.release(x, y);
  }
}

/** Invocations of one subgroup, or of about one where the adapter does not tell. */
function subgroup(gpu: Gpu): number {
  return gpu.device.adapterInfo?.subgroupMinSize || (gpu.profile.kind === "software" ? 4 : 32);
}

async function latency(bench: Bench): Promise<Ceiling> {
  const { gpu, recorder, y } = bench;
  const STEPS = 64;
  const WORKGROUP = subgroup(gpu);
  const ceilings: Ceiling[] = [];
  for (const FUSED of [true, false]) {
    const kernel = await gpu.kernel("ceiling/latency", { STEPS, FUSED, WORKGROUP });
    const { timing, trips } = await bench.timeLoop((loops) =>
      recorder.dispatch(kernel, { y }, { trips: loops, ...FACTORS }, [1]),
    );
    ceilings.push(duration(timing, trips * STEPS, `${expression(FUSED)}, one workgroup of ${WORKGROUP}`));
  }
  return ceilings.reduce((a, b) => (b.value < a.value ? b : a));
}

async function barrier(bench: Bench, WORKGROUP: number): Promise<Ceiling> {
  const { gpu, recorder, y } = bench;
  const measure = async (EXCHANGE: boolean) => {
    const kernel = await gpu.kernel("ceiling/barrier", { EXCHANGE, WORKGROUP });
    return bench.timeLoop((trips) => recorder.dispatch(kernel, { y }, { trips }, [1]));
  };
  const alone = await measure(false);
  const exchange = await measure(true);
  const ns = exchange.timing.median / exchange.trips;
  return duration(
    alone.timing,
    alone.trips,
    `one workgroup of ${WORKGROUP}; ${ns.toPrecision(3)} ns with a write and a read of workgroup memory`,
  );
}

async function overheads(bench: Bench): Promise<Pick<Ceilings, "dispatch" | "submit" | "mapRoundTrip">> {
  const { gpu, recorder, y, effort } = bench;
  const kernel = await gpu.kernel("ceiling/empty");
  const record = () => recorder.dispatch(kernel, { y }, { step: 1 }, [1]);
  const { timing, trips } = await bench.timeDispatch(record);

  const submits: number[] = [];
  for (let sample = 0; sample <= effort.samples; sample++) {
    const start = performance.now();
    for (let i = 0; i < effort.submits; i++) {
      record();
      recorder.submit();
    }
    await gpu.settle();
    // The first one warms up: 180 µs a submit where the next take 20 (SwiftShader, 2026-11-23).
    if (sample > 0) submits.push((1e6 * (performance.now() - start)) / effort.submits);
  }
  const roundTrips: number[] = [];
  for (let i = 0; i < effort.roundTrips; i++) {
    const start = performance.now();
    const arrived = recorder.read(y, 0, 16);
    recorder.submit();
    await arrived;
    roundTrips.push(1e6 * (performance.now() - start));
  }
  return {
    dispatch: duration(timing, trips, `${trips} dependent dispatches of one invocation in a pass`),
    submit: duration(
      { ...summarise(submits), clock: "host" },
      1,
      `${effort.submits} submits of one dispatch with its parameters, then a wait`,
    ),
    mapRoundTrip: duration({ ...summarise(roundTrips), clock: "host" }, 1, "copy of 16 bytes, submit, map"),
  };
}

const GATHER_STEPS = 16;
const GATHER_COUNT = 4096;

async function gather(
  bench: Bench,
  unclamped: Gpu | undefined,
): Promise<Pick<Ceilings, "gatherClamped" | "gatherUnclamped">> {
  const second = unclamped ? new Bench(unclamped, bench.effort) : undefined;
  const tables: [Gpu, Tensor][] = [];
  try {
    const recording = async ({ gpu, recorder, y }: Bench) => {
      const kernel = await gpu.kernel("ceiling/gather", { STEPS: GATHER_STEPS, WORKGROUP: subgroup(gpu) });
      const next = gpu.upload("ceiling next", randomCycle(GATHER_COUNT));
      tables.push([gpu, next]);
      return (params: Params) => recorder.dispatch(kernel, { next, y }, params, [1]);
    };
    const record = await recording(bench);
    const { timing, trips } = await bench.timeLoop((loops) => record({ trips: loops }));
    const loads = trips * GATHER_STEPS;
    const note = `one workgroup of ${subgroup(bench.gpu)}, ${GATHER_COUNT} words`;
    if (!second) return { gatherClamped: duration(timing, loads, note) };

    // In turns, so that a change of clock or load meets both.
    const recordUnclamped = await recording(second);
    const times: [number[], number[]] = [[], []];
    for (let round = 0; round < 5; round++) {
      times[0].push((await bench.time(() => record({ trips }), 1)).median);
      times[1].push((await second.time(() => recordUnclamped({ trips }), 1)).median);
    }
    const [clamped, plain] = times.map((each) => ({ ...summarise(each), clock: timing.clock }));
    return {
      gatherClamped: duration(clamped!, loads, note),
      gatherUnclamped: duration(plain!, loads, note),
    };
  } finally {
    for (const [gpu, next] of tables) gpu.release(next);
    second?.destroy();
  }
}

/** A permutation of [0, count) that is one cycle (Sattolo 1986): following it visits every place before it repeats. */
function randomCycle(count: number): Uint32Array<ArrayBuffer> {
  const next = Uint32Array.from({ length: count }, (_, i) => i);
  const stream = new RandomStream(0, "cycle");
  for (let i = count - 1; i > 0; i--) {
    const j = stream.uint32(i) % i;
    [next[i], next[j]] = [next[j]!, next[i]!];
  }
  return next;
}

const LABELS: Readonly<Record<keyof Ceilings, string>> = {
  fma: "multiply-add f32",
  fmaHalf: "multiply-add f16",
  copy: "copy",
  read: "read",
  fmaLatency: "multiply-add latency",
  barrier: "barrier, 64 invocations",
  barrierWide: "barrier, 256 invocations",
  dispatch: "dispatch",
  submit: "submit",
  mapRoundTrip: "map round trip",
  gatherClamped: "dependent load, clamped index",
  gatherUnclamped: "dependent load, unclamped index",
};

const COLUMNS: readonly Column[] = [
  { name: "ceiling", description: "What is limited" },
  { name: "value", description: "Median of the best configuration, in the unit of the row" },
  { name: "unit", description: "A multiply-add is 2 operations; copy counts bytes read and bytes written" },
  { name: "lower", description: "Lower quartile" },
  { name: "upper", description: "Upper quartile" },
  { name: "note", description: "The configuration measured" },
];

/** The table `ceilings`, one row each, and what was left out and why. */
export function ceilingsResult(ceilings: Ceilings): SuiteResult {
  const rows = (Object.keys(LABELS) as (keyof Ceilings)[]).flatMap((key) => {
    const ceiling = ceilings[key];
    if (!ceiling) return [];
    const { value, unit, lower, upper, note = "" } = ceiling;
    return [{ ceiling: LABELS[key], value, unit, lower, upper, note }];
  });
  const table: Table = {
    name: "ceilings",
    description: "What the device does at most, measured in this run: the shares in other tables are of these rates.",
    columns: COLUMNS,
    rows,
  };
  const notes = ["Submit and map round trip are the host's times, with the work of recording them."];
  if (!ceilings.fmaHalf) notes.push("The adapter does not offer half precision (shader-f16).");
  const { gatherClamped, gatherUnclamped } = ceilings;
  if (gatherUnclamped)
    notes.push(
      `WebGPU's index clamping costs ${(gatherClamped.value / gatherUnclamped.value).toFixed(2)} times the time of a dependent load; kernels here always run with it.`,
    );
  else notes.push("What index clamping costs was not measured: no second device without it.");
  return { tables: [table], figures: [], claims: [], notes };
}
