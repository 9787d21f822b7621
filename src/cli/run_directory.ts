import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError, DataError, show } from "../config/errors.ts";
import type { CellStore } from "../experiment/experiment.ts";
import type { RunStatus } from "../experiment/record.ts";
import { type Checkpoint, decodeSafetensors, encodeSafetensors } from "../flow/checkpoint.ts";
import { tuningSchema } from "../gpu/tuning_cache.ts";
import type { Tuning } from "../plan/tuning.ts";
import { reasonOf, removeHalfWritten, writeFileAtomic } from "../report/files.ts";
import { packageFacts } from "./package_facts.ts";
import { flatten } from "./settings.ts";

export interface RunDirectoryOptions {
  readonly experiment: string;
  readonly preset: string;
  readonly config: unknown;
  /** Continue the run that the directory holds. */
  readonly resume?: boolean;
  /** Replace the run that the directory holds. */
  readonly force?: boolean;
  /** Seconds between checkpoints of a running cell; default 60. */
  readonly checkpointSeconds?: number;
  /** Measured choices of layouts that a new run is made with. */
  readonly tuning?: Tuning | undefined;
}

const runFileSchema = z.object({
  experiment: z.string(),
  preset: z.string(),
  configHash: z.string(),
  /** `failed`: an error ended it; `running`: it runs now, or its process was killed. */
  status: z.enum(["running", "done", "diverged", "cancelled", "device_lost", "out_of_memory", "failed"]),
  version: z.string(),
  started: z.string(),
  /** Wall time of the sessions that ended, and how many began. */
  seconds: z.number(),
  sessions: z.number(),
  /** Measured choices of layouts that the run began with: other layouts give other bits. */
  tuning: tuningSchema.optional(),
});
/** What `run.json` says of a run. */
export type RunFile = z.infer<typeof runFileSchema>;

const RUN_FILE = "run.json";
const CONFIG_FILE = "config.json";
const CELLS = "cells";
const CHECKPOINTS = "checkpoints";
const TABLES = "tables";
const FIGURES = "figures";
const REPORT_FILES = ["record.json", "environment.json", "claims.json", "report.html"];

/**
 * The directory of one run: `run.json` (what it is and how far), `config.json`, `cells/ID.json` (results of finished cells),
 * `checkpoints/ID.safetensors` (cells under way); the report is written beside them. Every file appears whole or not at all.
 */
export class RunDirectory implements CellStore {
  readonly path: string;
  readonly checkpointSeconds: number;
  #run: RunFile;

  private constructor(path: string, run: RunFile, checkpointSeconds: number) {
    this.path = path;
    this.#run = run;
    this.checkpointSeconds = checkpointSeconds;
  }

  /**
   * Says whether `open` would be refused, and changes nothing.
   * @returns what `run.json` says, if the directory holds a run
   * @throws DataError when the directory holds another run, files of someone else, or nothing to resume; ConfigError naming the first field
   * that differs from the run to resume
   */
  static async check(path: string, options: RunDirectoryOptions): Promise<RunFile | undefined> {
    const names = await namesIn(path);
    if (names.length === 0) {
      if (options.resume) throw new DataError(path, "holds no run to resume; leave out --resume to start one");
      return undefined;
    }
    if (!names.includes(RUN_FILE)) {
      const ours = new Set([CONFIG_FILE, ...REPORT_FILES, CELLS, CHECKPOINTS, TABLES, FIGURES]);
      const clash = names.find((name) => ours.has(name));
      if (options.force && clash === undefined) return undefined;
      const advice = clash === undefined ? " or use --force to write beside them" : "";
      throw new DataError(
        path,
        `holds files that no run wrote (${clash ?? names[0]}); choose another directory with --out${advice}`,
      );
    }
    const run = await readRunFile(path);
    if (options.force) return run;
    if (!options.resume)
      throw new DataError(
        path,
        `holds a ${run.status === "done" ? "finished " : ""}run of ${run.experiment} started ${run.started}; use --resume to continue it or --force to replace it`,
      );
    if (run.experiment !== options.experiment)
      throw new ConfigError(
        "--resume",
        `must name the experiment of the run in ${path}, ${run.experiment}`,
        options.experiment,
      );
    if (run.configHash !== hash(options.config)) throw await configDiffers(path, options.config);
    return run;
  }

  /** What the run in a directory says of itself; undefined when there is none. @throws DataError when it cannot be read */
  static async state(path: string): Promise<RunFile | undefined> {
    return (await namesIn(path)).includes(RUN_FILE) ? readRunFile(path) : undefined;
  }

  /** Preset and configuration of the run in a directory, for a `--resume` that names neither; undefined when there is none. */
  static async saved(path: string): Promise<{ preset: string; config: unknown } | undefined> {
    const names = await namesIn(path);
    if (!names.includes(RUN_FILE) || !names.includes(CONFIG_FILE)) return undefined;
    const { preset } = await readRunFile(path);
    const file = join(path, CONFIG_FILE);
    try {
      return { preset, config: JSON.parse((await readIfThere(file))?.toString("utf8") ?? "") };
    } catch {
      throw new DataError(file, "cannot be read, so the run cannot be resumed; use --force to replace it");
    }
  }

  /**
   * Makes the directory, or takes up the run it holds. `force` removes only files that a run writes.
   * @throws as {@link RunDirectory.check}; DataError when the directory cannot be written
   */
  static async open(path: string, options: RunDirectoryOptions): Promise<RunDirectory> {
    const before = await RunDirectory.check(path, options);
    if (before && !options.resume) await removeRun(path);
    try {
      await mkdir(path, { recursive: true });
    } catch (error) {
      throw new DataError(path, `cannot be created: ${reasonOf(error)}`);
    }
    const resumed = options.resume ? before : undefined;
    const tuning = resumed ? resumed.tuning : options.tuning;
    for (const folder of [path, join(path, CELLS), join(path, CHECKPOINTS)]) await removeHalfWritten(folder);
    const directory = new RunDirectory(
      path,
      {
        experiment: options.experiment,
        preset: resumed?.preset ?? options.preset,
        configHash: hash(options.config),
        status: "running",
        version: packageFacts().version,
        started: resumed?.started ?? new Date().toISOString(),
        seconds: resumed?.seconds ?? 0,
        sessions: (resumed?.sessions ?? 0) + 1,
        ...(tuning && { tuning }),
      },
      options.checkpointSeconds ?? 60,
    );
    await directory.#writeRun();
    await writeFileAtomic(join(path, CONFIG_FILE), `${JSON.stringify(options.config, null, 2)}\n`);
    return directory;
  }

  get run(): RunFile {
    return this.#run;
  }

  /** Notes how this session ended. `seconds` is its own wall time. */
  async finish(status: RunStatus, seconds: number): Promise<void> {
    this.#run = { ...this.#run, status, seconds: this.#run.seconds + seconds };
    await this.#writeRun();
  }

  /** Cells that are finished. */
  async countCells(): Promise<number> {
    return (await namesIn(join(this.path, CELLS))).filter((name) => /^[^.].*\.json$/.test(name)).length;
  }

  async load(id: string): Promise<unknown | undefined> {
    const path = this.#cellPath(id);
    const bytes = await readIfThere(path);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(bytes.toString("utf8"), revive);
    } catch {
      throw new DataError(path, "is not JSON; delete this file to compute the cell again");
    }
  }

  async save(id: string, result: unknown): Promise<void> {
    await writeFileAtomic(this.#cellPath(id), `${JSON.stringify(result, replace)}\n`);
    await rm(this.#checkpointPath(id), { force: true });
  }

  async loadCheckpoint(id: string): Promise<Checkpoint | undefined> {
    const path = this.#checkpointPath(id);
    const bytes = await readIfThere(path);
    if (bytes === undefined) return undefined;
    try {
      return decodeSafetensors(bytes, path);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new DataError(path, `${error.reason}; delete this file to start its cell afresh`);
    }
  }

  async saveCheckpoint(id: string, checkpoint: Checkpoint): Promise<void> {
    await writeFileAtomic(this.#checkpointPath(id), encodeSafetensors(checkpoint));
  }

  async #writeRun(): Promise<void> {
    await writeFileAtomic(join(this.path, RUN_FILE), `${JSON.stringify(this.#run, null, 2)}\n`);
  }

  #cellPath(id: string): string {
    return join(this.path, CELLS, `${fileStem(id)}.json`);
  }

  #checkpointPath(id: string): string {
    return join(this.path, CHECKPOINTS, `${fileStem(id)}.safetensors`);
  }
}

/**
 * Where a run goes without `--out`: `runs/<experiment>-<preset>`, or with the next free number behind it when that is taken.
 * With `resume` the newest one there; with `force` the first.
 */
export async function defaultDirectory(
  experiment: string,
  preset: string,
  mode: { readonly resume: boolean; readonly force: boolean },
  root = "runs",
): Promise<string> {
  const base = `${experiment}-${preset}`;
  if (mode.force) return join(root, base);
  const numbers = (await namesIn(root)).flatMap((name) => {
    if (name === base) return [1];
    const tail = name.startsWith(`${base}-`) ? name.slice(base.length + 1) : "";
    return /^[2-9]$|^[1-9]\d+$/.test(tail) ? [Number(tail)] : [];
  });
  const newest = Math.max(0, ...numbers);
  const number = Math.max(1, mode.resume ? newest : newest + 1);
  return join(root, number === 1 ? base : `${base}-${number}`);
}

async function readRunFile(directory: string): Promise<RunFile> {
  const path = join(directory, RUN_FILE);
  const bytes = await readIfThere(path);
  let parsed: ReturnType<typeof runFileSchema.safeParse> | undefined;
  try {
    parsed = runFileSchema.safeParse(JSON.parse(bytes?.toString("utf8") ?? ""));
  } catch {
    parsed = undefined;
  }
  if (parsed?.success) return parsed.data;
  throw new DataError(path, "is not the file of a run; choose another directory with --out");
}

async function configDiffers(path: string, config: unknown): Promise<ConfigError> {
  const file = join(path, CONFIG_FILE);
  const bytes = await readIfThere(file);
  let old: Map<string, unknown>;
  try {
    old = new Map(flatten(JSON.parse(bytes?.toString("utf8") ?? "")));
  } catch {
    throw new DataError(file, "cannot be read, so the run cannot be resumed; use --force to replace it");
  }
  const now = new Map(flatten(JSON.parse(JSON.stringify(config))));
  const field = [...new Set([...old.keys(), ...now.keys()])].find(
    (key) => JSON.stringify(old.get(key)) !== JSON.stringify(now.get(key)),
  );
  const text = (value: unknown) => (value === undefined ? "absent" : show(value));
  return new ConfigError(
    field ?? "config",
    `must be ${text(old.get(field ?? ""))} as in the run in ${path} to resume it, got ${text(now.get(field ?? ""))} (--force replaces the run)`,
  );
}

/** Files by the names that a run gives them; those of tables and figures are in its record. Whatever else is there stays. */
async function removeRun(path: string): Promise<void> {
  const record = await readIfThere(join(path, "record.json"));
  const names = (kind: "tables" | "figures"): string[] => {
    try {
      const list = (JSON.parse(record?.toString("utf8") ?? "{}") as Record<string, unknown>)[kind];
      return Array.isArray(list)
        ? list.map((item) => String(item?.name)).filter((name) => /^[a-z0-9-]+$/.test(name))
        : [];
    } catch {
      return [];
    }
  };
  const inside = async (folder: string, pattern: RegExp) =>
    (await namesIn(join(path, folder))).filter((name) => pattern.test(name)).map((name) => join(folder, name));
  // run.json goes last: until then the directory is known to be a run's.
  const files = [
    ...(await inside(CELLS, /^[^.].*\.json$/)),
    ...(await inside(CHECKPOINTS, /^[^.].*\.safetensors$/)),
    ...names("tables").flatMap((name) => [join(TABLES, `${name}.csv`), join(TABLES, `${name}.jsonl`)]),
    join(TABLES, "tables.json"),
    ...names("figures").flatMap((name) => [join(FIGURES, `${name}.svg`), join(FIGURES, `${name}.png`)]),
    ...REPORT_FILES,
    CONFIG_FILE,
    RUN_FILE,
  ];
  try {
    for (const file of files) await rm(join(path, file), { force: true });
  } catch (error) {
    throw new DataError(path, `cannot be cleared: ${reasonOf(error)}`);
  }
  // A directory that still holds something refuses to go, as it should.
  for (const folder of [CELLS, CHECKPOINTS, TABLES, FIGURES]) await rmdir(join(path, folder)).catch(() => undefined);
}

/** Names in a directory, without what an interrupted write left; none when it does not exist. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).filter((name) => !/^\..+\.\d+\.tmp$/.test(name)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    const isFile = (await stat(path).catch(() => undefined))?.isFile();
    throw new DataError(path, isFile ? "is a file, not a directory" : `cannot be read: ${reasonOf(error)}`);
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new DataError(path, `cannot be read: ${reasonOf(error)}`);
  }
}

function fileStem(id: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._=+-]*$/.test(id))
    throw new RangeError(`a cell's id must be a file stem of letters, digits and . _ = + -, got ${JSON.stringify(id)}`);
  return id;
}

/** SHA-256 of the configuration as JSON with sorted keys. */
function hash(config: unknown): string {
  const sorted = JSON.stringify(config, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash("sha256").update(sorted).digest("hex");
}

// JSON has no NaN, ±Infinity or -0; a resumed run must see the numbers that the first one saw.
const NUMBER_KEY = "$number";

function replace(_: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value))
    throw new TypeError("a cell's result must be plain data: turn typed arrays into arrays");
  return typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
    ? { [NUMBER_KEY]: Object.is(value, -0) ? "-0" : String(value) }
    : value;
}

function revive(_: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && NUMBER_KEY in value ? Number(value[NUMBER_KEY]) : value;
}
