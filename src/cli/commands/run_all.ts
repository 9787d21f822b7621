import { join, relative } from "node:path";
import { missingData, runExperiment } from "../../benchmark/experiments.ts";
import { ConfigError, DataError } from "../../config/errors.ts";
import { PRESETS, type Preset } from "../../experiment/experiment.ts";
import { tallyText } from "../../report/format.ts";
import { type LaboratoryRun, laboratoryTally, memoryText, stateText, timeText } from "../../report/laboratory.ts";
import { wrap } from "../../report/text.ts";
import { type AnyExperiment, unknownName } from "../choose.ts";
import { EXIT } from "../exit_code.ts";
import {
  INDEX_FILE,
  LABORATORY_FILE,
  type LaboratoryEntry,
  readLaboratory,
  writeLaboratory,
} from "../laboratory_directory.ts";
import { defaultDirectory, namesIn, RunDirectory } from "../run_directory.ts";
import { stopOnSignal } from "../stop.ts";
import { columnsText, shellQuote, widthOf } from "../terminal.ts";
import type { RunOptions } from "./run.ts";

export interface RunAllOptions extends RunOptions {
  /** File of `--config`, which is refused. */
  readonly file?: string;
}

/** What `deeplimit run` takes instead of an experiment. */
export const ALL = "all";

/** Ended as it should, or never to be run. */
const SETTLED: readonly LaboratoryRun["state"][] = ["done", "skipped"];

/**
 * `deeplimit run all`: every experiment, each in a process of its own and into a directory of its own, then a page over all of them.
 * @returns the exit code: 1 when a run ended other than done, 130 when it was stopped
 * @throws ConfigError for options that only a single experiment takes; DataError for a directory that cannot be used
 */
export async function runAll(experiments: readonly AnyExperiment[], options: RunAllOptions): Promise<number> {
  if (options.set.length > 0) throw new ConfigError("--set", "is for one experiment, not for all");
  if (options.file !== undefined) throw new ConfigError("--config", "is for one experiment, not for all");
  const { resume = false, force = false, quiet = false } = options;
  const mode = { resume, force };
  const path = options.out ?? (await defaultDirectory(ALL, options.preset ?? "reduced", mode));
  const before = await checkDirectory(path, mode);
  const preset = presetOf(options.preset ?? (resume ? before?.preset : undefined) ?? "reduced");
  if (resume && before && before.preset !== preset)
    throw new ConfigError("--preset", `must be ${before.preset} as in the laboratory in ${path} to resume it`, preset);

  const entries: LaboratoryEntry[] = [];
  for (const experiment of experiments) {
    const { name, title } = experiment;
    const lacks = options.data === undefined ? missingData(experiment, preset) : undefined;
    const begun = resume && (await RunDirectory.state(join(path, name))) !== undefined;
    entries.push({
      ...{ experiment: name, title, state: lacks !== undefined ? "skipped" : begun ? "ran" : "waiting" },
      ...(lacks !== undefined && { reason: `${lacks}; give its directory with --data` }),
    });
  }
  const command = commandLine(preset, options);
  const write = () => writeLaboratory(path, { preset, command, entries });
  const said = new Set<string>();
  const say = (text: string) => {
    if (!quiet) process.stderr.write(`${text}\n`);
  };

  const stop = stopOnSignal();
  try {
    let laboratory = await write();
    for (const [i, entry] of entries.entries()) {
      const { experiment } = entry;
      if (stop.signal.aborted || entry.state === "skipped") continue;
      if (laboratory.runs[i]!.state === "done") {
        say(`${experiment}: is finished`);
        continue;
      }
      const out = join(path, experiment);
      const begun = (await RunDirectory.state(out)) !== undefined;
      const child = await runExperiment({
        experiment,
        preset,
        adapter: options.adapter ?? "auto",
        out,
        args: [
          ...(begun && resume ? ["--resume"] : []),
          ...(force ? ["--force"] : []),
          ...(options.check ? ["--check"] : []),
          ...(options.data !== undefined && missingData(experiments[i]!, preset) !== undefined
            ? ["--data", options.data]
            : []),
        ],
        program: process.argv[1],
        signal: stop.signal,
        stopWith: "SIGINT",
        onError: (text) => {
          // Which device there is, every run says anew.
          if (!quiet && !said.has(text)) process.stderr.write(text);
          said.add(text);
        },
      });
      // Stopped before it had begun to write: its turn is still to come.
      const began = (await RunDirectory.state(out)) !== undefined;
      const reason =
        child.end === "exited" && child.code !== 0 ? child.reason?.replace(/^exit \d+: (error: )?/, "") : undefined;
      if (began || child.end !== "stopped")
        entries[i] = { experiment, title: entry.title, state: "ran", ...(reason !== undefined && { reason }) };
      laboratory = await write();
      const { state, record } = laboratory.runs[i]!;
      say(
        `${experiment}: ${stateText(laboratory.runs[i]!)}${state === "done" ? `, ${tallyText(record!.claims)}` : ""}\n`,
      );
    }
    const page = join(path, INDEX_FILE);
    const file = relative("", page) || page;
    process.stdout.write(
      quiet ? `${file}\n` : `${laboratoryText(laboratory.runs, widthOf(process.stdout))}\n\nreport  ${file}\n`,
    );
    if (stop.signal.aborted) {
      process.stderr.write(`Stopped. Continue with: ${command} --out ${shellQuote(path)} --resume\n`);
      return EXIT.interrupted;
    }
    const bad = laboratory.runs.filter(({ state }) => !SETTLED.includes(state)).map(({ experiment }) => experiment);
    if (bad.length === 0) return EXIT.ok;
    process.stderr.write(
      `error: not done: ${bad.join(", ")}; try again with: ${command} --out ${shellQuote(path)} --resume\n`,
    );
    return EXIT.failure;
  } finally {
    stop.release();
  }
}

/** A table of the runs for a terminal, and what all of them came to. */
export function laboratoryText(runs: readonly LaboratoryRun[], width: number): string {
  const rows = runs.map((run) => {
    const claims = run.record?.claims ?? [];
    const count = (verdict: string) => `${claims.filter((claim) => claim.verdict === verdict).length}`;
    const counts = run.record === undefined ? ["–", "–", "–"] : ["holds", "fails", "not decided"].map(count);
    return [run.experiment, stateText(run), ...counts, timeText(run), memoryText(run)];
  });
  const columns = ["experiment", "outcome", "holds", "fails", "open", "time", "memory"].map((header, i) => ({
    header,
    align: i < 2 ? ("left" as const) : ("right" as const),
  }));
  const reasons = runs.flatMap(({ experiment, reason }) =>
    reason === undefined ? [] : wrap(`${experiment}: ${reason}`, width),
  );
  return [
    "",
    columnsText(columns, rows, width),
    ...(reasons.length === 0 ? [] : ["", ...reasons]),
    "",
    ...laboratoryTally(runs).flatMap((line) => wrap(line, width)),
  ].join("\n");
}

/** Says whether a laboratory may be written there, and what it holds. @throws DataError */
async function checkDirectory(path: string, { resume, force }: { readonly resume: boolean; readonly force: boolean }) {
  const names = await namesIn(path);
  const before = await readLaboratory(path);
  if (before === undefined) {
    if (resume) throw new DataError(path, "holds no laboratory to resume; leave out --resume to start one");
    if (names.length > 0)
      throw new DataError(
        path,
        `holds files that no laboratory wrote (${names[0]}); choose another directory with --out`,
      );
    return undefined;
  }
  if (!resume && !force)
    throw new DataError(
      path,
      `holds a laboratory at preset ${before.preset} (${LABORATORY_FILE}); use --resume to continue it or --force to replace it`,
    );
  return before;
}

function presetOf(name: string): Preset {
  const preset = PRESETS.find((known) => known === name);
  if (preset === undefined) throw unknownName("--preset", name, PRESETS);
  return preset;
}

function commandLine(preset: string, { adapter = "auto", data, check }: RunOptions): string {
  return [
    `deeplimit run ${ALL} --preset ${preset}`,
    ...(adapter === "auto" ? [] : [`--adapter ${adapter}`]),
    ...(data === undefined ? [] : [`--data ${shellQuote(data)}`]),
    ...(check ? ["--check"] : []),
  ].join(" ");
}
