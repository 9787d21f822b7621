/** A record → the files of a run's directory, and back. Node only. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, show } from "../config/errors.ts";
import type { Figure, RunRecord, Table } from "../experiment/record.ts";
import { renderBenchmarkPage } from "./benchmark_page.ts";
import { chartSpec, renderSvg } from "./chart.ts";
import { reasonOf, writeFileAtomic } from "./files.ts";
import { renderHtml } from "./html.ts";
import { renderPng } from "./png.ts";
import { runRecordSchema } from "./record_schema.ts";
import { tableCsv, tableJsonLines, tablesJson } from "./table.ts";

export const RECORD_FILE = "record.json";
export const REPORT_FILE = "report.html";

/**
 * Writes everything about a run under `dir`, made if absent:
 * `record.json` (all of it, see {@link readRecord}), `config.json`, `environment.json`, `claims.json`, `tables/<name>.csv` and `.jsonl`,
 * `tables/tables.json` (units and descriptions), `figures/<name>.svg` and `.png`, `report.html`.
 * Numbers come before figures, so that a figure that cannot be drawn loses no data. Each file appears whole or not at all.
 * @returns paths relative to `dir`, with `/`, in the order written
 * @throws RangeError when a name is no file stem, is used twice, or a figure names a table that is not there; DataError when a file cannot be written
 */
export async function writeReport(dir: string, record: RunRecord): Promise<string[]> {
  checkNames(record);
  const written: string[] = [];
  const write = async (path: string, data: string | Uint8Array): Promise<void> => {
    await writeFileAtomic(join(dir, path), data);
    written.push(path);
  };
  await write(RECORD_FILE, `${JSON.stringify(record)}\n`);
  await write("config.json", json(record.config));
  await write("environment.json", json(record.environment));
  await write("claims.json", json(record.claims));
  for (const table of record.tables) {
    await write(`tables/${table.name}.csv`, tableCsv(table));
    await write(`tables/${table.name}.jsonl`, tableJsonLines(table));
  }
  await write("tables/tables.json", json(tablesJson(record.tables)));

  const svgs = new Map<string, string>();
  for (const figure of record.figures) {
    const svg = await renderSvg(chartSpec(figure, tableOf(figure, record.tables)));
    svgs.set(figure.name, svg);
    await write(`figures/${figure.name}.svg`, svg);
    await write(`figures/${figure.name}.png`, renderPng(svg));
  }
  await write(REPORT_FILE, renderHtml(record, svgs));
  return written;
}

/**
 * Reads the record that {@link writeReport} left in `dir`. Numbers that JSON cannot hold come back as null, and as ±Infinity at the ends of an
 * interval.
 * @throws DataError naming the file, the field and the rule
 */
export async function readRecord(dir: string): Promise<RunRecord> {
  return readRecordFile(join(dir, RECORD_FILE));
}

/** A record from any file. @throws DataError naming the file, the field and the rule */
export async function readRecordFile(path: string): Promise<RunRecord> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new DataError(path, `cannot be read: ${reasonOf(error)}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(path, `must be JSON: ${messageOf(error)}`);
  }
  const parsed = runRecordSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new DataError(path, `${issue.path.length === 0 ? "the record" : issue.path.join(".")}: ${issue.message}`);
  }
  // The schema types an absent field as possibly undefined; zod leaves absent fields out.
  return parsed.data as RunRecord;
}

/**
 * Writes a benchmark as one page that holds everything. A figure that cannot be drawn is a sentence on the page.
 * @returns what was wrong with figures, one line each
 * @throws RangeError as {@link writeReport}; DataError when the file cannot be written
 */
export async function writeBenchmarkPage(path: string, record: RunRecord): Promise<string[]> {
  checkNames(record);
  const svgs = new Map<string, string>();
  const problems: string[] = [];
  for (const figure of record.figures) {
    try {
      svgs.set(figure.name, await renderSvg(chartSpec(figure, tableOf(figure, record.tables))));
    } catch (error) {
      problems.push(`${figure.name} is not drawn: ${messageOf(error)}`);
    }
  }
  await writeFileAtomic(path, renderBenchmarkPage(record, svgs));
  return problems;
}

function checkNames(record: RunRecord): void {
  for (const [kind, items] of Object.entries({ table: record.tables, figure: record.figures })) {
    const seen = new Set<string>();
    for (const { name } of items) {
      if (!/^[a-z0-9][a-z0-9-]*$/.test(name))
        throw new RangeError(`${kind} name must be a kebab-case file stem, got ${show(name)}`);
      if (kind === "table" && name === "tables")
        throw new RangeError("table name must not be tables, which holds the descriptions");
      if (seen.has(name)) throw new RangeError(`${kind} name must be used once, got ${show(name)} twice`);
      seen.add(name);
    }
  }
  for (const figure of record.figures) tableOf(figure, record.tables);
}

function tableOf(figure: Figure, tables: readonly Table[]): Table {
  const table = tables.find(({ name }) => name === figure.table);
  if (table === undefined) throw new RangeError(`figure ${figure.name}: the record has no table ${show(figure.table)}`);
  return table;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
