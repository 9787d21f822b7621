/** What `deeplimit solve` writes. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../config/errors.ts";
import { encodeNpy } from "../data/npy.ts";
import { SOLVE_STATUSES } from "../ode/controllers.ts";
import type { EnsembleGradient, EnsembleSolve, SavedPoints, TrajectoryStatus } from "../ode/ensemble.ts";
import { writeFileAtomic } from "../report/files.ts";
import type { Format } from "./solve_options.ts";

export const SUMMARY_FILE = "summary.json";

/** Lines of a CSV file in pieces of this many. */
const PIECE = 10_000;

/**
 * Says before a solve whether its results can be written.
 * @throws DataError when the directory holds a solve and `force` is not given, or files that no solve wrote
 */
export async function checkOutput(directory: string, force: boolean): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [] as string[];
    throw new DataError(directory, error.code === "ENOTDIR" ? "is a file, not a directory" : error.message);
  });
  if (names.length === 0 || force) return;
  throw new DataError(
    directory,
    names.includes(SUMMARY_FILE)
      ? "holds an earlier solve; use --force to replace its files, or another directory with --out"
      : `holds files that no solve wrote (${names[0]}); choose another directory with --out, or --force to write beside them`,
  );
}

/** Removes what the summary of an earlier solve lists, so that no file of it stands beside the new ones. */
export async function removeEarlier(directory: string): Promise<void> {
  const text = await readFile(join(directory, SUMMARY_FILE), "utf8").catch(() => "{}");
  let files: unknown;
  try {
    files = (JSON.parse(text) as { files?: unknown }).files;
  } catch {
    return;
  }
  for (const name of Array.isArray(files) ? files : [])
    if (typeof name === "string" && /^[a-z_]+\.(?:csv|npy)$/.test(name))
      await rm(join(directory, name), { force: true });
}

/**
 * Reads the results off the device and writes them.
 * @returns names of the files
 */
export async function writeResults(
  directory: string,
  format: Format,
  solve: EnsembleSolve,
  status: TrajectoryStatus,
  components: readonly string[],
): Promise<string[]> {
  const { files, array, table } = writer(directory);
  const n = solve.trajectories;
  const dimension = solve.dimension;
  const { save, event } = solve.config;
  const states = await solve.states();
  const times = await solve.times();
  const row = (values: Float32Array, at: number) =>
    Array.from(values.subarray(at * dimension, (at + 1) * dimension), decimal);
  if (format === "csv") {
    const counters = ["accepted", "rejected", "evaluations"] as const;
    await table(
      "trajectories",
      ["trajectory", "status", "t", ...components, ...counters],
      lines(n, (j) => [
        [j, status.status[j]!, decimal(times[j]!), ...row(states, j), ...counters.map((name) => status[name][j]!)],
      ]),
    );
  } else {
    await array("states", states, [n, dimension]);
    await array("times", times, [n]);
    await array(
      "status",
      Int32Array.from(status.status, (name) => SOLVE_STATUSES[name]),
      [n],
    );
    const steps = Int32Array.from(
      { length: 3 * n },
      (_, at) => [status.accepted, status.rejected, status.evaluations][at % 3]![Math.floor(at / 3)]!,
    );
    await array("steps", steps, [n, 3]);
  }
  if (save.kind === "grid" || save.kind === "steps") {
    const saved = await solve.saved();
    if (format === "csv") {
      await table(
        "saved",
        ["trajectory", "t", ...components],
        lines(n, (j) => savedPlaces(saved, j).map((at) => [j, decimal(saved.times[at]!), ...row(saved.states, at)])),
      );
    } else {
      const points = saved.times.length;
      const common = save.kind === "grid" && !(Array.isArray(save.times) && typeof save.times[0] !== "number");
      await array("saved_states", saved.states, common ? [n, points / n, dimension] : [points, dimension]);
      await array("saved_times", common ? saved.times.subarray(0, points / n) : saved.times, [
        common ? points / n : points,
      ]);
      if (!common) await array("saved_offsets", saved.offsets, [n + 1]);
      await array("saved_counts", saved.counts, [n]);
    }
  }
  if (save.kind === "statistics") {
    const statistics = await solve.statistics();
    const kinds = ["minimum", "maximum", "mean", "variance"] as const;
    if (format === "csv") {
      const header = kinds.flatMap((kind) => components.map((component) => `${kind} ${component}`));
      await table(
        "statistics",
        ["trajectory", ...header],
        lines(n, (j) => [[j, ...kinds.flatMap((kind) => row(statistics[kind], j))]]),
      );
    } else for (const kind of kinds) await array(kind, statistics[kind], [n, dimension]);
  }
  if (event) {
    const { maximum } = event;
    const events = await solve.events();
    if (format === "csv") {
      await table(
        "events",
        ["trajectory", "event", "t", ...components],
        lines(n, (j) =>
          Array.from({ length: Math.min(events.counts[j]!, maximum) }, (_, e) => {
            const at = j * maximum + e;
            return [j, e, decimal(events.times[at]!), ...row(events.states, at)];
          }),
        ),
      );
    } else {
      await array("event_counts", events.counts, [n]);
      await array("event_times", events.times, [n, maximum]);
      await array("event_states", events.states, [n, maximum, dimension]);
    }
  }
  return files;
}

/**
 * Writes the gradient of a solve.
 * @returns names of the files
 */
export async function writeGradient(
  directory: string,
  format: Format,
  gradient: EnsembleGradient,
  components: readonly string[],
  parameters: readonly string[],
): Promise<string[]> {
  const { files, array, table } = writer(directory);
  const { initial, start, end } = gradient;
  const n = start.length;
  const rowsOf = (values: Float32Array, width: number) =>
    lines(values.length / width, (j) => [[j, ...Array.from(values.subarray(j * width, (j + 1) * width), decimal)]]);
  if (format === "csv") {
    await table("gradient_initial", ["trajectory", ...components], rowsOf(initial, components.length));
    if (parameters.length > 0) {
      const isOwn = gradient.parameters.length === n * parameters.length;
      const sum = [Array.from(gradient.parameters, decimal)];
      if (isOwn) {
        await table(
          "gradient_parameters",
          ["trajectory", ...parameters],
          rowsOf(gradient.parameters, parameters.length),
        );
      } else await table("gradient_parameters", parameters, sum);
    }
    await table(
      "gradient_times",
      ["trajectory", "t0", "t1"],
      lines(n, (j) => [[j, decimal(start[j]!), decimal(end[j]!)]]),
    );
  } else {
    const rows = gradient.parameters.length / Math.max(1, parameters.length);
    await array("gradient_initial", initial, [n, components.length]);
    if (parameters.length > 0) await array("gradient_parameters", gradient.parameters, [rows, parameters.length]);
    await array("gradient_start", start, [n]);
    await array("gradient_end", end, [n]);
  }
  return files;
}

/** Writes tables and arrays, and keeps the names of their files. */
function writer(directory: string) {
  const files: string[] = [];
  const write = async (name: string, data: Uint8Array | Iterable<string>) => {
    await writeFileAtomic(join(directory, name), data);
    files.push(name);
  };
  return {
    files,
    array: (name: string, data: Float32Array | Uint32Array | Int32Array, shape: readonly number[]) =>
      write(
        `${name}.npy`,
        encodeNpy(data instanceof Float32Array ? Float32Array.from(data) : Int32Array.from(data), shape),
      ),
    table: (name: string, header: readonly string[], rows: Iterable<readonly (string | number)[]>) =>
      write(`${name}.csv`, csvText(header, rows)),
  };
}

/** Points of a trajectory that were saved and kept. */
function savedPlaces({ offsets, counts }: SavedPoints, j: number): number[] {
  const length = Math.min(counts[j]!, offsets[j + 1]! - offsets[j]!);
  return Array.from({ length }, (_, i) => offsets[j]! + i);
}

function* lines(
  n: number,
  of: (j: number) => readonly (readonly (string | number)[])[],
): Generator<readonly (string | number)[]> {
  for (let j = 0; j < n; j++) yield* of(j);
}

function* csvText(header: readonly string[], rows: Iterable<readonly (string | number)[]>): Generator<string> {
  let piece = [header.map(quoted).join(",")];
  for (const row of rows) {
    piece.push(row.join(","));
    if (piece.length === PIECE) {
      yield `${piece.join("\n")}\n`;
      piece = [];
    }
  }
  if (piece.length > 0) yield `${piece.join("\n")}\n`;
}

function quoted(name: string): string {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}

/** A decimal of six to nine digits that is read back as the same float32; `nan`, `inf` and `-inf` otherwise. */
export function decimal(x: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (Object.is(x, -0)) return "-0";
  for (let digits = 6; digits < 9; digits++) {
    const value = Number(x.toPrecision(digits));
    if (Math.fround(value) === x) return String(value);
  }
  return String(Number(x.toPrecision(9)));
}
