/** The directory of a whole laboratory: a run's directory for each experiment, and the pages and tables over all of them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { DataError } from "../config/errors.ts";
import type { RunRecord } from "../experiment/record.ts";
import { reasonOf, writeFileAtomic } from "../report/files.ts";
import { allClaims, claimsTable, type Laboratory, renderLaboratory, runFacts } from "../report/laboratory.ts";
import { tableCsv } from "../report/table.ts";
import { kindOf, readRun } from "./recorded_run.ts";
import { RunDirectory } from "./run_directory.ts";

export const LABORATORY_FILE = "laboratory.json";
export const INDEX_FILE = "index.html";

/** What was asked of an experiment, and what its directory cannot say. */
export interface LaboratoryEntry {
  readonly experiment: string;
  readonly title: string;
  /** `ran`: its directory says how it ended; otherwise it has not been run, or not to be. */
  readonly state: "ran" | "skipped" | "waiting";
  /** Why it was skipped, or how its process ended. */
  readonly reason?: string;
}

/** Content of `laboratory.json` that is read back. */
const laboratorySchema = z.object({
  preset: z.string(),
  command: z.string(),
  runs: z.array(
    z.object({
      experiment: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
      title: z.string(),
      state: z.string(),
      reason: z.string().nullable(),
    }),
  ),
});

/** @returns what was asked, undefined when the directory holds no laboratory. @throws DataError when its file cannot be read */
export async function readLaboratory(
  path: string,
): Promise<{ preset: string; command: string; entries: LaboratoryEntry[] } | undefined> {
  const file = join(path, LABORATORY_FILE);
  if ((await kindOf(file)) !== "file") return undefined;
  let parsed: z.infer<typeof laboratorySchema>;
  try {
    parsed = laboratorySchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    const why = error instanceof z.ZodError || error instanceof SyntaxError ? "it is damaged" : reasonOf(error);
    throw new DataError(file, `cannot be read: ${why}`);
  }
  const { preset, command, runs } = parsed;
  return {
    preset,
    command,
    entries: runs.map(({ experiment, title, state, reason }) => ({
      experiment,
      title,
      state: state === "skipped" || state === "waiting" ? state : "ran",
      ...(reason !== null && { reason }),
    })),
  };
}

/** Reads what the runs left and writes `laboratory.json`, `claims.json`, `claims.csv` and `index.html` over them. */
export async function writeLaboratory(
  path: string,
  asked: { readonly preset: string; readonly command: string; readonly entries: readonly LaboratoryEntry[] },
): Promise<Laboratory> {
  const { preset, command, entries } = asked;
  const runs: Laboratory["runs"][number][] = [];
  for (const entry of entries) runs.push(await runOf(path, entry));
  const laboratory = { preset, command, runs };
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  await writeFileAtomic(join(path, LABORATORY_FILE), json({ preset, command, runs: runs.map(runFacts) }));
  await writeFileAtomic(join(path, "claims.json"), json(allClaims(laboratory)));
  await writeFileAtomic(join(path, "claims.csv"), tableCsv(claimsTable(laboratory)));
  await writeFileAtomic(join(path, INDEX_FILE), renderLaboratory(laboratory));
  return laboratory;
}

/** How a run ended: its record says so, unless a later session of it ended without one. */
async function runOf(
  path: string,
  { experiment, title, state, reason }: LaboratoryEntry,
): Promise<Laboratory["runs"][number]> {
  const entry = { experiment, title, ...(reason !== undefined && { reason }) };
  if (state !== "ran") return { ...entry, state };
  const directory = join(path, experiment);
  const said = (await RunDirectory.state(directory).catch(() => undefined))?.status;
  let record: RunRecord;
  try {
    record = await readRun(directory);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const ended = said === undefined || said === "running" || said === "done" ? "failed" : said;
    return { ...entry, state: ended, reason: reason ?? error.reason };
  }
  if (said !== undefined && said !== record.status) {
    const ended = said === "running" ? "failed" : said;
    return { ...entry, state: ended, reason: reason ?? "its process ended before its record was written", record };
  }
  const { status, statusDetail } = record;
  if (status === "done") return { experiment, title, state: status, record };
  return { experiment, title, state: status, record, ...(statusDetail !== undefined && { reason: statusDetail }) };
}
