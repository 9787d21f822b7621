import { join, relative } from "node:path";
import { ConfigError } from "../../config/errors.ts";
import { EXIT } from "../exit_code.ts";
import { INDEX_FILE, readLaboratory, writeLaboratory } from "../laboratory_directory.ts";
import { kindOf, printSummary, withoutRecord } from "../recorded_run.ts";
import { widthOf } from "../terminal.ts";
import { laboratoryText } from "./run_all.ts";

export interface ReportOptions {
  readonly quiet?: boolean;
}

/**
 * `deeplimit report`: makes the page and figures of a run again from its record, or those of every run of a laboratory.
 * @returns the exit code
 * @throws DataError for a directory without a record, ConfigError for a record of `deeplimit bench`
 */
export async function report(path: string, { quiet = false }: ReportOptions): Promise<number> {
  const laboratory = await readLaboratory(path);
  if (laboratory === undefined) {
    const { page, record } = await rebuild(path);
    printSummary(record, page, quiet);
    return EXIT.ok;
  }
  const { RECORD_FILE } = await import("../../report/write.ts");
  for (const { experiment } of laboratory.entries)
    if ((await kindOf(join(path, experiment, RECORD_FILE))) === "file") await rebuild(join(path, experiment));
  const { runs } = await writeLaboratory(path, laboratory);
  const index = join(path, INDEX_FILE);
  const file = relative("", index) || index;
  process.stdout.write(quiet ? `${file}\n` : `${laboratoryText(runs, widthOf(process.stdout))}\n\nreport  ${file}\n`);
  return EXIT.ok;
}

async function rebuild(path: string) {
  // With the writer comes Vega, which takes half a second to load.
  const { RECORD_FILE, REPORT_FILE, rebuildReport } = await import("../../report/write.ts");
  if ((await kindOf(path)) === "file")
    throw new ConfigError("directory", `must be that of a run, which holds ${RECORD_FILE}`, path);
  if ((await kindOf(join(path, RECORD_FILE))) !== "file") throw await withoutRecord(path);
  return { record: await rebuildReport(path), page: join(path, REPORT_FILE) };
}
