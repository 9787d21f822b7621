/** Tables of numbers from CSV text. */
import { CsvError, type Info, parse } from "csv-parse/sync";
import { DataError, show } from "../config/errors.ts";

export interface NumberTable {
  /** Names of the columns, where the first row is one of names. */
  readonly header?: readonly string[];
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns]. */
  readonly values: Float64Array<ArrayBuffer>;
  /** Line in the file of each row, from 1. */
  readonly lines: readonly number[];
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const NAME = /^[^-+.\d]/;
const NOT_FINITE: Readonly<Record<string, number>> = { nan: Number.NaN, inf: Infinity, infinity: Infinity };

/**
 * Columns separated by commas, `#` begins a comment, empty lines do not count. The first row is a header when every
 * cell of it begins as a name does. `nan`, `inf` and `-inf` are numbers.
 * @param file its name, for errors
 * @throws DataError naming file, line, column, rule and value: rows of different length, a cell that is no number within the
 * range of float32, no row at all
 */
export function parseCsv(text: string, file: string): NumberTable {
  const records = recordsOf(text, file);
  const first = records[0];
  const header = first?.record.every((cell) => NAME.test(cell) && numberOf(cell) === undefined)
    ? first.record
    : undefined;
  if (header) checkHeader(header, file, first!.info.lines);
  const body = header ? records.slice(1) : records;
  if (body.length === 0)
    throw new DataError(file, `must have at least one row of numbers, got ${header ? "only a header" : "none"}`);

  const columns = first!.record.length;
  const values = new Float64Array(body.length * columns);
  for (const [row, { record, info }] of body.entries()) {
    if (record.length !== columns)
      throw new DataError(
        file,
        `line ${info.lines} must have ${count(columns, "column")} as line ${first!.info.lines} has, got ${record.length}`,
      );
    for (const [column, cell] of record.entries()) {
      const value = numberOf(cell);
      const name = header ? ` (${header[column]})` : "";
      const where = `line ${info.lines}, column ${column + 1}${name}`;
      if (value === undefined) throw new DataError(file, `${where} must be a number, got ${show(cell)}${hint(cell)}`);
      if (Number.isFinite(value) && !Number.isFinite(Math.fround(value)))
        throw new DataError(file, `${where} must be within the range of float32, ±3.4e38, got ${cell}`);
      values[row * columns + column] = value;
    }
  }
  return { ...(header && { header }), rows: body.length, columns, values, lines: body.map(({ info }) => info.lines) };
}

interface CsvRecord {
  readonly record: string[];
  readonly info: Info;
}

function recordsOf(text: string, file: string): CsvRecord[] {
  try {
    return parse(text, {
      bom: true,
      comment: "#",
      info: true,
      // Judged here, where the file is named.
      relax_column_count: true,
      skip_empty_lines: true,
      trim: true,
    }) as unknown as CsvRecord[];
  } catch (error) {
    if (error instanceof CsvError) throw new DataError(file, `is no CSV: ${error.message}`);
    throw error;
  }
}

function checkHeader(header: readonly string[], file: string, line: number): void {
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined)
    throw new DataError(file, `line ${line} must name every column once, got ${show(twice)} twice`);
}

/** Undefined when the text is no number. */
function numberOf(cell: string): number | undefined {
  if (NUMBER.test(cell)) return Number(cell);
  const [, sign, word] = /^([+-]?)([a-z]+)$/i.exec(cell) ?? [];
  const value = word === undefined ? undefined : NOT_FINITE[word.toLowerCase()];
  return value === undefined ? undefined : sign === "-" ? -value : value;
}

function hint(cell: string): string {
  if (cell === "") return " (nothing between two commas)";
  return /\d[;\t ]+[-+.\d]/.test(cell) ? " (columns are separated by commas)" : "";
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
