/** A record → the files of a run's directory, and back. Node only. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, show } from "../config/errors.ts";
import type { Figure, RunRecord, Table } from "../experiment/record.ts";
import { renderBenchmarkPage } from "./benchmark_page.ts";
import { chartSpec, renderSvg } from "./chart.ts";
import type { Comparison } from "./comparison.ts";
import { partKey, renderComparison } from "./comparison_page.ts";
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
  const files: [path: string, data: string][] = [[RECORD_FILE, `${JSON.stringify(record)}\n`], ...dataFiles(record)];
  for (const [path, data] of files) await writeFileAtomic(join(dir, path), data);
  return [...files.map(([path]) => path), ...(await writePage(dir, record))];
}

/**
 * Draws figures and page again from the `record.json` in `dir` alone. Tables and the other files of numbers are written only where they are
 * missing: those of the run itself tell NaN from ±Infinity, which its record in JSON cannot.
 * @throws DataError when the record cannot be read or is not whole, or a file cannot be written
 */
export async function rebuildReport(dir: string): Promise<RunRecord> {
  const record = await readRecord(dir);
  try {
    checkNames(record);
    for (const [path, data] of dataFiles(record))
      if (!existsSync(join(dir, path))) await writeFileAtomic(join(dir, path), data);
    await writePage(dir, record);
  } catch (error) {
    if (error instanceof RangeError) throw new DataError(join(dir, RECORD_FILE), error.message);
    throw error;
  }
  return record;
}

/** Numbers as files of their own, by their paths. */
function dataFiles({ config, environment, claims, tables }: RunRecord): [path: string, data: string][] {
  return [
    ["config.json", json(config)],
    ["environment.json", json(environment)],
    ["claims.json", json(claims)],
    ...tables.flatMap((table): [string, string][] => [
      [`tables/${table.name}.csv`, tableCsv(table)],
      [`tables/${table.name}.jsonl`, tableJsonLines(table)],
    ]),
    ["tables/tables.json", json(tablesJson(tables))],
  ];
}

async function writePage(dir: string, record: RunRecord): Promise<string[]> {
  const written: string[] = [];
  const write = async (path: string, data: string | Uint8Array): Promise<void> => {
    await writeFileAtomic(join(dir, path), data);
    written.push(path);
  };
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

/**
 * Writes a comparison as one page that holds everything. A figure that cannot be drawn is a sentence on the page.
 * @returns what was wrong with figures, one line each
 * @throws DataError when the file cannot be written
 */
export async function writeComparison(path: string, comparison: Comparison): Promise<string[]> {
  const svgs = new Map<string, string>();
  const problems: string[] = [];
  for (const compared of comparison.figures)
    for (const [i, { figure, table }] of compared.parts.entries())
      try {
        svgs.set(partKey(compared, i), await renderSvg(chartSpec(figure, table)));
      } catch (error) {
        problems.push(`${figure.name} is not drawn: ${messageOf(error)}`);
      }
  await writeFileAtomic(path, renderComparison(comparison, svgs));
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
