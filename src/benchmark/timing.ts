import { quantile } from "../experiment/statistics.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Recorder } from "../gpu/recorder.ts";

/** Time of one call in nanoseconds: median, quartiles and extremes over samples; each sample is the mean over `calls`. */
export interface Timing {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
  readonly min: number;
  readonly max: number;
  readonly samples: number;
  readonly calls: number;
  /** By timestamps of the device, or by the host's clock from submit to completion. */
  readonly clock: "device" | "host";
}

export interface TimingOptions {
  readonly samples?: number;
  /** A sample repeats the call until it lasts about this long. */
  readonly sampleMs?: number;
  /** Largest number of calls a sample holds. */
  readonly maxCalls?: number;
}

/**
 * Time on the device of what `record` records (one or more dispatches, no copies): one warm-up, then samples of as many
 * repeats as fill `sampleMs`, each in a pass of its own.
 */
export async function timeRecorded(
  gpu: Gpu,
  recorder: Recorder,
  record: () => void,
  options: TimingOptions = {},
): Promise<Timing> {
  const { samples = 9, sampleMs = 4, maxCalls = 1000 } = options;
  const measure = async (passes: number, calls: number, expectedMs = 0) => {
    const onDevice = recorder.startProfile("pass");
    const host: number[] = [];
    for (let i = 0; i < passes; i++) {
      for (let call = 0; call < calls; call++) record();
      recorder.endPass();
      // One submit a sample: a long queue would be one long uninterruptible job, and its start would hide in the first.
      const start = performance.now();
      recorder.submit();
      // A pending wait polls without rest and takes a core from a software adapter's own work (see Recorder.submit).
      if (gpu.profile.kind === "software" && expectedMs >= 2)
        await new Promise((resolve) => setTimeout(resolve, 0.85 * expectedMs));
      await gpu.settle();
      host.push((1e6 * (performance.now() - start)) / calls);
    }
    const device = [...(await recorder.endProfile()).values()].flatMap((time) => time.passes).map((ns) => ns / calls);
    return onDevice ? device : host;
  };
  await measure(1, 1);
  const [once = 0] = await measure(1, 1);
  const calls = Math.max(1, Math.min(maxCalls, Math.round((1e6 * sampleMs) / Math.max(once, 1))));
  const times = await measure(samples, calls, (calls * once) / 1e6);
  return { ...summarise(times), calls, clock: gpu.timestamps ? "device" : "host" };
}

/** Median, quartiles and extremes of times. */
export function summarise(times: readonly number[]): Omit<Timing, "calls" | "clock"> {
  return {
    median: quantile(times, 0.5),
    lower: quantile(times, 0.25),
    upper: quantile(times, 0.75),
    min: Math.min(...times),
    max: Math.max(...times),
    samples: times.length,
  };
}

/**
 * Repeats a call until two times in succession differ by less than a fifth, or `limitMs` have passed since the end of the
 * first, which may compile, or 20 calls were made: the rule of bench/peers/protocol.mjs, so that all are warm alike.
 * @returns milliseconds of each call
 */
export async function warmUp(call: () => Promise<unknown>, limitMs = 2000): Promise<number[]> {
  const times: number[] = [];
  let sinceFirst = 0;
  while (times.length < 20 && sinceFirst < limitMs) {
    const start = performance.now();
    await call();
    const last = performance.now() - start;
    const before = times.at(-1);
    times.push(last);
    if (before === undefined) continue;
    sinceFirst += last;
    if (Math.abs(last - before) < 0.2 * Math.max(last, before)) break;
  }
  return times;
}
