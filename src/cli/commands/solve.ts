import { join, relative } from "node:path";
import type { EnsembleInput } from "../../config/ode.ts";
import { formatBytes, type Gpu } from "../../gpu/device.ts";
import { openNode } from "../../gpu/node_adapter.ts";
import { SOLVE_STATUSES, type SolveStatus } from "../../ode/controllers.ts";
import {
  type EnsembleProblem,
  EnsembleSolve,
  type EnsembleSummary,
  type TrajectoryStatus,
} from "../../ode/ensemble.ts";
import { FIELDS } from "../../ode/fields.ts";
import { writeFileAtomic } from "../../report/files.ts";
import { formatNumber, formatSeconds } from "../../report/format.ts";
import { wrap } from "../../report/text.ts";
import { environment } from "../environment.ts";
import { EXIT } from "../exit_code.ts";
import { progressLine } from "../progress_line.ts";
import { defaultDirectory } from "../run_directory.ts";
import { checkOutput, decimal, removeEarlier, SUMMARY_FILE, writeGradient, writeResults } from "../solve_files.ts";
import { chooseField, readCotangents, readInputs, readTimes, type SolveInputs, shortName } from "../solve_inputs.ts";
import {
  FORMATS,
  type Format,
  inOptions,
  oneOf,
  type SolveOptions,
  solverOptions,
  withEvent,
} from "../solve_options.ts";
import { stopOnSignal } from "../stop.ts";
import { formatCount, shellQuote, widthOf } from "../terminal.ts";

/** Trajectories that did not get to their end of which the first are named. */
const NAMED = 3;

/** `deeplimit solve --list`: the built-in fields. */
export function fieldsText(width: number): string {
  const blocks = Object.values(FIELDS).map(({ name, equations, components, parameters, defaults, initial, span }) => {
    const list = (names: readonly string[], values: readonly number[]) =>
      names.map((item, i) => `${item} = ${formatNumber(values[i]!)}`).join(", ");
    const facts = [
      equations,
      `dimension ${components.length}; parameters ${list(parameters, defaults)}`,
      `usually from ${list(components, initial)}, t ${span[0]} to ${span[1]}`,
    ];
    return [name, ...facts.flatMap((fact) => wrap(fact, width - 2).map((line) => `  ${line}`))].join("\n");
  });
  return [...blocks, "Solve one with: deeplimit solve FIELD"].join("\n\n");
}

/**
 * `deeplimit solve`: integrates an ensemble and writes what came out.
 * @returns the exit code
 * @throws ConfigError, FieldError, DataError, DeviceError: nothing was solved, and why
 */
export async function solve(name: string, options: SolveOptions): Promise<number> {
  const format = oneOf("--format", options.format ?? "csv", FORMATS);
  const inputs = readInputs(chooseField(name), options);
  const n = inputs.initial.length / inputs.components.length;
  const config = solverOptions(options, (file) => readTimes(file, n));
  const problem = problemOf(inputs, options);
  const cotangents = options.cotangents === undefined ? undefined : readCotangents(options.cotangents, inputs, name);
  const directory =
    options.out ?? (await defaultDirectory("solve", shortName(name), { resume: false, force: options.force === true }));
  await checkOutput(directory, options.force === true);

  const { gpu, notice } = await openNode({ adapter: options.adapter });
  if (notice !== undefined) process.stderr.write(`${notice}\n`);
  const stop = stopOnSignal();
  const steps = stepsInAll(inputs, config, n);
  const progress = options.quiet
    ? undefined
    : progressLine(process.stderr, undefined, steps === undefined ? "trajectories" : "steps");
  stop.onFirst(() => progress?.stop());
  try {
    const ensemble = await EnsembleSolve.create(gpu, problem, config).catch((error) => {
      throw inOptions(error);
    });
    if (!options.quiet && !options.json)
      process.stderr.write(
        `${name}, ${counted(n, "trajectory", "trajectories")}, on ${gpu.name} → ${relative("", directory) || "."}\n`,
      );
    const started = performance.now();
    const summary = await ensemble.run({
      signal: stop.signal,
      onProgress: (at) => {
        if (stop.signal.aborted) return;
        const done = steps === undefined ? finished(at) : at.accepted;
        progress?.update({ done, total: steps ?? n, label: `${formatNumber(at.accepted + at.rejected, 3)} steps` });
      },
    });
    const seconds = (performance.now() - started) / 1000;
    progress?.stop();
    const status = await ensemble.status();
    await removeEarlier(directory);
    const files = await writeResults(directory, format, ensemble, status, inputs.components);
    const gradient = cotangents && (await differentiate(ensemble, cotangents, stop.signal));
    if (gradient)
      files.push(...(await writeGradient(directory, format, gradient, inputs.components, inputs.parameterNames)));
    const record = recordOf(
      name,
      inputs,
      ensemble,
      summary,
      status,
      seconds,
      gradient?.facts,
      gpu,
      commandLine(name, options),
    );
    await writeFileAtomic(join(directory, SUMMARY_FILE), `${JSON.stringify({ ...record, files }, null, 2)}\n`);
    const path = relative("", directory) || ".";
    print(path, [SUMMARY_FILE, ...files], record, await failures(ensemble, status), options, format);
    ensemble.destroy();
    if (summary.status === "cancelled") {
      process.stderr.write("Stopped: unfinished trajectories are written as cancelled, where they stood.\n");
      return EXIT.interrupted;
    }
    return finished(summary, ["done", "event"]) > 0 ? EXIT.ok : EXIT.failure;
  } finally {
    progress?.stop();
    stop.release();
    gpu.close();
  }
}

function problemOf(inputs: SolveInputs, options: SolveOptions): EnsembleProblem {
  const { field, components, initial, parameters, start, end, rtol, atol } = inputs;
  return {
    field: options.event === undefined ? field : withEvent(field, components, options.event),
    initial,
    parameters,
    start,
    end,
    ...(rtol && { rtol }),
    ...(atol && { atol }),
  };
}

interface GradientFacts {
  readonly seconds: number;
  /** Trajectories that did not get to their end, and have none. */
  readonly missing: number;
  readonly recordBytes: number;
  readonly checkpointEvery: number;
  /** How far off the states are that the way back came to, and in how many trajectories they are too far off. */
  readonly reconstruction?: { readonly error: number; readonly lost: number };
}

/** The gradient; none of a solve that was stopped. */
async function differentiate(ensemble: EnsembleSolve, states: Float32Array, signal: AbortSignal) {
  if (signal.aborted) return undefined;
  const started = performance.now();
  const gradient = await ensemble.gradient({ states });
  const { missing, recordBytes, checkpointEvery, reconstruction } = gradient;
  if (reconstruction?.warning) process.stderr.write(`${reconstruction.warning}\n`);
  const facts: GradientFacts = {
    seconds: (performance.now() - started) / 1000,
    missing,
    recordBytes,
    checkpointEvery,
    ...(reconstruction && {
      reconstruction: {
        error: reconstruction.error.reduce((most, error) => (error > most ? error : most), 0),
        lost: reconstruction.lost,
      },
    }),
  };
  return { ...gradient, facts };
}

type SolveRecord = ReturnType<typeof recordOf>;

function recordOf(
  name: string,
  inputs: SolveInputs,
  ensemble: EnsembleSolve,
  summary: EnsembleSummary,
  status: TrajectoryStatus,
  seconds: number,
  gradient: GradientFacts | undefined,
  gpu: Gpu,
  command: string,
) {
  const { method, steps, save, event } = ensemble.config;
  const { counts, accepted, rejected, trajectories } = summary;
  return {
    field: name,
    status: summary.status,
    trajectories,
    components: inputs.components,
    parameters: inputs.parameterNames,
    ...(typeof inputs.start === "number" && { start: inputs.start }),
    ...(typeof inputs.end === "number" && { end: inputs.end }),
    method,
    steps,
    save: save.kind,
    ...(event && { event }),
    counts,
    statusCodes: SOLVE_STATUSES,
    accepted,
    rejected,
    evaluations: status.evaluations.reduce((sum, count) => sum + count, 0),
    seconds,
    ...(gradient && { gradient }),
    adapter: gpu.name,
    environment: environment(gpu, command),
  };
}

async function failures(ensemble: EnsembleSolve, { status }: TrajectoryStatus): Promise<string[]> {
  const failed = status.flatMap((name, j) => (["done", "event", "cancelled"].includes(name) ? [] : [j]));
  if (failed.length === 0) return [];
  const times = await ensemble.times();
  const named = failed.slice(0, NAMED).map((j) => `${j} ${status[j]} at t = ${decimal(times[j]!)}`);
  return [`${named.join(", ")}${failed.length > NAMED ? `, and ${formatCount(failed.length - NAMED)} more` : ""}`];
}

function print(
  path: string,
  files: readonly string[],
  record: SolveRecord,
  failed: readonly string[],
  { json, quiet }: SolveOptions,
  format: Format,
): void {
  const out = process.stdout;
  if (json) {
    const { environment: _, ...rest } = record;
    out.write(`${JSON.stringify({ ...rest, directory: path, files }, null, 2)}\n`);
    return;
  }
  if (quiet) {
    out.write(`${path}\n`);
    return;
  }
  const { counts, accepted, rejected, evaluations, seconds, gradient, trajectories } = record;
  const each = (count: number) => `${formatCount(count)}  (${formatNumber(count / trajectories, 3)} a trajectory)`;
  const rate = (accepted + rejected) / seconds;
  const rows: [string, string][] = [
    ["field", record.field],
    ["trajectories", formatCount(trajectories)],
    ...Object.entries(counts).flatMap(([name, count]): [string, string][] =>
      count === 0 ? [] : [[`  ${name}`, formatCount(count)]],
    ),
    ...failed.map((text): [string, string] => ["  that is", text]),
    ["method", `${record.method}, ${stepsConfigText(record.steps)}`],
    ["steps accepted", each(accepted)],
    ["steps rejected", each(rejected)],
    ["evaluations", each(evaluations)],
    ["time", `${duration(seconds)}  (${formatNumber(rate, 3)} steps/s)`],
    ...(gradient ? [["gradient", gradientText(gradient)] as [string, string]] : []),
    ["adapter", record.adapter],
    [
      "written",
      `${path}: ${files.join(", ")}${format === "csv" ? "" : " (status codes: 0 is done, the others in summary.json)"}`,
    ],
  ];
  const column = Math.max(...rows.map(([name]) => name.length)) + 2;
  const width = widthOf(out);
  const text = rows.map(([name, value]) =>
    wrap(value, width - column)
      .map((line, i) => (i === 0 ? name.padEnd(column) : " ".repeat(column)) + line)
      .join("\n"),
  );
  out.write(`${text.join("\n")}\n`);
}

function duration(seconds: number): string {
  return seconds < 0.1 ? `${formatNumber(1000 * seconds, 2)} ms` : formatSeconds(seconds);
}

function gradientText({ seconds, missing, recordBytes, checkpointEvery, reconstruction }: GradientFacts): string {
  const without = missing === 0 ? "" : `, without the ${formatCount(missing)} that did not end`;
  const checkpoints = checkpointEvery === 1 ? "a checkpoint every step" : `a checkpoint every ${checkpointEvery} steps`;
  const places = reconstruction ? `states found again to ${formatNumber(reconstruction.error, 2)}` : checkpoints;
  return `${duration(seconds)}${without}  (${formatBytes(recordBytes)}, ${places})`;
}

function stepsConfigText(steps: NonNullable<EnsembleInput["steps"]>): string {
  if (steps.kind === "adaptive") {
    const [rtol, atol] = [steps.rtol, steps.atol].map((x) =>
      typeof x === "number" ? formatNumber(x) : "one a component",
    );
    return `rtol ${rtol}, atol ${atol}, controller ${steps.controller}`;
  }
  return steps.dt === undefined ? `${steps.count} steps` : `dt ${steps.dt}`;
}

function finished(
  { counts, trajectories }: EnsembleSummary,
  of: readonly SolveStatus[] | undefined = undefined,
): number {
  if (of) return of.reduce((sum, name) => sum + counts[name], 0);
  return trajectories - counts.not_finished - counts.cancelled;
}

/** With fixed steps it is known how many there will be. */
function stepsInAll({ start, end }: SolveInputs, { steps }: EnsembleInput, n: number): number | undefined {
  if (steps?.kind !== "fixed") return undefined;
  if (steps.count !== undefined) return n * steps.count;
  const at = (times: number | Float32Array, j: number) => (typeof times === "number" ? times : times[j]!);
  let total = 0;
  for (let j = 0; j < n; j++) total += Math.ceil(Math.abs(at(end, j) - at(start, j)) / steps.dt!);
  return total;
}

function counted(n: number, one: string, many: string): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

/** The command that solves this again, as it would be typed. */
function commandLine(name: string, options: SolveOptions): string {
  const { adapter, ...others } = options;
  const words = Object.entries({ ...others, ...(adapter !== "auto" && { adapter }) }).flatMap(([key, value]) => {
    const option = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return value === true ? [option] : typeof value === "string" ? [option, value] : [];
  });
  return ["deeplimit", "solve", name, ...words].map(shellQuote).join(" ");
}
