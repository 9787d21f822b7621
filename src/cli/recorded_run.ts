/** Runs that are on disk: their records, and what is said where there is none. */
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { DataError } from "../config/errors.ts";
import type { RunRecord } from "../experiment/record.ts";
import { formatBytes } from "../gpu/device.ts";
import { formatSeconds } from "../report/format.ts";
import { claimsText } from "../report/text.ts";
import { RunDirectory } from "./run_directory.ts";
import { wantsColor, widthOf } from "./terminal.ts";

/**
 * The record of the run in a directory, or of a file `record.json` wherever it lies.
 * @throws DataError saying why there is none
 */
export async function readRun(path: string): Promise<RunRecord> {
  // With the writer comes Vega, which takes half a second to load.
  const { RECORD_FILE, readRecord, readRecordFile } = await import("../report/write.ts");
  if ((await kindOf(path)) === "file") return readRecordFile(path);
  if ((await kindOf(join(path, RECORD_FILE))) === "file") return readRecord(path);
  throw await withoutRecord(path);
}

/** Why a directory has no record that could be read. */
export async function withoutRecord(path: string): Promise<DataError> {
  const kind = await kindOf(path);
  if (kind !== "directory") return new DataError(path, kind === "file" ? "is a file, not a directory" : "is not there");
  const run = await RunDirectory.state(path);
  if (run === undefined) return new DataError(path, "holds no record of a run (record.json)");
  const status = run.status === "running" ? "under way, or killed" : run.status.replaceAll("_", " ");
  return new DataError(
    path,
    `holds a run of ${run.experiment} (${status}) without a record; \`deeplimit run ${run.experiment} --out ${path} --resume\` continues it`,
  );
}

export async function kindOf(path: string): Promise<"file" | "directory" | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  return found.isDirectory() ? "directory" : "file";
}

/** Claims and what they took, or only where the page is. */
export function printSummary(record: RunRecord, page: string, quiet: boolean): void {
  const out = process.stdout;
  const file = relative("", page) || page;
  if (quiet) {
    out.write(`${file}\n`);
    return;
  }
  if (record.claims.length > 0)
    out.write(`\n${claimsText(record.claims, { width: widthOf(out), color: wantsColor(out) })}\n`);
  const { peakDeviceBytes } = record.environment;
  const facts = [
    ["report", file],
    ["wall time", formatSeconds(record.seconds)],
    ...(typeof peakDeviceBytes === "number" ? [["peak device memory", formatBytes(peakDeviceBytes)] as const] : []),
  ] as const;
  out.write(`\n${facts.map(([name, value]) => `${name.padEnd(20)}${value}`).join("\n")}\n`);
}
