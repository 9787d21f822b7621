/** Time to claim: presets of the experiments as fresh processes of the command line. Node only. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../config/errors.ts";
import { type Experiment, PRESETS, type Preset } from "../experiment/experiment.ts";
import { EXPERIMENTS } from "../experiment/index.ts";
import type { Cell } from "../experiment/record.ts";
import { type ChildOptions, type ChildResult, PACKAGE_ROOT, runChild } from "./child_process.ts";
import type { SuiteResult } from "./suite.ts";

export interface ExperimentsOptions {
  /** `NAME:PRESET` of what is run; default: what `defaultRuns` says. */
  readonly runs?: readonly string[] | undefined;
  /** The adapter is a software one, on which presets beyond `smoke` take minutes. */
  readonly software: boolean;
  /** `--adapter` of every run; default auto. */
  readonly adapter?: string | undefined;
  /** A run that lasts longer is stopped; default 900. */
  readonly timeoutSeconds?: number | undefined;
  /** JavaScript file of the command line; default the package's own. */
  readonly program?: string | undefined;
  /** Ends the run being measured; what was measured stays. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** A run of the command line, with a page and records in a directory. */
export interface ExperimentProcess extends ChildOptions {
  readonly experiment: string;
  readonly preset: string;
  readonly adapter: string;
  readonly out: string;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** JavaScript file of the command line; default the package's own. */
  readonly program?: string | undefined;
}

/** Runs an experiment in a process of its own: neither memory nor a crash passes from one to the next. */
export function runExperiment(run: ExperimentProcess): Promise<ChildResult> {
  const { experiment, preset, adapter, out, args = [], program, ...child } = run;
  const file = program ?? join(PACKAGE_ROOT, "dist", "cli", "main.js");
  const given = ["run", experiment, "--preset", preset, "--adapter", adapter, "--out", out, ...args];
  return runChild(process.execPath, [file, ...given], child);
}

/** Why an experiment cannot be run at a preset as it is; `smoke` never needs files. */
export function missingData({ presets }: Experiment<unknown>, preset: Preset): string | undefined {
  const { data } = presets[preset] as { readonly data?: unknown };
  return preset !== "smoke" && data === "" ? "needs the files of a dataset" : undefined;
}

export interface PlannedRun {
  readonly experiment: string;
  readonly preset: Preset;
  /** Why it is listed and not run. */
  readonly skip?: string;
}

const TABLE = "time-to-claim";
const MIB = 2 ** 20;

/** `smoke` and `reduced` of every experiment; `reduced` is listed as skipped on a software adapter, and where it needs files. */
export function defaultRuns(software: boolean): PlannedRun[] {
  return EXPERIMENTS.flatMap((experiment): PlannedRun[] => {
    const { name } = experiment;
    const skip = software
      ? "takes minutes on a software adapter and was not asked for"
      : missingData(experiment, "reduced");
    return [
      { experiment: name, preset: "smoke" },
      { experiment: name, preset: "reduced", ...(skip !== undefined && { skip }) },
    ];
  });
}

/** `NAME:PRESET`. @throws ConfigError naming the presets */
export function parseRun(text: string): PlannedRun {
  const [experiment = "", named, ...rest] = text.split(":");
  const preset = PRESETS.find((name) => name === named);
  if (experiment === "" || preset === undefined || rest.length > 0)
    throw new ConfigError("runs", `must be NAME:PRESET with a preset of ${PRESETS.join(", ")}`, text);
  return { experiment, preset };
}

/**
 * Wall time of runs from the start of their process to its end, report included; what they decided, and the memory they took.
 * @throws ConfigError for a run that is not NAME:PRESET
 */
export async function experimentsSuite(options: ExperimentsOptions): Promise<SuiteResult> {
  const runs = options.runs?.map(parseRun) ?? defaultRuns(options.software);
  const rows: Record<string, Cell>[] = [];
  for (const run of runs) {
    const row = run.skip === undefined ? await timeRun(run, options) : emptyRow(run, "skipped", run.skip);
    rows.push(row);
    const result = typeof row.wall === "number" ? `${row.wall.toFixed(1)} s` : `${row.status}, ${row.reason}`;
    if (row.status !== "stopped") options.onProgress?.(`${run.experiment} ${run.preset}: ${result}`);
  }
  return {
    tables: [
      {
        name: TABLE,
        description: "Experiments as a user runs them: one fresh process each, from its start to its written report.",
        columns: [
          { name: "experiment", description: "its name" },
          { name: "preset", description: "its configuration" },
          { name: "wall", unit: "s", description: "from the start of the process to its end" },
          { name: "run", unit: "s", description: "of it, the experiment itself, without start and report" },
          { name: "holds", description: "claims that hold" },
          { name: "fails", description: "claims that fail" },
          { name: "not decided", description: "claims that the numbers do not decide" },
          { name: "device memory", unit: "MiB", description: "peak of live buffers" },
          { name: "host memory", unit: "MiB", description: "peak of the process before its report is written" },
          { name: "load", description: "load average of the machine over the minute before" },
          { name: "status", description: "measured, skipped, failed, timeout or stopped (Ctrl-C)" },
          { name: "reason", description: "why there are no numbers" },
        ],
        rows,
      },
    ],
    figures: [],
    claims: [],
    notes: ["Wall times of experiments are single runs."],
  };
}

/** What is needed of a run's `record.json`. */
const recordSchema = z.object({
  status: z.string(),
  seconds: z.number(),
  claims: z.array(z.object({ verdict: z.enum(["holds", "fails", "not decided"]) })),
  environment: z.object({ peakDeviceBytes: z.number(), peakHostBytes: z.number() }),
});

async function timeRun(run: PlannedRun, options: ExperimentsOptions): Promise<Record<string, Cell>> {
  const { adapter = "auto", timeoutSeconds = 900, signal, program } = options;
  const folder = mkdtempSync(join(tmpdir(), "deeplimit-bench-"));
  try {
    const out = join(folder, "run");
    const { experiment, preset } = run;
    const args = ["--quiet"];
    const child = await runExperiment({ experiment, preset, adapter, out, args, program, timeoutSeconds, signal });
    return rowOf(run, child, join(out, "record.json"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function rowOf(run: PlannedRun, child: ChildResult, recordFile: string): Record<string, Cell> {
  if (child.end === "timeout" || child.end === "stopped") return emptyRow(run, child.end, child.reason!, child.load);
  let record: z.infer<typeof recordSchema>;
  try {
    record = recordSchema.parse(JSON.parse(readFileSync(recordFile, "utf8")));
  } catch {
    return emptyRow(run, "failed", child.reason ?? "it left no readable record", child.load);
  }
  if (record.status !== "done") return emptyRow(run, "failed", `the run ended as ${record.status}`, child.load);
  const count = (verdict: string) => record.claims.filter((claim) => claim.verdict === verdict).length;
  return {
    experiment: run.experiment,
    preset: run.preset,
    wall: child.seconds,
    run: record.seconds,
    holds: count("holds"),
    fails: count("fails"),
    "not decided": count("not decided"),
    "device memory": record.environment.peakDeviceBytes / MIB,
    "host memory": record.environment.peakHostBytes / MIB,
    load: child.load,
    status: "measured",
    reason: null,
  };
}

function emptyRow(
  { experiment, preset }: PlannedRun,
  status: string,
  reason: string,
  load: number | null = null,
): Record<string, Cell> {
  const numbers = ["wall", "run", "holds", "fails", "not decided", "device memory", "host memory"];
  return { experiment, preset, ...Object.fromEntries(numbers.map((name) => [name, null])), load, status, reason };
}
