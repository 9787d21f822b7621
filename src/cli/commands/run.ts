import { join } from "node:path";
import type { ExperimentResult } from "../../experiment/experiment.ts";
import type { RunRecord, RunStatus } from "../../experiment/record.ts";
import type { Gpu } from "../../gpu/device.ts";
import { DeviceError } from "../../gpu/errors.ts";
import { type AdapterChoice, openNode } from "../../gpu/node_adapter.ts";
import { type AnyExperiment, type ConfigOptions, chooseConfig } from "../choose.ts";
import { environment } from "../environment.ts";
import { EXIT } from "../exit_code.ts";
import { progressLine } from "../progress_line.ts";
import { printSummary } from "../recorded_run.ts";
import { defaultDirectory, RunDirectory } from "../run_directory.ts";
import { flatten, validate } from "../settings.ts";
import { type Stop, stopOnSignal } from "../stop.ts";
import { shellQuote } from "../terminal.ts";

export interface RunOptions extends ConfigOptions {
  /** Sets the field `data` of the configuration. */
  readonly data?: string;
  readonly out?: string;
  /** Default auto. */
  readonly adapter?: AdapterChoice;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly check?: boolean;
  readonly quiet?: boolean;
}

/**
 * `deeplimit run`: runs an experiment into a directory and says what came out.
 * @returns the exit code
 * @throws ConfigError, DataError, DeviceError: nothing was run, or the reason why it stopped
 */
export async function run(experiment: AnyExperiment, options: RunOptions): Promise<number> {
  const set = options.data === undefined ? options.set : [...options.set, `data=${JSON.stringify(options.data)}`];
  let { preset, config } = chooseConfig(experiment, { ...options, set });
  const mode = { resume: options.resume === true, force: options.force === true };
  const path = options.out ?? (await defaultDirectory(experiment.name, preset, mode));
  const { adapter = "auto", description } = options;
  if (mode.resume && set.length === 0 && description === undefined) {
    // What was asked the first time need not be typed again.
    const saved = await RunDirectory.saved(path);
    const known = saved && Object.hasOwn(experiment.presets, saved.preset);
    if (known && (options.preset ?? saved.preset) === saved.preset) {
      preset = saved.preset;
      config = validate(experiment.schema, saved.config);
    }
  }
  const directoryOptions = { experiment: experiment.name, preset, config, ...mode };
  if (options.out === undefined && !mode.resume && /-\d+$/.test(path) && !options.quiet)
    process.stderr.write(
      `Earlier runs are kept; this one goes to ${path} (--resume continues the newest, --force replaces the first).\n`,
    );
  // Before the device is opened, and again when the directory is: a refusal should take no time and change nothing.
  const before = await RunDirectory.check(path, directoryOptions);

  // A resumed run goes on with the layouts it began with, whatever was tuned since: bit for bit.
  const tuning = mode.resume ? (before?.tuning ?? false) : undefined;
  const { gpu, notice } = await openNode({ adapter, ...(tuning !== undefined && { tuning }) });
  if (notice !== undefined) process.stderr.write(`${notice}\n`);
  const stop = stopOnSignal();
  try {
    const directory = await RunDirectory.open(path, { ...directoryOptions, tuning: gpu.profile.tuning });
    return await runInto(directory, experiment, config, gpu, options, stop);
  } finally {
    stop.release();
    gpu.close();
  }
}

async function runInto(
  directory: RunDirectory,
  experiment: AnyExperiment,
  config: unknown,
  gpu: Gpu,
  options: RunOptions,
  stop: Stop,
): Promise<number> {
  const { preset } = directory.run;
  const say = (text: string) => {
    if (!options.quiet) process.stderr.write(`${text}\n`);
  };
  const kept = await directory.countCells();
  say(
    `${experiment.name} (${preset}) on ${gpu.name} → ${directory.path}${kept > 0 ? `, ${kept} cells are finished` : ""}`,
  );

  const command = commandLine(experiment, directory.run.preset, config, options);
  const progress = options.quiet ? undefined : progressLine(process.stderr);
  stop.onFirst(() => {
    progress?.stop();
    say("\nStopping after this step. Press Ctrl-C again to quit at once.");
  });
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let result: ExperimentResult;
  try {
    result = await experiment.run({
      gpu,
      config,
      preset,
      signal: stop.signal,
      cells: directory,
      progress: (at) => {
        if (!stop.signal.aborted) progress?.update(at);
      },
      check: options.check === true,
    });
  } catch (error) {
    const status = deviceStatus(error);
    const cells = status === undefined ? 0 : await directory.countCells();
    if (status === undefined || cells === 0) {
      await directory.finish(status ?? "failed", seconds());
      throw error;
    }
    // The tables are the experiment's to make; its finished cells are on disk and the next session takes them up.
    const notes = [`${cells} finished cells are kept in cells/; --resume continues from them.`];
    result = { status, statusDetail: (error as Error).message, tables: [], figures: [], claims: [], notes };
  } finally {
    progress?.stop();
  }

  await directory.finish(result.status, seconds());
  const { sessions } = directory.run;
  const record: RunRecord = {
    experiment: experiment.name,
    title: experiment.title,
    summary: experiment.summary,
    preset,
    ...result,
    notes:
      sessions === 1
        ? result.notes
        : [
            ...result.notes,
            `The run was made in ${sessions} sessions; its wall time is the sum of those that ended in order.`,
          ],
    config: config as Record<string, unknown>,
    environment: environment(gpu, command),
    seconds: directory.run.seconds,
    command,
  };
  // Vega takes half a second to load: only now is it needed.
  const { REPORT_FILE, writeReport } = await import("../../report/write.ts");
  await writeReport(directory.path, record);
  printSummary(record, join(directory.path, REPORT_FILE), options.quiet === true);
  return exitCode(record, directory.path, experiment.name, options);
}

/** One line on stderr and a code other than 0 for every end but a good one. */
function exitCode(record: RunRecord, path: string, name: string, options: RunOptions): number {
  const detail = record.statusDetail === undefined ? "" : `: ${record.statusDetail.split("\n")[0]}`;
  const out = options.out === undefined && !/-\d+$/.test(path) ? "" : ` --out ${shellQuote(path)}`;
  const again = `deeplimit run ${name}${options.out === undefined ? ` --preset ${record.preset}` : ""}${out} --resume`;
  switch (record.status) {
    case "done":
      return EXIT.ok;
    case "cancelled":
      process.stderr.write(`Stopped. Continue with: ${again}\n`);
      return EXIT.interrupted;
    case "diverged":
      process.stderr.write(`error: the run diverged${detail}\n`);
      return EXIT.failure;
    case "device_lost":
      process.stderr.write(`error: the device was lost${detail}; continue with: ${again}\n`);
      return EXIT.failure;
    case "out_of_memory":
      process.stderr.write(`error: out of device memory${detail}\n`);
      return EXIT.failure;
    case "failed":
      process.stderr.write(`error: the run failed${detail}\n`);
      return EXIT.failure;
  }
}

function deviceStatus(error: unknown): Extract<RunStatus, "device_lost" | "out_of_memory"> | undefined {
  if (!(error instanceof DeviceError)) return undefined;
  return error.kind === "device_lost" || error.kind === "out_of_memory" ? error.kind : undefined;
}

/** The command that makes the run again, as it would be typed. */
function commandLine(experiment: AnyExperiment, preset: string, config: unknown, options: RunOptions): string {
  const adapter = (options.adapter ?? "auto") === "auto" ? "" : ` --adapter ${options.adapter}`;
  return `deeplimit run ${experiment.name} --preset ${preset}${settingsText(experiment, preset, config)}${adapter}${options.check ? " --check" : ""}`;
}

/** The `--set` options that turn the preset into the configuration. */
function settingsText(experiment: AnyExperiment, preset: string, config: unknown): string {
  const defaults = new Map(Object.hasOwn(experiment.presets, preset) ? flatten(experiment.presets[preset]) : []);
  return flatten(config)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(defaults.get(key)))
    .map(([key, value]) => ` --set ${shellQuote(`${key}=${Array.isArray(value) ? value.join(",") : value}`)}`)
    .join("");
}
