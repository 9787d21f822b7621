import { availableParallelism, freemem, loadavg, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Ceilings, ceilingsResult, measureCeilings } from "../../benchmark/ceilings.ts";
import { experimentsSuite } from "../../benchmark/experiments.ts";
import { kernelsSuite } from "../../benchmark/kernels.ts";
import { odePeersSuite } from "../../benchmark/ode_peers.ts";
import { odeSuite } from "../../benchmark/ode_workloads.ts";
import { CONV_CONTEST, peersSuite } from "../../benchmark/peers.ts";
import type { SuiteResult } from "../../benchmark/suite.ts";
import { accuracySuite, workloadsSuite } from "../../benchmark/workloads.ts";
import { DataError } from "../../config/errors.ts";
import type { Cell, RunRecord, Section, Table } from "../../experiment/record.ts";
import { formatBytes, type Gpu } from "../../gpu/device.ts";
import { type AdapterChoice, openNode } from "../../gpu/node_adapter.ts";
import { isForFigures } from "../../report/benchmark_page.ts";
import { writeFileAtomic } from "../../report/files.ts";
import { formatSeconds } from "../../report/format.ts";
import { claimsText, wrap } from "../../report/text.ts";
import { checkOut, defaultPlace, freeStem } from "../bench_files.ts";
import {
  type BenchOptions,
  type BenchSettings,
  benchCommand,
  benchSettings,
  SUITES,
  type SuiteName,
} from "../bench_settings.ts";
import { deviceFacts, hostFacts } from "../environment.ts";
import { EXIT } from "../exit_code.ts";
import { type Stop, stopOnSignal } from "../stop.ts";
import { tableText } from "../table_text.ts";
import { wantsColor, widthOf } from "../terminal.ts";
import { compare } from "./bench_compare.ts";

/** Dawn otherwise rounds timestamps to 65 µs. */
const TIMING_FLAGS = ["disable-dawn-features=timestamp_quantization"];
const UNCLAMPED_FLAGS = [...TIMING_FLAGS, "enable-dawn-features=disable_robustness"];

/** A suite that ran, or why it did not. `stopped`: Ctrl-C ended it, what it had measured is in its result. */
interface Part {
  readonly name: SuiteName;
  readonly status: "measured" | "stopped" | "failed" | "not run";
  readonly seconds: number;
  readonly result?: SuiteResult;
  readonly reason?: string;
}

/**
 * `deeplimit bench`: measures the suites in order, prints their tables, and writes NAME.json and NAME.html; with `--compare`
 * prints how two records differ instead.
 * @returns the exit code: 1 when a suite failed, 130 when Ctrl-C stopped it
 * @throws ConfigError before anything is measured; DeviceError when there is no device
 */
export async function bench(options: BenchOptions): Promise<number> {
  if (options.compare !== undefined || options.failOnRegression) return compare(options);
  const settings = benchSettings(options);
  const asked = options.out === undefined ? undefined : await checkOut(options.out);
  const device = new TimingDevice(settings.adapter);
  const stop = stopOnSignal();
  try {
    const gpu = await device.open();
    if (device.notice !== undefined) say(device.notice);
    const run = new BenchRun(settings, options, gpu);
    const place = asked ?? defaultPlace();
    const stem = asked?.stem ?? freeStem(place, gpu.facts, run.date, settings.quick);
    stop.onFirst(() =>
      say("\nStopping: what is measured is kept, other processes are ended. Press Ctrl-C again to quit at once."),
    );
    return await measure(run, device, stop, join(place.directory, stem), options.json === true);
  } finally {
    stop.release();
    device.close();
  }
}

async function measure(run: BenchRun, device: TimingDevice, stop: Stop, path: string, json: boolean): Promise<number> {
  const out = process.stdout;
  const width = out.isTTY ? (out.columns ?? 80) : Number.POSITIVE_INFINITY;
  const print = (lines: readonly string[]) => {
    if (!json && lines.length > 0) out.write(`${lines.join("\n")}\n`);
  };
  print(stampLines(run.stamp(), widthOf(out)));
  const context = new SuiteContext(run.settings, device, stop.signal);
  for (const name of context.suites) {
    if (stop.signal.aborted) break;
    say(`${name} …`);
    const part = await runSuite(name, context);
    run.parts.push(part);
    if (part.status === "failed") say(`${name} failed: ${part.reason}`);
    if (part.result) print(sectionLines(SUITES[name], part.result, width, widthOf(out)));
    // A run that is killed later leaves what it has measured.
    await keep(`${path}.json`, run.record(context.suites, "unfinished"));
  }
  device.close();

  const record = run.record(context.suites, "ended");
  const written = await writeFiles(path, record);
  if (json) out.write(`${JSON.stringify(record, null, 2)}\n`);
  if (record.claims.length > 0) print(["", claimsText(record.claims, { width: widthOf(out), color: wantsColor(out) })]);
  print(record.notes.flatMap((note) => ["", ...wrap(note, widthOf(out))]));
  print([
    "",
    ...stampLines({ "load average": loadText(run.load), "wall time": formatSeconds(record.seconds) }, widthOf(out)),
  ]);
  print(written.files.map((file, i) => (i === 0 ? "files" : "").padEnd(STAMP_COLUMN) + file));
  for (const problem of written.problems) say(`error: ${problem}`);
  if (record.status === "cancelled") return EXIT.interrupted;
  return record.status === "done" && written.problems.length === 0 ? EXIT.ok : EXIT.failure;
}

async function runSuite(name: SuiteName, context: SuiteContext): Promise<Part> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    const result = await context.run(name);
    const stopped = result.tables.some(({ rows }) => rows.some(({ status }) => status === "stopped"));
    return { name, status: stopped ? "stopped" : "measured", result, seconds: seconds() };
  } catch (error) {
    if (process.env.DEEPLIMIT_DEBUG === "1" && error instanceof Error) say(error.stack ?? error.message);
    // Buffers of a suite that broke off would count against the next one's memory.
    context.device.close();
    return { name, status: "failed", reason: firstLine(error), seconds: seconds() };
  }
}

/** What the suites take, and what one leaves for the next. */
class SuiteContext {
  readonly device: TimingDevice;
  readonly suites: readonly SuiteName[];
  readonly #settings: BenchSettings;
  readonly #signal: AbortSignal;
  #ceilings: Ceilings | undefined;

  constructor(settings: BenchSettings, device: TimingDevice, signal: AbortSignal) {
    const { suites } = settings;
    this.#settings = settings;
    this.device = device;
    this.#signal = signal;
    // Shares of a ceiling need the ceilings of the same run.
    this.suites = suites.includes("kernels") && !suites.includes("ceilings") ? ["ceilings", ...suites] : suites;
  }

  async run(name: SuiteName): Promise<SuiteResult> {
    const { adapter, quick, depths, widths, batches, steps, trajectories, runs } = this.#settings;
    const { peers, peerDepths, convPeers, convDepths, odePeers, rounds, python } = this.#settings;
    const signal = this.#signal;
    const onProgress = (line: string) => say(`${name}: ${line}`);
    switch (name) {
      case "ceilings": {
        const unclamped = await openUnclamped(adapter);
        try {
          const gpu = await this.device.open();
          this.#ceilings = await measureCeilings(gpu, { unclamped, reduced: quick, onProgress });
        } finally {
          unclamped?.close();
        }
        return ceilingsResult(this.#ceilings);
      }
      case "kernels":
        if (this.#ceilings === undefined) throw new Error("needs the ceilings, which could not be measured");
        return kernelsSuite(await this.device.open(), this.#ceilings, { reduced: quick, onProgress });
      case "workloads": {
        const gpu = await this.device.open();
        const hostBytes = () => 1024 * process.resourceUsage().maxRSS;
        const memoryBytes = memoryOf(gpu);
        const sizes = { depths, widths, batches, steps };
        return workloadsSuite(gpu, this.#ceilings, { ...sizes, memoryBytes, hostBytes, signal, onProgress });
      }
      case "ode": {
        const gpu = await this.device.open();
        const memoryBytes = memoryOf(gpu);
        return odeSuite(gpu, this.#ceilings?.fma.value, {
          trajectories,
          solves: steps,
          memoryBytes,
          signal,
          onProgress,
        });
      }
      case "accuracy":
        return accuracySuite(await this.device.open(), { ...(quick && { depth: 16, at: [2] }), onProgress });
      case "experiments":
        this.device.close();
        return experimentsSuite({ software: this.device.software, adapter, runs, signal, onProgress });
      case "peers":
        this.device.close();
        return peersSuite({
          ...{ peers, depths: peerDepths, rounds, steps, python, adapter },
          ...{ software: this.device.software, signal, onProgress },
        });
      case "conv-peers":
        this.device.close();
        return peersSuite(
          {
            ...{ peers: convPeers, depths: convDepths, rounds, steps, python, adapter },
            ...{ software: this.device.software, signal, onProgress },
          },
          CONV_CONTEST,
        );
      case "ode-peers":
        this.device.close();
        return odePeersSuite({
          ...{ peers: odePeers, trajectories, rounds, solves: steps, python, adapter },
          ...{ signal, onProgress },
        });
    }
  }
}

/** What a workload may take: a software adapter's memory is the host's, which holds initial weights and data beside it. */
function memoryOf(gpu: Gpu): number | undefined {
  return gpu.facts.software ? freemem() / 2 : undefined;
}

/** The device that is timed: opened when a suite needs it, closed while other processes are measured. */
class TimingDevice {
  notice: string | undefined;
  software = true;
  readonly #adapter: AdapterChoice;
  #gpu: Gpu | undefined;

  constructor(adapter: AdapterChoice) {
    this.#adapter = adapter;
  }

  /** @throws DeviceError without an adapter */
  async open(): Promise<Gpu> {
    if (this.#gpu && !isLost(this.#gpu)) return this.#gpu;
    this.close();
    const { gpu, notice } = await openNode({ adapter: this.#adapter, flags: TIMING_FLAGS });
    this.#gpu = gpu;
    this.notice = notice;
    this.software = gpu.facts.software;
    return gpu;
  }

  close(): void {
    this.#gpu?.close();
    this.#gpu = undefined;
  }
}

function isLost(gpu: Gpu): boolean {
  try {
    gpu.check();
    return false;
  } catch {
    return true;
  }
}

/** Only to learn what index clamping costs: without it one number is missing, not the suite. */
async function openUnclamped(adapter: AdapterChoice): Promise<Gpu | undefined> {
  try {
    return (await openNode({ adapter, flags: UNCLAMPED_FLAGS })).gpu;
  } catch {
    return undefined;
  }
}

/** What a run has found so far, and its record at any time. */
class BenchRun {
  readonly settings: BenchSettings;
  readonly date = new Date();
  readonly parts: Part[] = [];
  readonly #command: string;
  readonly #name: string;
  readonly #host = hostFacts();
  readonly #device: ReturnType<typeof deviceFacts>;
  readonly #started = performance.now();
  readonly #loadAtStart = loadavg()[0]!;

  constructor(settings: BenchSettings, options: BenchOptions, gpu: Gpu) {
    this.settings = settings;
    this.#command = benchCommand(options);
    this.#name = gpu.name;
    this.#device = deviceFacts(gpu);
  }

  /** Load average of the machine at the start, and now. */
  get load(): { readonly start: number; readonly end: number } {
    return { start: this.#loadAtStart, end: loadavg()[0]! };
  }

  /** What a number needs beside it to be believed. */
  stamp(): Record<string, string> {
    const { deeplimit, commit, webgpu, node, platform, system, cpu, cores, memoryBytes } = this.#host;
    const { adapter, profile, features } = this.#device;
    return {
      adapter: this.#name,
      driver: [adapter.vendor, adapter.architecture, adapter.device, adapter.description]
        .filter((text) => text !== "")
        .join(", "),
      limits: `storage binding ${formatBytes(profile.maxBindingBytes)}, workgroup memory ${formatBytes(profile.maxWorkgroupStorageBytes)}, workgroup ${profile.maxInvocations} invocations${profile.subgroups ? `, subgroups from ${profile.subgroupSize}` : ", no subgroups"}`,
      features: features.join(", "),
      processor: `${cpu.trim()}, ${cores} ${cores === 1 ? "core" : "cores"}, ${formatBytes(memoryBytes)}`,
      system: `${platform}, ${system}`,
      software: `Node ${node}, Dawn (webgpu) ${webgpu}`,
      deeplimit:
        commit === undefined ? deeplimit : `${deeplimit}, commit ${commit.replace(/^([0-9a-f]{12})[0-9a-f]*/, "$1")}`,
      flags: TIMING_FLAGS.join(", "),
      date: this.date.toISOString(),
    };
  }

  record(suites: readonly SuiteName[], state: "unfinished" | "ended"): RunRecord {
    const results = this.parts.flatMap(({ result }) => (result === undefined ? [] : [result]));
    const missing = suites.filter((name) => !this.parts.some((part) => part.name === name));
    const overview = suitesTable([
      ...this.parts,
      ...missing.map((name): Part => ({ name, status: "not run", seconds: 0 })),
    ]);
    const failed = this.parts.filter(({ status }) => status === "failed");
    const stopped = this.parts.filter(({ status }) => status === "stopped");
    const reasons = failed.map(({ name, reason }) => `${name} failed: ${reason}`);
    reasons.push(...stopped.map(({ name }) => `stopped in ${name}`));
    if (missing.length > 0)
      reasons.push(`${state === "ended" ? "stopped" : "not finished"} before ${missing.join(", ")}`);
    const { load } = this;
    return {
      experiment: "bench",
      title: `Benchmark of ${this.#name}`,
      summary: SUMMARY,
      preset: this.settings.quick ? "quick" : "full",
      status: missing.length + stopped.length > 0 ? "cancelled" : failed.length > 0 ? "failed" : "done",
      ...(reasons.length > 0 && { statusDetail: reasons.join("; ") }),
      config: { ...this.settings },
      environment: {
        stamp: { ...this.stamp(), "load average": loadText(load) },
        ...{ ...this.#host, ...this.#device, load, flags: TIMING_FLAGS, date: this.date.toISOString() },
      },
      tables: [...results.flatMap(({ tables }) => tables), overview],
      figures: results.flatMap(({ figures }) => figures),
      claims: results.flatMap(({ claims }) => claims),
      notes: this.settings.quick ? ["A quick look: few samples of small sizes, not to be quoted."] : [],
      sections: [...this.parts.flatMap(sectionOf), section("suites", "What was run", { tables: [overview] })],
      seconds: (performance.now() - this.#started) / 1000,
      command: this.#command,
    };
  }
}

const SUMMARY =
  "What this device can do at most, what every kernel reaches of it, what a training step costs over depth, width and batch and how exact it is, what ensembles of ODEs cost, how long the experiments take, and the same step and ensembles by other libraries: measured on one machine in one run. Times are medians; lower and upper are quartiles where a column does not say otherwise.";

function sectionOf({ name, result }: Part): Section[] {
  return result === undefined ? [] : [section(name, SUITES[name], result)];
}

function section(
  name: string,
  title: string,
  { tables = [], figures = [], notes = [] }: Partial<SuiteResult>,
): Section {
  const namesOf = (items: readonly { readonly name: string }[]) => items.map((item) => item.name);
  return { name, title, tables: namesOf(tables), figures: namesOf(figures), notes };
}

function suitesTable(parts: readonly Part[]): Table {
  return {
    name: "suites",
    description: "The parts of the benchmark, in the order they ran.",
    columns: [
      { name: "suite", description: "as `--suite` takes it" },
      { name: "status", description: "measured, stopped (Ctrl-C; what it had measured is here), failed or not run" },
      { name: "time", unit: "s", description: "wall time" },
      { name: "reason", description: "why it failed" },
    ],
    rows: parts.map(({ name, status, seconds, reason }): Record<string, Cell> => {
      return { suite: name, status, time: status === "not run" ? null : seconds, reason: reason ?? null };
    }),
  };
}

// ------------------------------------------------------------------------------------------------------------ output

const STAMP_COLUMN = 14;

function stampLines(stamp: Readonly<Record<string, string>>, width: number): string[] {
  const column = STAMP_COLUMN;
  return Object.entries(stamp).flatMap(([key, value]) =>
    wrap(value, width - column).map((line, i) => (i === 0 ? key : "").padEnd(column) + line),
  );
}

const STEP_COLUMNS = ["layout", "median", "lower", "upper", "per layer", "device memory", "floor", "share", "status"];
const ODE_COLUMNS = ["median", "lower", "upper", "with states", "rate", "arithmetic", "share", "error", "status"];
/** What of a wide table a terminal is shown; the page has all of it, and so have tables that are not here. */
const TERMINAL_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  kernels: [
    "kernel",
    "variant",
    "shape",
    "median",
    "lower",
    "upper",
    "arithmetic",
    "traffic",
    "bound",
    "share",
    "status",
  ],
  "step-depth": ["depth", ...STEP_COLUMNS],
  "step-width": ["width", ...STEP_COLUMNS],
  "step-batch": ["batch", ...STEP_COLUMNS],
  "ode-solves": ["method", "steps", "trajectories", ...ODE_COLUMNS],
  "time-to-claim": ["experiment", "preset", "wall", "run", "holds", "fails", "not decided", "host memory", "status"],
  peers: ["depth", "peer", "median", "lower", "upper", "host memory", "loss difference", "status"],
  "ode-peers": ["contest", "trajectories", "peer", "method", "setting", "error", "median", "lower", "upper", "status"],
};

function sectionLines(title: string, { tables, notes }: SuiteResult, width: number, textWidth: number): string[] {
  return [
    "",
    title,
    ...tables
      .filter((table) => !isForFigures(table))
      .flatMap((table) => [
        "",
        ...wrap(`${table.name}: ${table.description}`, textWidth),
        tableText(table, width, TERMINAL_COLUMNS[table.name]),
        ...reasonLines(table).flatMap((line) => wrap(line, textWidth)),
      ]),
    ...(notes.length > 0 ? [""] : []),
    ...notes.flatMap((note) => wrap(note, textWidth - 2).map((line, i) => (i === 0 ? `- ${line}` : `  ${line}`))),
  ];
}

/** Why rows have no numbers, in full: within the table it would be cut. */
function reasonLines({ columns, rows }: Table): string[] {
  if (!columns.some(({ name }) => name === "reason")) return [];
  // What a row is about stands in its first columns, before those of times.
  const names = columns.slice(
    0,
    columns.findIndex(({ name, unit }) => unit !== undefined || name === "version" || name === "status"),
  );
  const about = new Map<string, string[]>();
  for (const row of rows) {
    if (row.reason === null || row.reason === undefined) continue;
    const why = row.status === undefined ? `${row.reason}` : `${row.status}, ${row.reason}`;
    const cells = names.flatMap(({ name }) => {
      const cell = row[name];
      if (cell === null || cell === undefined) return [];
      return [typeof cell === "number" ? `${name} ${cell}` : String(cell)];
    });
    about.set(why, [...(about.get(why) ?? []), cells.join(", ")]);
  }
  return [...about].map(([why, which]) => `${which.join("; ")}: ${why}`);
}

function loadText({ start, end }: { readonly start: number; readonly end: number }): string {
  return `${start.toFixed(2)} at the start, ${end.toFixed(2)} at the end, on ${availableParallelism()} cores`;
}

/** Writes both files; where that fails now, into the system's folder for temporary files, so that nothing measured is lost. */
async function writeFiles(path: string, record: RunRecord): Promise<{ files: string[]; problems: string[] }> {
  // Vega takes half a second to load: only now is it needed.
  const { writeBenchmarkPage } = await import("../../report/write.ts");
  const write = async (stem: string) => {
    await writeFileAtomic(`${stem}.json`, recordText(record));
    const problems = await writeBenchmarkPage(`${stem}.html`, record);
    return { files: [`${stem}.json`, `${stem}.html`], problems };
  };
  try {
    return await write(path);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const { files, problems } = await write(join(tmpdir(), basename(path)));
    return { files, problems: [error.message, ...problems] };
  }
}

/** A file that cannot be written now is reported at the end, with the whole record. */
async function keep(path: string, record: RunRecord): Promise<void> {
  await writeFileAtomic(path, recordText(record)).catch(() => undefined);
}

function recordText(record: RunRecord): string {
  return `${JSON.stringify(record, null, 1)}\n`;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
