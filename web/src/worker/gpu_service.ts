import { ceilingsResult, measureCeilings } from "../../../src/benchmark/ceilings.ts";
import { type KernelMeasurement, kernelRows, kernelsResult, measureKernel } from "../../../src/benchmark/kernels.ts";
import { claims } from "../../../src/experiment/conformance/claims.ts";
import { fieldName, groupsOf, PRESETS } from "../../../src/experiment/conformance/config.ts";
import { type SolvedRow, solveGroup } from "../../../src/experiment/conformance/solves.ts";
import type { Preset } from "../../../src/experiment/experiment.ts";
import { openBrowser } from "../../../src/gpu/browser_adapter.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { KernelError } from "../../../src/gpu/errors.ts";
import { Recorder } from "../../../src/gpu/recorder.ts";
import type { ConformanceResult, GpuChoice, GpuReply, GpuRequest } from "../gpu/protocol.ts";
import { detestTable, methodRows } from "./conformance_summary.ts";
import type { DeviceHost } from "./device_host.ts";

/** Least time from table to table while they grow, ms. */
const SHOW_MS = 500;
/** Claims about the methods on paper say nothing of a device. */
const OF_THE_METHODS = ["order-conditions", "convergence"];

class Stopped extends Error {}

/** Checks and measures the visitor's GPU, on a device of its own: what fails there does not end a training. */
export class GpuService {
  readonly #device: DeviceHost;
  readonly #post: (reply: GpuReply) => void;
  #stop = new AbortController();
  #queue: Promise<void> = Promise.resolve();

  constructor(device: DeviceHost, post: (reply: GpuReply) => void) {
    this.#device = device;
    this.#post = post;
  }

  receive(request: GpuRequest): void {
    switch (request.kind) {
      case "facts":
        // A refusal was posted by the host.
        this.#device.open().then(
          (gpu) => this.#tellFacts(gpu),
          () => {},
        );
        break;
      case "stop":
        this.#stop.abort();
        break;
      case "run": {
        this.#stop.abort();
        const stop = new AbortController();
        this.#stop = stop;
        this.#queue = this.#queue.then(() => this.#run(request.choice, stop.signal));
        break;
      }
    }
  }

  #tellFacts({ facts, features, device }: Gpu): void {
    const limits: Record<string, number> = {};
    for (const name in device.limits) {
      const limit = (device.limits as unknown as Record<string, unknown>)[name];
      if (typeof limit === "number") limits[name] = limit;
    }
    this.#post({ kind: "facts", facts: { adapter: facts, features, limits } });
  }

  async #run(choice: GpuChoice, signal: AbortSignal): Promise<void> {
    let gpu: Gpu | undefined;
    this.#post({ kind: "started" });
    try {
      gpu = await openBrowser();
      if (choice.conformance !== "none") await this.#conformance(gpu, choice.conformance, signal);
      if (choice.bench !== "none") await this.#bench(gpu, choice.bench === "quick", signal);
      this.#post({ kind: "ended", status: "done" });
    } catch (error) {
      if (error instanceof Stopped) this.#post({ kind: "ended", status: "stopped" });
      else this.#post({ kind: "ended", status: "failed", detail: (error as Error).message });
    } finally {
      gpu?.close();
    }
  }

  /** @throws Stopped */
  #progress(signal: AbortSignal, done: number, total: number, label: string): void {
    if (signal.aborted) throw new Stopped();
    this.#post({ kind: "progress", done, total, label });
  }

  async #conformance(gpu: Gpu, preset: Preset, signal: AbortSignal): Promise<void> {
    const config = PRESETS[preset];
    const groups = groupsOf(config);
    const rows: SolvedRow[] = [];
    const failures: string[] = [];
    const failed = new Map<string, number>();
    const result = (): ConformanceResult => ({
      methods: methodRows(rows, failed),
      detest: detestTable(rows),
      claims: claims(config, rows, []).filter(({ id }) => !OF_THE_METHODS.includes(id)),
      rows,
      failures,
    });
    let shown = performance.now();
    try {
      for (const [i, group] of groups.entries()) {
        const label = `${fieldName(group.problems[0]!)} by ${group.method}`;
        this.#progress(signal, i, groups.length, `conformance: ${label}`);
        try {
          rows.push(...(await solveGroup(gpu, config, group)));
        } catch (error) {
          if (!(error instanceof KernelError)) throw error;
          failures.push(`${label}: ${error.message.split("\n")[0]}`);
          failed.set(group.method, (failed.get(group.method) ?? 0) + group.problems.length);
        }
        if (performance.now() - shown < SHOW_MS) continue;
        shown = performance.now();
        this.#post({ kind: "conformance", result: { ...result(), rows: [] } });
      }
    } finally {
      this.#post({ kind: "conformance", result: result() });
    }
  }

  async #bench(gpu: Gpu, reduced: boolean, signal: AbortSignal): Promise<void> {
    let parts = 0;
    const ceilings = await measureCeilings(gpu, {
      reduced,
      onProgress: (part) => this.#progress(signal, parts++, 8, `ceilings: ${part}`),
    });
    const { tables, notes } = ceilingsResult(ceilings);
    const rows = kernelRows(gpu.profile, reduced);
    const recorder = new Recorder(gpu);
    const measured: KernelMeasurement[] = [];
    const show = () => {
      const kernels = kernelsResult(measured, ceilings);
      const result = { ceilings: tables[0]!, kernels: kernels.tables[0], notes: [...notes, ...kernels.notes] };
      this.#post({ kind: "bench", result });
    };
    show();
    let shown = performance.now();
    try {
      for (const [i, row] of rows.entries()) {
        this.#progress(signal, i, rows.length, `kernels: ${row.kernel}`);
        measured.push(await measureKernel(gpu, recorder, row, reduced ? { samples: 3, sampleMs: 0.5 } : {}));
        // The row says that it failed; a lost device ends them all.
        gpu.check();
        if (performance.now() - shown < SHOW_MS) continue;
        shown = performance.now();
        show();
      }
    } finally {
      recorder.destroy();
      show();
    }
  }
}
